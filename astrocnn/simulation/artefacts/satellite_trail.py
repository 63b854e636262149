"""Satellite trail: a long line across the image, as sharp as the optics or a little wider."""

from __future__ import annotations

import numpy as np

from astrocnn.simulation.artefacts._light import line, offsets
from astrocnn.simulation.artefacts.base import Camera, Drawn

__all__ = ["SEVERITY", "STAGE", "STRENGTHS", "draw"]

STAGE = "sky"
STRENGTHS = (0.05, 5.0)
SEVERITY = "S/N of the trail"

PER_LENGTH = 12.0  # flux per pixel of length at strength 1 [sky sigma]


def draw(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> Drawn:
    """A straight trail whose brightness varies slowly as the satellite turns.

    Parameters
    ----------
    image : ndarray of shape (height, width)
        Stamp [flux unit].
    camera : Camera
        Where it happens.
    rng : numpy.random.Generator
        Decides place, direction, width and glints.
    strength : float
        In 12 sky sigmas per pixel of length.

    Returns
    -------
    Drawn
    """
    height, width = image.shape
    x, y = rng.uniform(0.15, 0.85, 2) * (width - 1, height - 1)
    angle = rng.uniform(0, 180)
    # A body at a finite distance is out of focus by the size of the mirror seen from there.
    bar = rng.uniform(0, 2.5) * camera.fwhm if rng.random() < 0.5 else 0.0
    light = line(image.shape, x, y, angle, bar, camera)
    dx, dy = offsets(image.shape, x, y)
    along = dx * np.cos(np.radians(angle)) + dy * np.sin(np.radians(angle))
    wave = 2 * np.pi * along / (rng.uniform(0.7, 3.0) * max(image.shape))
    light *= 1 + rng.uniform(0, 0.3) * np.sin(wave + rng.uniform(0, 2 * np.pi))
    return camera.shine(image, strength * PER_LENGTH * camera.sigma * light, rng)
