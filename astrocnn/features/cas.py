"""Concentration, asymmetry, smoothness, and the radii they rest on.

``concentration`` = 5 log10(r80 / r20), ``asymmetry`` = sum |I - I180| / sum |I| about the center
that makes it least (on half pixels), ``smoothness`` = 10 sum max(I - I_smooth, 0) / sum I with a
square filter of 0.3 Petrosian radii, without the central filter width [all dimensionless];
``petrosian_radius`` and ``half_light_radius`` [arcsec, or pixel without a pixel scale].  All on the
mean of the bands above the sky of the border, inside 1.5 Petrosian radii or the stamp.  What noise
alone adds to asymmetry and smoothness is subtracted as its expectation for Gaussian noise.
Pixels without data count as sky in radii, and do not enter asymmetry and smoothness.  An object
without positive flux has NaN.

References
----------
Conselice 2003, ApJS 147, 1, sections 3.1 to 3.3, equations 2 and 4.
Bershady, Jangren & Conselice 2000, AJ 119, 2645 (concentration).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from astrocnn.features.base import Shape, compute_asymmetry, measure_shape

__all__ = ["measure", "names"]

_WIDTH = 0.3


def names(size: int, n_bands: int) -> tuple[str, ...]:
    """Five names."""
    indices = ("concentration", "asymmetry", "smoothness")
    return (*indices, "petrosian_radius", "half_light_radius")


def measure(image: NDArray[np.float64], pixel_scale: float | None = None) -> NDArray[np.float64]:
    """Measure the features of one image of shape (size, size, n_bands)."""
    shape = measure_shape(image)
    r20, r50, r80 = (shape.compute_radius(share) for share in (0.2, 0.5, 0.8))
    if not r20 > 0:
        return np.full(5, np.nan)
    scale = 1.0 if pixel_scale is None else pixel_scale
    concentration = 5 * np.log10(r80 / r20)
    radii = (scale * shape.petrosian, scale * r50)
    return np.array([concentration, _asymmetry(shape), _smoothness(shape), *radii])


def _asymmetry(shape: Shape) -> float:
    difference, total, n = compute_asymmetry(shape.light, shape.doubled, shape.outer)
    # The difference of two Gaussian numbers is on average 2 sigma / sqrt(pi) in size.
    return (difference - n * 2 * shape.noise / np.sqrt(np.pi)) / total if total > 0 else np.nan


def _smoothness(shape: Shape) -> float:
    width = 2 * max(1, round((_WIDTH * shape.petrosian - 1) / 2)) + 1  # odd: a middle pixel
    valid = np.isfinite(shape.light)
    light = np.where(valid, shape.light, 0.0)
    rough = np.maximum(light - uniform_filter(light, width, mode="nearest"), 0.0)
    distance = shape.distance
    used = valid & (distance <= shape.outer)
    total = light[used].sum()
    used &= distance > width / 2
    # Half of a Gaussian: sigma / sqrt(2 pi) per pixel; the filter has 1 / width^2 of the pixel.
    chance = used.sum() * shape.noise * np.sqrt((1 - 1 / width**2) / (2 * np.pi))
    return float(10 * (rough[used].sum() - chance) / total) if total > 0 else np.nan
