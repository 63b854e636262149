"""Edge-on disks: thin, with a bulge, and in most of them a dust lane."""

from __future__ import annotations

import numpy as np
import scipy.special

from astrocnn.simulation.canvas import Canvas
from astrocnn.simulation.profiles import sersic
from astrocnn.simulation.shape import Light, Shape

__all__ = ["draw", "paint"]

HALF_LIGHT = 1.678


def draw(rng: np.random.Generator, r_e: float) -> Shape:
    """A disk inclined by 80 to 90 degrees; what lies behind the lane is a component of its own."""
    bulge = float(rng.uniform(0.0, 0.35))
    dusty = bool(rng.random() < 0.65)
    hidden = float(rng.uniform(0.3, 0.5)) if dusty else 0.0
    tilt = float(rng.normal(0, 0.35))
    spectrum = "old" if rng.random() < 0.25 else "disk"
    lights = [Light(bulge, "old", tilt), Light((1 - bulge) * (1 - hidden), spectrum, tilt, 0.1)]
    if dusty:
        lights.append(Light((1 - bulge) * hidden, spectrum, tilt, float(rng.uniform(1.2, 3.0))))
    r_e *= 1.25
    return Shape(
        "edge_on",
        tuple(lights),
        extent=4.2 * r_e,
        r_e=r_e,
        b_over_t=bulge,
        sersic_n=2.5,
        axis_ratio=float(rng.uniform(0.55, 0.9)),
        inclination=float(rng.uniform(80, 90)),
        position_angle=float(rng.uniform(0, 180)),
        dust_lane=dusty,
    )


def paint(shape: Shape, canvas: Canvas, rng: np.random.Generator) -> list[np.ndarray]:
    """Bulge, disk in front of the lane, disk behind it.

    References
    ----------
    van der Kruit & Searle 1981, A&A 95, 105: an exponential disk seen from the edge is
    x K1(x) along and sech^2 across its plane.
    """
    scale = shape.r_e / HALF_LIGHT
    height = scale * rng.uniform(0.12, 0.22)
    major, minor = canvas.axes(shape.position_angle)
    warp = rng.normal(0, 0.004) * major * np.abs(major) / scale
    minor = minor - warp
    # Not quite from the edge: the disk opens to an ellipse of this half height.
    opening = scale * np.cos(np.radians(shape.inclination)) * 0.6
    along = np.maximum(np.hypot(major, 0.3 * canvas.cell) / scale, 1e-3)
    across = minor / np.hypot(height, opening)
    disk = along * scipy.special.k1(along) / np.cosh(np.clip(across, -30, 30)) ** 2
    bulge = sersic(shape.sersic_n, 0.22 * shape.r_e, shape.axis_ratio, shape.position_angle)
    components = [canvas.profile(bulge)]
    if not shape.dust_lane:
        return [*components, canvas.painted(disk)]
    lane = np.exp(-0.5 * ((minor - opening * 0.4) / (0.55 * height)) ** 2)
    lane *= np.exp(-0.5 * (along / 3.0) ** 4)
    return [*components, canvas.painted(disk * (1 - 0.9 * lane)), canvas.painted(disk * lane)]
