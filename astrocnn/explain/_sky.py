"""Empty sky in place of an object: the level and the noise of an image's own border."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import ModelError
from astrocnn.imaging.background import estimate_sky_noise

__all__ = ["filling", "sky"]

_FILLS = ("sky", "mean", "zero")


def sky(images: NDArray[np.float32], draws: int, seed: int) -> NDArray[np.float32]:
    """Pictures of sky without an object, as deep as each image.

    Level and standard deviation are those of the border, by band; the pattern of a draw is the
    same for all images, so that no outcome depends on their order.  Strips of scalars (`as_strip`)
    have no border: their one sky is zero, the mean of the training set.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_channels)
        Normalized.
    draws : int
        How many for each image.
    seed : int
        Of the patterns.

    Returns
    -------
    ndarray of shape (n, draws, height, width, n_channels)
    """
    if images.shape[1] == 1:
        return np.zeros_like(images)[:, None]
    patterns = np.random.default_rng(seed).standard_normal((draws, *images.shape[1:]), np.float32)
    spread = np.nan_to_num(estimate_sky_noise(images)).astype(np.float32)[:, None, None, None, :]
    return sky_level(images)[:, None, None, None, :] + spread * patterns


def sky_level(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median in a frame along the border, an eighth of the image wide, of shape (n, channels)."""
    height, width = images.shape[1:3]
    rim = np.ones((height, width), bool)
    edge_y, edge_x = max(1, height // 8), max(1, width // 8)
    rim[edge_y : height - edge_y, edge_x : width - edge_x] = False
    level: NDArray[np.float32] = np.median(images[:, rim, :], axis=1).astype(np.float32)
    return level


def filling(images: NDArray[np.float32], fill: str, seed: int) -> NDArray[np.float32]:
    """What is put in place of hidden pixels, of the shape of the images.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_channels)
        Normalized.
    fill : str
        ``"sky"``, noise as in the border of the image, ``"mean"``, the mean of each band, or
        ``"zero"``.
    seed : int
        Of the noise.

    Raises
    ------
    ModelError
        If there is no such fill.
    """
    if fill not in _FILLS:
        raise ModelError("There is no such fill.", received=repr(fill), allowed=_FILLS)
    if fill == "sky":
        return sky(images, 1, seed)[:, 0]
    mean = images.mean(axis=(1, 2), keepdims=True) if fill == "mean" else np.float32(0)
    return np.zeros_like(images) + mean
