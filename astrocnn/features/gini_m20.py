"""Gini coefficient and M20: how unequally light is shared, and how far out the brightest lies.

``gini``: 0 when all pixels are equal, 1 when one has all the light.  ``m20``: log10 of the second
moment of the brightest 20 % of the light over that of all of it [both dimensionless].  On the
pixels of the object: those of the mean of the bands, smoothed with a Gaussian of a fifth of the
Petrosian radius, that are brighter than the object is at the Petrosian radius.  Pixels without data
do not enter.  An object of fewer than two pixels, or without positive flux, has NaN.

References
----------
Lotz, Primack & Madau 2004, AJ 128, 163, sections 2.2 to 2.4, equations 6 to 8.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from astrocnn.features.base import Shape, measure_shape

__all__ = ["gini", "m20", "measure", "names"]

_SMOOTHING = 0.2
_BRIGHTEST = 0.2


def names(size: int, n_bands: int) -> tuple[str, ...]:
    """Two names."""
    return ("gini", "m20")


def measure(image: NDArray[np.float64], pixel_scale: float | None = None) -> NDArray[np.float64]:
    """Measure the features of one image of shape (size, size, n_bands)."""
    shape = measure_shape(image)
    chosen = _pixels(shape)
    flux = shape.light[chosen]
    y, x = np.nonzero(chosen)
    return np.array([gini(flux), m20(flux, y, x)])


def gini(flux: NDArray[np.floating]) -> float:
    """Gini coefficient of the sizes of some fluxes, of shape (n,); NaN for less than two."""
    sizes = np.sort(np.abs(np.asarray(flux, np.float64)))
    n = len(sizes)
    if n < 2 or not sizes[-1] > 0:
        return np.nan
    ranks = 2 * np.arange(1, n + 1) - n - 1
    return float(ranks @ sizes / (sizes.sum() * (n - 1)))


def m20(flux: NDArray[np.floating], y: NDArray[np.number], x: NDArray[np.number]) -> float:
    """M20 of pixels with some fluxes at some places [pixel], each of shape (n,).

    The center is that of least total moment: the mean place, weighted by flux.  Pixels of one
    brightness at the limit of 20 % enter by their share.
    """
    f = np.asarray(flux, np.float64)
    total = float(f.sum())
    if len(f) < 2 or not total > 0:
        return np.nan
    moment = f * ((y - f @ y / total) ** 2 + (x - f @ x / total) ** 2)
    _, group = np.unique(-f, return_inverse=True)  # from the brightest
    fluxes = np.concatenate([[0.0], np.cumsum(np.bincount(group, f))])
    moments = np.concatenate([[0.0], np.cumsum(np.bincount(group, moment))])
    last = int(np.argmax(fluxes >= _BRIGHTEST * total))
    brightest = np.interp(
        _BRIGHTEST * total, fluxes[last - 1 : last + 1], moments[last - 1 : last + 1]
    )
    total_moment = float(moment.sum())
    return (
        float(np.log10(brightest / total_moment)) if brightest > 0 and total_moment > 0 else np.nan
    )


def _pixels(shape: Shape) -> NDArray[np.bool_]:
    valid = np.isfinite(shape.light)
    light = np.where(valid, shape.light, 0.0)
    smooth = gaussian_filter(light, _SMOOTHING * shape.petrosian, mode="nearest")
    distance = shape.distance
    ring = valid & (np.abs(distance - shape.petrosian) <= 1)
    if not ring.any():
        ring = valid & (distance >= distance[valid].max() - 1)
    return valid & (smooth >= smooth[ring].mean()) & (distance <= shape.outer)
