"""Ellipticals: an old Sersic spheroid, now and then with the faint smooth disk of an S0."""

from __future__ import annotations

import numpy as np

from astrocnn.simulation.canvas import Canvas
from astrocnn.simulation.profiles import exponential, sersic
from astrocnn.simulation.shape import Light, Shape

__all__ = ["draw", "paint"]

INDICES = (2.5, 3.0, 3.5, 4.0, 4.5, 5.0)


def draw(rng: np.random.Generator, r_e: float) -> Shape:
    """A spheroid with axis ratio 0.45 to 1; a third have a disk of up to 40 % of the light."""
    disk = float(rng.uniform(0.1, 0.4)) if rng.random() < 1 / 3 else 0.0
    tilt = float(rng.normal(0, 0.35))
    lights = [Light(1 - disk, "old", tilt)]
    if disk:
        lights.append(Light(disk, "old", tilt + 0.1))
    axis_ratio = float(rng.uniform(0.45, 1.0))
    r_e *= 0.8
    return Shape(
        "elliptical",
        tuple(lights),
        extent=6 * r_e,
        r_e=r_e,
        b_over_t=1 - disk,
        sersic_n=float(rng.choice(INDICES)),
        axis_ratio=axis_ratio,
        position_angle=float(rng.uniform(0, 180)),
    )


def paint(shape: Shape, canvas: Canvas, rng: np.random.Generator) -> list[np.ndarray]:
    """The spheroid, then the disk where there is one."""
    q, angle = shape.axis_ratio, shape.position_angle
    components = [canvas.profile(sersic(shape.sersic_n, shape.r_e, q, angle))]
    if len(shape.lights) > 1:
        components.append(canvas.profile(exponential(1.3 * shape.r_e, max(q - 0.15, 0.3), angle)))
    return components
