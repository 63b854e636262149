"""Background step: two amplifiers or detectors whose levels do not meet."""

from __future__ import annotations

import numpy as np

from astrocnn.simulation.artefacts.base import Camera, Drawn

__all__ = ["SEVERITY", "STAGE", "STRENGTHS", "draw"]

STAGE = "readout"
STRENGTHS = (0.1, 3.0)
SEVERITY = "S/N of the step"


def draw(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> Drawn:
    """An offset, with a slight slope, on one side of a row or column.

    Parameters
    ----------
    image : ndarray of shape (height, width)
        Stamp [flux unit].
    camera : Camera
        Where it happens.
    rng : numpy.random.Generator
        Decides side, place and sign.
    strength : float
        Height of the step [sky sigma].

    Returns
    -------
    Drawn
        The mask is the side that is off.
    """
    sideways, far = rng.random() < 0.5, rng.random() < 0.5
    sign = -1.0 if rng.random() < 0.5 else 1.0
    length = image.shape[1] if sideways else image.shape[0]
    border = int(rng.integers(0.15 * length, 0.85 * length))
    at = np.arange(length)
    side = at >= border if far else at < border
    fall = 1 - rng.uniform(0, 0.4) * np.abs(at - border) / length
    profile = np.where(side, sign * strength * camera.sigma * fall, 0.0)
    change = np.broadcast_to(profile if sideways else profile[:, None], image.shape)
    mask = np.broadcast_to(side if sideways else side[:, None], image.shape)
    return Drawn((image + change).astype(np.float32), mask.copy(), camera.signal_to_noise(change))
