"""Entropies over draws, and whether the uncertain objects are the incorrect ones."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

from astrocnn.errors import ConfigError
from astrocnn.metrics.weighted import ratio, validate_finite, validate_weights

__all__ = [
    "expected_entropy",
    "mean_over_draws",
    "mutual_information",
    "predictive_entropy",
    "risk_coverage",
    "risk_coverage_area",
]


def mean_over_draws(samples: Iterable[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Mean over the first axis, in float64; equal draws give exactly that draw.

    Parameters
    ----------
    samples : ndarray of shape (n_draws, ...), or iterable of ndarray
    """
    draws = iter(samples)
    first = np.asarray(next(draws), np.float64)
    shift, count = np.zeros_like(first), 1
    for draw in draws:
        shift += draw - first
        count += 1
    return first + shift / count


def predictive_entropy(samples: ArrayLike) -> NDArray[np.float64]:
    """H[mean p], of shape (n,): all the uncertainty there is [nat].

    Parameters
    ----------
    samples : array_like of shape (n_draws, n, n_classes)
        Class probabilities of each draw.
    """
    return _entropy(mean_over_draws(validate_finite(samples, "samples", 3)))


def expected_entropy(samples: ArrayLike) -> NDArray[np.float64]:
    """Mean over draws of H[p_t]: what more training data would not remove [nat].

    See `predictive_entropy` for the parameters.
    """
    return mean_over_draws(_entropy(validate_finite(samples, "samples", 3)))


def mutual_information(samples: ArrayLike) -> NDArray[np.float64]:
    """H[mean p] - mean H[p_t], never negative: how much the draws disagree [nat].

    See `predictive_entropy` for the parameters.

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


def _entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(entr(p).sum(axis=-1))
