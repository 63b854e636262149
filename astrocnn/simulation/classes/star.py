"""Stars: a point with the color of a black body."""

from __future__ import annotations

import numpy as np

from astrocnn.simulation.canvas import Canvas
from astrocnn.simulation.shape import Light, Shape

__all__ = ["draw", "paint"]


def draw(rng: np.random.Generator, r_e: float) -> Shape:
    """A star of 3,300 to 9,000 K."""
    temperature = float(rng.triangular(3300, 4500, 9000))
    return Shape("star", (Light(1.0, temperature, float(rng.normal(0, 0.15))),), extent=0.0)


def paint(shape: Shape, canvas: Canvas, rng: np.random.Generator) -> list[np.ndarray]:
    """One point."""
    return [canvas.point()]
