"""What images of objects look like, as far as second moments tell: place and color of light."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocnn.explain._sky import sky_level
from astrocnn.imaging.background import estimate_sky_noise

__all__ = ["Looks"]

_FAINTEST = 1e-3
"""Least variance of a pixel, in units of the mean: no place is without any light."""


class Looks(NamedTuple):
    """Sky, and the light of objects on it, in normalized units."""

    level: NDArray[np.float32]
    """Of the sky, of shape (n_channels,)."""
    noise: NDArray[np.float32]
    """Of the sky, of shape (n_channels,)."""
    place: NDArray[np.float64]
    """Root mean square of light by pixel, of shape (height, width, 1), 1 in the mean square."""
    color: NDArray[np.float64]
    """What each channel gets of light of each color, of shape (n_channels, n_channels)."""
    brightness: float
    """Root mean square of light over pixels and channels."""

    @classmethod
    def unknown(cls, shape: tuple[int, int, int]) -> Looks:
        """Light anywhere and of any color, on a sky of 0 with a little noise."""
        height, width, channels = shape
        # On a perfectly even sky, a network may have no slope at all.
        noise = np.full(channels, 0.1, np.float32)
        place, color = np.ones((height, width, 1)), np.eye(channels)
        return cls(np.zeros(channels, np.float32), noise, place, color, 1.0)

    @classmethod
    def of(cls, images: NDArray[np.float32]) -> Looks:
        """Measured in images of shape (n, height, width, n_channels).

        Objects are taken to point anywhere: the map of places has the symmetries of a square, or
        of a rectangle.
        """
        level = np.median(sky_level(images), axis=0)
        noise = np.median(np.nan_to_num(estimate_sky_noise(images)), axis=0)
        light = (images - level).astype(np.float64)
        channels = light.shape[-1]
        by_place = (light**2).mean(axis=(0, 3)) - np.mean(noise**2)
        by_place = (by_place + by_place[::-1]) / 2
        by_place = (by_place + by_place[:, ::-1]) / 2
        if by_place.shape[0] == by_place.shape[1]:
            by_place = (by_place + by_place.T) / 2
        mean = float(by_place.mean())
        if mean <= 0:
            return cls.unknown(images.shape[1:])._replace(level=level, noise=noise.astype("f4"))
        by_place = np.maximum(by_place / mean, _FAINTEST)
        flat = light.reshape(-1, channels)
        values, axes = np.linalg.eigh(flat.T @ flat / len(flat) - np.diag(noise.astype(float) ** 2))
        # Light of one color never takes away from another channel.
        root = np.maximum((axes * np.sqrt(np.maximum(values, 0))) @ axes.T, 0)
        root /= max(np.sqrt(np.mean(np.sum(root**2, axis=1))), 1e-12)
        place = np.sqrt(by_place / by_place.mean())[..., None]
        return cls(level, noise.astype(np.float32), place, root, float(np.sqrt(mean)))

    def spread(self, light: NDArray[np.float64]) -> NDArray[np.float64]:
        """Put light, of shape (height, width, n_channels), where it is and in its colors."""
        found: NDArray[np.float64] = self.place * (light @ self.color.T)
        return found

    def gather(self, slope: NDArray[np.float64]) -> NDArray[np.float64]:
        """The transpose of `spread`."""
        found: NDArray[np.float64] = (self.place * slope) @ self.color
        return found
