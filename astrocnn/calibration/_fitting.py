"""Fit of a calibration on labelled objects outside the training set, and its scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import metrics
from astrocnn.calibration._storage import Calibration
from astrocnn.calibration.base import (
    Predictor,
    Remap,
    StoredExtra,
    compute_mean_masses,
    compute_mean_probabilities,
    find_labelled,
    take_labelled,
)
from astrocnn.calibration.conformal import (
    ConformalIntervals,
    ConformalSets,
    count_rows_needed,
)
from astrocnn.calibration.pit_remap import PitRemap
from astrocnn.calibration.temperature import Temperature
from astrocnn.targets import ClassFamily, Family, QuantityFamily, Target

__all__ = ["REMAPS", "SMALL", "calibrate", "get_remap", "remap_held_out"]

SMALL = 500
"""Number of labelled objects below which a calibration says that its split is small."""

REMAPS: tuple[type[Remap], ...] = (Temperature, PitRemap)
"""Kinds of remap; a target takes the first that suits its family."""


def get_remap(family: Family) -> type[Remap] | None:
    """Select the remap class for a family.

    Parameters
    ----------
    family : Family
        Of a target.
    """
    return next((kind for kind in REMAPS if kind.suits(family)), None)


def calibrate(
    estimator: Predictor,
    samples: Mapping[str, NDArray[np.floating]],
    encoded: Mapping[str, NDArray[np.floating]],
    weights: Mapping[str, NDArray[np.floating]],
    *,
    set_levels: Sequence[float] = (0.9,),
    interval_levels: Sequence[float] = (0.68, 0.95),
    by: str | None = None,
    by_values: Any = None,
    seed: int = 0,
) -> Calibration:
    """Fit remaps, conformal sets and intervals on validation objects.

    Each target gets the remap that suits its family, and conformal sets or intervals for the
    remapped samples; a target without a suitable remap is unchanged.  All labelled objects
    are used.  The table compares before and after, fitted on one half and scored on the other;
    a remap that does not lower the negative log likelihood there is left out.

    Parameters
    ----------
    estimator : Estimator
        Trained, not calibrated: its task and fingerprint are read, nothing is predicted.
    samples : mapping of str to ndarray of shape (n_draws, n, units)
        Samples of objects outside the training set, by target, with as many draws as
        predictions are going to have; never objects of the test split.
    encoded, weights : mapping of str to ndarray of shape (n, k) and (n,)
        Labels by target, as `Task.encode` gives them.

    Other Parameters
    ----------------
    set_levels, interval_levels : sequence of float
        Coverage of sets of classes and of intervals; empty for none.  Coverage of sets holds in
        each class where every class has objects enough, else over all objects.
    by : str, optional
        Column of the catalogue for the coverage of intervals per bin.
    by_values : ndarray of shape (n,), optional
        Its values, needed with `by`.
    seed : int
        Of the division into halves behind the table.

    Raises
    ------
    PredictionError
        If a target has fewer labelled objects than twice what its remap needs (100 in all for
        classes, 200 for a quantity), or too few for a level.
    """
    remaps: dict[str, Remap] = {}
    extras: list[StoredExtra] = []
    table: list[dict[str, Any]] = []
    notes: list[str] = []
    small: dict[int, list[str]] = {}
    for target in estimator.task.targets:
        kind = get_remap(target.family)
        if kind is None:
            continue
        name = target.name
        labels, drawn, rows = take_labelled(
            target.family,
            encoded[name],
            weights[name],
            samples[name],
            f"a calibration of '{name}'",
            2 * kind.least_rows,
        )
        along = None if by_values is None else np.asarray(by_values)[rows]
        objects = _Objects(labels, drawn, along)
        first, second = (objects.take(half) for half in split_halves(np.arange(len(rows)), seed))
        if len(rows) < SMALL:
            small.setdefault(len(rows), []).append(name)
        half = kind.fit(target.family, first.encoded, first.weights, first.samples)
        before = compute_scores(target.family, second.encoded, second.samples)
        fitted_second = second.remap(half, target.family)
        after = compute_scores(half.family(target.family), second.encoded, fitted_second.samples)
        remapped = target
        if after["nll"] < before["nll"]:
            remaps[name] = kind.fit(
                target.family, objects.encoded, objects.weights, objects.samples
            )
            remapped = replace(target, family=half.family(target.family))
            first, second = first.remap(half, target.family), fitted_second
            objects = objects.remap(remaps[name], target.family)
        else:
            notes.append(
                f"{name}: predictions are left as they are, a {_LABELS[kind]} fitted on one half "
                f"does not lower the negative log likelihood of the other ({before['nll']:.4g} "
                f"before, {after['nll']:.4g} after)"
            )
            after = before
        expected = compute_expected_scores(remapped.family, second.samples)
        scores: dict[str, tuple[float | None, float]] = {k: (before[k], after[k]) for k in before}
        conformal = _choose_conformal(remapped.family, first, set_levels, interval_levels, by)
        if conformal is not None:
            extras.append(conformal(remapped, objects))
            fitted = conformal(remapped, first)
            coverage = fitted.score(
                remapped.family, second.encoded, second.samples, second.by_values
            )
            scores |= {key: (None, value) for key, value in coverage.items()}
        table += [
            {
                "target": name,
                "score": key,
                "before": old,
                "after": new,
                "expected": expected.get(key),
                "n": len(second.encoded),
            }
            for key, (old, new) in scores.items()
        ]
    # Questions of one catalogue mostly have labels for the same objects.
    notes = [_describe_small(", ".join(names), n) for n, names in small.items()] + notes
    return Calibration(estimator.fingerprint, remaps, tuple(extras), tuple(table), tuple(notes))


_LABELS: Mapping[type[Remap], str] = {Temperature: "temperature", PitRemap: "PIT remap"}


def _describe_small(name: str, n: int) -> str:
    scatter = 100 * 2 * np.sqrt(0.9 * 0.1 / n)
    return (
        f"{name}: the validation split is small, {n} labelled objects (fewer than {SMALL}): a "
        f"coverage of 90 % is uncertain by {scatter:.0f} % (2 sigma), and gaps of calibration too"
    )


@dataclass(frozen=True)
class _Objects:
    """Labels, samples and values of a catalogue column of the same objects."""

    encoded: NDArray[Any]
    samples: NDArray[np.floating]
    by_values: NDArray[Any] | None

    @property
    def weights(self) -> NDArray[np.float32]:
        return np.ones(len(self.encoded), np.float32)

    def take(self, rows: NDArray[np.intp]) -> _Objects:
        values = None if self.by_values is None else self.by_values[rows]
        return _Objects(self.encoded[rows], self.samples[:, rows], values)

    def remap(self, remap: Remap, family: Family) -> _Objects:
        return replace(self, samples=remap.apply(family, self.samples))


_Conformal = ConformalSets | ConformalIntervals


def _choose_conformal(
    family: Family,
    objects: _Objects,
    set_levels: Sequence[float],
    interval_levels: Sequence[float],
    by: str | None,
) -> Callable[[Target, _Objects], _Conformal] | None:
    """Build the fit of sets or intervals; None without levels."""
    if isinstance(family, ClassFamily):
        if not len(set_levels):
            return None
        # The labels of one half suffice: the whole set has at least as many of each class.
        labels = np.asarray(family.to_truth(objects.encoded)).argmax(axis=1)
        smallest = np.bincount(labels, minlength=len(family.classes)).min()
        by_class = bool(smallest >= count_rows_needed(max(set_levels)))
        return lambda target, o: ConformalSets.fit(
            target, o.encoded, o.weights, o.samples, levels=set_levels, by_class=by_class
        )
    if not len(interval_levels):
        return None
    return lambda target, o: ConformalIntervals.fit(
        target,
        o.encoded,
        o.weights,
        o.samples,
        levels=interval_levels,
        by=by,
        by_values=o.by_values,
    )


def split_halves(rows: NDArray[np.intp], seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split rows into those to fit on and those to score."""
    order = np.random.default_rng(seed).permutation(rows)
    return np.sort(order[::2]), np.sort(order[1::2])


def remap_held_out(
    kind: type[Remap], family: Family, encoded: Any, weight: Any, samples: Any, *, seed: int = 0
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Remap one half of the labelled objects by a fit on the other half.

    The halves are not exchanged: averaged over both directions, the random errors of the halves
    cancel, and the scores would be better than those of new objects.

    Parameters
    ----------
    kind : type of Remap
        One that suits the family.
    family : Family
        Of the target.
    encoded, weight : array_like of shape (n, k) and (n,)
        Labels as `Target.encode` gives them.
    samples : array_like of shape (n_draws, n, units)
        Activated samples.
    seed : int
        Of the division into halves.

    Returns
    -------
    rows : ndarray of int of shape (m,)
        The half that is scored.
    samples : ndarray of shape (n_draws, m, units of the remapped family)
        Theirs after the remap.
    """
    encoded, weight, samples = np.asarray(encoded), np.asarray(weight), np.asarray(samples)
    fit_rows, score_rows = split_halves(find_labelled(family, encoded, weight, samples), seed)
    remap = kind.fit(family, encoded[fit_rows], weight[fit_rows], samples[:, fit_rows])
    return score_rows, remap.apply(family, samples[:, score_rows])


def compute_scores(family: Family, encoded: Any, samples: Any) -> dict[str, float]:
    """Calibration scores of objects with label and prediction, by name."""
    if isinstance(family, ClassFamily):
        p = compute_mean_probabilities(family, samples)
        truth = np.asarray(family.to_truth(encoded), np.float64)
        correct = p.argmax(axis=1) == truth.argmax(axis=1)
        return {
            "ece": float(metrics.ece(p.max(axis=1), correct)),
            "nll": float(metrics.log_loss(p, truth)),
            "brier": float(metrics.brier(p, truth)),
        }
    assert isinstance(family, QuantityFamily)
    values = family.to_values(encoded)
    densities = metrics.Densities(compute_mean_masses(family, samples), family.edges)
    before, within = densities.credible(values)
    return {
        "pit_ks": float(metrics.pit_ks(densities.cumulative(values))),
        "crps": float(densities.crps(values).mean()),
        "nll": float(densities.nll(values).mean()),
        "coverage_68": float(metrics.credible_coverage(before, within, 0.68).mean()),
        "coverage_95": float(metrics.credible_coverage(before, within, 0.95).mean()),
    }


def compute_expected_scores(family: Family, samples: Any) -> dict[str, float]:
    """Expected scores of a perfectly calibrated model for as many objects.

    Only scores that are not zero for a finite number of objects.
    """
    n = np.shape(samples)[1]
    if not isinstance(family, ClassFamily):
        # Mean of the Kolmogorov distribution, sqrt(pi / 2) log 2.
        return {"pit_ks": float(np.sqrt(np.pi / 2) * np.log(2) / np.sqrt(n))}
    p = compute_mean_probabilities(family, samples).max(axis=1)
    place = np.clip(np.ceil(15 * p).astype(int) - 1, 0, 14)
    variance = np.bincount(place, p * (1 - p), 15)
    return {"ece": float(np.sqrt(2 / np.pi) * np.sqrt(variance).sum() / n)}
