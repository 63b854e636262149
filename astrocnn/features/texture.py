"""Texture: local binary patterns, and how often gray levels stand side by side [dimensionless].

On the mean of the stretched bands in 256 gray levels.  ``lbp_<radius>_<k>``: share of pixels with
each of the ten rotation-invariant uniform patterns of 8 points at 1 and 2 pixels.
``glcm_<property>_<distance>``: contrast, homogeneity, energy, correlation of the co-occurrence of
16 gray levels at 1 and 3 pixels, over four directions together.  Pixels without data take the
level of the sky.

References
----------
Ojala, Pietikäinen & Mäenpää 2002, IEEE TPAMI 24, 971, section 2 (patterns).
Haralick, Shanmugam & Dinstein 1973, IEEE Trans. SMC 3, 610, appendix I (co-occurrence).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

from astrocnn.features.base import stretch_image

__all__ = ["measure", "names"]

_POINTS = 8
_RADII = (1, 2)
_DISTANCES = (1, 3)
_LEVELS = 16
_PROPERTIES = ("contrast", "homogeneity", "energy", "correlation")


def names(size: int, n_bands: int) -> tuple[str, ...]:
    """Twenty shares of patterns and eight properties of the co-occurrence."""
    patterns = [f"lbp_{radius}_{k}" for radius in _RADII for k in range(_POINTS + 2)]
    return (*patterns, *(f"glcm_{prop}_{d}" for prop in _PROPERTIES for d in _DISTANCES))


def measure(image: NDArray[np.float64], pixel_scale: float | None = None) -> NDArray[np.float64]:
    """Measure the features of one image of shape (size, size, n_bands)."""
    gray = np.round(255 * stretch_image(image).mean(axis=-1)).astype(np.uint8)
    parts = []
    for radius in _RADII:
        codes = local_binary_pattern(gray, _POINTS, radius, method="uniform").astype(np.intp)
        parts.append(np.bincount(codes.ravel(), minlength=_POINTS + 2) / codes.size)
    angles = np.arange(4) * np.pi / 4
    counts = graycomatrix(gray // (256 // _LEVELS), _DISTANCES, angles, _LEVELS, symmetric=True)
    together = counts.sum(axis=3, keepdims=True).astype(np.float64)
    together /= together.sum(axis=(0, 1), keepdims=True)
    parts += [graycoprops(together, prop)[:, 0] for prop in _PROPERTIES]
    return np.concatenate(parts)
