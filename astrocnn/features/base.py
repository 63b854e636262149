"""The parts that families of features share: sky, display stretch, and the object in the middle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

__all__ = [
    "Shape",
    "compute_asymmetry",
    "average_bands",
    "measure_shape",
    "estimate_sky",
    "stretch_image",
]

_MAD_OF_SIGMA = float(ndtri(0.75))


def estimate_sky(image: NDArray[np.float64]) -> tuple[float, float]:
    """Estimate the sky and its noise in an image of shape (size, size).

    These are the median of the border, and its scatter (MAD / 0.6745).
    The border is a tenth of the side wide, at least one pixel.  Without data there, the whole
    image is taken; without any data both are NaN.
    """
    width = max(1, len(image) // 10)
    inside = image[width:-width, width:-width]
    border = np.ones(image.shape, bool)
    if inside.size:
        border[width:-width, width:-width] = False
    values = image[border & np.isfinite(image)]
    values = values if values.size else image[np.isfinite(image)]
    if not values.size:
        return np.nan, np.nan
    sky = float(np.median(values))
    return sky, float(np.median(np.abs(values - sky))) / _MAD_OF_SIGMA


def average_bands(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average the bands that have data in each pixel, NaN where none has; (size, size)."""
    valid = np.isfinite(image)
    count = valid.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count, np.where(valid, image, 0.0).sum(axis=-1) / count, np.nan)


_SOFT = 3.0


def stretch_image(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """``asinh((image - sky) / (3 noise))`` of each band, then from 0 to 1; no data become the sky.

    A band without spread or without data is 0.  The shape stays (size, size, n_bands).

    References
    ----------
    Lupton et al. 2004, PASP 116, 133.
    """
    out = np.zeros(image.shape)
    for band in range(image.shape[-1]):
        plane = image[..., band]
        valid = np.isfinite(plane)
        if not valid.any():
            continue
        sky, noise = estimate_sky(plane)
        # The border of a simulated image may have no noise; a hundredth of the range replaces it.
        soft = _SOFT * noise if noise > 0 else float(np.ptp(plane[valid])) / 100
        if soft > 0:
            z = np.arcsinh((np.where(valid, plane, sky) - sky) / soft)
            out[..., band] = (z - z.min()) / np.ptp(z)
    return out


_ETA = 0.2
_OUT = 1.5
_NEIGHBORS = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]


@dataclass(frozen=True, eq=False)
class Shape:
    """An object above its sky, with its center and radii.

    Parameters
    ----------
    light : ndarray of shape (size, size)
        Mean of the bands above the sky; NaN where there are no data.
    noise : float
        Of a pixel.
    doubled : (int, int)
        Twice the center (y, x) [pixel]: centers stand on half pixels.
    petrosian : float
        Petrosian radius [pixel].
    areas, fluxes : ndarray
        Curve of growth: flux inside a circle, by area [pixel^2].
    """

    light: NDArray[np.float64]
    noise: float
    doubled: tuple[int, int]
    petrosian: float
    areas: NDArray[np.float64]
    fluxes: NDArray[np.float64]

    @property
    def outer(self) -> float:
        """Radius of the total aperture [pixel]: 1.5 Petrosian radii, limited to the stamp."""
        return min(_OUT * self.petrosian, _largest(self.areas))

    @property
    def distance(self) -> NDArray[np.float64]:
        """Of each pixel from the center [pixel]."""
        return _distance(self.light.shape, self.doubled)

    def compute_radius(self, share: float) -> float:
        """Compute the radius [pixel] of the first circle with a fraction of the flux in `outer`."""
        total = float(np.interp(np.pi * self.outer**2, self.areas, self.fluxes))
        return _first_above(self.areas, self.fluxes, share * total) if total > 0 else np.nan


def measure_shape(image: NDArray[np.float64]) -> Shape:
    """Measure the object in the middle of an image of shape (size, size, n_bands).

    Where the brightness ratio does not fall to 0.2 inside the stamp, the Petrosian radius is that
    of the largest circle inside.
    """
    flat = average_bands(image)
    sky, noise = estimate_sky(flat)
    light = flat - sky
    middle = (len(light) - 1, len(light) - 1)
    guess = _petrosian(*_growth(light, middle))
    doubled = _least_asymmetric(light, middle, _OUT * guess, round(guess))
    areas, fluxes = _growth(light, doubled)
    return Shape(light, noise, doubled, _petrosian(areas, fluxes), areas, fluxes)


def compute_asymmetry(
    light: NDArray[np.float64], doubled: tuple[int, int], radius: float
) -> tuple[float, float, int]:
    """Compute sum of |I - I180|, sum of |I|, and number of pixels, in a circle about a half pixel.

    A turn by 180 degrees about a half pixel moves pixels onto pixels.  Pixels without data, or
    without a partner that has some, do not enter.
    """
    parts = [
        slice(max(0, twice - side + 1), min(side, twice + 1))
        for twice, side in zip(doubled, light.shape, strict=True)
    ]
    one = light[parts[0], parts[1]]
    other = one[::-1, ::-1]
    near = _distance(light.shape, doubled)[parts[0], parts[1]] <= radius
    near &= np.isfinite(one) & np.isfinite(other)
    return float(np.abs(one - other)[near].sum()), float(np.abs(one[near]).sum()), int(near.sum())


def _least_asymmetric(
    light: NDArray[np.float64], start: tuple[int, int], radius: float, steps: int
) -> tuple[int, int]:
    """Move the center by half pixels until no neighbor is less asymmetric."""

    def ratio(position: tuple[int, int]) -> float:
        difference, total, _ = compute_asymmetry(light, position, radius)
        return difference / total if total > 0 else np.inf

    center, lowest = start, ratio(start)
    for _ in range(max(2, steps)):
        neighbors = [(center[0] + i, center[1] + j) for i, j in _NEIGHBORS]
        ratios = [ratio(position) for position in neighbors]
        best = int(np.argmin(ratios))
        if not ratios[best] < lowest:
            break
        center, lowest = neighbors[best], ratios[best]
    return center


def _growth(
    light: NDArray[np.float64], doubled: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flux by area: pixels are taken in the order of their distance, rings at once.

    Pixels without data count as sky.  Circles end at the edge of the stamp.
    """
    twice = [2 * np.arange(side) - c for side, c in zip(light.shape, doubled, strict=True)]
    squared = (twice[0] ** 2)[:, None] + (twice[1] ** 2)[None, :]  # 4 r^2, whole numbers
    edge = min(min(c, 2 * (side - 1) - c) for side, c in zip(light.shape, doubled, strict=True)) + 1
    inside = squared <= edge**2
    flux = np.bincount(squared[inside], np.nan_to_num(light[inside]))
    count = np.bincount(squared[inside])
    taken = count > 0
    zero = np.zeros(1)
    areas = np.concatenate([zero, np.cumsum(count[taken])])
    return areas, np.concatenate([zero, np.cumsum(flux[taken])])


def _petrosian(areas: NDArray[np.float64], fluxes: NDArray[np.float64]) -> float:
    largest = _largest(areas)
    radii = np.arange(1.0, largest / 1.25 + 1e-9, 0.25)
    inner, outer = 0.8 * radii, 1.25 * radii
    enclosed, low, high = (np.interp(np.pi * r**2, areas, fluxes) for r in (radii, inner, outer))
    with np.errstate(invalid="ignore", divide="ignore"):
        eta = (high - low) / (1.25**2 - 0.8**2) / enclosed
    below = np.flatnonzero(eta < _ETA)
    if not below.size:
        return largest
    k = int(below[0])
    if k == 0 or not np.isfinite(eta[k - 1]):
        return float(radii[k])
    return float(np.interp(_ETA, eta[[k, k - 1]], radii[[k, k - 1]]))


def _largest(areas: NDArray[np.float64]) -> float:
    return float(np.sqrt(areas[-1] / np.pi))


def _first_above(areas: NDArray[np.float64], fluxes: NDArray[np.float64], target: float) -> float:
    k = int(np.argmax(fluxes >= target))
    area = np.interp(target, fluxes[k - 1 : k + 1], areas[k - 1 : k + 1])
    return float(np.sqrt(area / np.pi))


def _distance(shape: tuple[int, ...], doubled: tuple[int, int]) -> NDArray[np.float64]:
    y, x = (np.arange(side) - c / 2 for side, c in zip(shape, doubled, strict=True))
    return np.hypot(y[:, None], x[None, :])
