"""Magnitude of each band, colors of neighboring bands, and how color spreads over the object.

``asinh_mag_<i>``: asinh magnitude of band i [mag, zero point 0 in the unit of the image], from the
flux of all pixels above the sky of the border; its softening is the noise of that flux, so that
it is defined for any flux.  ``color_<i>_<j>``: difference of two neighbors [mag].
``hue_<i>_<j>_<k>``: share, in eight bins from 0 to 1, of the light with a given f_i / (f_i + f_j),
over the pixels brighter than 3 noise in the sum of the two bands; all 0 where no pixel is.
Pixels without data are left out; a band without any has NaN.

References
----------
Lupton, Gunn & Szalay 1999, AJ 118, 1406, equation 3 (asinh magnitudes).
Swain & Ballard 1991, International Journal of Computer Vision 7, 11 (color histograms).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrocnn.features.base import estimate_sky

__all__ = ["measure", "names"]

_BINS = 8
_SIGNIFICANT = 3.0
# An image without noise is known to about what float32 holds.
_EXACT = 1e-6


def names(size: int, n_bands: int) -> tuple[str, ...]:
    """Of ``n_bands`` magnitudes, and a color and eight shares of each pair of neighbors."""
    pairs = [f"{i}_{i + 1}" for i in range(n_bands - 1)]
    magnitudes = [f"asinh_mag_{i}" for i in range(n_bands)]
    hues = [f"hue_{pair}_{k}" for pair in pairs for k in range(_BINS)]
    return (*magnitudes, *(f"color_{pair}" for pair in pairs), *hues)


def measure(image: NDArray[np.float64], pixel_scale: float | None = None) -> NDArray[np.float64]:
    """Measure the features of one image of shape (size, size, n_bands)."""
    n_bands = image.shape[-1]
    sky, noise = np.array([estimate_sky(image[..., i]) for i in range(n_bands)]).T
    light = image - sky
    magnitudes = [_magnitude(light[..., i], noise[i]) for i in range(n_bands)]
    hues = [
        _hues(light[..., i], light[..., i + 1], float(np.hypot(noise[i], noise[i + 1])))
        for i in range(n_bands - 1)
    ]
    return np.concatenate([magnitudes, -np.diff(magnitudes), *hues])


def _magnitude(light: NDArray[np.float64], noise: float) -> float:
    finite = light[np.isfinite(light)]
    if not finite.size:
        return np.nan
    least = _EXACT * float(np.abs(finite).max()) + np.finfo(np.float32).tiny
    soft = max(noise, least) * np.sqrt(finite.size)
    return float(-2.5 / np.log(10) * (np.arcsinh(finite.sum() / (2 * soft)) + np.log(soft)))


def _hues(a: NDArray[np.float64], b: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    both = a + b
    with np.errstate(invalid="ignore"):
        bright = (both > _SIGNIFICANT * noise) & (both > 0)
    if not bright.any():
        return np.zeros(_BINS)
    share = np.clip(a[bright] / both[bright], 0.0, 1.0)
    histogram, _ = np.histogram(share, bins=_BINS, range=(0.0, 1.0), weights=both[bright])
    return histogram / histogram.sum()
