"""Artefacts of other sources: blends, diffraction spikes and saturated stars."""

from __future__ import annotations

import numpy as np

from astrocnn.simulation.artefacts.base import ArtefactResult, Camera, artefact, offsets
from astrocnn.simulation.spectra import MOFFAT_BETA

__all__ = [
    "blend",
    "bleed",
    "diffraction_spike",
    "disk",
    "halo",
    "saturated",
    "spikes",
    "star",
]

POINTS = 0.3  # fraction of blended sources that are stars
OUTSIDE = 0.7  # fraction of stars with spikes that lie outside the image
BRIGHT, UNSATURATED = 40.0, 3.0  # flux of a star outside, and largest of one inside [full well]
FAINTEST_SATURATED, SATURATED = 8.0, 60.0  # flux at strength 0, and added at 1 [full well]
FINE = 5  # cells per pixel side near the center of a point source
CORE = 8  # half side of that region [pixel]
HALO_FRACTION, HALO_CORE, HALO_BETA = 0.04, 4.0, 1.4
SPIKE_FRACTION, SPIKE_CORE = 0.015, 8.0


@artefact(stage="sky", strengths=(0.15, 3.0), severity="S/N of the second source")
def blend(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> ArtefactResult:
    """A star or a disk within the light of the central object.

    `strength` is the flux of the second source over that of the target, for which at least 40
    sky sigmas are assumed.
    """
    shape = image.shape
    flux, radius = _measure_target(image, camera)
    distance = rng.uniform(1.0, 2.0) * max(radius, camera.fwhm) + 0.5 * camera.fwhm
    angle = rng.uniform(0, 2 * np.pi)
    x = (shape[1] - 1) / 2 + distance * np.cos(angle)
    y = (shape[0] - 1) / 2 + distance * np.sin(angle)
    is_star = rng.random() < POINTS
    size = max(radius, camera.fwhm) * rng.uniform(0.6, 1.4)
    axis_ratio, tilt = rng.uniform(0.3, 1.0), rng.uniform(0, 180)
    if is_star:
        light = star(shape, x, y, camera)
    else:
        light = disk(shape, x, y, size, axis_ratio, tilt, camera)
    return camera.add_light(image, strength * flux * light, rng)


def _measure_target(image: np.ndarray, camera: Camera) -> tuple[float, float]:
    """Flux and half-light radius [pixel] of the central object."""
    shape = image.shape
    r = np.hypot(*offsets(shape, (shape[1] - 1) / 2, (shape[0] - 1) / 2))
    values = np.where(np.isfinite(image), image, 0.0).astype(np.float64)
    inside = r < max(3 * camera.fwhm, 0.1 * min(shape))
    flux = float(values[inside].sum())
    if flux <= 40 * camera.sigma:
        return 40 * camera.sigma, camera.fwhm
    order = np.argsort(r[inside], kind="stable")
    growth = np.cumsum(values[inside][order])
    return flux, float(r[inside][order][np.argmax(growth >= flux / 2)])


@artefact(stage="sky", strengths=(0.04, 4.0), severity="S/N of the spikes")
def diffraction_spike(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> ArtefactResult:
    """A star with its spikes: outside and very bright, or inside and just below saturation.

    `strength` is the brightness of the star, outside the image in 40 full wells.  The mask holds
    spikes, star and wings; the severity is that of the spikes alone.
    """
    height, width = image.shape
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    inside = rng.random() >= OUTSIDE
    towards = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(towards), np.sin(towards)])
    if inside:
        x, y = middle + direction * rng.uniform(0.15, 0.4) * (width, height)
        angle = rng.uniform(0, 360)
        flux = UNSATURATED * camera.full_well * strength / (0.3 + strength)
    else:
        beyond = rng.uniform(0.03, 0.2) * min(image.shape)
        # To the border of the image along the direction, and on.
        reach = np.min((middle + 0.5) / np.maximum(np.abs(direction), 1e-9)) + beyond
        x, y = middle + direction * reach
        # One spike crosses the image, not far from its middle.
        angle = np.degrees(towards) + 180 + rng.uniform(-20, 20)
        flux = BRIGHT * camera.full_well * strength
    bars = spikes(image.shape, x, y, float(angle), camera)
    core = star(image.shape, x, y, camera) + halo(image.shape, x, y, camera)
    result = camera.add_light(image, flux * (bars + core), rng)
    return ArtefactResult(result.image, result.mask, camera.signal_to_noise(flux * bars))


@artefact(stage="well", strengths=(0.03, 4.0), severity="S/N of the star")
def saturated(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> ArtefactResult:
    """A saturated star: full wells, charge that bleeds along the columns, wings and spikes.

    `strength` is the brightness of the star, in 60 full wells above 8.
    """
    height, width = image.shape
    x, y = rng.uniform(0.08, 0.92, 2) * (width - 1, height - 1)
    angle = rng.uniform(0, 360)
    flux = (FAINTEST_SATURATED + SATURATED * strength) * camera.full_well
    bars = flux * spikes(image.shape, x, y, angle, camera)
    wings = flux * halo(image.shape, x, y, camera) + bars
    light = flux * star(image.shape, x, y, camera) + wings
    caught = bleed(camera.add_light(image, light, rng).image, camera.full_well)
    changed = np.abs(caught - image) > 6 * camera.sigma
    mask = camera.affected_pixels(bleed(light, camera.full_well))
    mask = mask | (changed & (caught >= 0.5 * camera.full_well))
    spike = (camera.affected_pixels(bars), camera.signal_to_noise(bars))
    return ArtefactResult(
        caught.astype(np.float32),
        mask,
        camera.signal_to_noise(light),
        {"diffraction_spike": spike},
    )


def bleed(image: np.ndarray, full_well: float) -> np.ndarray:
    """Charge above the full well spreads up and down its column, half each way.

    The sum of a column is kept, except for charge that runs off its ends; NaN takes none.

    Examples
    --------
    >>> bleed(np.array([[0.0], [1.0], [7.0], [0.0], [0.0]]), 3.0).ravel().tolist()
    [0.0, 3.0, 3.0, 2.0, 0.0]
    """
    out = np.array(image, np.float64)
    for column in np.flatnonzero((out > full_well).any(axis=0)):
        values = out[:, column]
        excess = np.where(values > full_well, values - full_well, 0.0)
        values[excess > 0] = full_well
        for row in np.flatnonzero(excess):
            for step in (-1, 1):
                left = 0.5 * excess[row]
                at = row + step
                while left > 0 and 0 <= at < len(values):
                    room = full_well - values[at]
                    if room > 0:  # False for NaN
                        moved = min(left, room)
                        values[at] += moved
                        left -= moved
                    at += step
    return out


def star(shape: tuple[int, int], x: float, y: float, camera: Camera) -> np.ndarray:
    """A star of unit flux, integrated over each pixel; it may lie outside."""
    dx, dy = offsets(shape, x, y)
    image = _moffat(dx, dy, camera)
    # Only near the center is the profile curved within a pixel.
    columns = slice(max(0, round(x) - CORE), max(0, round(x) + CORE + 1))
    rows = slice(max(0, round(y) - CORE), max(0, round(y) + CORE + 1))
    near_x, near_y = dx[columns], dy[rows]
    if near_x.size and near_y.size:
        fine = (np.arange(FINE) - (FINE - 1) / 2) / FINE
        cells = _moffat(
            (near_x[:, None] + fine).ravel(), (near_y + fine).reshape(-1)[:, None], camera
        )
        image[rows, columns] = cells.reshape(near_y.size, FINE, near_x.size, FINE).mean(axis=(1, 3))
    return image


def _moffat(dx: np.ndarray, dy: np.ndarray, camera: Camera) -> np.ndarray:
    a2 = (camera.fwhm / 2) ** 2 / (2 ** (1 / MOFFAT_BETA) - 1)
    return (MOFFAT_BETA - 1) / (np.pi * a2) * (1 + (dx**2 + dy**2) / a2) ** -MOFFAT_BETA


def halo(shape: tuple[int, int], x: float, y: float, camera: Camera) -> np.ndarray:
    """The wide wings of a bright star of unit flux: light scattered in the telescope."""
    dx, dy = offsets(shape, x, y)
    a2 = (HALO_CORE * camera.fwhm) ** 2
    profile = (1 + (dx**2 + dy**2) / a2) ** -HALO_BETA
    return HALO_FRACTION * (HALO_BETA - 1) / (np.pi * a2) * profile


def spikes(shape: tuple[int, int], x: float, y: float, angle: float, camera: Camera) -> np.ndarray:
    """Diffraction spikes of a star of unit flux, one of them in direction `angle` [deg].

    Each vane scatters light into a bar across it.  Along the bar the brightness falls as the
    inverse square of the distance, as that of a slit averaged over a wide band; across, it is
    as narrow as the point spread function.
    """
    dx, dy = offsets(shape, x, y)
    core = SPIKE_CORE * camera.fwhm / 1.3
    width = max(camera.fwhm, 1.0) / 2.355
    image = np.zeros(shape)
    for number in range(camera.spikes):
        direction = np.radians(angle + 360 * number / camera.spikes)
        along = dx * np.cos(direction) + dy * np.sin(direction)
        across = dy * np.cos(direction) - dx * np.sin(direction)
        # The bar widens slowly: it is a spectrum, and long wavelengths lie farther out.
        sigma = width * (1 + 0.01 * np.abs(along))
        bar = np.exp(-0.5 * (across / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
        image += np.where(along > 0, bar / (1 + (along / core) ** 2), 0) / (np.pi / 2 * core)
    return image * SPIKE_FRACTION / camera.spikes


def disk(
    shape: tuple[int, int],
    x: float,
    y: float,
    radius: float,
    axis_ratio: float,
    angle: float,
    camera: Camera,
) -> np.ndarray:
    """An exponential disk of unit flux, with the seeing added in quadrature to its core.

    `radius` is the half-light radius along the major axis [pixel], which runs from +x towards +y
    by `angle` [deg].
    """
    dx, dy = offsets(shape, x, y)
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    along, across = dx * cosine + dy * sine, dy * cosine - dx * sine
    scale = radius / 1.678
    # Softening by the point spread function keeps the cusp off single pixels.
    core = 0.5 * camera.fwhm / scale
    r = np.sqrt((along / scale) ** 2 + (across / (axis_ratio * scale)) ** 2 + core**2)
    profile = np.exp(-r)
    norm = 2 * np.pi * scale**2 * axis_ratio * (1 + core) * np.exp(-core)
    return profile / norm
