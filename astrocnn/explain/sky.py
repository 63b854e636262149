"""Models of the empty sky, of the light of objects on it, and of the seeing."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from astrocnn.errors import ModelError
from astrocnn.imaging.background import estimate_sky_noise

__all__ = [
    "BASELINES",
    "FILLS",
    "Blur",
    "SourceModel",
    "baselines",
    "fill_pixels",
    "select_border",
    "sky",
]

FILLS = ("sky", "mean", "zero")
"""Fills of hidden pixels: noise as in the border of the image, the mean of each band, zero."""
BASELINES = ("sky", "blurred", "zero")
"""Images without an object: sky noise, the image smoothed by an eighth of its size, zero."""

_FAINTEST = 1e-3
"""Least variance of a pixel, in units of the mean, so that light is possible everywhere."""


def sky(images: NDArray[np.float32], draws: int, seed: int) -> NDArray[np.float32]:
    """Images of sky without an object, of shape (n, draws, height, width, n_channels).

    Level and standard deviation are those of the border of each normalized image, by band; the
    pattern of a draw is the same for all images, so that no result depends on their order.  Strips
    of scalars (`as_strip`) have no border: their one sky is zero, the mean of the training set.
    """
    if images.shape[1] == 1:
        return np.zeros_like(images)[:, None]
    patterns = np.random.default_rng(seed).standard_normal((draws, *images.shape[1:]), np.float32)
    spread = np.nan_to_num(estimate_sky_noise(images)).astype(np.float32)[:, None, None, None, :]
    return _measure_level(images)[:, None, None, None, :] + spread * patterns


def select_border(height: int, width: int) -> NDArray[np.bool_]:
    """True in a frame along the border, an eighth of the image wide."""
    border = np.ones((height, width), bool)
    y, x = max(1, height // 8), max(1, width // 8)
    border[y : height - y, x : width - x] = False
    return border


def _measure_level(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median along the border, of shape (n, n_channels)."""
    border = select_border(*images.shape[1:3])
    return np.asarray(np.median(images[:, border, :], axis=1), np.float32)


def fill_pixels(images: NDArray[np.float32], fill: str, seed: int) -> NDArray[np.float32]:
    """Fill of hidden pixels, one of `FILLS`, of the shape of the images."""
    if fill not in FILLS:
        raise ModelError("Unknown `fill`.", received=repr(fill), allowed=FILLS)
    if fill == "sky":
        return sky(images, 1, seed)[:, 0]
    mean = images.mean(axis=(1, 2), keepdims=True) if fill == "mean" else np.float32(0)
    return np.zeros_like(images) + mean


def baselines(
    images: NDArray[np.float32], baseline: str, draws: int, seed: int
) -> NDArray[np.float32]:
    """Images without an object, by one of `BASELINES`; all but ``"sky"`` have a single draw.

    The shape is (n, draws, height, width, n_channels).
    """
    if baseline not in BASELINES:
        raise ModelError("Unknown `baseline`.", received=repr(baseline), allowed=BASELINES)
    if baseline == "sky":
        return sky(images, draws, seed)
    if baseline == "zero":
        return np.zeros_like(images)[:, None]
    height, width = images.shape[1:3]
    return np.asarray(gaussian_filter(images, (0, height / 8, width / 8, 0))[:, None])


class SourceModel(NamedTuple):
    """Sky, and the second moments of the light of objects on it, in normalized units."""

    level: NDArray[np.float32]
    """Median of the sky, of shape (n_channels,)."""
    noise: NDArray[np.float32]
    """Standard deviation of the sky, of shape (n_channels,)."""
    place: NDArray[np.float64]
    """Root mean square of light by pixel, of shape (height, width, 1), 1 in the mean square."""
    color: NDArray[np.float64]
    """Response of each channel to light of each color, of shape (n_channels, n_channels)."""
    brightness: float
    """Root mean square of light over pixels and channels."""

    @classmethod
    def uninformed(cls, shape: tuple[int, int, int]) -> SourceModel:
        """Light anywhere and of any color, on a sky of 0 with a little noise."""
        height, width, channels = shape
        # Without noise, a network may have no gradient at all.
        noise = np.full(channels, 0.1, np.float32)
        place, color = np.ones((height, width, 1)), np.eye(channels)
        return cls(np.zeros(channels, np.float32), noise, place, color, 1.0)

    @classmethod
    def measure(cls, images: NDArray[np.float32]) -> SourceModel:
        """Measured in images of shape (n, height, width, n_channels).

        Orientations of objects are taken as random: the map of places has the symmetries of a
        square, or of a rectangle.
        """
        level = np.median(_measure_level(images), axis=0)
        noise = np.median(np.nan_to_num(estimate_sky_noise(images)), axis=0)
        light = (images - level).astype(np.float64)
        channels = light.shape[-1]
        power = (light**2).mean(axis=(0, 3)) - np.mean(noise**2)
        power = (power + power[::-1]) / 2
        power = (power + power[:, ::-1]) / 2
        if power.shape[0] == power.shape[1]:
            power = (power + power.T) / 2
        mean = float(power.mean())
        if mean <= 0:
            plain = cls.uninformed(images.shape[1:])
            return plain._replace(level=level, noise=noise.astype("f4"))
        power = np.maximum(power / mean, _FAINTEST)
        flat = light.reshape(-1, channels)
        values, axes = np.linalg.eigh(flat.T @ flat / len(flat) - np.diag(noise.astype(float) ** 2))
        # Light is positive in all channels.
        root = np.maximum((axes * np.sqrt(np.maximum(values, 0))) @ axes.T, 0)
        root /= max(np.sqrt(np.mean(np.sum(root**2, axis=1))), 1e-12)
        place = np.sqrt(power / power.mean())[..., None]
        return cls(level, noise.astype(np.float32), place, root, float(np.sqrt(mean)))

    def spread(self, light: NDArray[np.float64]) -> NDArray[np.float64]:
        """Light of shape (height, width, n_channels), scaled by place, its colors mixed."""
        return np.asarray(self.place * (light @ self.color.T))

    def gather(self, slope: NDArray[np.float64]) -> NDArray[np.float64]:
        """The transpose of `spread`."""
        return np.asarray((self.place * slope) @ self.color)


class Blur:
    """Gaussian seeing of standard deviation `sigma` [pixel], 0 for none, and its transpose."""

    def __init__(self, height: int, width: int, sigma: float) -> None:
        if not (np.isfinite(sigma) and sigma >= 0):
            raise ModelError("`seeing` must be >= 0.", received=sigma)
        self._matrices = []
        for place in (np.arange(height), np.arange(width)) if sigma > 0 else ():
            weights = np.exp(-0.5 * ((place[:, None] - place) / sigma) ** 2)
            self._matrices.append(weights / weights.sum(axis=1, keepdims=True))

    def __call__(self, light: Any, *, transposed: bool = False) -> NDArray[np.float64]:
        """Blur light of shape (..., height, width, channels).

        The transpose is the gradient by the light, from that by the blurred image.
        """
        if not self._matrices:
            return np.asarray(light, np.float64)
        y, x = (m.T if transposed else m for m in self._matrices)
        return np.asarray(np.einsum("ij,...jkc,lk->...ilc", y, light, x, optimize=True))
