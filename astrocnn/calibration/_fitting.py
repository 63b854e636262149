"""From labelled objects that were not trained on to a whole calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.calibration._calibration import Calibration
from astrocnn.calibration._conformal import percent, rows_needed
from astrocnn.calibration._halves import by_chance, divide, scores
from astrocnn.calibration.base import (
    Predictor,
    Remap,
    StoredExtra,
    labelled,
    mean_over_draws,
    too_few,
)
from astrocnn.calibration.conformal_intervals import ConformalIntervals
from astrocnn.calibration.conformal_sets import ConformalSets
from astrocnn.calibration.novelty import Novelty
from astrocnn.calibration.pit_remap import PitRemap
from astrocnn.calibration.temperature import Temperature
from astrocnn.targets import ClassFamily, Family, QuantityFamily

__all__ = ["REMAPS", "calibrate", "remap_for"]

REMAPS: tuple[type[Remap], ...] = (Temperature, PitRemap)
"""Kinds of remap; a target takes the first that suits its family."""


def remap_for(family: Family) -> type[Remap] | None:
    """The kind of remap for a family.

    Parameters
    ----------
    family : Family
        Of a target.

    Returns
    -------
    type of Remap, or None when samples of this family are left as they are
    """
    return next((kind for kind in REMAPS if kind.suits(family)), None)


def calibrate(
    estimator: Predictor,
    samples: Mapping[str, NDArray[np.floating]],
    encoded: Mapping[str, NDArray[np.floating]],
    weights: Mapping[str, NDArray[np.floating]],
    *,
    features: Any = None,
    set_levels: Sequence[float] = (0.9,),
    interval_levels: Sequence[float] = (0.68, 0.95),
    by: str | None = None,
    by_values: Any = None,
    seed: int = 0,
) -> Calibration:
    """Learn everything that validation objects can teach about the predictions of a model.

    Each target gets the remap that suits its family, and conformal sets or intervals for the
    remapped samples; a target whose family none suits is left as it is.  All labelled objects
    enter.  The table compares before and after on half of them, with what the other half taught.

    Parameters
    ----------
    estimator : Estimator
        Trained, not calibrated: its task and fingerprint are read, nothing is predicted.
    samples : mapping of str to ndarray of shape (n_draws, n, units)
        What it says of objects that it was not trained on, by target, with as many draws as
        predictions are going to have; never objects of the test split.
    encoded, weights : mapping of str to ndarray of shape (n, k) and (n,)
        Labels by target, as `Task.encode` gives them.
    features : ndarray of shape (n, d), optional
        What `Estimator.features` gives for the same objects, for a score of novelty.

    Other Parameters
    ----------------
    set_levels, interval_levels : sequence of float
        Coverage of sets of classes and of intervals; empty for none.  Coverage of sets holds in
        each class where every class has objects enough, else over all objects.
    by : str, optional
        Column of the catalogue in whose bins the coverage of intervals is to hold.
    by_values : ndarray of shape (n,), optional
        Its values, needed with `by`.
    seed : int
        Of the division into halves behind the table.

    Returns
    -------
    Calibration

    Raises
    ------
    PredictionError
        If a target has fewer labelled objects than twice what its remap needs (100 in all for
        classes, 200 for a quantity), or too few for a level.
    """
    remaps: dict[str, Remap] = {}
    extras: list[StoredExtra] = []
    table: list[dict[str, Any]] = []
    for target in estimator.task.targets:
        kind = remap_for(target.family)
        if kind is None:
            continue
        name = target.name
        rows = labelled(target.family, encoded[name], weights[name], samples[name])
        least = 2 * int(kind.least_rows)  # type: ignore[call-overload]
        if len(rows) < least:
            raise too_few(f"a calibration of '{name}'", len(rows), least)
        y, s = np.asarray(encoded[name])[rows], np.asarray(samples[name])[:, rows]
        x = None if by_values is None else np.asarray(by_values)[rows]
        everyone = np.ones(len(rows), np.float32)
        remaps[name] = remap = kind.fit(target.family, y, everyone, s)
        told = replace(target, family=remap.family(target.family))
        learn, judge = divide(np.arange(len(rows)), seed)
        half = kind.fit(target.family, y[learn], everyone[learn], s[:, learn])
        seen = half.apply(target.family, s)
        new = scores(told.family, y[judge], seen[:, judge])
        chance = by_chance(told.family, seen[:, judge])
        old = scores(target.family, y[judge], s[:, judge])
        found: dict[str, tuple[float | None, float]] = {k: (old[k], new[k]) for k in old}
        classes = isinstance(told.family, ClassFamily)
        levels = set_levels if classes else interval_levels
        if len(levels):
            promise = _sets(y[learn], told.family, levels) if classes else _intervals(levels, by)
            extras.append(promise(told, y, everyone, remap.apply(target.family, s), x))
            made = promise(told, *_take(learn, y, everyone, seen, x))
            kept = _kept(made, told.family, *_take(judge, y, seen, x))
            found |= {key: (None, value) for key, value in kept.items()}
        table += [
            {
                "target": name,
                "score": key,
                "before": before,
                "after": after,
                "chance": chance.get(key),
                "n": len(judge),
            }
            for key, (before, after) in found.items()
        ]
    if features is not None:
        extras.append(Novelty.fit(features))
    return Calibration(estimator.fingerprint, remaps, tuple(extras), tuple(table))


_Promise = Callable[..., ConformalSets | ConformalIntervals]


def _sets(encoded: Any, family: ClassFamily, levels: Sequence[float]) -> _Promise:
    # The labels are those of the half that teaches the table: the whole has no fewer of a class.
    labels = np.asarray(family.to_truth(encoded)).argmax(axis=1)
    smallest = np.bincount(labels, minlength=len(family.classes)).min()
    by_class = bool(smallest >= rows_needed(max(levels)))
    return lambda target, y, w, s, _: ConformalSets.fit(
        target, y, w, s, levels=levels, by_class=by_class
    )


def _intervals(levels: Sequence[float], by: str | None) -> _Promise:
    return lambda target, y, w, s, x: ConformalIntervals.fit(
        target, y, w, s, levels=levels, by=by, by_values=x
    )


def _take(rows: NDArray[np.intp], *arrays: Any) -> list[Any]:
    """Rows of labels, weights and values, and the same objects of samples."""
    return [a if a is None else a[:, rows] if np.ndim(a) == 3 else a[rows] for a in arrays]


def _kept(made: Any, family: Family, encoded: Any, samples: Any, x: Any) -> dict[str, float]:
    """How often promises are kept, and at what price."""
    out: dict[str, float] = {}
    if isinstance(family, ClassFamily):
        p = mean_over_draws(np.asarray(family.to_probabilities(samples), np.float64))
        label = np.asarray(family.to_truth(encoded)).argmax(axis=1)
        for level, inside in zip(made.levels, made.members(p), strict=True):
            name = f"set{percent(level)}"
            out[f"{name}_coverage"] = float(inside[np.arange(len(p)), label].mean())
            out[f"{name}_size"] = float(inside.sum(axis=1).mean())
        return out
    assert isinstance(family, QuantityFamily)
    value = family.to_values(encoded)
    ends = made.intervals(family, samples, x)
    for i, level in enumerate(made.levels):
        low, high = ends[2 * i], ends[2 * i + 1]
        name = f"conf{percent(level)}"
        out[f"{name}_coverage"] = float(((low <= value) & (value <= high)).mean())
        out[f"{name}_width"] = float((high - low).mean())
    return out
