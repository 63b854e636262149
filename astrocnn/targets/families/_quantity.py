"""Families over one real number: what follows from the CDF of a predictive density."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrocnn.backend import Tensor
from astrocnn.column import Column
from astrocnn.errors import ConfigError, ModelError
from astrocnn.targets import density_grid
from astrocnn.targets.families.base import (
    MAX_UNITS,
    Array,
    Encoded,
    Family,
    Part,
    build_columns,
)
from astrocnn.targets.labels import encode_numbers

__all__ = ["QuantityFamily", "mean_of_draws"]

_QUANTILES = (0.5, 0.16, 0.84)
_INTERVALS = (0.68, 0.95)
# The ODDS of BPZ (Benitez 2000, ApJ 536, 571) with this half width at z = 0.
_ODDS_REACH = 0.06
# Objects summarized at once: small enough for the processor's cache; changes no number.
_ROWS = 256


@dataclass(frozen=True)
class QuantityFamily(Family):
    """A family over one real number, whose predictive distribution is a density p(z).

    The predictive density is the mean over draws.  What probability a family puts outside the
    range counts as lying at its ends, in every column alike.  A subclass defines `units`,
    `initial_loss`, `activate`, `loss`, `cdf`, `from_values` and `point_estimate`.  The rest
    follows from these, to the width of a bin; a family with closed forms overrides
    `moments`, `grid` and `quantiles`.

    Parameters
    ----------
    low, high : float
        Ends of the range; labels outside it are not trained on.
    n_bins : int
        Number of equal bins in which `masses` gives the density.
    relative_errors : bool
        Whether errors are divided by one plus the true value, as those of redshifts are.
    ucd : str
        UCD of the quantity: ``"src.redshift.phot"`` for a redshift.
    """

    low: float
    high: float
    n_bins: int = field(default=180, kw_only=True)
    relative_errors: bool = field(default=False, kw_only=True)
    ucd: str = field(default="", kw_only=True)
    kind: ClassVar[str] = "density"

    def __post_init__(self) -> None:
        ends = (self.low, self.high)
        numeric = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in ends)
        if not (numeric and np.isfinite(ends).all() and ends[0] < ends[1]):
            raise ConfigError(
                "The range of a quantity must be two finite numbers, the lower one first.",
                received=f"{self.low!r} to {self.high!r}",
                hint="range = [0.0, 0.4]",
            )
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))
        if not isinstance(self.n_bins, int) or not 2 <= self.n_bins <= MAX_UNITS:
            raise ConfigError(
                f"`n_bins` must be an integer from 2 to {MAX_UNITS}.",
                received=self.n_bins,
                hint="n_bins = 180",
            )

    @property
    def edges(self) -> Array:
        """Edges of the bins, of shape (n_bins + 1,)."""
        return np.linspace(self.low, self.high, self.n_bins + 1)

    @abstractmethod
    def cdf(self, draw: NDArray[np.floating], points: Array) -> Array:
        """Probability of at most each of `points`, of shape (n, m), tails outside included.

        `draw` holds the activated parameters of one draw, of shape (n, units).
        """

    @abstractmethod
    def point_estimate(self, parameters: Tensor) -> Tensor:
        """Differentiable point estimate of shape (...) from parameters of shape (..., units)."""

    @abstractmethod
    def from_values(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Parameters of shape (n, units) that describe m equally probable values per object.

        For predictors that are not networks: `values` has the shape (n, m).
        """

    def interval_probability(self, parameters: Tensor, low: float, high: float) -> Tensor:
        """Differentiable probability between two values, for families that define it."""
        raise ModelError(
            f"{type(self).__name__} does not define the probability in an interval for "
            "explanation.",
            allowed="its point estimate: no interval",
        )

    def encode(self, values: ArrayLike, missing: ArrayLike | None = None) -> Encoded:
        """The value itself, of shape (n, 1); weight 0 where it is missing or out of range.

        Labels outside the range, -99 and the like included, are counted in an `AstrocnnWarning`;
        one that is not a number raises `CatalogError`.
        """
        return encode_numbers(values, missing, self.low, self.high)

    def to_values(self, encoded: NDArray[np.floating]) -> Array:
        """Encoded labels as numbers of shape (n,)."""
        return np.asarray(encoded, np.float64)[:, 0]

    def tally(self, encoded: NDArray[np.floating], weight: NDArray[np.floating]) -> dict[str, int]:
        """Number of labelled objects in each fifth of the range."""
        edges = np.linspace(self.low, self.high, 6)
        labelled = self.to_values(encoded)[np.asarray(weight) > 0]
        counts, _ = np.histogram(np.clip(labelled, self.low, self.high), edges)
        names = (f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges))
        return {name: int(count) for name, count in zip(names, counts, strict=True)}

    def masses(self, samples: NDArray[np.floating]) -> Array:
        """Probability in each bin, of shape (n_draws, n, n_bins); tails count to the outer bins."""
        edges = self.edges
        out = np.empty((*samples.shape[:2], self.n_bins))
        for t, draw in enumerate(samples):
            cdf = self.cdf(draw, np.broadcast_to(edges, (len(draw), len(edges))))
            finite = ~np.isnan(cdf[:, 0])
            # Probability beyond the range counts as lying at its ends, so that the bins sum to 1.
            cdf[finite, 0], cdf[finite, -1] = 0.0, 1.0
            out[t] = np.maximum(np.diff(cdf, axis=1), 0.0)
        return out

    def cumulative(self, samples: NDArray[np.floating], values: NDArray[np.floating]) -> Array:
        """Probability of at most values[i] for object i, of shape (n_draws, n)."""
        points = np.asarray(values, np.float64)[:, None]
        out = np.stack([self.cdf(draw, points)[:, 0] for draw in samples])
        out = np.where((points[:, 0] < self.low) & ~np.isnan(out), 0.0, out)
        return np.where((points[:, 0] >= self.high) & ~np.isnan(out), 1.0, np.minimum(out, 1.0))

    def moments(self, draw: NDArray[np.floating]) -> tuple[Array, Array]:
        """Mean and variance of each object of one draw, each of shape (n,).

        Here from integrals of the CDF over the bins, which a family with closed forms overrides.
        """
        edges = self.edges
        points = np.broadcast_to(edges, (len(draw), len(edges)))
        above = 1.0 - self.cdf(draw, points)
        # By parts: E[x] = low + integral of (1 - F), and twice that of (x - low) (1 - F) for the
        # square; both exact where F is linear within bins.
        width, offset = edges[1] - edges[0], edges - self.low
        sides, middle = above[:, :-1] + above[:, 1:], 0.5 * (above[:, :-1] + above[:, 1:])
        first = 0.5 * width * np.sum(sides, axis=1)
        center = 0.5 * (offset[:-1] + offset[1:])
        ends = above[:, :-1] * offset[:-1] + 4.0 * middle * center + above[:, 1:] * offset[1:]
        square = 2.0 * width / 6.0 * np.sum(ends, axis=1)
        return self.low + first, np.maximum(square - first * first, 0.0)

    def grid(self, samples: Array) -> tuple[Array, Array]:
        """Equally spaced points per object and the predictive CDF there, both of shape (n, m)."""
        edges = self.edges
        points = np.broadcast_to(edges, (samples.shape[1], len(edges)))
        return points, mean_of_draws(self.cdf(draw, points) for draw in samples)

    def quantiles(self, samples: Array, grid: Array, cdf: Array, levels: Array) -> Array:
        """Quantiles of the predictive density, of shape (n, n_levels); see `grid`."""
        return density_grid.quantiles(grid, cdf, levels)

    def summarize(self, samples: NDArray[np.floating]) -> dict[str, NDArray[np.generic]]:
        """Point estimates, quantiles, shortest intervals and the parts of the spread."""
        n = samples.shape[1]
        names = [column.name for column in self.columns()]
        out: dict[str, NDArray[np.generic]] = {n_: np.full(n, np.nan, np.float32) for n_ in names}
        for start in range(0, n, _ROWS):
            part = samples[:, start : start + _ROWS]
            finite = np.flatnonzero(np.isfinite(part).all(axis=(0, 2)))
            if len(finite):
                summary = self._summary(np.ascontiguousarray(part[:, finite], np.float64))
                for name in names:
                    out[name][start + finite] = summary[name]
        return out

    def _summary(self, samples: Array) -> dict[str, Array]:
        first, first_variance = self.moments(samples[0])
        shift, square, variance = (np.zeros_like(first) for _ in range(3))
        for draw in samples[1:]:
            # Differences from the first draw: equal draws have exactly no epistemic spread.
            mean, var = self.moments(draw)
            mean = mean - first
            shift += mean
            square += mean * mean
            variance += var - first_variance
        n_draws = len(samples)
        shift /= n_draws
        between = np.maximum(square / n_draws - shift * shift, 0.0)
        within = np.maximum(first_variance + variance / n_draws, 0.0)
        grid, cdf = self.grid(samples)
        # Rounding can make a CDF fall; to look costs a fifth of what to accumulate does.
        if (cdf[:, 1:] < cdf[:, :-1]).any():
            cdf = np.maximum.accumulate(cdf, axis=1)
        levels = np.broadcast_to(_QUANTILES, (len(first), len(_QUANTILES)))
        quantiles = self.quantiles(samples, grid, cdf, levels)
        statistics = {_quantile_name(q): quantiles[:, i] for i, q in enumerate(_QUANTILES)}
        statistics["mean"] = first + shift
        statistics["mode"] = peak = density_grid.mode(grid, cdf)
        statistics["std"] = np.sqrt(within + between)
        statistics["std_aleatoric"], statistics["std_epistemic"] = np.sqrt(within), np.sqrt(between)
        for mass in _INTERVALS:
            ends = density_grid.shortest_interval(grid, cdf, mass)
            statistics.update(zip(_interval_names(mass), ends, strict=True))
        if self.relative_errors:
            reach = _ODDS_REACH * (1 + peak)
            above, below = (density_grid.cdf_at(grid, cdf, peak + s) for s in (reach, -reach))
            statistics["odds"] = above - below
        return statistics

    def columns(self) -> tuple[Column, ...]:
        """Declarations of what `summarize` returns."""
        base_ucd = self.ucd or "stat.value"
        spread = f"stat.stdev;{self.ucd}" if self.ucd else "stat.stdev"
        median, *others = _QUANTILES
        rows = [
            ("mean", f"{base_ucd};stat.mean", "Mean of the predictive density"),
            (_quantile_name(median), f"{base_ucd};stat.median", "Median of the predictive density"),
            ("mode", base_ucd, "Highest point of the predictive density"),
            ("std", spread, "Standard deviation of the predictive density"),
        ]
        for level in others:
            text = f"{100 * level:.0f} % quantile of the predictive density"
            rows.append((_quantile_name(level), f"{base_ucd};stat.percentile", text))
        for mass in _INTERVALS:
            for name, end in zip(_interval_names(mass), ("Low", "High"), strict=True):
                text = f"{end} end of the shortest interval of {100 * mass:.0f} % probability"
                rows.append((name, f"{base_ucd};stat.{'min' if end == 'Low' else 'max'}", text))
        if self.relative_errors:
            text = f"Probability within {_ODDS_REACH} (1+z) of the mode"
            rows.append(("odds", "stat.probability", text))
        rows += [
            ("std_aleatoric", spread, "Root mean variance of one draw (noise of the data)"),
            ("std_epistemic", spread, "Spread of the mean over draws (doubt of the model)"),
        ]
        return build_columns(rows)

    def validate_part(self, part: Part) -> Part:
        """None for the point estimate, or two ends of an interval within the range."""
        if part is None:
            return None
        if isinstance(part, str) or len(part) != 2 or not float(part[0]) < float(part[1]):
            raise ModelError(
                "A number has no such part to explain.",
                received=repr(part),
                allowed="nothing for its mean, or two ends of an interval, the lower one first",
            )
        if not (part[0] < self.high and part[1] > self.low):
            raise ModelError(
                "The interval to explain lies outside the range of the quantity.",
                received=part,
                allowed=f"a part of {self.low:g} to {self.high:g}",
            )
        return part

    def explained(self, raw: Tensor, part: Part = None, scale: str = "logit") -> Tensor:
        """The point estimate, or the probability in an interval; there is no logit."""
        parameters = self.activate(raw)
        if part is None:
            return self.point_estimate(parameters)
        return self.interval_probability(parameters, float(part[0]), float(part[1]))

    def part_label(self, name: str, part: Part, scale: str = "logit") -> str:
        """For example ``"mean of z"`` or ``"probability of 0.1 < z < 0.2"``."""
        if part is None:
            return f"mean of {name}"
        return f"probability of {float(part[0]):g} < {name} < {float(part[1]):g}"


def mean_of_draws(draws: Iterable[Array]) -> Array:
    """Mean of arrays, one in memory at a time; the same to the last bit for any number of rows."""
    total, count = None, 0
    for draw in draws:
        total = draw.copy() if total is None else total + draw
        count += 1
    assert total is not None
    return total / count


def _quantile_name(level: float) -> str:
    return "median" if level == 0.5 else f"q{100 * level:.0f}"


def _interval_names(mass: float) -> tuple[str, str]:
    name = f"hdi{100 * mass:.0f}"
    return f"{name}_low", f"{name}_high"
