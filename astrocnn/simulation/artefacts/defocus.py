"""Out of focus, or trailed while exposing: everything on the image is smeared."""

from __future__ import annotations

import numpy as np
from scipy.special import j1

from astrocnn.simulation.artefacts.base import Camera, Drawn

__all__ = ["SEVERITY", "STAGE", "STRENGTHS", "draw"]

STAGE = "optics"
STRENGTHS = (0.5, 4.0)
SEVERITY = "width of the blur over that of a star"

TRAILED = 0.5  # share of images that are trailed and not out of focus
OBSCURATION = 0.38


def draw(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> Drawn:
    """The image of a defocused pupil, a ring, or of a drift, a line, for each point.

    The sky noise arises behind the optics and is not smeared: the blur takes a known part of it
    away in each Fourier mode, and just that is put back.

    Parameters
    ----------
    image : ndarray of shape (height, width)
        Stamp [flux unit].
    camera : Camera
        Where it happens.
    rng : numpy.random.Generator
        Decides between defocus and drift, its direction, and the noise.
    strength : float
        Radius of the ring in 1.5 widths of the point spread function; a drift is 3.3 times
        the radius.

    Returns
    -------
    Drawn
        The mask is the whole image.
    """
    radius = 1.5 * strength * camera.fwhm
    trailed = rng.random() < TRAILED
    angle = rng.uniform(0, np.pi)
    pad = int(np.ceil(4 * radius)) + 4
    full = np.pad(np.where(np.isfinite(image), image, np.nanmedian(image)), pad, mode="symmetric")
    fy = np.fft.fftfreq(full.shape[0])[:, None]
    fx = np.fft.rfftfreq(full.shape[1])
    if trailed:
        length = 3.3 * radius
        kernel = np.sinc(length * (fx * np.cos(angle) + fy * np.sin(angle)))
        spread = length / np.sqrt(12)
    else:
        f = np.hypot(fx, fy)
        kernel = _disk(f * radius) - OBSCURATION**2 * _disk(f * radius * OBSCURATION)
        kernel /= 1 - OBSCURATION**2
        spread = radius * np.sqrt(1 + OBSCURATION**2) / 2
    blurred = np.fft.irfft2(np.fft.rfft2(full) * kernel, s=full.shape)
    lost = camera.noise_transfer(full.shape) * np.sqrt(np.maximum(1 - kernel**2, 0))
    blurred += camera.sigma * camera.noise(full.shape, rng, lost)
    inside = (slice(pad, pad + image.shape[0]), slice(pad, pad + image.shape[1]))
    made = np.where(np.isfinite(image), blurred[inside], image)
    return Drawn(
        made.astype(np.float32), np.ones(image.shape, bool), float(spread * 2.355 / camera.fwhm)
    )


def _disk(z: np.ndarray) -> np.ndarray:
    """Fourier transform of a disk of unit flux at frequency times radius."""
    u = 2 * np.pi * np.where(z > 1e-9, z, 1.0)
    return np.where(z > 1e-9, 2 * j1(u) / u, 1.0)
