"""Artefacts of the telescope and its sky: defocus and drift, ghosts, satellite trails."""

from __future__ import annotations

import numpy as np
from scipy.special import gamma, j1

from astrocnn.simulation.artefacts.base import ArtefactResult, Camera, artefact, offsets
from astrocnn.simulation.spectra import MOFFAT_BETA

__all__ = ["defocus", "ghost", "line", "satellite_trail"]

OBSCURATION = 0.38  # radius of the secondary mirror's shadow over that of the pupil
TRAILED = 0.5  # fraction of blurred images that are trailed and not out of focus
PER_LENGTH = 12.0  # flux of a trail per pixel of length at strength 1 [sky sigma]


@artefact(stage="optics", strengths=(0.5, 4.0), severity="width of the blur over that of a star")
def defocus(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> ArtefactResult:
    """The image of a defocused pupil, a ring, or of a drift, a line, for each point.

    The sky noise arises behind the optics and is not blurred: the blur removes a known part of it
    in each Fourier mode, and exactly that is added again.  At strength 1 the radius of the ring is
    1.5 widths of the point spread function; a drift is 3.3 times the radius.
    """
    radius = 1.5 * strength * camera.fwhm
    trailed = rng.random() < TRAILED
    angle = rng.uniform(0, np.pi)
    pad = int(np.ceil(4 * radius)) + 4
    full = np.pad(np.where(np.isfinite(image), image, np.nanmedian(image)), pad, mode="symmetric")
    fy = np.fft.fftfreq(full.shape[0])[:, None]
    fx = np.fft.rfftfreq(full.shape[1])
    if trailed:
        length = 3.3 * radius
        kernel = np.sinc(length * (fx * np.cos(angle) + fy * np.sin(angle)))
        spread = length / np.sqrt(12)
    else:
        f = np.hypot(fx, fy)
        kernel = _disk_transform(f * radius)
        kernel = kernel - OBSCURATION**2 * _disk_transform(f * radius * OBSCURATION)
        kernel /= 1 - OBSCURATION**2
        spread = radius * np.sqrt(1 + OBSCURATION**2) / 2
    blurred = np.fft.irfft2(np.fft.rfft2(full) * kernel, s=full.shape)
    lost = camera.noise_transfer(full.shape) * np.sqrt(np.maximum(1 - kernel**2, 0))
    blurred += camera.sigma * camera.noise(full.shape, rng, lost)
    inside = (slice(pad, pad + image.shape[0]), slice(pad, pad + image.shape[1]))
    changed = np.where(np.isfinite(image), blurred[inside], image).astype(np.float32)
    width = float(spread * 2.355 / camera.fwhm)
    return ArtefactResult(changed, np.ones(image.shape, bool), width)


def _disk_transform(z: np.ndarray) -> np.ndarray:
    """Fourier transform of a disk of unit flux at frequency times radius."""
    u = 2 * np.pi * np.where(z > 1e-9, z, 1.0)
    return np.where(z > 1e-9, 2 * j1(u) / u, 1.0)


@artefact(stage="sky", strengths=(0.15, 4.0), severity="S/N of the ghost")
def ghost(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> ArtefactResult:
    """The out-of-focus image of the pupil, from light reflected twice.

    A faint ring with the shadows of the secondary mirror and its vanes; `strength` is the surface
    brightness in the middle of the ring [sky sigma per pixel].
    """
    side = min(image.shape)
    radius = rng.uniform(0.17, 0.36) * side
    # At least half of the ring falls on the stamp.
    x, y = rng.uniform(0.1, 0.9, 2) * (image.shape[1] - 1, image.shape[0] - 1)
    turn = rng.uniform(0, 2 * np.pi)
    flattening = rng.uniform(0.88, 1.0)
    slope, limb = rng.uniform(0.0, 0.3), rng.uniform(0.0, 0.5)
    dx, dy = offsets(image.shape, x, y)
    along = (dx * np.cos(turn) + dy * np.sin(turn)) / radius
    across = (dy * np.cos(turn) - dx * np.sin(turn)) / (radius * flattening)
    r = np.hypot(along, across)
    soft = max(1.2, camera.fwhm) / radius
    # The shadow of the secondary mirror is off-center where the ghost is off the axis.
    hole = np.hypot(along - 0.12 * slope / 0.3, across)
    light = _smooth_step((1 - r) / soft) * _smooth_step((hole - OBSCURATION) / soft)
    for vane in range(camera.vanes):
        direction = turn + 2 * np.pi * vane / camera.vanes
        forward = along * np.cos(direction) + across * np.sin(direction)
        aside = across * np.cos(direction) - along * np.sin(direction)
        shadow = np.exp(-0.5 * (aside / (0.6 * soft + 0.02)) ** 2) * (forward > 0)
        light *= 1 - 0.8 * shadow
    light *= (1 + slope * along) * (1 + limb * np.clip(r, 0, 1) ** 6)
    return camera.add_light(image, strength * camera.sigma * np.maximum(light, 0), rng)


def _smooth_step(z: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1 + np.tanh(z)))


@artefact(stage="sky", strengths=(0.05, 5.0), severity="S/N of the trail")
def satellite_trail(
    image: np.ndarray, camera: Camera, rng: np.random.Generator, strength: float = 1.0
) -> ArtefactResult:
    """A straight trail whose brightness varies slowly as the satellite turns.

    It is as sharp as the optics or a little wider; `strength` is in 12 sky sigmas per pixel of
    length.
    """
    height, width = image.shape
    x, y = rng.uniform(0.15, 0.85, 2) * (width - 1, height - 1)
    angle = rng.uniform(0, 180)
    # A body at a finite distance is out of focus by the size of the mirror seen from there.
    blur = rng.uniform(0, 2.5) * camera.fwhm if rng.random() < 0.5 else 0.0
    light = line(image.shape, x, y, angle, blur, camera)
    dx, dy = offsets(image.shape, x, y)
    along = dx * np.cos(np.radians(angle)) + dy * np.sin(np.radians(angle))
    wave = 2 * np.pi * along / (rng.uniform(0.7, 3.0) * max(image.shape))
    light *= 1 + rng.uniform(0, 0.3) * np.sin(wave + rng.uniform(0, 2 * np.pi))
    return camera.add_light(image, strength * PER_LENGTH * camera.sigma * light, rng)


def line(
    shape: tuple[int, int], x: float, y: float, angle: float, width: float, camera: Camera
) -> np.ndarray:
    """An infinite line through (x, y), of unit flux per pixel of length.

    Its direction `angle` [deg] runs from +x towards +y; its `width` [pixel] is that before
    smearing by the point spread function, whose projection is a Moffat profile too.
    """
    dx, dy = offsets(shape, x, y)
    across = dy * np.cos(np.radians(angle)) - dx * np.sin(np.radians(angle))
    a2 = (camera.fwhm / 2) ** 2 / (2 ** (1 / MOFFAT_BETA) - 1)
    beta = MOFFAT_BETA - 0.5
    ratio = float(gamma(MOFFAT_BETA - 0.5) / gamma(MOFFAT_BETA))
    norm = (MOFFAT_BETA - 1) / (np.pi * a2) * np.sqrt(np.pi * a2) * ratio
    # Pixels are about as wide as the line: average over the pixel and over the bar.
    steps = (np.arange(9) - 4) / 9 * np.hypot(1.0, width)
    return norm * np.mean([(1 + (across - s) ** 2 / a2) ** -beta for s in steps], axis=0)
