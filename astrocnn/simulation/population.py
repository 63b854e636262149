"""The mixture of objects: class, brightness, size and dust of each, from its own seed."""

from __future__ import annotations

import dataclasses

import numpy as np

from astrocnn.errors import ConfigError
from astrocnn.simulation.canvas import Canvas, canvas
from astrocnn.simulation.classes import class_named
from astrocnn.simulation.presets import NANOJANSKY_ZERO_POINT, Preset
from astrocnn.simulation.shape import Shape
from astrocnn.simulation.spectra import extinction

__all__ = ["SkyObject", "draw_object", "generator"]

# What a stream of random numbers is for; part of its seed, so that streams never meet.
STREAMS = {
    "form": 1,
    "paint": 2,
    "place": 3,
    "noise": 4,
    "mask": 5,
    "neighbors": 6,
    "rows": 7,
    "galaxies": 21,
    "forms": 22,
    "pixels": 23,
    "artefacts": 71,
}
CANVAS_SIZES = (32, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512)


def generator(seed: int, stream: str, *numbers: int) -> np.random.Generator:
    """Random numbers that depend on the seed, their purpose and the numbers, and nothing else."""
    if seed < 0:
        raise ConfigError("The seed is a whole number, not negative.", received=seed)
    return np.random.default_rng([seed, STREAMS[stream], *numbers, len(numbers) + 1])


@dataclasses.dataclass(frozen=True)
class SkyObject:
    """One object of the simulated sky, without its position.

    Parameters
    ----------
    seed, index : int
        Seed of the simulation and number of the object; they determine everything else.
    id : int
        Identifier of 19 digits.
    shape : Shape
        Form.
    magnitude : float
        AB magnitude at the wavelength of the preset, before Galactic dust [mag].
    ebv : float
        Galactic reddening E(B-V) [mag].
    """

    seed: int
    index: int
    id: int
    shape: Shape
    magnitude: float
    ebv: float

    def fluxes(self, preset: Preset) -> np.ndarray:
        """Flux of each component in each band, as it arrives [nJy].

        Returns
        -------
        ndarray of shape (n_components, n_bands)
        """
        wavelengths = np.append(preset.wavelengths, preset.wavelength)
        fluxes = np.stack([light.fluxes(wavelengths) for light in self.shape.lights])
        total = 10 ** (0.4 * (NANOJANSKY_ZERO_POINT - self.magnitude))
        fluxes *= total / fluxes[:, -1].sum()
        fluxes *= 10 ** (-0.4 * extinction(wavelengths, 3.1 * self.ebv))
        return fluxes[:, :-1]

    def magnitudes(self, preset: Preset) -> np.ndarray:
        """AB magnitude in each band, as observed, shape (n_bands,)."""
        return NANOJANSKY_ZERO_POINT - 2.5 * np.log10(self.fluxes(preset).sum(axis=0))

    def canvas(self, pixel_scale: float, fwhm: float, oversampling: int) -> Canvas:
        """A canvas large enough for the object seen with the given seeing."""
        radius = (self.shape.extent + 4 * fwhm) / pixel_scale
        size = next((s for s in CANVAS_SIZES if s >= 2 * radius + 4), CANVAS_SIZES[-1])
        return canvas(size, pixel_scale, oversampling)

    def components(self, canvas: Canvas) -> np.ndarray:
        """Transforms of the components on a canvas, each of unit flux."""
        rng = generator(self.seed, "paint", self.index)
        return np.stack(class_named(self.shape.label).paint(self.shape, canvas, rng))


def draw_object(seed: int, index: int, preset: Preset) -> SkyObject:
    """Object `index` of the population of a preset."""
    rng = generator(seed, "form", index)
    labels = list(preset.fractions)
    shares = np.array([preset.fractions[label] for label in labels], dtype=np.float64)
    label = str(rng.choice(labels, p=shares / shares.sum()))
    bright, faint = preset.magnitudes
    # Inverse of the cumulative counts between the two ends, N ~ 10^(slope m).
    low, high = 10 ** (preset.counts_slope * bright), 10 ** (preset.counts_slope * faint)
    magnitude = float(np.log10(rng.uniform(low, high)) / preset.counts_slope)
    dex = -preset.radius_slope * (magnitude - 0.5 * (bright + faint))
    dex += preset.radius_scatter * rng.normal()
    return SkyObject(
        seed=seed,
        index=index,
        id=int(rng.integers(10**18, 9 * 10**18)),
        shape=class_named(label).draw(rng, float(preset.radius * 10**dex)),
        magnitude=magnitude,
        ebv=float(min(rng.exponential(0.03), 0.3)),
    )
