"""Classes of objects: how the shape of each is sampled, and how its components are rendered.

A sampler, ``sample(rng, r_e) -> Shape``, fixes the flux of every component; a renderer,
``render(shape, canvas, rng)``, returns their transforms, each of unit flux, in the order of
``shape.components``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.ndimage
import scipy.special

from astrocnn.simulation.canvas import Canvas
from astrocnn.simulation.spectra import Component

__all__ = ["CLASSES", "Shape", "sample_shape"]

NAN = float("nan")
HALF_LIGHT = 1.678  # half-light radius of an exponential disk [scale lengths]


@dataclasses.dataclass(frozen=True)
class Shape:
    """True shape of an object; NaN or 0 where a quantity has no meaning.

    Parameters
    ----------
    label : str
        Class.
    components : tuple of Component
        Flux and color of each component that the class renders, in that order.
    extent : float
        Radius that holds nearly all light [arcsec].
    r_e : float
        Half-light radius along the major axis, of the larger component of a merger [arcsec].
    b_over_t : float
        Bulge-to-total flux ratio at 0.62 micron.
    sersic_n : float
        Sersic index of the bulge.
    axis_ratio : float
        Axis ratio of the bulge or of an elliptical.
    inclination : float
        Inclination of the disk, 90 for edge-on [deg].
    position_angle : float
        Direction of the major axis, from north through east [deg].
    n_arms : int
        Number of spiral arms.
    pitch : float
        Pitch angle of the arms [deg].
    handedness : int
        1 when an arm followed outwards turns counterclockwise on the sky (north up, east left),
        -1 when clockwise.
    bar, dust_lane : bool
        Whether there is a bar, and whether a dust lane crosses the disk.
    separation : float
        Distance between the two nuclei of a merger [arcsec].
    """

    label: str
    components: tuple[Component, ...]
    extent: float
    r_e: float = NAN
    b_over_t: float = NAN
    sersic_n: float = NAN
    axis_ratio: float = NAN
    inclination: float = NAN
    position_angle: float = NAN
    n_arms: int = 0
    pitch: float = NAN
    handedness: int = 0
    bar: bool = False
    dust_lane: bool = False
    separation: float = NAN

    def render(self, canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
        """Transforms of unit flux, shape (n_components, cells, cells // 2 + 1)."""
        return np.stack(RENDERERS[self.label](self, canvas, rng))


def sample_shape(label: str, rng: np.random.Generator, r_e: float) -> Shape:
    """A random shape of a class, for a typical half-light radius [arcsec]."""
    return SAMPLERS[label](rng, r_e)


# Ellipticals: an old Sersic spheroid; a third have the faint smooth disk of an S0.


def sample_elliptical(rng: np.random.Generator, r_e: float) -> Shape:
    """A spheroid with axis ratio 0.45 to 1; a third have a disk of up to 40 % of the light."""
    disk = float(rng.uniform(0.1, 0.4)) if rng.random() < 1 / 3 else 0.0
    tilt = float(rng.normal(0, 0.35))
    components = [Component(1 - disk, "old", tilt)]
    if disk:
        components.append(Component(disk, "old", tilt + 0.1))
    axis_ratio = float(rng.uniform(0.45, 1.0))
    r_e *= 0.8
    return Shape(
        "elliptical",
        tuple(components),
        extent=6 * r_e,
        r_e=r_e,
        b_over_t=1 - disk,
        # Steps of a half: galsim prepares each Sersic index once.
        sersic_n=float(rng.choice((2.5, 3.0, 3.5, 4.0, 4.5, 5.0))),
        axis_ratio=axis_ratio,
        position_angle=float(rng.uniform(0, 180)),
    )


def render_elliptical(shape: Shape, canvas: Canvas, rng: np.random.Generator) -> list[np.ndarray]:
    """The spheroid, then the disk where there is one."""
    q, angle = shape.axis_ratio, shape.position_angle
    components = [canvas.sersic(shape.sersic_n, shape.r_e, q, angle)]
    if len(shape.components) > 1:
        components.append(canvas.exponential(1.3 * shape.r_e, max(q - 0.15, 0.3), angle))
    return components


# Spirals: a bulge, an exponential disk and logarithmic arms; a third have a bar.


def sample_spiral(rng: np.random.Generator, r_e: float) -> Shape:
    """A disk inclined by up to 70 degrees with 2 to 4 arms of either handedness."""
    bulge = float(rng.uniform(0.03, 0.35))
    bar = bool(rng.random() < 1 / 3)
    barred = float(rng.uniform(0.08, 0.16)) if bar else 0.0
    disk = 1 - bulge - barred
    arms = disk * float(rng.uniform(0.22, 0.55))
    tilt = float(rng.normal(0, 0.35))
    components = [
        Component(bulge, "old", tilt),
        Component(disk - arms, "disk", tilt),
        Component(arms, "young", tilt),
    ]
    if bar:
        components.append(Component(barred, "old", tilt))
    return Shape(
        "spiral",
        tuple(components),
        extent=4.5 * r_e,
        r_e=r_e,
        b_over_t=bulge,
        sersic_n=float(rng.choice((2.5, 4.0))),
        axis_ratio=float(rng.uniform(0.7, 1.0)),
        inclination=float(np.degrees(np.arccos(rng.uniform(0.35, 1.0)))),
        position_angle=float(rng.uniform(0, 180)),
        n_arms=int(rng.choice([2, 3, 4], p=[0.7, 0.15, 0.15])),
        pitch=float(rng.uniform(11, 28)),
        handedness=int(rng.choice([-1, 1])),
        bar=bar,
    )


def render_spiral(shape: Shape, canvas: Canvas, rng: np.random.Generator) -> list[np.ndarray]:
    """Bulge, smooth disk, arms, and the bar where there is one."""
    angle = shape.position_angle
    flattening = float(np.cos(np.radians(shape.inclination)))
    bulge_ratio = max(flattening, shape.axis_ratio)
    phase = rng.uniform(0, 2 * np.pi)
    major, minor = canvas.axes(angle)
    minor = minor / flattening  # in the plane of the disk
    radius, azimuth = np.hypot(major, minor), np.arctan2(minor, major)
    components = [
        canvas.sersic(shape.sersic_n, 0.25 * shape.r_e, bulge_ratio, angle),
        canvas.exponential(shape.r_e, flattening, angle),
        canvas.image(_arms(shape, radius, azimuth, phase, canvas.cells, rng)),
    ]
    if shape.bar:
        length = shape.r_e / HALF_LIGHT
        along = radius * np.cos(azimuth - phase) / length
        across = radius * np.sin(azimuth - phase) / (0.28 * length)
        # A Ferrers bar of index 2 with a smooth edge.
        components.append(canvas.image(np.exp(-((along**2 + across**2) ** 1.5))))
    return components


def _arms(
    shape: Shape,
    radius: np.ndarray,
    azimuth: np.ndarray,
    phase: float,
    cells: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Surface brightness of logarithmic arms in the plane of the disk."""
    scale = shape.r_e / HALF_LIGHT
    start = scale * (1.0 if shape.bar else rng.uniform(0.4, 0.8))
    winding = np.log(np.maximum(radius, 0.05 * scale) / start) / np.tan(np.radians(shape.pitch))
    azimuth = azimuth - shape.handedness * winding - phase
    # Arms of real galaxies are not exactly logarithmic, and not equally strong.
    azimuth = azimuth + rng.uniform(0, 0.3) * np.sin(radius / scale * rng.uniform(1, 2.5))
    sharpness = rng.uniform(2.0, 5.0)
    pattern = np.exp(sharpness * (np.cos(shape.n_arms * azimuth) - 1))
    pattern *= 1 + rng.uniform(0, 0.4) * np.cos(azimuth + rng.uniform(0, 6))
    envelope = np.exp(-radius / (1.15 * scale)) * -np.expm1(-((radius / start) ** 3))
    # Patches of star formation, about a third of a scale length across.
    patches = rng.normal(0, 0.55, (24, 24)).astype(np.float32)
    patches = scipy.ndimage.zoom(patches, cells / 24, order=1, grid_mode=True, mode="grid-wrap")
    return np.asarray(pattern * envelope * np.exp(patches))


# Edge-on disks: thin, with a bulge, and most of them with a dust lane.


def sample_edge_on(rng: np.random.Generator, r_e: float) -> Shape:
    """A disk inclined by 80 to 90 degrees; what lies behind the lane is a component of its own."""
    bulge = float(rng.uniform(0.0, 0.35))
    dusty = bool(rng.random() < 0.65)
    hidden = float(rng.uniform(0.3, 0.5)) if dusty else 0.0
    tilt = float(rng.normal(0, 0.35))
    spectrum = "old" if rng.random() < 0.25 else "disk"
    components = [
        Component(bulge, "old", tilt),
        Component((1 - bulge) * (1 - hidden), spectrum, tilt, 0.1),
    ]
    if dusty:
        a_v = float(rng.uniform(1.2, 3.0))
        components.append(Component((1 - bulge) * hidden, spectrum, tilt, a_v))
    r_e *= 1.25
    return Shape(
        "edge_on",
        tuple(components),
        extent=4.2 * r_e,
        r_e=r_e,
        b_over_t=bulge,
        sersic_n=2.5,
        axis_ratio=float(rng.uniform(0.55, 0.9)),
        inclination=float(rng.uniform(80, 90)),
        position_angle=float(rng.uniform(0, 180)),
        dust_lane=dusty,
    )


def render_edge_on(shape: Shape, canvas: Canvas, rng: np.random.Generator) -> list[np.ndarray]:
    """Bulge, disk in front of the lane, disk behind it.

    References
    ----------
    van der Kruit & Searle 1981, A&A 95, 105: an edge-on exponential disk is x K1(x) along and
    sech^2 across its plane.
    """
    scale = shape.r_e / HALF_LIGHT
    height = scale * rng.uniform(0.12, 0.22)
    major, minor = canvas.axes(shape.position_angle)
    warp = rng.normal(0, 0.004) * major * np.abs(major) / scale
    minor = minor - warp
    # Not exactly edge-on: the disk opens to an ellipse of this half height.
    opening = scale * np.cos(np.radians(shape.inclination)) * 0.6
    along = np.maximum(np.hypot(major, 0.3 * canvas.cell) / scale, 1e-3)
    across = minor / np.hypot(height, opening)
    disk = along * scipy.special.k1(along) / np.cosh(np.clip(across, -30, 30)) ** 2
    components = [
        canvas.sersic(shape.sersic_n, 0.22 * shape.r_e, shape.axis_ratio, shape.position_angle)
    ]
    if not shape.dust_lane:
        return [*components, canvas.image(disk)]
    lane = np.exp(-0.5 * ((minor - opening * 0.4) / (0.55 * height)) ** 2)
    lane *= np.exp(-0.5 * (along / 3.0) ** 4)
    return [*components, canvas.image(disk * (1 - 0.9 * lane)), canvas.image(disk * lane)]


# Mergers: two disturbed galaxies within about two half-light radii, with tails and a bridge.


def sample_merger(rng: np.random.Generator, r_e: float) -> Shape:
    """Two galaxies with a flux ratio of 1 to 4; 15 to 40 % of the light is debris."""
    debris = float(rng.uniform(0.15, 0.4))
    second = (1 - debris) * float(rng.uniform(0.2, 0.5))
    first = 1 - debris - second
    tilt = float(rng.normal(0, 0.35))
    red = rng.random() < 0.3
    components = (
        Component(first, "old" if red else "disk", tilt),
        Component(second, "old" if rng.random() < 0.4 else "disk", float(rng.normal(tilt, 0.2))),
        Component(debris, "disk" if red else "young", tilt),
    )
    separation = r_e * float(rng.uniform(0.8, 2.0))
    return Shape(
        "merger",
        components,
        extent=separation + 5.0 * r_e,
        r_e=0.85 * r_e,
        axis_ratio=float(rng.uniform(0.5, 1.0)),
        position_angle=float(rng.uniform(0, 360)),
        separation=separation,
    )


def render_merger(shape: Shape, canvas: Canvas, rng: np.random.Generator) -> list[np.ndarray]:
    """The two galaxies around their common center of light, then tails and bridge together."""
    angle = np.radians(90 + shape.position_angle)
    direction = np.array([np.cos(angle), np.sin(angle)])
    first, second = (component.weight for component in shape.components[:2])
    ratio = second / (first + second)
    centers = (-ratio * shape.separation * direction, (1 - ratio) * shape.separation * direction)
    sizes = (shape.r_e, shape.r_e * np.sqrt(ratio / (1 - ratio)))
    components = []
    for (x, y), size in zip(centers, sizes, strict=True):
        disk = rng.random() < 0.6
        geometry = 0.8 * size, rng.uniform(0.5, 1.0), rng.uniform(0, 180), (x, y)
        components.append(canvas.exponential(*geometry) if disk else canvas.sersic(2.5, *geometry))
    handedness = int(rng.choice([-1, 1]))
    knots = [
        _tail(rng, centers[0], angle + np.pi, sizes[0], handedness, 1.0),
        _tail(rng, centers[1], angle, sizes[1], handedness, rng.uniform(0.1, 0.8)),
        _bridge(rng, centers, sizes[0]),
    ]
    return [*components, canvas.gaussians(*np.concatenate(knots, axis=1))]


def _tail(
    rng: np.random.Generator,
    center: np.ndarray,
    angle: float,
    r_e: float,
    handedness: int,
    strength: float,
) -> np.ndarray:
    """Knots along a tidal tail: x, y, width, weight."""
    along = np.linspace(0, 1, 40)
    radius = r_e * (0.9 + rng.uniform(1.8, 3.2) * along)
    turn = angle + handedness * (rng.uniform(-0.6, 0.3) + rng.uniform(1.0, 2.4) * along)
    width = r_e * (0.22 + 0.2 * along)
    weight = strength * np.exp(-rng.uniform(0.3, 1.2) * along) * rng.gamma(4, 0.25, along.size)
    x, y = center[0] + radius * np.cos(turn), center[1] + radius * np.sin(turn)
    return np.stack([x, y, width, weight])


def _bridge(
    rng: np.random.Generator, centers: tuple[np.ndarray, np.ndarray], r_e: float
) -> np.ndarray:
    """Knots between the nuclei: x, y, width, weight."""
    along = rng.uniform(-0.2, 1.2, 16)
    middle = centers[0][:, None] * (1 - along) + centers[1][:, None] * along
    middle += rng.normal(0, 0.35 * r_e, middle.shape)
    width = np.full(along.size, 0.3 * r_e)
    weight = rng.gamma(2, 0.5 * 0.6 * 40 / along.size, along.size) * 0.6
    return np.stack([middle[0], middle[1], width, weight])


# Irregulars have no sampler here: their shapes come from the population with redshifts.


def render_irregular(shape: Shape, canvas: Canvas, rng: np.random.Generator) -> list[np.ndarray]:
    """A faint bulge, a disk, and clumps of star formation to one side of it."""
    flattening = max(float(np.cos(np.radians(shape.inclination))), 0.35)
    angle = shape.position_angle
    n = int(rng.integers(5, 14))
    radius = 0.7 * shape.r_e * np.abs(rng.standard_normal(n))
    azimuth = rng.uniform(0, 2 * np.pi, n)
    major = radius * np.cos(azimuth) + 0.35 * shape.r_e * rng.standard_normal()
    minor = flattening * radius * np.sin(azimuth)
    sine, cosine = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    return [
        canvas.sersic(shape.sersic_n, 0.25 * shape.r_e, flattening, angle),
        canvas.exponential(shape.r_e, flattening, angle),
        canvas.gaussians(
            -major * sine - minor * cosine,
            major * cosine - minor * sine,
            rng.uniform(0.06, 0.25, n) * shape.r_e,
            rng.exponential(1.0, n),
        ),
    ]


def sample_star(rng: np.random.Generator, r_e: float) -> Shape:
    """A point with the color of a black body of 3,300 to 9,000 K."""
    temperature = float(rng.triangular(3300, 4500, 9000))
    return Shape("star", (Component(1.0, temperature, float(rng.normal(0, 0.15))),), extent=0.0)


def render_star(shape: Shape, canvas: Canvas, rng: np.random.Generator) -> list[np.ndarray]:
    """One point."""
    return [canvas.point()]


SAMPLERS: dict[str, Callable[[np.random.Generator, float], Shape]] = {
    "edge_on": sample_edge_on,
    "elliptical": sample_elliptical,
    "merger": sample_merger,
    "spiral": sample_spiral,
    "star": sample_star,
}
RENDERERS: dict[str, Callable[[Shape, Canvas, np.random.Generator], list[np.ndarray]]] = {
    "edge_on": render_edge_on,
    "elliptical": render_elliptical,
    "irregular": render_irregular,
    "merger": render_merger,
    "spiral": render_spiral,
    "star": render_star,
}
CLASSES: tuple[str, ...] = tuple(SAMPLERS)
"""Labels of the truth catalogue, in alphabetical order."""
