"""Spirals: a bulge, an exponential disk and painted logarithmic arms, one third with a bar."""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from astrocnn.simulation.canvas import Canvas
from astrocnn.simulation.profiles import exponential, sersic
from astrocnn.simulation.shape import Light, Shape

__all__ = ["draw", "paint"]

HALF_LIGHT = 1.678  # of an exponential disk [scale lengths]
BULGE_INDICES = (2.5, 4.0)


def draw(rng: np.random.Generator, r_e: float) -> Shape:
    """A disk inclined by up to 70 degrees with 2 to 4 arms of either handedness."""
    bulge = float(rng.uniform(0.03, 0.35))
    bar = bool(rng.random() < 1 / 3)
    barred = float(rng.uniform(0.08, 0.16)) if bar else 0.0
    disk = 1 - bulge - barred
    arms = disk * float(rng.uniform(0.22, 0.55))
    tilt = float(rng.normal(0, 0.35))
    lights = [
        Light(bulge, "old", tilt),
        Light(disk - arms, "disk", tilt),
        Light(arms, "young", tilt),
    ]
    if bar:
        lights.append(Light(barred, "old", tilt))
    return Shape(
        "spiral",
        tuple(lights),
        extent=4.5 * r_e,
        r_e=r_e,
        b_over_t=bulge,
        sersic_n=float(rng.choice(BULGE_INDICES)),
        axis_ratio=float(rng.uniform(0.7, 1.0)),
        inclination=float(np.degrees(np.arccos(rng.uniform(0.35, 1.0)))),
        position_angle=float(rng.uniform(0, 180)),
        n_arms=int(rng.choice([2, 3, 4], p=[0.7, 0.15, 0.15])),
        pitch=float(rng.uniform(11, 28)),
        handedness=int(rng.choice([-1, 1])),
        bar=bar,
    )


def paint(shape: Shape, canvas: Canvas, rng: np.random.Generator) -> list[np.ndarray]:
    """Bulge, smooth disk, arms, and the bar where there is one."""
    angle = shape.position_angle
    flattening = float(np.cos(np.radians(shape.inclination)))
    bulge = sersic(shape.sersic_n, 0.25 * shape.r_e, max(flattening, shape.axis_ratio), angle)
    phase = rng.uniform(0, 2 * np.pi)
    components = [
        canvas.profile(bulge),
        canvas.profile(exponential(shape.r_e, flattening, angle)),
        canvas.painted(_arms(shape, canvas, flattening, phase, rng)),
    ]
    if shape.bar:
        components.append(canvas.painted(_bar(shape, canvas, flattening, phase)))
    return components


def _plane(shape: Shape, canvas: Canvas, flattening: float) -> tuple[np.ndarray, np.ndarray]:
    major, minor = canvas.axes(shape.position_angle)
    minor = minor / flattening
    return np.hypot(major, minor), np.arctan2(minor, major)


def _arms(
    shape: Shape, canvas: Canvas, flattening: float, phase: float, rng: np.random.Generator
) -> np.ndarray:
    radius, azimuth = _plane(shape, canvas, flattening)
    scale = shape.r_e / HALF_LIGHT
    start = scale * (1.0 if shape.bar else rng.uniform(0.4, 0.8))
    winding = np.log(np.maximum(radius, 0.05 * scale) / start) / np.tan(np.radians(shape.pitch))
    azimuth = azimuth - shape.handedness * winding - phase
    # Arms wander a little and are not equally strong.
    azimuth = azimuth + rng.uniform(0, 0.3) * np.sin(radius / scale * rng.uniform(1, 2.5))
    sharpness = rng.uniform(2.0, 5.0)
    pattern = np.exp(sharpness * (np.cos(shape.n_arms * azimuth) - 1))
    pattern *= 1 + rng.uniform(0, 0.4) * np.cos(azimuth + rng.uniform(0, 6))
    envelope = np.exp(-radius / (1.15 * scale)) * -np.expm1(-((radius / start) ** 3))
    # Patches of star formation, about a third of a scale length across.
    patches = rng.normal(0, 0.55, (24, 24)).astype(np.float32)
    patches = scipy.ndimage.zoom(
        patches, canvas.cells / 24, order=1, grid_mode=True, mode="grid-wrap"
    )
    return np.asarray(pattern * envelope * np.exp(patches))


def _bar(shape: Shape, canvas: Canvas, flattening: float, phase: float) -> np.ndarray:
    radius, azimuth = _plane(shape, canvas, flattening)
    length = shape.r_e / HALF_LIGHT
    along = radius * np.cos(azimuth - phase) / length
    across = radius * np.sin(azimuth - phase) / (0.28 * length)
    # A Ferrers bar of index 2, with its edge made smooth.
    return np.exp(-((along**2 + across**2) ** 1.5))
