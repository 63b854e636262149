"""Blend: a second source that overlaps the target."""

from __future__ import annotations

import numpy as np

from astrocnn.simulation.artefacts._light import extended, offsets, point
from astrocnn.simulation.artefacts.base import Camera, Drawn

__all__ = ["SEVERITY", "STAGE", "STRENGTHS", "draw"]

STAGE = "sky"
STRENGTHS = (0.15, 3.0)
SEVERITY = "S/N of the second source"

POINTS = 0.3  # share of second sources that are stars


def draw(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> Drawn:
    """A star or a disk within the light of the central object.

    Parameters
    ----------
    image : ndarray of shape (height, width)
        Stamp whose middle holds the target [flux unit].
    camera : Camera
        Where it happens.
    rng : numpy.random.Generator
        Decides place and form.
    strength : float
        Flux of the second source over that of the target, of which 40 sigma are assumed if it
        is fainter.

    Returns
    -------
    Drawn
    """
    shape = image.shape
    middle_x, middle_y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    flux, radius = _target(image, camera)
    distance = rng.uniform(1.0, 2.0) * max(radius, camera.fwhm) + 0.5 * camera.fwhm
    angle = rng.uniform(0, 2 * np.pi)
    x, y = middle_x + distance * np.cos(angle), middle_y + distance * np.sin(angle)
    is_point = rng.random() < POINTS
    size = max(radius, camera.fwhm) * rng.uniform(0.6, 1.4)
    axis_ratio, tilt = rng.uniform(0.3, 1.0), rng.uniform(0, 180)
    if is_point:
        light = point(shape, x, y, camera)
    else:
        light = extended(shape, x, y, size, axis_ratio, tilt, camera)
    return camera.shine(image, strength * flux * light, rng)


def _target(image: np.ndarray, camera: Camera) -> tuple[float, float]:
    """Flux and half-light radius [pixel] of what is in the middle."""
    shape = image.shape
    dx, dy = offsets(shape, (shape[1] - 1) / 2, (shape[0] - 1) / 2)
    r = np.hypot(dx, dy)
    values = np.where(np.isfinite(image), image, 0.0).astype(np.float64)
    edge = max(3 * camera.fwhm, 0.1 * min(shape))
    inside = r < edge
    flux = float(values[inside].sum())
    if flux <= 40 * camera.sigma:
        return 40 * camera.sigma, camera.fwhm
    order = np.argsort(r[inside], kind="stable")
    grown = np.cumsum(values[inside][order])
    return flux, float(r[inside][order][np.argmax(grown >= flux / 2)])
