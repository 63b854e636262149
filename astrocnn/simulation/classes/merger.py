"""Mergers: two disturbed galaxies within about two half-light radii, with tails and a bridge."""

from __future__ import annotations

from typing import Any

import numpy as np

from astrocnn.simulation.canvas import Canvas
from astrocnn.simulation.profiles import exponential, sersic
from astrocnn.simulation.shape import Light, Shape

__all__ = ["draw", "paint"]


def draw(rng: np.random.Generator, r_e: float) -> Shape:
    """Two galaxies with a flux ratio of 1 to 4; 15 to 40 % of the light is debris."""
    debris = float(rng.uniform(0.15, 0.4))
    second = (1 - debris) * float(rng.uniform(0.2, 0.5))
    first = 1 - debris - second
    tilt = float(rng.normal(0, 0.35))
    red = rng.random() < 0.3
    lights = (
        Light(first, "old" if red else "disk", tilt),
        Light(second, "old" if rng.random() < 0.4 else "disk", float(rng.normal(tilt, 0.2))),
        Light(debris, "disk" if red else "young", tilt),
    )
    separation = r_e * float(rng.uniform(0.8, 2.0))
    return Shape(
        "merger",
        lights,
        extent=separation + 5.0 * r_e,
        r_e=0.85 * r_e,
        axis_ratio=float(rng.uniform(0.5, 1.0)),
        position_angle=float(rng.uniform(0, 360)),
        separation=separation,
    )


def paint(shape: Shape, canvas: Canvas, rng: np.random.Generator) -> list[np.ndarray]:
    """The two galaxies around their common center of light, then tails and bridge together."""
    angle = np.radians(90 + shape.position_angle)
    direction = np.array([np.cos(angle), np.sin(angle)])
    share = shape.lights[1].weight / (shape.lights[0].weight + shape.lights[1].weight)
    places = (-share * shape.separation * direction, (1 - share) * shape.separation * direction)
    sizes = (shape.r_e, shape.r_e * np.sqrt(share / (1 - share)))
    components = []
    for place, size in zip(places, sizes, strict=True):
        form = exponential if rng.random() < 0.6 else _spheroid
        galaxy = form(0.8 * size, rng.uniform(0.5, 1.0), rng.uniform(0, 180))
        components.append(canvas.profile(galaxy.shift(*place)))
    handedness = int(rng.choice([-1, 1]))
    knots = [
        _tail(rng, places[0], angle + np.pi, sizes[0], handedness, 1.0),
        _tail(rng, places[1], angle, sizes[1], handedness, rng.uniform(0.1, 0.8)),
        _bridge(rng, places, sizes),
    ]
    return [*components, canvas.blobs(*np.concatenate(knots, axis=1))]


def _spheroid(r_e: float, axis_ratio: float, position_angle: float) -> Any:
    return sersic(2.5, r_e, axis_ratio, position_angle)


def _tail(
    rng: np.random.Generator,
    place: np.ndarray,
    angle: float,
    r_e: float,
    handedness: int,
    strength: float,
) -> np.ndarray:
    along = np.linspace(0, 1, 40)
    radius = r_e * (0.9 + rng.uniform(1.8, 3.2) * along)
    turn = angle + handedness * (rng.uniform(-0.6, 0.3) + rng.uniform(1.0, 2.4) * along)
    width = r_e * (0.22 + 0.2 * along)
    weight = strength * np.exp(-rng.uniform(0.3, 1.2) * along) * rng.gamma(4, 0.25, along.size)
    x, y = place[0] + radius * np.cos(turn), place[1] + radius * np.sin(turn)
    return np.stack([x, y, width, weight])


def _bridge(
    rng: np.random.Generator, places: tuple[np.ndarray, np.ndarray], sizes: tuple[float, float]
) -> np.ndarray:
    along = rng.uniform(-0.2, 1.2, 16)
    middle = places[0][:, None] * (1 - along) + places[1][:, None] * along
    middle += rng.normal(0, 0.35 * sizes[0], middle.shape)
    width = np.full(along.size, 0.3 * sizes[0])
    weight = rng.gamma(2, 0.5 * 0.6 * 40 / along.size, along.size) * 0.6
    return np.stack([middle[0], middle[1], width, weight])
