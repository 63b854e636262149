"""Artefacts of the detector: cosmic rays, defective pixels, background steps, missing coverage."""

from __future__ import annotations

import numpy as np

from astrocnn.simulation.artefacts.base import ArtefactResult, Camera, artefact, offsets

__all__ = ["background_step", "cosmic_ray", "edge", "hot_pixels"]

PER_PIXEL = 1000.0  # electrons a muon frees per pixel of its path: 80 a micron, 12 microns
STEP = 0.1  # along a track [pixel]
DIFFUSION = 0.2  # spread of the charge on its way to the gates [pixel]
WORMS = 0.2  # fraction of slow electrons, which are scattered on their way
HOT, COLUMN = 15.0, 2.5  # typical excess at strength 1 [sky sigma]


@artefact(stage="detector", strengths=(0.015, 1.5), severity="S/N of the tracks")
def cosmic_ray(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> ArtefactResult:
    """Tracks of charge, sharper than any star; `strength` is the fraction of the charge left.

    The flux through a plane from all directions has a uniform sin^2 of the angle of incidence; a
    track at angle t in a detector of depth d is d tan t long and passes d / cos t of silicon.  The
    loss per step follows the Landau distribution in Moyal's form.

    References
    ----------
    Moyal 1955, Phil. Mag. 46, 263; Groom 2004, "Cosmic rays and other nonsense in astronomical
    CCD imagers".
    """
    charge = np.zeros(image.shape)
    for number in range(1 + rng.poisson(1.5)):
        # The first one hits the central part, so that no stamp is without.
        low, high = (0.1, 0.9) if number == 0 else (0.0, 1.0)
        start = rng.uniform(low, high, 2) * image.shape
        _add_track(charge, start, camera.thickness, rng)
    if not charge.any():
        charge[tuple(np.array(image.shape) // 2)] = PER_PIXEL * camera.thickness
    return _add_charge(image, camera, strength * charge / camera.gain)


def _add_track(
    charge: np.ndarray, start: np.ndarray, thickness: float, rng: np.random.Generator
) -> None:
    """Add the electrons of one track to a map."""
    # Below 1, since a track parallel to the detector would never end.
    sine2 = rng.uniform(0, 0.999)
    tangent = np.sqrt(sine2 / (1 - sine2))
    path = thickness * np.hypot(1.0, tangent)
    azimuth = rng.uniform(0, 2 * np.pi)
    steps = max(4, round(path / STEP))
    turns = np.zeros(steps)
    density = 1.0
    if rng.random() < WORMS:
        turns = np.cumsum(rng.normal(0, 0.12, steps))
        density = rng.uniform(1.0, 2.5)
    pace = thickness * tangent / steps
    rows = start[0] + np.cumsum(pace * np.sin(azimuth + turns)) + rng.normal(0, DIFFUSION, steps)
    columns = start[1] + np.cumsum(pace * np.cos(azimuth + turns)) + rng.normal(0, DIFFUSION, steps)
    moyal = -np.log(np.maximum(rng.standard_normal(steps) ** 2, 1e-4))
    loss = density * PER_PIXEL * path / steps * np.maximum(1 + 0.2 * (moyal - 1.27), 0.2)
    i, j = np.floor(rows).astype(int), np.floor(columns).astype(int)
    hit = (i >= 0) & (i < charge.shape[0]) & (j >= 0) & (j < charge.shape[1])
    # A track crosses a pixel in several steps, of which plain indexing would add one only.
    np.add.at(charge, (i[hit], j[hit]), loss[hit])


@artefact(stage="detector", strengths=(0.3, 8.0), severity="S/N of the defects")
def hot_pixels(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> ArtefactResult:
    """Hot pixels and, half of the time, a bad column, whole or from a trap to the end.

    At strength 1 the typical excess is 15 sky sigmas in hot pixels and 2.5 in columns.
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
        affected = slice(first, None) if rng.random() < 0.5 else slice(None, height - first)
        change[affected, column:last] += sign * COLUMN * rng.uniform(0.6, 1.6)
    change *= strength * camera.sigma
    return _add_charge(image, camera, change)


def _add_charge(image: np.ndarray, camera: Camera, change: np.ndarray) -> ArtefactResult:
    """The image with a change that cannot lift a pixel above the full well."""
    changed = np.minimum(image + change, np.maximum(image, camera.full_well))
    # Where there is no data, charge makes none.
    changed = np.where(np.isnan(image), image, changed).astype(np.float32)
    return ArtefactResult(changed, camera.affected_pixels(change), camera.signal_to_noise(change))


@artefact(stage="readout", strengths=(0.1, 3.0), severity="S/N of the step")
def background_step(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> ArtefactResult:
    """Two amplifiers with different levels: an offset of `strength` sky sigmas on one side.

    The offset declines slightly away from the border, which is a row or a column.
    """
    sideways, far = rng.random() < 0.5, rng.random() < 0.5
    sign = -1.0 if rng.random() < 0.5 else 1.0
    length = image.shape[1] if sideways else image.shape[0]
    border = int(rng.integers(0.15 * length, 0.85 * length))
    at = np.arange(length)
    side = at >= border if far else at < border
    fall = 1 - rng.uniform(0, 0.4) * np.abs(at - border) / length
    profile = np.where(side, sign * strength * camera.sigma * fall, 0.0)
    change = np.broadcast_to(profile if sideways else profile[:, None], image.shape)
    mask = np.broadcast_to(side if sideways else side[:, None], image.shape).copy()
    return ArtefactResult((image + change).astype(np.float32), mask, camera.signal_to_noise(change))


@artefact(stage="coverage", strengths=(0.03, 1.2), severity="fraction of the image without data")
def edge(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> ArtefactResult:
    """NaN beyond a border, along rows or columns or, in a mosaic, slightly tilted.

    A fraction strength / (1 + strength) of the image is lost.
    """
    angle = rng.integers(4) * np.pi / 2 + (rng.normal(0, 0.1) if rng.random() < 0.5 else 0.0)
    dx, dy = offsets(image.shape, (image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2)
    along = dx * np.cos(angle) + dy * np.sin(angle)
    lost = min(max(strength / (1 + strength), 1 / image.size), 1.0)
    mask = along >= np.quantile(along, 1 - lost)
    cut = np.where(mask, np.nan, image).astype(np.float32)
    return ArtefactResult(cut, mask, float(mask.mean()))
