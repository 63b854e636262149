"""Entropies over draws, and whether the uncertain objects are the incorrect ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

from astrocnn.errors import ConfigError
from astrocnn.metrics.weighted import (
    ratio,
    validate_finite,
    validate_weights,
)

__all__ = [
    "expected_entropy",
    "mutual_information",
    "predictive_entropy",
    "risk_coverage",
    "risk_coverage_area",
]


def predictive_entropy(samples: ArrayLike) -> NDArray[np.float64]:
    """H[mean p]: all the uncertainty there is [nat].

    Parameters
    ----------
    samples : array_like of shape (n_draws, n, n_classes)
        Class probabilities of each draw.

    Returns
    -------
    entropy : ndarray of shape (n,)
    """
    return _entropy(_mean(samples))


def expected_entropy(samples: ArrayLike) -> NDArray[np.float64]:
    """Mean over draws of H[p_t]: what more training data would not remove [nat].

    Parameters
    ----------
    samples : array_like of shape (n_draws, n, n_classes)
        Probabilities of each draw.

    Returns
    -------
    ndarray of shape (n,)
        [nat]
    """
    p = validate_finite(samples, "samples", 3)
    # Around the first draw, so that equal draws give their common entropy to the last bit.
    first = _entropy(p[0])
    return first + (_entropy(p) - first).mean(axis=0)


def mutual_information(samples: ArrayLike) -> NDArray[np.float64]:
    """H[mean p] - mean H[p_t], never negative: how much the draws disagree [nat].

    Parameters
    ----------
    samples : array_like of shape (n_draws, n, n_classes)
        Probabilities of each draw.

    Returns
    -------
    ndarray of shape (n,)
        [nat]

    References
    ----------
    Houlsby et al. (2011), arXiv:1112.5745 (BALD), equation 2; Gal, Islam and Ghahramani (2017).
    """
    return np.maximum(predictive_entropy(samples) - expected_entropy(samples), 0.0)


def risk_coverage(
    error: ArrayLike, uncertainty: ArrayLike, weights: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Error among the most certain fraction, as that fraction grows.

    Parameters
    ----------
    error : array_like of shape (n,)
        1 for an incorrect class, 0 for a correct one; or any loss.
    uncertainty : array_like of shape (n,)
        Objects are kept from the smallest up; equal ones are kept together.
    weights : array_like of shape (..., n), optional
        Weight of each object.

    Returns
    -------
    coverage, risk : ndarray of shape (..., m)
        Fraction kept and mean error among them, one point for each distinct uncertainty.

    Raises
    ------
    ConfigError
        If there are not as many errors as uncertainties, or one is not finite.

    References
    ----------
    Geifman and El-Yaniv (2017), NeurIPS, equations 1 and 2.
    """
    e, u = validate_finite(error, "errors", 1), validate_finite(uncertainty, "uncertainties", 1)
    if e.shape != u.shape:
        raise ConfigError(
            "There must be as many errors as uncertainties.", received=f"{e.shape} and {u.shape}"
        )
    order = np.argsort(u, kind="stable")
    w = validate_weights(weights, len(e))[..., order]
    if not len(e):
        empty = np.zeros((*w.shape[:-1], 0))
        return empty, empty
    starts = np.flatnonzero(np.r_[True, np.diff(u[order]) > 0])
    kept_weight = np.add.reduceat(w, starts, axis=-1).cumsum(axis=-1)
    wrong = np.add.reduceat(w * e[order], starts, axis=-1).cumsum(axis=-1)
    return ratio(kept_weight, kept_weight[..., -1:]), ratio(wrong, kept_weight)


def risk_coverage_area(
    error: ArrayLike, uncertainty: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Mean of the risk over all coverages: small when the incorrect objects are the uncertain ones.

    Equals the error rate when the uncertainty is unrelated to the errors.

    Parameters
    ----------
    error, uncertainty, weights
        As for `risk_coverage`.

    References
    ----------
    Geifman, Uziel and El-Yaniv (2019), ICLR, equation 3.
    """
    coverage, risk = risk_coverage(error, uncertainty, weights)
    if not coverage.shape[-1]:
        return np.full(coverage.shape[:-1], np.nan)
    step = np.diff(coverage, axis=-1, prepend=0)
    return np.where(step > 0, step * risk, 0).sum(axis=-1)


def _mean(samples: ArrayLike) -> NDArray[np.float64]:
    p = validate_finite(samples, "samples", 3)
    return p[0] + (p - p[0]).mean(axis=0)


def _entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(entr(p).sum(axis=-1))
