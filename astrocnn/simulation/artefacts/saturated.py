"""Saturated star: full wells, charge that bleeds along the columns, wings and spikes."""

from __future__ import annotations

import numpy as np

from astrocnn.simulation.artefacts._light import halo, point, spikes
from astrocnn.simulation.artefacts.base import Camera, Drawn

__all__ = ["SEVERITY", "STAGE", "STRENGTHS", "bleed", "draw"]

STAGE = "well"
STRENGTHS = (0.03, 4.0)
SEVERITY = "S/N of the star"

FAINTEST, BRIGHT = 8.0, 60.0  # flux at strength 0, and what strength 1 adds [full well]


def draw(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> Drawn:
    """A star brighter than the detector can count.

    Parameters
    ----------
    image : ndarray of shape (height, width)
        Stamp [flux unit].
    camera : Camera
        Where it happens.
    rng : numpy.random.Generator
        Decides place and direction of the spikes.
    strength : float
        Brightness of the star, in 60 full wells above 8.

    Returns
    -------
    Drawn
        It brings diffraction spikes.
    """
    height, width = image.shape
    x, y = rng.uniform(0.08, 0.92, 2) * (width - 1, height - 1)
    angle = rng.uniform(0, 360)
    flux = (FAINTEST + BRIGHT * strength) * camera.full_well
    bars = flux * spikes(image.shape, x, y, angle, camera)
    wings = flux * halo(image.shape, x, y, camera) + bars
    light = flux * point(image.shape, x, y, camera) + wings
    made = camera.shine(image, light, rng)
    caught = bleed(made.image, camera.full_well)
    change = bleed(light, camera.full_well)
    changed = np.abs(caught - image) > 6 * camera.sigma
    mask = camera.visible(change) | (changed & (caught >= 0.5 * camera.full_well))
    return Drawn(
        caught.astype(np.float32),
        mask,
        camera.signal_to_noise(light),
        {"diffraction_spike": (camera.visible(bars), camera.signal_to_noise(bars))},
    )


def bleed(image: np.ndarray, full_well: float) -> np.ndarray:
    """Charge above the full well spreads up and down its column, half each way.

    Parameters
    ----------
    image : ndarray of shape (height, width)
        Charge that falls on each pixel, in any unit; NaN takes none.
    full_well : float
        Most that a pixel holds, in the same unit.

    Returns
    -------
    ndarray of shape (height, width)
        No pixel above `full_well`; the sum of a column is kept, but for charge that runs off
        its ends.

    Examples
    --------
    >>> bleed(np.array([[0.0], [1.0], [7.0], [0.0], [0.0]]), 3.0).ravel().tolist()
    [0.0, 3.0, 3.0, 2.0, 0.0]
    """
    out = np.array(image, np.float64)
    for column in np.flatnonzero((out > full_well).any(axis=0)):
        values = out[:, column]
        over = np.where(values > full_well, values - full_well, 0.0)
        values[over > 0] = full_well
        for row in np.flatnonzero(over):
            for step in (-1, 1):
                left = 0.5 * over[row]
                at = row + step
                while left > 0 and 0 <= at < len(values):
                    room = full_well - values[at]
                    if room > 0:  # False for NaN
                        moved = min(left, room)
                        values[at] += moved
                        left -= moved
                    at += step
    return out
