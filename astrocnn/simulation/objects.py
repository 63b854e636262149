"""Objects of the simulated sky: their properties, random streams, rendering and noise."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
import scipy.ndimage

from astrocnn.errors import ConfigError
from astrocnn.simulation.canvas import Canvas, get_canvas
from astrocnn.simulation.morphology import Shape, sample_shape
from astrocnn.simulation.presets import Preset
from astrocnn.simulation.spectra import ZERO_POINT, SimulatedBand, extinction

__all__ = [
    "CANVAS_SIZES",
    "RenderedObject",
    "SkyObject",
    "add_noise",
    "make_rng",
    "render_objects",
    "sample_object",
]

# The purpose of a stream of random numbers is part of its seed, so that streams never coincide.
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
OVERSAMPLING = 2  # cells per pixel side while rendering
CANVAS_SIZES = (32, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512)


def make_rng(seed: int, stream: str, *numbers: int) -> np.random.Generator:
    """A generator that depends on the seed, its purpose and the numbers, and nothing else."""
    if seed < 0:
        raise ConfigError("`seed` must be an integer >= 0.", received=seed)
    # numpy pads short seeds with zeros: without a last entry above 0, (1,) and (1, 0) would give
    # the same stream.
    return np.random.default_rng([seed, STREAMS[stream], *numbers, len(numbers) + 1])


@dataclasses.dataclass(frozen=True, eq=False)
class RenderedObject:
    """An object as `render_objects` needs it.

    Parameters
    ----------
    seed, index, shape
        As in `SkyObject`.
    fluxes : ndarray of shape (n_components, n_bands)
        Flux of each component in each band [nJy].
    margin : float
        Seeing widths between the extent of the object and the edge of its canvas.
    """

    seed: int
    index: int
    shape: Shape
    fluxes: np.ndarray
    margin: float = 4.0

    def canvas(self, pixel_scale: float, fwhm: float) -> Canvas:
        """A canvas that holds nearly all light of the object at the given seeing [arcsec]."""
        radius = (self.shape.extent + self.margin * fwhm) / pixel_scale
        size = next((s for s in CANVAS_SIZES if s >= 2 * radius + 4), CANVAS_SIZES[-1])
        return get_canvas(size, pixel_scale, OVERSAMPLING)

    def components(self, canvas: Canvas) -> np.ndarray:
        """Transforms of the components on a canvas, each of unit flux."""
        return self.shape.render(canvas, make_rng(self.seed, "paint", self.index))


@dataclasses.dataclass(frozen=True)
class SkyObject:
    """One object of the population of a preset, without its position.

    Parameters
    ----------
    seed, index : int
        Seed of the simulation and number of the object; they determine everything else.
    id : int
        Identifier of 19 digits.
    shape : Shape
        True shape.
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

    def component_fluxes(self, preset: Preset) -> np.ndarray:
        """Flux of each component in each band, behind Galactic dust [nJy]."""
        wavelengths = np.append(preset.wavelengths, preset.wavelength)
        fluxes = np.stack([item.fluxes(wavelengths) for item in self.shape.components])
        total = 10 ** (0.4 * (ZERO_POINT - self.magnitude))
        fluxes *= total / fluxes[:, -1].sum()
        fluxes *= 10 ** (-0.4 * extinction(wavelengths, 3.1 * self.ebv))
        return fluxes[:, :-1]

    def magnitudes(self, preset: Preset) -> np.ndarray:
        """Observed AB magnitude in each band, shape (n_bands,)."""
        return ZERO_POINT - 2.5 * np.log10(self.component_fluxes(preset).sum(axis=0))

    def rendered(self, preset: Preset) -> RenderedObject:
        """The object in the bands of a preset."""
        return RenderedObject(self.seed, self.index, self.shape, self.component_fluxes(preset))


def sample_object(seed: int, index: int, preset: Preset) -> SkyObject:
    """Object `index` of the population of a preset."""
    rng = make_rng(seed, "form", index)
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
        shape=sample_shape(label, rng, float(preset.radius * 10**dex)),
        magnitude=magnitude,
        ebv=float(min(rng.exponential(0.03), 0.3)),
    )


def render_objects(
    objects: Sequence[RenderedObject],
    pixels: np.ndarray,
    size: int,
    bands: tuple[SimulatedBand, ...],
) -> np.ndarray:
    """Noiseless images of objects on one grid: flux [nJy], float32, (n_bands, size, size).

    `pixels` are zero-based coordinates (x, y) of shape (n_objects, 2), which may lie outside the
    image; the bands have equal pixel sizes.
    """
    image = np.zeros((len(bands), size, size), np.float32)
    fwhm = max(band.fwhm for band in bands)
    for item, (x, y) in zip(objects, pixels, strict=True):
        canvas = item.canvas(bands[0].pixel_scale, fwhm)
        near_x, near_y = int(np.rint(x)), int(np.rint(y))
        left, low = near_x - canvas.size // 2, near_y - canvas.size // 2
        columns = slice(max(left, 0), min(left + canvas.size, size))
        rows = slice(max(low, 0), min(low + canvas.size, size))
        if columns.start >= columns.stop or rows.start >= rows.stop:
            continue
        shift = (x - near_x, y - near_y)
        stamp = canvas.render(item.components(canvas), item.fluxes, bands, shift)
        image[:, rows, columns] += stamp[
            :, rows.start - low : rows.stop - low, columns.start - left : columns.stop - left
        ]
    return image


def add_noise(
    image: np.ndarray, band: SimulatedBand, seed: int, numbers: Iterable[int]
) -> np.ndarray:
    """Add the photon noise of sky and objects to a sky-subtracted image [nJy] of one band.

    The noise depends on the seed, the `numbers` that identify the image, and the name of the band.
    """
    rng = make_rng(seed, "noise", *numbers, zlib.crc32(band.name.encode()))
    if band.noise_correlation:
        return image + _correlated_noise(rng, image, band)
    sky = (band.sky_sigma * band.gain) ** 2
    electrons = rng.poisson(np.maximum(image * band.gain, 0) + sky)
    return ((electrons - sky) / band.gain).astype(np.float32)


def _correlated_noise(
    rng: np.random.Generator, image: np.ndarray, band: SimulatedBand
) -> np.ndarray:
    variance = band.sky_sigma**2 + np.maximum(image, 0) / band.gain
    white = rng.standard_normal(image.shape, dtype=np.float32)
    smooth = scipy.ndimage.gaussian_filter(white, band.noise_correlation, mode="wrap", truncate=5)
    # Smoothing divides the variance of white noise by 4 pi sigma^2 in the continuous limit;
    # the exact factor is the sum of the squared kernel.
    probe = np.zeros((65, 65), np.float32)
    probe[32, 32] = 1
    kernel = scipy.ndimage.gaussian_filter(probe, band.noise_correlation, truncate=5)
    return np.asarray(smooth * np.sqrt(variance / np.sum(kernel**2)), dtype=np.float32)
