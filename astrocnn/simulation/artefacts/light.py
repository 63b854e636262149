"""Light of stars, lines and galaxies on the pixels of a camera."""

from __future__ import annotations

import numpy as np
from scipy.special import gamma

from astrocnn.simulation.artefacts.base import Camera
from astrocnn.simulation.spectra import MOFFAT_BETA

__all__ = ["disk", "halo", "line", "offsets", "spikes", "star"]

FINE = 5  # cells per pixel side near the center of a point source
CORE = 8  # half side of that region [pixel]
HALO_FRACTION, HALO_CORE, HALO_BETA = 0.04, 4.0, 1.4
SPIKE_FRACTION, SPIKE_CORE = 0.015, 8.0


def offsets(shape: tuple[int, int], x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each pixel from a point, along x and along y [pixel]."""
    return np.arange(shape[1]) - x, (np.arange(shape[0]) - y)[:, None]


def star(shape: tuple[int, int], x: float, y: float, camera: Camera) -> np.ndarray:
    """A star of unit flux, integrated over each pixel; it may lie outside."""
    dx, dy = offsets(shape, x, y)
    image = _moffat(dx, dy, camera)
    # Only near the center is the profile curved within a pixel.
    columns = slice(max(0, round(x) - CORE), max(0, round(x) + CORE + 1))
    rows = slice(max(0, round(y) - CORE), max(0, round(y) + CORE + 1))
    near_x, near_y = dx[columns], dy[rows]
    if near_x.size and near_y.size:
        fine = (np.arange(FINE) - (FINE - 1) / 2) / FINE
        cells = _moffat(
            (near_x[:, None] + fine).ravel(), (near_y + fine).reshape(-1)[:, None], camera
        )
        image[rows, columns] = cells.reshape(near_y.size, FINE, near_x.size, FINE).mean(axis=(1, 3))
    return image


def _moffat(dx: np.ndarray, dy: np.ndarray, camera: Camera) -> np.ndarray:
    a2 = (camera.fwhm / 2) ** 2 / (2 ** (1 / MOFFAT_BETA) - 1)
    return (MOFFAT_BETA - 1) / (np.pi * a2) * (1 + (dx**2 + dy**2) / a2) ** -MOFFAT_BETA


def halo(shape: tuple[int, int], x: float, y: float, camera: Camera) -> np.ndarray:
    """The wide wings of a bright star of unit flux: light scattered in the telescope."""
    dx, dy = offsets(shape, x, y)
    a2 = (HALO_CORE * camera.fwhm) ** 2
    profile = (1 + (dx**2 + dy**2) / a2) ** -HALO_BETA
    return HALO_FRACTION * (HALO_BETA - 1) / (np.pi * a2) * profile


def spikes(shape: tuple[int, int], x: float, y: float, angle: float, camera: Camera) -> np.ndarray:
    """Diffraction spikes of a star of unit flux.

    Each vane scatters light into a bar across it.  Along the bar the brightness falls as the
    inverse square of the distance, as that of a slit averaged over a wide band; across, it is
    as narrow as the point spread function.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image [pixel].
    x, y : float
        Position of the star; may lie outside [pixel].
    angle : float
        Direction of one spike [deg].
    camera : Camera
        Its number of spikes.
    """
    dx, dy = offsets(shape, x, y)
    core = SPIKE_CORE * camera.fwhm / 1.3
    width = max(camera.fwhm, 1.0) / 2.355
    image = np.zeros(shape)
    for number in range(camera.spikes):
        direction = np.radians(angle + 360 * number / camera.spikes)
        along = dx * np.cos(direction) + dy * np.sin(direction)
        across = dy * np.cos(direction) - dx * np.sin(direction)
        # The bar widens slowly: it is a spectrum, and long wavelengths lie farther out.
        sigma = width * (1 + 0.01 * np.abs(along))
        bar = np.exp(-0.5 * (across / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
        image += np.where(along > 0, bar / (1 + (along / core) ** 2), 0) / (np.pi / 2 * core)
    return image * SPIKE_FRACTION / camera.spikes


def line(
    shape: tuple[int, int], x: float, y: float, angle: float, width: float, camera: Camera
) -> np.ndarray:
    """An infinite line of unit flux per pixel of length.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image [pixel].
    x, y : float
        A point on the line [pixel].
    angle : float
        Its direction, from +x towards +y [deg].
    width : float
        Width before smearing by the point spread function [pixel]; 0 for a line.
    camera : Camera
        Its point spread function: a Moffat profile, whose projection is a Moffat profile too.
    """
    dx, dy = offsets(shape, x, y)
    across = dy * np.cos(np.radians(angle)) - dx * np.sin(np.radians(angle))
    a2 = (camera.fwhm / 2) ** 2 / (2 ** (1 / MOFFAT_BETA) - 1)
    beta = MOFFAT_BETA - 0.5
    ratio = float(gamma(MOFFAT_BETA - 0.5) / gamma(MOFFAT_BETA))
    norm = (MOFFAT_BETA - 1) / (np.pi * a2) * np.sqrt(np.pi * a2) * ratio
    # Pixels are about as wide as the line: average over the pixel and over the bar.
    steps = (np.arange(9) - 4) / 9 * np.hypot(1.0, width)
    return norm * np.mean([(1 + (across - s) ** 2 / a2) ** -beta for s in steps], axis=0)


def disk(
    shape: tuple[int, int],
    x: float,
    y: float,
    radius: float,
    axis_ratio: float,
    angle: float,
    camera: Camera,
) -> np.ndarray:
    """An exponential disk of unit flux.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image [pixel].
    x, y : float
        Center [pixel].
    radius : float
        Half-light radius along the major axis [pixel].
    axis_ratio : float
        Minor over major axis.
    angle : float
        Major axis, from +x towards +y [deg].
    camera : Camera
        Its point spread function, added in quadrature to the core of the profile.
    """
    dx, dy = offsets(shape, x, y)
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    along, across = dx * cosine + dy * sine, dy * cosine - dx * sine
    scale = radius / 1.678
    # Softening by the point spread function keeps the cusp off single pixels.
    core = 0.5 * camera.fwhm / scale
    r = np.sqrt((along / scale) ** 2 + (across / (axis_ratio * scale)) ** 2 + core**2)
    profile = np.exp(-r)
    norm = 2 * np.pi * scale**2 * axis_ratio * (1 + core) * np.exp(-core)
    return profile / norm
