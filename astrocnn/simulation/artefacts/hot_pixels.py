"""Hot and dead pixels, and bad columns: defects of the detector that calibration missed."""

from __future__ import annotations

import numpy as np

from astrocnn.simulation.artefacts.base import Camera, Drawn

__all__ = ["SEVERITY", "STAGE", "STRENGTHS", "draw"]

STAGE = "detector"
STRENGTHS = (0.3, 8.0)
SEVERITY = "S/N of the defects"

HOT, COLUMN = 15.0, 2.5  # typical excess at strength 1 [sky sigma]


def draw(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> Drawn:
    """Some hot pixels and, half of the time, a bad column, whole or from a trap to the end.

    Parameters
    ----------
    image : ndarray of shape (height, width)
        Stamp [flux unit].
    camera : Camera
        Where it happens.
    rng : numpy.random.Generator
        Decides number and places.
    strength : float
        Of the excess: hot pixels in 15 and columns in 2.5 sky sigmas.

    Returns
    -------
    Drawn
    """
    height, width = image.shape
    change = np.zeros(image.shape)
    has_column = rng.random() < 0.5
    count = rng.poisson(3) if has_column else 2 + rng.poisson(5)
    rows, columns = rng.integers(0, height, count), rng.integers(0, width, count)
    np.add.at(change, (rows, columns), HOT * rng.exponential(1.0, count))
    if not has_column:
        change[rng.integers(0, height), rng.integers(0, width)] += HOT
    if has_column:
        column = rng.integers(0.05 * width, 0.95 * width)
        first = rng.integers(0, height // 2) if rng.random() < 0.4 else 0
        sign = -1.0 if rng.random() < 0.4 else 1.0
        last = min(column + (2 if rng.random() < 0.25 else 1), width)
        part = slice(first, None) if rng.random() < 0.5 else slice(None, height - first)
        change[part, column:last] += sign * COLUMN * rng.uniform(0.6, 1.6)
    change *= strength * camera.sigma
    made = np.minimum(image + change, np.maximum(image, camera.full_well))
    made = np.where(np.isnan(image), image, made).astype(np.float32)
    return Drawn(made, camera.visible(change), camera.signal_to_noise(change))
