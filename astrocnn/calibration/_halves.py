"""Honest figures of a calibration: one half judged by what the other one taught."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import metrics
from astrocnn.calibration._densities import mean_masses
from astrocnn.calibration.base import Remap, labelled, mean_over_draws
from astrocnn.targets import ClassFamily, Family, QuantityFamily

__all__ = ["by_chance", "divide", "held_out", "scores"]


def divide(rows: NDArray[np.intp], seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows to learn from, and rows to judge."""
    order = np.random.default_rng(seed).permutation(rows)
    return np.sort(order[::2]), np.sort(order[1::2])


def held_out(
    kind: type[Remap], family: Family, encoded: Any, weight: Any, samples: Any, *, seed: int = 0
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """One half of the labelled objects, remapped by what the other half taught.

    The other way round is left out on purpose: in the average of both, each half makes up for the
    chance of the other, and looks better than any fresh objects would.

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
        The half that is judged.
    samples : ndarray of shape (n_draws, m, units of the remapped family)
        Theirs after the remap.
    """
    encoded, weight, samples = np.asarray(encoded), np.asarray(weight), np.asarray(samples)
    learn, judge = divide(labelled(family, encoded, weight, samples), seed)
    remap = kind.fit(family, encoded[learn], weight[learn], samples[:, learn])
    return judge, remap.apply(family, samples[:, judge])


def scores(family: Family, encoded: Any, samples: Any) -> dict[str, float]:
    """Scores of calibration of objects that all have a label and a prediction, by name."""
    if isinstance(family, ClassFamily):
        return _of_classes(family, np.asarray(encoded), np.asarray(samples))
    assert isinstance(family, QuantityFamily)
    return _of_quantities(family, np.asarray(encoded), np.asarray(samples))


def by_chance(family: Family, samples: Any) -> dict[str, float]:
    """What scores would be on average if the predictions of so many objects were right.

    Only those that are not zero then: gaps that chance alone opens.
    """
    n = np.shape(samples)[1]
    if not isinstance(family, ClassFamily):
        # Mean of the Kolmogorov distribution, sqrt(pi / 2) log 2.
        return {"pit_ks": float(np.sqrt(np.pi / 2) * np.log(2) / np.sqrt(n))}
    p = _probabilities(family, samples).max(axis=1)
    place = np.clip(np.ceil(15 * p).astype(int) - 1, 0, 14)
    variance = np.bincount(place, p * (1 - p), 15)
    return {"ece": float(np.sqrt(2 / np.pi) * np.sqrt(variance).sum() / n)}


def _probabilities(family: ClassFamily, samples: Any) -> NDArray[np.float64]:
    p = mean_over_draws(np.asarray(family.to_probabilities(samples), np.float64))
    return p / p.sum(axis=1, keepdims=True)


def _of_classes(family: ClassFamily, encoded: Any, samples: Any) -> dict[str, float]:
    p = _probabilities(family, samples)
    truth = np.asarray(family.to_truth(encoded), np.float64)
    right = p.argmax(axis=1) == truth.argmax(axis=1)
    return {
        "ece": float(metrics.ece(p.max(axis=1), right)),
        "nll": float(metrics.log_loss(p, truth)),
        "brier": float(metrics.brier(p, truth)),
    }


def _of_quantities(family: QuantityFamily, encoded: Any, samples: Any) -> dict[str, float]:
    values = family.to_values(encoded)
    densities = metrics.Densities(mean_masses(family, samples), family.edges)
    before, within = densities.credible(values)
    return {
        "pit_ks": float(metrics.pit_ks(densities.cumulative(values))),
        "crps": float(densities.crps(values).mean()),
        "nll": float(densities.nll(values).mean()),
        "coverage_68": float(metrics.held(before, within, 0.68).mean()),
        "coverage_95": float(metrics.held(before, within, 0.95).mean()),
    }
