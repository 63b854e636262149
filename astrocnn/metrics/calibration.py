"""Scores of calibration: whether probabilities agree with frequencies.

All scores take weights of shape (..., n) and return values of shape (...).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrocnn.errors import ConfigError
from astrocnn.metrics.intervals import wilson
from astrocnn.metrics.weighted import average, ratio, validate_finite, validate_weights

__all__ = [
    "NLL_FLOOR",
    "Reliability",
    "brier",
    "classwise_ece",
    "ece",
    "log_loss",
    "reliability",
]

NLL_FLOOR: float = 2.0**-24
"""Probabilities below this count as this in `log_loss`: float32 cannot distinguish 1 - p from 1."""

Binning = Literal["width", "count"]


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability diagram: predicted probabilities and observed fractions, bin by bin.

    Parameters
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Edges of the bins in probability.
    count : ndarray of shape (n_bins,)
        Objects in each bin.
    predicted, observed : ndarray of shape (n_bins,)
        Mean probability, and fraction that came true; NaN in an empty bin.
    low, high : ndarray of shape (n_bins,)
        Wilson interval of `observed`.
    """

    edges: NDArray[np.float64]
    count: NDArray[np.float64]
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def reliability(
    probability: ArrayLike, outcome: ArrayLike, *, n_bins: int = 15, binning: Binning = "width"
) -> Reliability:
    """Bins of a reliability diagram.

    Parameters
    ----------
    probability : array_like of shape (n,)
        Probability given to an event, for instance that the chosen class is correct.
    outcome : array_like of bool or of fractions of shape (n,)
        Whether it came true.
    n_bins : int
        Number of bins.
    binning : {"width", "count"}
        Bins of equal width on [0, 1], or of equally many objects.
    """
    p, y, place, edges = _binned(probability, outcome, n_bins, binning)
    count = np.bincount(place, minlength=n_bins).astype(np.float64)
    hits = np.bincount(place, y, n_bins)
    low, high = wilson(hits, count)
    return Reliability(
        edges, count, ratio(np.bincount(place, p, n_bins), count), ratio(hits, count), low, high
    )


def ece(
    probability: ArrayLike,
    outcome: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    n_bins: int = 15,
    binning: Binning = "width",
) -> NDArray[np.float64]:
    """Expected calibration error: mean gap between probability and frequency over bins.

    Bins of equal count have the edges of the unweighted sample.  The value is biased upwards in
    small samples, where noise alone opens gaps.

    Parameters
    ----------
    probability, outcome, n_bins, binning
        As for `reliability`.
    weights : array_like of shape (..., n), optional

    References
    ----------
    Guo, Pleiss, Sun and Weinberger (2017), ICML, equation 3; Nixon et al. (2019), CVPR workshop.
    """
    p, y, place, _ = _binned(probability, outcome, n_bins, binning)
    w = validate_weights(weights, len(p))
    gap = np.zeros((len(p), n_bins))
    gap[np.arange(len(p)), place] = p - y
    return ratio(np.abs(w @ gap).sum(axis=-1), w.sum(axis=-1))


def classwise_ece(
    probabilities: ArrayLike,
    truth: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    n_bins: int = 15,
) -> NDArray[np.float64]:
    """ECE of the probability of each class by itself, of shape (..., n_classes).

    Parameters
    ----------
    probabilities, truth, weights
        As for `brier`.
    n_bins : int
        Bins of equal width between 0 and 1.

    References
    ----------
    Kull et al. (2019), NeurIPS, equation 3 (before the mean over classes).
    """
    p, y = validate_finite(probabilities, "probabilities", 2), validate_finite(truth, "labels", 2)
    errors = [ece(p[:, k], y[:, k], weights, n_bins=n_bins) for k in range(p.shape[1])]
    return np.stack(errors, axis=-1)


def brier(
    probabilities: ArrayLike, truth: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Mean over objects of the sum over classes of (p_k - y_k)^2, between 0 and 2.

    Parameters
    ----------
    probabilities, truth : array_like of shape (n, n_classes)
        Probabilities, and labels as 0 and 1 or as fractions.
    weights : array_like of shape (..., n), optional

    References
    ----------
    Brier (1950), Monthly Weather Review 78, 1, equation 2.
    """
    p, y = validate_finite(probabilities, "probabilities", 2), validate_finite(truth, "labels", 2)
    return average(((p - y) ** 2).sum(axis=1), weights)


def log_loss(
    probabilities: ArrayLike, truth: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Negative log likelihood, minus the mean of the sum over k of y_k log p_k [nat].

    Probabilities below `NLL_FLOOR` count as the floor, so that one sure error does not make
    every comparison infinite.

    Parameters
    ----------
    probabilities, truth, weights
        As for `brier`.
    """
    p, y = validate_finite(probabilities, "probabilities", 2), validate_finite(truth, "labels", 2)
    return average(-(y * np.log(np.maximum(p, NLL_FLOOR))).sum(axis=1), weights)


def _binned(
    probability: ArrayLike, outcome: ArrayLike, n_bins: int, binning: Binning
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
    p, y = validate_finite(probability, "probabilities", 1), validate_finite(outcome, "labels", 1)
    if p.shape != y.shape or n_bins < 1 or (p.size and (p.min() < -1e-6 or p.max() > 1 + 1e-6)):
        raise ConfigError(
            "A reliability needs as many labels as probabilities between 0 and 1, and a bin.",
            received=f"{p.shape} probabilities, {y.shape} labels, {n_bins} bins",
        )
    if binning not in ("width", "count"):
        raise ConfigError("Unknown binning.", received=binning, allowed=("width", "count"))
    edges = np.linspace(0, 1, n_bins + 1)
    if binning == "count":
        edges = np.quantile(p, edges) if p.size else np.zeros(n_bins + 1)
    place = np.clip(np.searchsorted(edges, p, side="left") - 1, 0, n_bins - 1)
    return p, y, place, edges
