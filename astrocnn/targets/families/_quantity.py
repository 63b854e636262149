"""What families over one real number share: labels, bins, and the columns of a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.column import Column
from astrocnn.errors import ConfigError
from astrocnn.targets.families import _density
from astrocnn.targets.families._numbers import check_range, encode_numbers, tally_ranges

__all__ = ["Quantity", "mean_of"]

Array = NDArray[np.float64]

_CHAPTERS = ("redshift", "regression")
_LEVELS = {"median": 0.5, "q16": 0.16, "q84": 0.84}
_INTERVALS = (0.68, 0.95)
# Objects summarized at once: bounds the memory, changes no number.
_ROWS = 512


def mean_of(draws: Iterable[Array]) -> Array:
    """Mean of arrays, one in memory at a time; the same to the last bit for any number of rows."""
    total, count = None, 0
    for draw in draws:
        total = draw.copy() if total is None else total + draw
        count += 1
    assert total is not None
    return total / count


class Quantity(ABC):
    """One number z with a density p(z) between `low` and `high`.

    The predictive density is the mean over draws.  What probability a family puts outside the
    range counts as lying at its ends, in every column alike.
    """

    low: float
    high: float
    n_bins: int
    chapter: str

    def __post_init__(self) -> None:
        check_range(self.low, self.high)
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))
        if not isinstance(self.n_bins, int) or self.n_bins < 2:
            raise ConfigError(
                "A density needs at least two bins.", received=self.n_bins, hint="n_bins = 180"
            )
        if self.chapter not in _CHAPTERS:
            raise ConfigError(
                "There is no such chapter for a quantity.", received=self.chapter, allowed=_CHAPTERS
            )

    @property
    def edges(self) -> Array:
        """Edges of the bins, of shape (n_bins + 1,)."""
        return np.linspace(self.low, self.high, self.n_bins + 1)

    def encode(
        self, values: Any, missing: Any = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The value itself, of shape (n, 1); weight 0 where there is none or it is out of range.

        Raises
        ------
        CatalogError
            If a label is not a number.

        Warns
        -----
        AstrocnnWarning
            If a label lies outside the range, -99 and the like included: how many.
        """
        return encode_numbers(values, missing, self.low, self.high)

    def to_values(self, encoded: NDArray[np.floating]) -> Array:
        """Encoded labels as numbers of shape (n,)."""
        return np.asarray(encoded, np.float64)[:, 0]

    def tally(self, encoded: NDArray[np.floating], weight: NDArray[np.floating]) -> dict[str, int]:
        """Number of labelled objects in each fifth of the range."""
        return tally_ranges(self.to_values(encoded), weight, self.low, self.high)

    @abstractmethod
    def cumulative(
        self, samples: NDArray[np.floating], values: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Probability of at most values[i] for object i, of shape (n_draws, n)."""

    @abstractmethod
    def _moments(self, draw: Array) -> tuple[Array, Array]:
        """Mean and variance of each object, of shape (n,)."""

    @abstractmethod
    def _grid(self, samples: Array) -> tuple[Array, Array]:
        """Points per object and the predictive CDF there, both of shape (n, m)."""

    def _quantiles(self, samples: Array, grid: Array, cdf: Array, levels: Array) -> Array:
        return _density.quantiles(grid, cdf, levels)

    def summarize(self, samples: NDArray[np.floating]) -> dict[str, NDArray[Any]]:
        """Point estimates, quantiles, shortest intervals and the parts of the spread."""
        n = samples.shape[1]
        names = [column.name for column in self.columns()]
        out = {name: np.full(n, np.nan, np.float32) for name in names}
        for start in range(0, n, _ROWS):
            part = samples[:, start : start + _ROWS]
            known = np.flatnonzero(np.isfinite(part).all(axis=(0, 2)))
            if len(known):
                found = self._summary(np.ascontiguousarray(part[:, known], np.float64))
                for name in names:
                    out[name][start + known] = found[name]
        return out

    def _summary(self, samples: Array) -> dict[str, Array]:
        first, first_variance = self._moments(samples[0])
        shift, square, variance = (np.zeros_like(first) for _ in range(3))
        for draw in samples[1:]:
            # Differences from the first draw: equal draws have exactly no epistemic spread.
            mean, var = self._moments(draw)
            mean -= first
            shift += mean
            square += mean * mean
            variance += var - first_variance
        n_draws = len(samples)
        shift /= n_draws
        between = np.maximum(square / n_draws - shift * shift, 0.0)
        within = np.maximum(first_variance + variance / n_draws, 0.0)
        grid, cdf = self._grid(samples)
        cdf = np.maximum.accumulate(cdf, axis=1)
        levels = np.broadcast_to(np.array(list(_LEVELS.values())), (len(first), len(_LEVELS)))
        found = dict(zip(_LEVELS, self._quantiles(samples, grid, cdf, levels).T, strict=True))
        found["mean"] = first + shift
        found["mode"] = peak = _density.mode(grid, cdf)
        found["std"] = np.sqrt(within + between)
        found["std_aleatoric"], found["std_epistemic"] = np.sqrt(within), np.sqrt(between)
        for mass in _INTERVALS:
            name = f"hdi{round(100 * mass)}"
            found[f"{name}_low"], found[f"{name}_high"] = _density.shortest(grid, cdf, mass)
        if self.chapter == "redshift":
            reach = _ODDS_REACH * (1 + peak)
            above, below = (_density.at(grid, cdf, peak + side) for side in (reach, -reach))
            found["odds"] = above - below
        return found

    def columns(self) -> tuple[Column, ...]:
        """Descriptions of what `summarize` returns."""
        redshift = self.chapter == "redshift"
        word = "src.redshift.phot" if redshift else "stat.value"
        spread = "stat.stdev;src.redshift.phot" if redshift else "stat.stdev"
        said = [
            ("mean", f"{word};stat.mean", "Mean of the predictive density"),
            ("median", f"{word};stat.median", "Median of the predictive density"),
            ("mode", word, "Highest point of the predictive density"),
            ("std", spread, "Standard deviation of the predictive density"),
            ("q16", f"{word};stat.percentile", "16 % quantile of the predictive density"),
            ("q84", f"{word};stat.percentile", "84 % quantile of the predictive density"),
        ]
        for mass in _INTERVALS:
            percent = round(100 * mass)
            for end, ucd in (("low", "stat.min"), ("high", "stat.max")):
                text = f"{end.capitalize()} end of the shortest interval of {percent} % probability"
                said.append((f"hdi{percent}_{end}", f"{word};{ucd}", text))
        if redshift:
            said.append(
                ("odds", "stat.probability", f"Probability within {_ODDS_REACH} (1+z) of the mode")
            )
        said += [
            ("std_aleatoric", spread, "Root mean variance of one draw (noise of the data)"),
            ("std_epistemic", spread, "Spread of the mean over draws (doubt of the model)"),
        ]
        return tuple(Column(name, "f4", "", ucd, text) for name, ucd, text in said)


# The ODDS of BPZ (Benitez 2000, ApJ 536, 571) with this half width at z = 0.
_ODDS_REACH = 0.06
