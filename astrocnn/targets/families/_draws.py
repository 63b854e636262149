"""Moments and entropies over the draws of a set of class probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Moments", "entropy", "moments"]


@dataclass(frozen=True)
class Moments:
    """Mean, spread and entropies over draws; every field is float64.

    Parameters
    ----------
    mean, std : ndarray of shape (n, n_classes)
        Mean and standard deviation (over draws, ddof 0) of each probability.
    entropy : ndarray of shape (n,)
        Predictive entropy H[mean p] [nat].
    mutual_info : ndarray of shape (n,)
        H[mean p] - mean H[p_t] [nat], never negative.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    entropy: NDArray[np.float64]
    mutual_info: NDArray[np.float64]


def entropy(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Shannon entropy over the last axis [nat], with 0 log 0 = 0; NaN stays NaN."""
    p = np.asarray(probabilities, np.float64)
    return -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=-1)


def moments(samples: NDArray[np.floating]) -> Moments:
    """Moments of class probabilities over draws, one draw in memory at a time.

    Sums run over differences from the first draw, so that equal draws give exactly zero spread
    and exactly zero mutual information.

    Parameters
    ----------
    samples : ndarray of shape (n_draws, n, n_classes)
        Probabilities; a row with NaN in any draw becomes NaN.
    """
    first = _normalized(samples[0])
    first_entropy = entropy(first)
    shift = np.zeros_like(first)
    square = np.zeros_like(first)
    entropy_shift = np.zeros_like(first_entropy)
    for draw in samples[1:]:
        p = _normalized(draw)
        entropy_shift += entropy(p) - first_entropy
        p -= first
        shift += p
        square += p * p
    n = len(samples)
    shift /= n
    mean = first + shift
    std = np.sqrt(np.maximum(square / n - shift * shift, 0.0))
    std[np.isnan(mean)] = np.nan
    total = entropy(mean)
    expected = first_entropy + entropy_shift / n
    return Moments(mean, std, total, np.maximum(total - expected, 0.0))


def _normalized(draw: NDArray[np.floating]) -> NDArray[np.float64]:
    p = np.array(draw, np.float64)
    with np.errstate(invalid="ignore"):
        p /= p.sum(axis=-1, keepdims=True)
    return p
