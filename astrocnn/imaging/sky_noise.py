"""Sky noise of single images, without a model of the objects in them."""

from __future__ import annotations

import numpy as np

__all__ = ["sky_noise"]


def sky_noise(images: np.ndarray) -> np.ndarray:
    """Noise of the sky in each image and band.

    The median minus the 15.87th percentile of the pixels in a frame along the border, an eighth
    of the image wide: for Gaussian noise that is one standard deviation, and objects, which
    only brighten pixels and mostly sit in the middle, hardly move it.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_bands)
        Linear fluxes; pixels that are not finite are left out.

    Returns
    -------
    ndarray of shape (n, n_bands)
        One standard deviation [unit of the image]; NaN where a band has no data in the frame.
    """
    n, height, width, n_bands = images.shape
    rim = np.ones((height, width), bool)
    edge_y, edge_x = max(1, height // 8), max(1, width // 8)
    rim[edge_y : height - edge_y, edge_x : width - edge_x] = False
    pixels = images[:, rim, :].astype(np.float64)
    pixels[~np.isfinite(pixels)] = np.nan
    pixels.sort(axis=1)  # NaN goes to the end
    counts = np.isfinite(pixels).sum(axis=1)
    if pixels.shape[1] == 0:
        return np.full((n, n_bands), np.nan)
    middle = _quantile(pixels, counts, 0.5)
    return np.where(counts > 1, middle - _quantile(pixels, counts, 0.158655), np.nan)


def _quantile(ordered: np.ndarray, counts: np.ndarray, q: float) -> np.ndarray:
    """Linear quantile along axis 1 of sorted values of which the first `counts` are finite."""
    position = q * np.maximum(counts - 1, 0)
    low = position.astype(np.int64)
    high = np.minimum(low + 1, np.maximum(counts - 1, 0))
    below = np.take_along_axis(ordered, low[:, None, :], axis=1)[:, 0]
    above = np.take_along_axis(ordered, high[:, None, :], axis=1)[:, 0]
    result: np.ndarray = below + (position - low) * (above - below)
    return result
