"""Validation and correlation of maps, shared by the checks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from astrocnn.errors import InputsError

__all__ = ["pearson", "spearman", "sum_bands", "validate_maps"]


def validate_maps(maps: Any, shape: tuple[int, ...] | None = None) -> NDArray[np.float64]:
    """Maps of shape (n, height, width) or (n, height, width, n_channels), all finite.

    Parameters
    ----------
    maps : array_like
        Of any method.
    shape : tuple of int, optional
        Objects, height and width that they must have.

    Raises
    ------
    InputsError
        If they have another shape, or a value is not finite.
    """
    values = np.asarray(maps, np.float64)
    same = shape is None or values.shape[:3] == tuple(shape)
    if values.ndim not in (3, 4) or not values.size or not same:
        n, height, width = ("n", "height", "width") if shape is None else shape
        raise InputsError(
            "The maps do not lie on the pixels of the images.",
            received=f"shape {values.shape}",
            allowed=f"({n}, {height}, {width}) or ({n}, {height}, {width}, n_channels)",
            hint="take a method whose result lies on the pixels",
        )
    if not np.isfinite(values).all():
        raise InputsError("The maps have values that are not finite.")
    return values


def sum_bands(maps: NDArray[np.float64], *, signed: bool = False) -> NDArray[np.float64]:
    """Attribution of each pixel, over all bands, of shape (n, height, width).

    Absolute values are added up, or with `signed` the values as they are.
    """
    values = maps if signed else np.abs(maps)
    return values if values.ndim == 3 else values.sum(axis=3)


def pearson(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Correlation of each row of two arrays of shape (n, m), of shape (n,).

    NaN where one of the rows is constant.
    """
    a, b = (np.asarray(x, np.float64) for x in (a, b))
    flat = (np.ptp(a, axis=1) == 0) | (np.ptp(b, axis=1) == 0)
    # Gradients may be so small that their squares underflow.
    a, b = (x / np.maximum(np.abs(x).max(axis=1, keepdims=True), 1e-300) for x in (a, b))
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.where(flat, np.nan, np.clip(correlation, -1.0, 1.0))


def spearman(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Rank correlation of the absolute values of two arrays of shape (n, ...), of shape (n,)."""
    ranks = (rankdata(np.abs(x).reshape(len(x), -1), axis=1) for x in (a, b))
    return pearson(*ranks)
