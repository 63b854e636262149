"""Changing the number of pixels of a small image by averaging over area."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

__all__ = ["resize"]


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Bring a square image to another number of pixels; values are averaged, not summed.

    To fewer pixels it is the exact mean over the area of each new pixel (anti-aliased); to more
    pixels it is linear interpolation.

    Parameters
    ----------
    image : ndarray of shape (side, side)
        NaN means no data.
    size : int
        New side [pixel].

    Returns
    -------
    ndarray of shape (size, size)
        NaN where less than half of the new pixel has data.
    """
    weights = _weights(image.shape[0], size)
    missing = np.isnan(image)
    if not missing.any():
        return _both_axes(weights, image)
    total = _both_axes(weights, np.where(missing, 0, image))
    share = _both_axes(weights, (~missing).astype(float))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(share >= 0.5 - 1e-9, total / share, np.nan)


def _both_axes(weights: csr_array, image: np.ndarray) -> np.ndarray:
    return (weights @ (weights @ image).T).T


@lru_cache(maxsize=16)
def _weights(side: int, size: int) -> csr_array:
    """Matrix (size, side) whose rows sum to one; a few pixels in each, so it is kept sparse."""
    old = np.arange(side)
    if size < side:
        edges = np.linspace(0, side, size + 1)
        low = np.maximum(edges[:-1, None], old)
        high = np.minimum(edges[1:, None], old + 1)
        weights = np.clip(high - low, 0, None)
    else:
        at = np.clip((np.arange(size) + 0.5) * side / size - 0.5, 0, side - 1)
        weights = np.clip(1 - np.abs(at[:, None] - old), 0, None)
    return csr_array(weights / weights.sum(axis=1, keepdims=True))
