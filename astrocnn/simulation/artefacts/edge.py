"""Edge: no coverage beyond a straight border."""

from __future__ import annotations

import numpy as np

from astrocnn.simulation.artefacts._light import offsets
from astrocnn.simulation.artefacts.base import Camera, Drawn

__all__ = ["SEVERITY", "STAGE", "STRENGTHS", "draw"]

STAGE = "coverage"
STRENGTHS = (0.03, 1.2)
SEVERITY = "fraction of the image without data"


def draw(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> Drawn:
    """NaN beyond a border, along rows or columns or, in a mosaic, slightly tilted.

    Parameters
    ----------
    image : ndarray of shape (height, width)
        Stamp [flux unit].
    camera : Camera
        Not used: coverage has no noise.
    rng : numpy.random.Generator
        Decides direction.
    strength : float
        A fraction of strength / (1 + strength) of the image is lost.

    Returns
    -------
    Drawn
    """
    angle = rng.integers(4) * np.pi / 2 + (rng.normal(0, 0.1) if rng.random() < 0.5 else 0.0)
    dx, dy = offsets(image.shape, (image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2)
    along = dx * np.cos(angle) + dy * np.sin(angle)
    lost = min(max(strength / (1 + strength), 1 / image.size), 1.0)
    mask = along >= np.quantile(along, 1 - lost)
    return Drawn(np.where(mask, np.nan, image).astype(np.float32), mask, float(mask.mean()))
