"""Weighted means, quantiles and median deviations, for many sets of weights at once.

Nothing that is not finite is ever imputed: it is refused.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrocnn.errors import ConfigError

__all__ = [
    "average",
    "validate_finite",
    "median_deviation",
    "quantile",
    "ratio",
    "validate_weights",
]


def validate_finite(values: ArrayLike, what: str, ndim: int) -> NDArray[np.float64]:
    """An array of the given number of axes, all finite, as float64.

    Raises
    ------
    ConfigError
        If the shape is another, or a value is NaN or infinite.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != ndim:
        raise ConfigError(
            f"The {what} must have {ndim} axes.", received=f"an array of shape {array.shape}"
        )
    if not np.isfinite(array).all():
        rows = np.unique(np.nonzero(~np.isfinite(array))[0])
        raise ConfigError(
            f"The {what} are not finite in {len(rows)} rows.",
            received=f"rows {', '.join(map(str, rows[:10]))}",
            hint="leave these rows out and count them: a metric imputes nothing",
        )
    return array


def validate_weights(weights: ArrayLike | None, n: int) -> NDArray[np.float64]:
    """Weights of shape (..., n), ones when None.

    Raises
    ------
    ConfigError
        If the last axis has another length, or a weight is negative or not finite.
    """
    if weights is None:
        return np.ones(n)
    array = np.asarray(weights, np.float64)
    if array.shape[-1:] != (n,) or not np.all(np.isfinite(array)) or np.any(array < 0):
        raise ConfigError(
            f"Weights must be finite, not negative, and of shape (..., {n}).",
            received=f"an array of shape {array.shape}",
        )
    return array


def ratio(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """Part over whole, NaN where the whole is zero."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


# Sums of weights that differ by no more than rounding are equal.
_ROUNDING = 1e-12


def average(values: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Weighted mean of what each object scored, of shape (...).

    Parameters
    ----------
    values : array_like of shape (n,)
    weights : array_like of shape (..., n), optional

    Returns
    -------
    ndarray of shape (...)
        NaN where all weights are zero.
    """
    x = validate_finite(values, "values", 1)
    w = validate_weights(weights, len(x))
    return ratio(w @ x, w.sum(axis=-1))


def quantile(values: ArrayLike, q: float, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Inverse of the weighted distribution function, in the middle of its flat parts.

    With equal weights this is ``numpy.quantile(..., method="averaged_inverted_cdf")``, and the
    median is that of everybody.  Only ratios of weights matter.

    Parameters
    ----------
    values : ndarray of shape (n,)
    q : float
        Between 0 and 1, without the ends.
    weights : array_like of shape (..., n), optional
    """
    x, below = _accumulate(values, weights)
    if not len(x):
        return np.full(below.shape[:-1], np.nan)
    return _between(x, below, q)


def median_deviation(values: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Median of the distance from the median, of shape (...).

    Distances are not sorted anew for each set of weights: the radius that holds half of the
    weight is found by bisection in the sorted values.
    """
    x, below = _accumulate(values, weights)
    if not len(x):
        return np.full(below.shape[:-1], np.nan)
    rows = below.reshape(-1, len(x))
    center = _between(x, rows, 0.5)
    rows = np.concatenate([np.zeros((len(rows), 1)), rows], axis=1)
    total = rows[:, -1]
    half = [_radius(x, rows, center, total * 0.5 * (1 + sign * _ROUNDING)) for sign in (-1.0, 1.0)]
    middle = np.where(total > 0, (half[0] + half[1]) / 2, np.nan)
    return middle.reshape(below.shape[:-1])


def _accumulate(
    values: ArrayLike, weights: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sorted values, and the weight up to each of them."""
    x = validate_finite(values, "values", 1)
    order = np.argsort(x, kind="stable")
    return x[order], np.cumsum(validate_weights(weights, len(x))[..., order], axis=-1)


def _between(x: NDArray[np.float64], below: NDArray[np.float64], q: float) -> NDArray[np.float64]:
    rows = below.reshape(-1, len(x))
    total = rows[:, -1]
    middle = np.full(len(rows), np.nan)
    for i, row in enumerate(rows):
        if total[i] > 0:
            low = np.searchsorted(row, q * total[i] * (1 - _ROUNDING), side="left")
            high = np.searchsorted(row, q * total[i] * (1 + _ROUNDING), side="right")
            middle[i] = (x[low] + x[min(high, len(x) - 1)]) / 2
    return middle.reshape(below.shape[:-1])


def _radius(
    x: NDArray[np.float64],
    below: NDArray[np.float64],
    center: NDArray[np.float64],
    target_weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Smallest radius around each center that holds at least the weight that is wanted."""
    center = np.nan_to_num(center)
    low = np.full(len(center), -1e-300)
    high = np.maximum(np.abs(x[-1] - center), np.abs(x[0] - center))
    row = np.arange(len(center))
    for _ in range(64):
        middle = (low + high) / 2
        right = np.searchsorted(x, center + middle, side="right")
        left = np.searchsorted(x, center - middle, side="left")
        enough = below[row, right] - below[row, left] >= target_weight
        high = np.where(enough, middle, high)
        low = np.where(enough, low, middle)
    return np.maximum(high, 0.0)
