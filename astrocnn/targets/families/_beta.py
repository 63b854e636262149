"""Quantiles of the marginals of Dirichlet distributions, mixed over draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv, betaln

__all__ = ["mixture_quantile"]

_NEWTON_STEPS = 30
_CLOSE = 1e-9
_TINY = 1e-12


def mixture_quantile(alpha: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Quantile of the fraction of each answer, of shape (n, K).

    The marginals of a Dirichlet distribution are Beta distributions; the predictive one is their
    mean over draws.  Newton's method, kept within a shrinking bracket, starts from the Beta
    distribution of the same mean and variance, which for a single draw is the answer.

    Parameters
    ----------
    alpha : ndarray of shape (n_draws, n, K)
        Concentrations, all finite.
    level : float
        Probability below the quantile.
    """
    mean, square = np.zeros(alpha.shape[1:]), np.zeros(alpha.shape[1:])
    for draw in alpha:
        total = draw.sum(axis=-1, keepdims=True)
        m = draw / total
        mean += m
        square += m * (draw + 1) / (total + 1)
    mean /= len(alpha)
    variance = np.maximum(square / len(alpha) - mean * mean, _TINY)
    strength = np.maximum(mean * (1 - mean) / variance - 1, _TINY)
    x = np.clip(betaincinv(mean * strength, (1 - mean) * strength, level), _TINY, 1 - _TINY)
    first, last = np.zeros_like(x), np.ones_like(x)
    rows = np.arange(len(x))
    for _ in range(_NEWTON_STEPS):
        at = x[rows]
        miss, slope = np.full_like(at, -level * len(alpha)), np.zeros_like(at)
        for draw in alpha:
            a = draw[rows]
            b = a.sum(axis=-1, keepdims=True) - a
            miss += betainc(a, b, at)
            slope += np.exp((a - 1) * np.log(at) + (b - 1) * np.log1p(-at) - betaln(a, b))
        low = first[rows] = np.where(miss < 0, at, first[rows])
        high = last[rows] = np.where(miss < 0, last[rows], at)
        step = at - miss / np.maximum(slope, _TINY)
        inside = (step >= low) & (step <= high)
        x[rows] = np.where(inside, step, 0.5 * (low + high))
        rows = rows[(np.abs(x[rows] - at) > _CLOSE).any(axis=1)]
        if not len(rows):
            break
    return x
