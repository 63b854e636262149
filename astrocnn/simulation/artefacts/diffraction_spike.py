"""Diffraction spikes of a bright star in the image or just outside it."""

from __future__ import annotations

import numpy as np

from astrocnn.simulation.artefacts._light import halo, point, spikes
from astrocnn.simulation.artefacts.base import Camera, Drawn

__all__ = ["SEVERITY", "STAGE", "STRENGTHS", "draw"]

STAGE = "sky"
STRENGTHS = (0.04, 4.0)
SEVERITY = "S/N of the spikes"

OUTSIDE = 0.7  # share of stars that are not in the image themselves
BRIGHT, UNSATURATED = 40.0, 3.0  # flux of a star outside, and largest of one inside [full well]


def draw(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> Drawn:
    """A star with its spikes: outside and very bright, or inside and just below saturation.

    Parameters
    ----------
    image : ndarray of shape (height, width)
        Stamp [flux unit].
    camera : Camera
        Where it happens; its vanes set the number of spikes.
    rng : numpy.random.Generator
        Decides place and direction.
    strength : float
        Brightness of the star: outside the image in 40 full wells.

    Returns
    -------
    Drawn
        The mask holds spikes, star and wings; the severity is that of the spikes alone.
    """
    height, width = image.shape
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    inside = rng.random() >= OUTSIDE
    towards = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(towards), np.sin(towards)])
    if inside:
        x, y = middle + direction * rng.uniform(0.15, 0.4) * (width, height)
        angle = rng.uniform(0, 360)
        flux = UNSATURATED * camera.full_well * strength / (0.3 + strength)
    else:
        beyond = rng.uniform(0.03, 0.2) * min(image.shape)
        # To the border of the image along the direction, and on.
        reach = np.min((middle + 0.5) / np.maximum(np.abs(direction), 1e-9)) + beyond
        x, y = middle + direction * reach
        # One spike crosses the image, not far from its middle.
        angle = np.degrees(towards) + 180 + rng.uniform(-20, 20)
        flux = BRIGHT * camera.full_well * strength
    bars = spikes(image.shape, x, y, float(angle), camera)
    star = point(image.shape, x, y, camera) + halo(image.shape, x, y, camera)
    made = camera.shine(image, flux * (bars + star), rng)
    return Drawn(made.image, made.mask, camera.signal_to_noise(flux * bars))
