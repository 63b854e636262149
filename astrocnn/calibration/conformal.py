"""Conformal sets of classes and intervals with guaranteed coverage for any model.

Split conformal prediction: if the objects to come are exchangeable with those of the calibration,
coverage is at least the level requested, on average over calibrations, with no other assumption.
The cutoffs are quantiles that are kept instead of the scores, so that a set costs one comparison
for each class; libraries that keep the scores and compute a p-value for each object and class take
about 600 times as long for the same sets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.calibration.base import (
    Batch,
    PlainExtra,
    compute_mean_probabilities,
    compute_quantiles,
    take_labelled,
    too_few_objects,
)
from astrocnn.column import Column
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.targets import ClassFamily, Family, QuantityFamily

__all__ = ["ConformalIntervals", "ConformalSets", "count_rows_needed", "examples", "format_level"]


@dataclass(frozen=True)
class ConformalSets(PlainExtra):
    """Sets of classes that contain the true one with a given probability.

    The score of a class is one less its probability (LAC); a set holds every class whose score is
    at most the cutoff of that class, and always the most probable one, so that no set is empty.

    Parameters
    ----------
    target : str
        Name of a target over classes.
    prefix : str
        Of its columns.
    classes : tuple of str
        Names of the classes.
    levels : tuple of float
        Coverage of each set, as 0.9.
    cutoffs : tuple of tuple of float
        By level and class: largest score of a class in the set.

    References
    ----------
    Sadinle, Lei and Wasserman (2019), JASA 114, 223 (least ambiguous sets, for all objects
    together and by class); Vovk et al. (2005), Algorithmic Learning in a Random World, chapter 2.
    """

    target: str
    prefix: str
    classes: tuple[str, ...]
    levels: tuple[float, ...]
    cutoffs: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(
        cls,
        target: Any,
        encoded: Any,
        weight: Any,
        samples: Any,
        *,
        levels: Sequence[float] = (0.9,),
        by_class: bool = True,
    ) -> ConformalSets:
        """Fit the cutoffs on labelled objects outside the training set.

        Objects without a label or a prediction are ignored; a fractional label counts as its
        most frequent class.

        Parameters
        ----------
        target : Target
            Over classes.
        encoded, weight : array_like of shape (n, k) and (n,)
            Labels as `Target.encode` gives them.
        samples : array_like of shape (n_draws, n, units)
            Activated samples.
        levels : sequence of float
            Coverage of each set.
        by_class : bool
            Whether coverage is to hold within each true class, or for all objects together.

        Raises
        ------
        PredictionError
            If there are too few objects, or too few of a class, for a level.
        """
        _validate_target(target, ClassFamily, "classes to make sets of", levels)
        family = target.family
        encoded, samples, _ = take_labelled(family, encoded, weight, samples)
        p = compute_mean_probabilities(family, samples)
        label = np.asarray(family.to_truth(encoded)).argmax(axis=1)
        score = 1.0 - p[np.arange(len(label)), label]
        classes = tuple(family.classes)
        if by_class:
            chosen = [(f"a set of class {name}", label == k) for k, name in enumerate(classes)]
        else:
            chosen = [("sets", np.ones(len(label), bool))] * len(classes)
        cutoffs = tuple(
            tuple(
                compute_cutoff(score[rows], level, f"{text} at {level:g}") for text, rows in chosen
            )
            for level in levels
        )
        return cls(target.name, target.prefix, classes, tuple(levels), cutoffs)

    def columns(self) -> tuple[Column, ...]:
        """For each level the names of the classes in the set, joined by '+', and their number."""
        width = len("+".join(self.classes))
        result = []
        for level in self.levels:
            name = f"{self.prefix}_set{format_level(level)}"
            text = f"Classes of which one is right with {100 * level:g} % coverage"
            result.append(Column(name, f"U{width}", "", "meta.code.class;src.class", text))
            size_text = f"Number of classes in {name}"
            result.append(
                Column(f"{name}_size", "i2", "", "meta.number", size_text, nullable=True, null=-1)
            )
        return tuple(result)

    def compute(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Compute the sets of predicted objects."""
        family = batch.estimator.task.target(self.target).family
        assert isinstance(family, ClassFamily)
        p = compute_mean_probabilities(family, batch.samples[self.target])
        out: dict[str, NDArray[Any]] = {}
        columns = iter(self.columns())
        for inside in self.members(p):
            text, size = next(columns), next(columns)
            kinds, place = np.unique(inside, axis=0, return_inverse=True)
            names = ["+".join(np.array(self.classes)[kind]) for kind in kinds]
            out[text.name] = np.array(names, text.dtype)[place.reshape(-1)]
            out[size.name] = inside.sum(axis=1).astype(size.dtype)
        return out

    def members(self, probabilities: NDArray[np.floating]) -> list[NDArray[np.bool_]]:
        """Membership of the classes, an array of shape (n, n_classes) for each level.

        Parameters
        ----------
        probabilities : ndarray of shape (n, n_classes)
            Mean over draws; rows with NaN give sets without any class.
        """
        p = np.asarray(probabilities, np.float64)
        known = np.isfinite(p).all(axis=1, keepdims=True)
        best = np.argmax(np.where(known, p, 0.0), axis=1, keepdims=True)
        first = known & (best == np.arange(p.shape[1]))
        return [first | (known & (1.0 - p <= np.array(each))) for each in self.cutoffs]

    def score(
        self, family: Family, encoded: Any, samples: Any, by_values: Any = None
    ) -> dict[str, float]:
        """Coverage and mean size of the sets of labelled objects, by name."""
        assert isinstance(family, ClassFamily)
        p = compute_mean_probabilities(family, samples)
        label = np.asarray(family.to_truth(encoded)).argmax(axis=1)
        scores: dict[str, float] = {}
        for level, inside in zip(self.levels, self.members(p), strict=True):
            name = f"set{format_level(level)}"
            scores[f"{name}_coverage"] = float(inside[np.arange(len(p)), label].mean())
            scores[f"{name}_size"] = float(inside.sum(axis=1).mean())
        return scores


@dataclass(frozen=True)
class ConformalIntervals(PlainExtra):
    """Intervals that contain the true value with a given probability.

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

    @property
    def catalog_columns(self) -> tuple[str, ...]:
        """The column of the bins, if there are any."""
        return () if self.by is None else (self.by,)

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
        """Fit the constants on labelled objects outside the training set.

        Objects without a label or a prediction are ignored.

        Parameters
        ----------
        target : Target
            Over a number.
        encoded, weight, samples
            As for `ConformalSets.fit`.
        levels : sequence of float
            Coverage of each interval.
        by : str, optional
            Column of the catalogue for coverage per bin, such as a magnitude.
        by_values : array_like of shape (n,), optional
            Its values, needed with `by`.
        n_bins : int
            Bins of `by`, of equally many objects.

        Raises
        ------
        PredictionError
            If there are too few objects, or too few in a bin, for a level.
        """
        _validate_target(target, QuantityFamily, "density to make intervals of", levels)
        family, n = target.family, len(np.asarray(weight))
        encoded, samples, rows = take_labelled(family, encoded, weight, samples)
        value, ends = family.to_values(encoded), _compute_ends(family, samples, levels)
        place, cuts = np.zeros(len(rows), np.intp), np.zeros(0)
        if by is not None:
            if by_values is None or len(np.asarray(by_values)) != n:
                raise ConfigError(f"Intervals by '{by}' need its value of each object.")
            x = np.asarray(by_values, np.float64)[rows]
            known = x[np.isfinite(x)]
            if not len(known):
                raise too_few_objects(
                    f"intervals by '{by}'", 0, n_bins * count_rows_needed(max(levels))
                )
            cuts = np.unique(np.quantile(known, np.arange(1, n_bins) / n_bins))
            place = _find_bins(x, cuts)
        stretch = []
        for level, (low, high) in zip(levels, ends, strict=True):
            score = np.maximum(low - value, value - high) / (high - low)
            label = f"intervals at {level:g}"
            each = [
                compute_cutoff(score[place == k], level, f"{label} in bin {k + 1} of '{by}'")
                for k in range(len(cuts) + 1)
                if by is not None
            ]
            stretch.append((*each, compute_cutoff(score, level, label)))
        return cls(
            target.name, target.prefix, tuple(levels), tuple(stretch), by, tuple(cuts.tolist())
        )

    def columns(self) -> tuple[Column, ...]:
        """For each level the ends of the interval."""
        within = f" in each bin of {self.by}" if self.by else ""
        return tuple(
            Column(
                f"{self.prefix}_conf{format_level(level)}_{end}",
                "f4",
                "",
                f"stat.value;stat.{ucd}",
                f"{end.capitalize()} end of the interval of {100 * level:g} % coverage{within}",
            )
            for level in self.levels
            for end, ucd in (("low", "min"), ("high", "max"))
        )

    def compute(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Compute the intervals of predicted objects."""
        family = batch.estimator.task.target(self.target).family
        assert isinstance(family, QuantityFamily)
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
            Rows with NaN give NaN.
        by_values : array_like of shape (n,), optional
            Values of the column `by`.
        """
        n = samples.shape[1]
        x = np.full(n, np.nan) if by_values is None else np.asarray(by_values, np.float64)
        place = _find_bins(x, np.array(self.cuts)) if self.by else np.full(n, -1)
        out = []
        ends = _compute_ends(family, samples, self.levels)
        for (low, high), stretch in zip(ends, self.stretch, strict=True):
            margin = np.array(stretch)[place] * (high - low)
            out.append(np.clip(low - margin, family.low, family.high))
            out.append(np.clip(high + margin, family.low, family.high))
        return out

    def score(
        self, family: Family, encoded: Any, samples: Any, by_values: Any = None
    ) -> dict[str, float]:
        """Coverage and mean width of the intervals of labelled objects, by name."""
        assert isinstance(family, QuantityFamily)
        value = family.to_values(encoded)
        ends = self.intervals(family, samples, by_values)
        scores: dict[str, float] = {}
        for i, level in enumerate(self.levels):
            low, high = ends[2 * i], ends[2 * i + 1]
            name = f"conf{format_level(level)}"
            scores[f"{name}_coverage"] = float(((low <= value) & (value <= high)).mean())
            scores[f"{name}_width"] = float((high - low).mean())
        return scores


def count_rows_needed(level: float) -> int:
    """Minimum number of objects for a level, ceil(level / (1 - level))."""
    # Rounded first: 0.9 / (1 - 0.9) is a little more than 9 in floating point.
    return max(1, math.ceil(round(level / (1 - level), 9)))


def _validate_target(target: Any, kind: type, needed: str, levels: Sequence[float]) -> None:
    if not isinstance(target.family, kind):
        raise PredictionError(
            f"Target '{target.name}' has no {needed}.", received=type(target.family).__name__
        )
    if not len(levels) or not all(0 < level < 1 for level in levels):
        raise ConfigError(
            "Every coverage must be between 0 and 1.", received=levels, hint="levels = [0.68, 0.95]"
        )


def compute_cutoff(scores: NDArray[np.float64], level: float, purpose: str) -> float:
    """The ceil((n + 1) level)-th smallest score, with which coverage is at least the level."""
    n = len(scores)
    k = math.ceil(round((n + 1) * level, 9))
    if k > n:
        hint = "a larger validation split, or a lower level; or not by class or bin"
        raise too_few_objects(purpose, n, count_rows_needed(level), hint)
    return float(np.partition(scores, k - 1)[k - 1])


def format_level(level: float) -> str:
    """Format a level for column names: 68, or 99p7 for 0.997."""
    return f"{100 * level:g}".replace(".", "p")


def _compute_ends(
    family: QuantityFamily, samples: NDArray[Any], levels: Sequence[float]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Central predictive quantiles of each level, at least a hundredth of a bin apart."""
    tails = [side for level in levels for side in ((1 - level) / 2, (1 + level) / 2)]
    q = compute_quantiles(family, samples, tails)
    least = 0.005 * (family.edges[1] - family.edges[0])
    pairs = []
    for j in range(0, len(tails), 2):
        middle = 0.5 * (q[:, j] + q[:, j + 1])
        half = np.maximum(0.5 * (q[:, j + 1] - q[:, j]), least)
        pairs.append((middle - half, middle + half))
    return pairs


def _find_bins(values: NDArray[np.float64], cuts: NDArray[np.float64]) -> NDArray[np.intp]:
    """Number of the bin of each value, -1 where there is none."""
    return np.where(np.isfinite(values), np.searchsorted(cuts, values, side="right"), -1)


def examples() -> tuple[ConformalSets | ConformalIntervals, ...]:
    """Instances for the contract tests, for targets ``kind`` (stars and galaxies) and ``z``."""
    return (
        ConformalSets("kind", "kind", ("star", "galaxy"), (0.9, 0.99), ((0.7, 0.8), (0.95, 0.99))),
        ConformalIntervals("z", "z", (0.68, 0.95), ((0.1,), (0.3,))),
        ConformalIntervals("z", "z", (0.68,), ((-0.1, 0.2, 0.0),), by="mag_r", cuts=(20.0,)),
    )
