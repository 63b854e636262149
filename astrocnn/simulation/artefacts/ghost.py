"""Ghost: the out-of-focus image of the telescope's pupil, from light reflected twice."""

from __future__ import annotations

import numpy as np

from astrocnn.simulation.artefacts._light import offsets
from astrocnn.simulation.artefacts.base import Camera, Drawn

__all__ = ["SEVERITY", "STAGE", "STRENGTHS", "draw"]

STAGE = "sky"
STRENGTHS = (0.15, 4.0)
SEVERITY = "S/N of the ghost"

OBSCURATION = 0.38  # shadow of the secondary mirror, in radii of the pupil


def draw(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> Drawn:
    """A faint ring with the shadows of the secondary mirror and its vanes.

    Parameters
    ----------
    image : ndarray of shape (height, width)
        Stamp [flux unit].
    camera : Camera
        Where it happens; its vanes cast shadows.
    rng : numpy.random.Generator
        Decides place, size and direction.
    strength : float
        Surface brightness in the middle of the ring [sky sigma per pixel].

    Returns
    -------
    Drawn
    """
    side = min(image.shape)
    radius = rng.uniform(0.17, 0.36) * side
    # At least half of the ring falls on the stamp.
    x, y = rng.uniform(0.1, 0.9, 2) * (image.shape[1] - 1, image.shape[0] - 1)
    turn = rng.uniform(0, 2 * np.pi)
    flattening = rng.uniform(0.88, 1.0)
    slope, limb = rng.uniform(0.0, 0.3), rng.uniform(0.0, 0.5)
    dx, dy = offsets(image.shape, x, y)
    along = (dx * np.cos(turn) + dy * np.sin(turn)) / radius
    across = (dy * np.cos(turn) - dx * np.sin(turn)) / (radius * flattening)
    r = np.hypot(along, across)
    soft = max(1.2, camera.fwhm) / radius
    # The shadow of the secondary mirror is off-center where the ghost is off the axis.
    hole = np.hypot(along - 0.12 * slope / 0.3, across)
    light = _step((1 - r) / soft) * _step((hole - OBSCURATION) / soft)
    for vane in range(camera.vanes):
        direction = turn + 2 * np.pi * vane / camera.vanes
        forward = along * np.cos(direction) + across * np.sin(direction)
        aside = across * np.cos(direction) - along * np.sin(direction)
        shadow = np.exp(-0.5 * (aside / (0.6 * soft + 0.02)) ** 2) * (forward > 0)
        light *= 1 - 0.8 * shadow
    light *= (1 + slope * along) * (1 + limb * np.clip(r, 0, 1) ** 6)
    return camera.shine(image, strength * camera.sigma * np.maximum(light, 0), rng)


def _step(z: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1 + np.tanh(z)))
