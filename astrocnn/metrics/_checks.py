"""Refusals shared by the metrics: nothing that is not finite is ever imputed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import ConfigError

__all__ = ["finite", "ratio", "weights_for"]


def finite(values: Any, what: str, ndim: int) -> NDArray[np.float64]:
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
    bad = ~np.isfinite(array)
    if bad.any():
        rows = np.unique(np.nonzero(bad)[0])
        raise ConfigError(
            f"The {what} are not finite in {len(rows)} rows.",
            received=f"rows {', '.join(map(str, rows[:10]))}",
            hint="leave these rows out and count them: a metric imputes nothing",
        )
    return array


def weights_for(weights: Any, n: int) -> NDArray[np.float64]:
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


def ratio(part: Any, whole: Any) -> NDArray[np.float64]:
    """Part over whole, NaN where the whole is zero."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, part / whole, np.nan)
