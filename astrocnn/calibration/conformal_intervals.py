"""Intervals that hold the true value as often as they say, whatever the model.

If the objects to come are exchangeable with those of the calibration, coverage is at least the
level asked for, on average over calibrations, with no other assumption.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.calibration._conformal import check_levels, digest, percent, quantile, rows_needed
from astrocnn.calibration._densities import quantiles
from astrocnn.calibration.base import Batch, labelled, too_few
from astrocnn.column import Column
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.targets import QuantityFamily

__all__ = ["ConformalIntervals", "examples"]


@dataclass(frozen=True)
class ConformalIntervals:
    """Intervals that hold the true value with a given probability.

    From the predictive quantiles q of the level, [q_low - Q w, q_high + Q w] with w their
    distance, clipped to the range of the family: the constant Q, negative where intervals are too
    wide, makes the coverage right.  With `by`, it does so in each bin of a catalogue column
    (Mondrian).

    Parameters
    ----------
    target : str
        Name of a target over a number.
    prefix : str
        Of its columns.
    levels : tuple of float
        Coverage of each interval, as 0.68.
    stretch : tuple of tuple of float
        Q by level and bin of `by`; the last one, for all objects together, serves rows where
        `by` has no value.
    by : str, optional
        Column of the catalogue.
    cuts : tuple of float
        Where its bins meet.

    References
    ----------
    Romano, Patterson and Candes (2019), NeurIPS (conformalized quantile regression); in units of
    the width as Sesia and Candes (2020), Stat 9, e261 (CQR-r).
    """

    target: str
    prefix: str
    levels: tuple[float, ...]
    stretch: tuple[tuple[float, ...], ...]
    by: str | None = None
    cuts: tuple[float, ...] = ()

    @classmethod
    def fit(
        cls,
        target: Any,
        encoded: Any,
        weight: Any,
        samples: Any,
        *,
        levels: Sequence[float] = (0.68, 0.95),
        by: str | None = None,
        by_values: Any = None,
        n_bins: int = 4,
    ) -> ConformalIntervals:
        """Choose the constants on labelled objects that were not trained on.

        Objects without a label or a prediction are left out.

        Parameters
        ----------
        target : Target
            Over a number.
        encoded, weight : array_like of shape (n, k) and (n,)
            Labels as `Target.encode` gives them.
        samples : array_like of shape (n_draws, n, units)
            Activated samples.
        levels : sequence of float
            Coverage of each interval.
        by : str, optional
            Column of the catalogue in whose bins coverage is to hold, such as a magnitude.
        by_values : array_like of shape (n,), optional
            Its values, needed with `by`.
        n_bins : int
            Bins of `by`, of equally many objects.

        Raises
        ------
        PredictionError
            If there are too few objects, or too few in a bin, for a level.
        """
        family = target.family
        if not isinstance(family, QuantityFamily):
            raise PredictionError(
                f"Target '{target.name}' has no density to make intervals of.",
                received=type(family).__name__,
            )
        check_levels(levels)
        rows = labelled(family, encoded, weight, samples)
        value = family.to_values(np.asarray(encoded)[rows])
        ends = _ends(family, np.asarray(samples)[:, rows], levels)
        place, cuts = np.zeros(len(rows), np.intp), np.zeros(0)
        if by is not None:
            if by_values is None or len(np.asarray(by_values)) != len(np.asarray(weight)):
                raise ConfigError(f"Intervals by '{by}' need its value of each object.")
            x = np.asarray(by_values, np.float64)[rows]
            known = x[np.isfinite(x)]
            if not len(known):
                raise too_few(f"intervals by '{by}'", 0, n_bins * rows_needed(max(levels)))
            cuts = np.unique(np.quantile(known, np.arange(1, n_bins) / n_bins))
            place = _bins(x, cuts)
        stretch = []
        for level, (low, high) in zip(levels, ends, strict=True):
            score = np.maximum(low - value, value - high) / (high - low)
            said = f"intervals at {level:g}"
            each = [
                quantile(score[place == k], level, f"{said} in bin {k + 1} of '{by}'")
                for k in range(len(cuts) + 1)
                if by is not None
            ]
            stretch.append((*each, quantile(score, level, said)))
        return cls(
            target.name, target.prefix, tuple(levels), tuple(stretch), by, tuple(cuts.tolist())
        )

    @property
    def fingerprint(self) -> str:
        """Digest of target, levels, constants and bins."""
        return digest(self.to_dict())

    def columns(self) -> tuple[Column, ...]:
        """For each level the ends of the interval."""
        within = f" in each bin of {self.by}" if self.by else ""
        return tuple(
            Column(
                f"{self.prefix}_conf{percent(level)}_{end}",
                "f4",
                "",
                f"stat.value;stat.{ucd}",
                f"{end.capitalize()} end of the interval of {100 * level:g} % coverage{within}",
            )
            for level in self.levels
            for end, ucd in (("low", "min"), ("high", "max"))
        )

    def compute(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """The intervals of some predicted objects."""
        family = batch.estimator.task.target(self.target).family
        samples = batch.samples[self.target]
        values = batch.catalog.numbers(self.by) if self.by else np.full(samples.shape[1], np.nan)
        ends = self.intervals(family, samples, values)
        names = (column.name for column in self.columns())
        return {name: end.astype(np.float32) for name, end in zip(names, ends, strict=True)}

    def intervals(
        self, family: QuantityFamily, samples: NDArray[np.floating], by_values: Any = None
    ) -> list[NDArray[np.float64]]:
        """Low and high end for each level in turn, arrays of shape (n,).

        Parameters
        ----------
        family : QuantityFamily
            Of the target.
        samples : ndarray of shape (n_draws, n, units)
            Activated samples; rows with NaN give NaN.
        by_values : array_like of shape (n,), optional
            Values of the column `by`.
        """
        n = samples.shape[1]
        x = np.full(n, np.nan) if by_values is None else np.asarray(by_values, np.float64)
        place = _bins(x, np.array(self.cuts)) if self.by else np.full(n, -1)
        out = []
        ends = _ends(family, samples, self.levels)
        for (low, high), stretch in zip(ends, self.stretch, strict=True):
            margin = np.array(stretch)[place] * (high - low)
            out.append(np.clip(low - margin, family.low, family.high))
            out.append(np.clip(high + margin, family.low, family.high))
        return out

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ConformalIntervals:
        """What `to_dict` described."""
        return cls(
            values["target"],
            values["prefix"],
            tuple(values["levels"]),
            tuple(map(tuple, values["stretch"])),
            values["by"],
            tuple(values["cuts"]),
        )


def _ends(
    family: QuantityFamily, samples: NDArray[Any], levels: Sequence[float]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Central predictive quantiles of each level, at least a hundredth of a bin apart."""
    tails = [side for level in levels for side in ((1 - level) / 2, (1 + level) / 2)]
    q = quantiles(family, samples, tails)
    least = 0.005 * (family.edges[1] - family.edges[0])
    pairs = []
    for j in range(0, len(tails), 2):
        middle = 0.5 * (q[:, j] + q[:, j + 1])
        half = np.maximum(0.5 * (q[:, j + 1] - q[:, j]), least)
        pairs.append((middle - half, middle + half))
    return pairs


def _bins(values: NDArray[np.float64], cuts: NDArray[np.float64]) -> NDArray[np.intp]:
    """Number of the bin of each value, -1 where there is none."""
    return np.where(np.isfinite(values), np.searchsorted(cuts, values, side="right"), -1)


def examples() -> tuple[ConformalIntervals, ...]:
    """Instances for the contract tests, for a target ``z``."""
    return (
        ConformalIntervals("z", "z", (0.68, 0.95), ((0.1,), (0.3,))),
        ConformalIntervals("z", "z", (0.68,), ((-0.1, 0.2, 0.0),), by="mag_r", cuts=(20.0,)),
    )
