"""The probability integral transform: uniform when densities mean what they say.

A PIT alone is gamed by giving every object the n(z) of the sample, so it belongs beside the CRPS
or the CDE loss of `astrocnn.metrics.density`.  Statistics take weights of shape (..., n).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import ConfigError
from astrocnn.metrics._checks import finite, ratio, weights_for
from astrocnn.metrics._weighted import average

__all__ = ["PIT_FLOOR", "pit", "pit_ad", "pit_cvm", "pit_ks", "pit_outliers"]

PIT_FLOOR: float = 2.0**-24
"""Nearer to 0 or 1 than this counts as this in `pit_ad`: float32 cannot tell 1 - p from 1."""


def pit(cumulative: Any) -> NDArray[np.float64]:
    """PIT values from the predicted probability of at most the true value.

    Parameters
    ----------
    cumulative : array_like of shape (n,)
        Each object's distribution function at its true value.

    Returns
    -------
    ndarray of shape (n,)
        Between 0 and 1.

    Raises
    ------
    ConfigError
        If a value is not finite (it is never imputed), or outside [0, 1] by more than rounding.

    References
    ----------
    Dawid (1984), J. R. Stat. Soc. A 147, 278; Polsterer et al. (2016), arXiv:1608.08016.
    """
    u = finite(cumulative, "cumulative probabilities", 1)
    if u.size and (u.min() < -1e-5 or u.max() > 1 + 1e-5):
        raise ConfigError(
            "A cumulative probability lies between 0 and 1.",
            received=f"{u.min():g} to {u.max():g}",
        )
    return np.clip(u, 0.0, 1.0)


def pit_ks(values: Any, weights: Any = None) -> NDArray[np.float64]:
    """Kolmogorov-Smirnov distance from uniform: the largest gap of the two distributions.

    Parameters
    ----------
    values : array_like of shape (n,)
        From `pit`.
    weights : array_like of shape (..., n), optional
        Weight of each object, 1 when left out.

    Returns
    -------
    ndarray of shape (...)
        As `scipy.stats.kstest` gives it.
    """
    u, _, below = _steps(values, weights)
    if not len(u):
        return np.full(below.shape[:-1], np.nan)
    above = (below[..., 1:] - u).max(axis=-1)
    return np.maximum(above, (u - below[..., :-1]).max(axis=-1))


def pit_cvm(values: Any, weights: Any = None) -> NDArray[np.float64]:
    """Cramer-von Mises statistic against uniform, n times the integral of (F_n(u) - u)^2.

    Parameters
    ----------
    values : array_like of shape (n,)
        From `pit`.
    weights : array_like of shape (..., n), optional
        Weight of each object, 1 when left out; n is their sum.

    Returns
    -------
    ndarray of shape (...)
        As `scipy.stats.cramervonmises` gives it.
    """
    u, total, below = _steps(values, weights)
    if not len(u):
        return np.full(below.shape[:-1], np.nan)
    edges = np.r_[0.0, u, 1.0]
    # Between two values F_n = c, and (c - u)^2 = c^2 - 2 c u + u^2.
    return total * (below**2 @ np.diff(edges) - below @ np.diff(edges**2) + 1 / 3)


def pit_ad(values: Any, weights: Any = None) -> NDArray[np.float64]:
    """Anderson-Darling statistic against uniform, which looks at the tails.

    n times the integral of (F_n(u) - u)^2 / (u (1 - u)); above 2.49 a uniform sample is
    rejected at 5 %.

    Parameters
    ----------
    values : array_like of shape (n,)
        From `pit`; nearer to 0 or 1 than `PIT_FLOOR` counts as that, else it would be infinite.
    weights : array_like of shape (..., n), optional
        Weight of each object, 1 when left out; n is their sum.

    Returns
    -------
    ndarray of shape (...)

    References
    ----------
    Anderson and Darling (1952), Ann. Math. Stat. 23, 193; Stephens (1974), JASA 69, 730 (case 0).
    """
    u, total, below = _steps(values, weights)
    if not len(u):
        return np.full(below.shape[:-1], np.nan)
    u = np.clip(u, PIT_FLOOR, 1 - PIT_FLOOR)
    # Between two values F_n = c, and (c - u)^2 / (u - u^2) = c^2 / u + (1 - c)^2 / (1 - u) - 1.
    rise = np.r_[0.0, np.log(u[1:] / u[:-1]), -np.log(u[-1])]
    fall = np.r_[-np.log1p(-u[0]), np.log1p(-u[:-1]) - np.log1p(-u[1:]), 0.0]
    return total * (below**2 @ rise + (1 - below) ** 2 @ fall - 1.0)


def pit_outliers(values: Any, weights: Any = None, *, tail: float = 1e-4) -> NDArray[np.float64]:
    """Fraction of PIT values below `tail` or above 1 - `tail`.

    Parameters
    ----------
    values : array_like of shape (n,)
        From `pit`.
    weights : array_like of shape (..., n), optional
        Weight of each object, 1 when left out.
    tail : float
        Twice this is expected of a calibrated prediction.

    Returns
    -------
    ndarray of shape (...)

    References
    ----------
    Schmidt, Malz et al. (2020), MNRAS 499, 1587, section 4.1.
    """
    u = pit(values)
    return average((u < tail) | (u > 1 - tail), weights)


def _steps(
    values: Any, weights: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Sorted values, sum of weights, and the distribution function between values: (..., n+1)."""
    u = pit(values)
    w = weights_for(weights, len(u))
    order = np.argsort(u, kind="stable")
    total = w.sum(axis=-1)
    below = np.zeros((*w.shape[:-1], len(u) + 1))
    np.cumsum(w[..., order], axis=-1, out=below[..., 1:])
    return u[order], total, ratio(below, total[..., None])
