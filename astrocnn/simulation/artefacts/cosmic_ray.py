"""Cosmic rays: tracks of charge in the detector, sharper than any star."""

from __future__ import annotations

import numpy as np

from astrocnn.simulation.artefacts.base import Camera, Drawn

__all__ = ["SEVERITY", "STAGE", "STRENGTHS", "draw"]

STAGE = "detector"
STRENGTHS = (0.015, 1.5)
SEVERITY = "S/N of the tracks"

PER_PIXEL = 1000.0  # electrons a muon frees per pixel of its path: 80 a micron, 12 microns
STEP = 0.1  # [pixel]
DIFFUSION = 0.2  # spread of the charge on its way to the gates [pixel]
WORMS = 0.2  # share of slow electrons, which are scattered on their way


def draw(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> Drawn:
    """One or more tracks, whose length follows from their angle and the detector's thickness.

    The flux through a plane from all sides has sin^2 of the angle of incidence uniform; a track
    of angle t in a detector of depth d is d tan t long and passes d / cos t of silicon.  The loss
    per step scatters as Landau found, in Moyal's form.

    Parameters
    ----------
    image : ndarray of shape (height, width)
        Stamp [flux unit].
    camera : Camera
        Where it happens.
    rng : numpy.random.Generator
        Decides number, place, angle and charge of the tracks.
    strength : float
        Share of the charge that is left, for instance in the mean of several exposures.

    Returns
    -------
    Drawn

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
        _track(charge, start, camera.thickness, rng)
    if not charge.any():
        charge[tuple(np.array(image.shape) // 2)] = PER_PIXEL * camera.thickness
    added = strength * charge / camera.gain
    made = np.minimum(image + added, np.maximum(image, camera.full_well))
    made = np.where(np.isnan(image), image, made).astype(np.float32)
    return Drawn(made, camera.visible(added), camera.signal_to_noise(added))


def _track(
    charge: np.ndarray, start: np.ndarray, thickness: float, rng: np.random.Generator
) -> None:
    """Add the electrons of one track to a map."""
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
    np.add.at(charge, (i[hit], j[hit]), loss[hit])
