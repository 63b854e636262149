"""Pixels of one field: objects added up, then noise."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import numpy as np
import scipy.ndimage

from astrocnn.simulation.population import SkyObject, generator
from astrocnn.simulation.presets import Preset, SimulatedBand

__all__ = ["add_noise", "draw_objects"]


def draw_objects(
    objects: Sequence[SkyObject], pixels: np.ndarray, size: int, preset: Preset
) -> np.ndarray:
    """Noiseless images of objects on one grid, in the bands that share it.

    Parameters
    ----------
    objects : sequence of SkyObject
        Objects.
    pixels : ndarray of shape (n_objects, 2)
        Zero-based pixel coordinates (x, y); may lie outside the image.
    size : int
        Side of the image [pixel].
    preset : Preset
        With bands of equal pixel size.

    Returns
    -------
    ndarray of shape (n_bands, size, size)
        Flux [nJy], float32.
    """
    image = np.zeros((len(preset.bands), size, size), np.float32)
    fwhm = max(band.fwhm for band in preset.bands)
    scale = preset.bands[0].pixel_scale
    for item, (x, y) in zip(objects, pixels, strict=True):
        canvas = item.canvas(scale, fwhm, preset.oversampling)
        near_x, near_y = int(np.rint(x)), int(np.rint(y))
        left, low = near_x - canvas.size // 2, near_y - canvas.size // 2
        columns = slice(max(left, 0), min(left + canvas.size, size))
        rows = slice(max(low, 0), min(low + canvas.size, size))
        if columns.start >= columns.stop or rows.start >= rows.stop:
            continue
        stamp = canvas.render(
            item.components(canvas), item.fluxes(preset), preset.bands, (x - near_x, y - near_y)
        )
        image[:, rows, columns] += stamp[
            :, rows.start - low : rows.stop - low, columns.start - left : columns.stop - left
        ]
    return image


def add_noise(
    image: np.ndarray, band: SimulatedBand, seed: int, numbers: Iterable[int]
) -> np.ndarray:
    """Photon noise of sky and objects, in one band.

    Parameters
    ----------
    image : ndarray of shape (height, width)
        Flux above the sky [nJy].
    band : SimulatedBand
        Band, with the standard deviation of its sky and its gain.
    seed : int
        Seed of the simulation.
    numbers : iterable of int
        What tells this image from others; the name of the band is added.

    Returns
    -------
    ndarray of shape (height, width)
        Sky-subtracted flux [nJy], float32.
    """
    rng = generator(seed, "noise", *numbers, zlib.crc32(band.name.encode()))
    if band.noise_correlation:
        return image + _correlated(rng, image, band)
    sky = (band.sky_sigma * band.gain) ** 2
    electrons = rng.poisson(np.maximum(image * band.gain, 0) + sky)
    return ((electrons - sky) / band.gain).astype(np.float32)


def _correlated(rng: np.random.Generator, image: np.ndarray, band: SimulatedBand) -> np.ndarray:
    variance = band.sky_sigma**2 + np.maximum(image, 0) / band.gain
    white = rng.standard_normal(image.shape, dtype=np.float32)
    smooth = scipy.ndimage.gaussian_filter(white, band.noise_correlation, mode="wrap", truncate=5)
    # Smoothing divides the variance of white noise by 4 pi sigma^2 in the continuous limit;
    # the exact factor is the sum of the squared kernel.
    probe = np.zeros((65, 65), np.float32)
    probe[32, 32] = 1
    kernel = scipy.ndimage.gaussian_filter(probe, band.noise_correlation, truncate=5)
    return np.asarray(smooth * np.sqrt(variance / np.sum(kernel**2)), dtype=np.float32)
