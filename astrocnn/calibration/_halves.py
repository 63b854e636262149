"""Honest figures of a calibration: two halves, each judged by what the other one taught."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import metrics
from astrocnn.calibration._densities import mean_masses
from astrocnn.calibration.base import Remap, labelled, mean_over_draws
from astrocnn.families import ClassFamily, Family, QuantityFamily

__all__ = ["halves", "out_of_fold", "scores"]


def halves(rows: NDArray[np.intp], seed: int) -> Iterator[tuple[NDArray[np.intp], ...]]:
    """Rows to learn from and rows to judge, and the other way round.

    Parameters
    ----------
    rows : ndarray of int of shape (n,)
        All of them.
    seed : int
        Of the division.
    """
    order = np.random.default_rng(seed).permutation(rows)
    first, second = np.sort(order[::2]), np.sort(order[1::2])
    yield first, second
    yield second, first


def out_of_fold(
    kind: type[Remap], family: Family, encoded: Any, weight: Any, samples: Any, *, seed: int = 0
) -> NDArray[np.float32]:
    """Remapped samples of labelled objects, by a remap that did not see them.

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
    ndarray of shape (n_draws, n, units of the remapped family)
        NaN in rows without a label or a prediction.
    """
    encoded, weight, samples = np.asarray(encoded), np.asarray(weight), np.asarray(samples)
    out = None
    for learn, judge in halves(labelled(family, encoded, weight, samples), seed):
        remap = kind.fit(family, encoded[learn], weight[learn], samples[:, learn])
        found = remap.apply(family, samples[:, judge])
        if out is None:
            out = np.full((*samples.shape[:2], found.shape[-1]), np.nan, np.float32)
        out[:, judge] = found
    assert out is not None
    return out


def scores(family: Family, encoded: Any, samples: Any) -> dict[str, float]:
    """Scores of calibration of objects that all have a label and a prediction, by name."""
    if isinstance(family, ClassFamily):
        return _of_classes(family, np.asarray(encoded), np.asarray(samples))
    assert isinstance(family, QuantityFamily)
    return _of_quantities(family, np.asarray(encoded), np.asarray(samples))


def _of_classes(family: ClassFamily, encoded: Any, samples: Any) -> dict[str, float]:
    p = mean_over_draws(np.asarray(family.to_probabilities(samples), np.float64))
    p /= p.sum(axis=1, keepdims=True)
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
        "coverage68": float(metrics.held(before, within, 0.68).mean()),
        "coverage95": float(metrics.held(before, within, 0.95).mean()),
    }
