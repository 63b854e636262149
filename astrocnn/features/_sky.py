"""Sky level and noise of a stamp, from its border."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

__all__ = ["plane", "sky_and_noise"]

_MAD_OF_SIGMA = float(ndtri(0.75))


def sky_and_noise(image: NDArray[np.float64]) -> tuple[float, float]:
    """Median of the border, and its scatter (MAD / 0.6745), of an image of shape (size, size).

    The border is a tenth of the side wide, at least one pixel.  Without data there, the whole
    image is taken; without any data both are NaN.
    """
    width = max(1, len(image) // 10)
    inside = image[width:-width, width:-width]
    border = np.ones(image.shape, bool)
    if inside.size:
        border[width:-width, width:-width] = False
    values = image[border & np.isfinite(image)]
    if not values.size:
        values = image[np.isfinite(image)]
    if not values.size:
        return np.nan, np.nan
    sky = float(np.median(values))
    return sky, float(np.median(np.abs(values - sky))) / _MAD_OF_SIGMA


def plane(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the bands that have data in each pixel, NaN where none has; (size, size)."""
    known = np.isfinite(image)
    count = known.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count, np.where(known, image, 0.0).sum(axis=-1) / count, np.nan)
