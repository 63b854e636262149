"""A catalogue of galaxies with redshifts: bands, photometry with noise, and properties."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from astrocnn.errors import ConfigError
from astrocnn.simulation.canvas import get_canvas, import_galsim
from astrocnn.simulation.objects import make_rng
from astrocnn.simulation.redshift.population import (
    LEAST_COSINE,
    MAGNITUDE_GRID,
    POPULATIONS,
    REDSHIFTS,
    Structure,
    comoving_volume,
    distance_modulus,
    load_templates,
    sample_density,
    sample_dust,
    sample_structure,
)
from astrocnn.simulation.spectra import ZERO_POINT, SimulatedBand

__all__ = [
    "REACH",
    "SPECTRAL_SCATTER",
    "Galaxies",
    "RedshiftSurvey",
    "asinh_magnitude",
    "flux_weights",
    "model_fluxes",
    "sample_galaxies",
]

SPECTRAL_SCATTER = 0.02
"""Scatter of the flux of individual galaxies about the templates, in each band, as a fraction."""
TYPICAL_RADIUS = 1.2  # of the galaxy whose profile weighs the pixels [arcsec]
REACH = 12  # radius of the weights [pixel]
BLOCK = 4096  # galaxies sampled at a time
BRIGHTEST_CORRECTION = 0.65  # upper limit to what the K correction and least dust brighten [mag]


@dataclasses.dataclass(frozen=True)
class RedshiftSurvey:
    """A survey for photometric redshifts.

    By default to r = 19 with the seeing and depth of the Sloan survey, in the filters of LSST:
    a typical galaxy is measured at five standard deviations at u g r i z = 22.1, 23.0, 22.5,
    22.1 and 20.9.  The noise is that of the background.

    Parameters
    ----------
    bands : tuple of SimulatedBand
        Bands with the names of `population.BANDS`, on one pixel grid.
    limit : float
        Objects with a measured r magnitude brighter than this enter the catalogue.
    morphology : bool
        Whether sizes and shapes belong to the galaxy.  If not, they are those of another galaxy
        and all components have one color, so that pixels hold no information beyond the fluxes.
    """

    bands: tuple[SimulatedBand, ...] = (
        SimulatedBand("u", 0.37, 1.15, 94.0, ZERO_POINT, 1.0, 0.4),
        SimulatedBand("g", 0.48, 1.05, 43.0, ZERO_POINT, 1.0, 0.4),
        SimulatedBand("r", 0.62, 1.00, 64.0, ZERO_POINT, 1.0, 0.4),
        SimulatedBand("i", 0.75, 0.95, 94.0, ZERO_POINT, 1.0, 0.4),
        SimulatedBand("z", 0.87, 0.95, 286.0, ZERO_POINT, 1.0, 0.4),
    )
    limit: float = 19.0
    morphology: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the bands."""
        return tuple(band.name for band in self.bands)

    @property
    def selection(self) -> int:
        """Index of the r band, in which objects are selected."""
        return self.names.index("r")

    @property
    def pixel_scale(self) -> float:
        """Pixel size [arcsec]."""
        return self.bands[0].pixel_scale

    @property
    def flux_error(self) -> np.ndarray:
        """Standard deviation of a measured flux in each band [nJy], shape (n_bands,)."""
        return np.array([b.sky_sigma * np.sqrt(np.sum(flux_weights(b) ** 2)) for b in self.bands])


@functools.lru_cache(maxsize=32)
def flux_weights(band: SimulatedBand) -> np.ndarray:
    """Pixel weights about an object, with which fluxes are measured; 0 beyond `REACH` pixels.

    The flux is the sum of pixels times weights.  They are optimal for a round exponential disk of
    typical size at this seeing, and the same for all objects, so that all have the same error.
    """
    canvas = get_canvas(64, band.pixel_scale, 2)
    disk = canvas.exponential(TYPICAL_RADIUS, 1.0, 0.0)
    image = canvas.render(disk[None], np.ones((1, 1)), (band,))[0].astype(np.float64)
    middle = slice(32 - REACH, 33 + REACH)
    image = image[middle, middle]
    y, x = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1]
    image[np.hypot(x, y) > REACH] = 0.0
    return image / np.sum(image**2)


def asinh_magnitude(flux: np.ndarray, flux_error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Magnitudes that exist for every flux, including negative ones.

    Above twenty times the noise they agree with ordinary magnitudes within 0.003.

    Parameters
    ----------
    flux : ndarray of shape (..., n_bands)
        Measured flux [nJy].
    flux_error : ndarray of shape (n_bands,)
        Its standard deviation; also the softening.

    Returns
    -------
    magnitude, error : ndarray of shape (..., n_bands)
        AB [mag].

    References
    ----------
    Lupton, Gunn & Szalay 1999, AJ 118, 1406, with a softening of one standard deviation.
    """
    pogson = 2.5 / np.log(10)
    scaled = flux / (2 * flux_error)
    zero = ZERO_POINT - 2.5 * np.log10(flux_error)
    error = pogson / (2 * np.sqrt(1 + scaled**2)) * np.ones_like(flux)
    return zero - pogson * np.arcsinh(scaled), error


@dataclasses.dataclass(frozen=True)
class Galaxies:
    """Galaxies of the catalogue of a survey.

    Parameters
    ----------
    id : ndarray of shape (n,)
        Identifier of 19 digits, int64.
    z : ndarray of shape (n,)
        Redshift.
    spectral_type : ndarray of shape (n,)
        0 elliptical, 1 Sbc, 2 Scd, 3 irregular, and all between.
    absolute_magnitude : ndarray of shape (n,)
        In the rest-frame r band, without dust of either galaxy [mag].
    dust : ndarray of shape (n,)
        Dust in the line of sight through the galaxy, relative to the mean of its type.
    ebv : ndarray of shape (n,)
        Galactic reddening E(B-V) [mag].
    true_flux, flux : ndarray of shape (n, n_bands)
        Flux without and with the noise of the measurement [nJy].
    flux_error : ndarray of shape (n_bands,)
        Standard deviation of that noise [nJy].
    structure : Structure
        Sizes and shapes.
    """

    id: np.ndarray
    z: np.ndarray
    spectral_type: np.ndarray
    absolute_magnitude: np.ndarray
    dust: np.ndarray
    ebv: np.ndarray
    true_flux: np.ndarray
    flux: np.ndarray
    flux_error: np.ndarray
    structure: Structure

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, rows: np.ndarray | slice) -> Galaxies:
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return Galaxies(**{k: v if k == "flux_error" else v[rows] for k, v in values.items()})


def model_fluxes(
    z: np.ndarray,
    spectral_type: np.ndarray,
    absolute_magnitude: np.ndarray,
    dust: np.ndarray,
    ebv: np.ndarray,
    bands: tuple[str, ...],
) -> np.ndarray:
    """Fluxes [nJy] of shape (n, n_bands) of galaxies whose spectra are exactly templates.

    The arrays of shape (n,) are those of `Galaxies`.
    """
    spectra = load_templates(bands)
    apparent = absolute_magnitude + distance_modulus(z)
    apparent = apparent[:, None] + ebv[:, None] * spectra.galactic_extinction
    return 10 ** (0.4 * (ZERO_POINT - apparent)) * spectra.fluxes(z, spectral_type, dust)


def sample_galaxies(
    n: int, *, seed: int = 0, survey: RedshiftSurvey | None = None, ebv: float | None = None
) -> Galaxies:
    """The first n galaxies of a seed that are bright enough for the catalogue.

    Galaxy i of a seed is always the same, whatever `n`.  `ebv` is the Galactic reddening of all
    [mag]; by default each has its own, with a mean of 0.03.

    Raises
    ------
    ConfigError
        For a negative seed or no galaxies.
    MissingDependency
        Without galsim.

    Examples
    --------
    >>> galaxies = sample_galaxies(100, seed=1)
    >>> bool(np.all(galaxies.z < 0.4))
    True
    """
    import_galsim()
    if n < 1:
        raise ConfigError("`n` must be an integer >= 1.", received=n)
    survey = survey or RedshiftSurvey()
    blocks: list[Galaxies] = []
    while sum(map(len, blocks)) < n:
        number = len(blocks)
        block = _sample_block(make_rng(seed, "galaxies", number), survey, ebv)
        if not survey.morphology:
            block = _exchange_structure(block, make_rng(seed, "forms", number), survey)
        blocks.append(block)
    names = [field.name for field in dataclasses.fields(Galaxies)][:-2]
    columns = {name: np.concatenate([getattr(b, name) for b in blocks]) for name in names}
    structures = [dataclasses.astuple(block.structure) for block in blocks]
    structure = Structure(*map(np.concatenate, zip(*structures, strict=True)))
    return Galaxies(**columns, flux_error=survey.flux_error, structure=structure)[:n]


def _sample_block(rng: np.random.Generator, survey: RedshiftSurvey, ebv: float | None) -> Galaxies:
    """Sample `BLOCK` galaxies, faint enough that none is missed, and keep the selected ones."""
    error = survey.flux_error
    limit = 10 ** (0.4 * (ZERO_POINT - survey.limit))
    # Noise and scatter of six standard deviations can lift a galaxy above the limit.
    reach = survey.limit + BRIGHTEST_CORRECTION
    reach += 6 * 1.086 * np.hypot(error[survey.selection] / limit, SPECTRAL_SCATTER)
    grid = np.linspace(*REDSHIFTS, 1521)
    faintest = np.clip(reach - distance_modulus(grid), MAGNITUDE_GRID[0], MAGNITUDE_GRID[-1])
    step = MAGNITUDE_GRID[1] - MAGNITUDE_GRID[0]
    tables = [np.cumsum(p.luminosity_function(MAGNITUDE_GRID)) * step for p in POPULATIONS]
    numbers = [comoving_volume(grid) * np.interp(faintest, MAGNITUDE_GRID, t) for t in tables]
    totals = np.trapezoid(numbers, grid, axis=1)
    members = rng.choice(len(POPULATIONS), BLOCK, p=totals / totals.sum())
    z, spectral_type, magnitude = np.empty((3, BLOCK))
    for index, population in enumerate(POPULATIONS):
        rows = members == index
        count = int(rows.sum())
        z[rows] = sample_density(rng, grid, numbers[index], count)
        spectral_type[rows] = population.sample_types(rng, count)
        ceiling = np.interp(np.interp(z[rows], grid, faintest), MAGNITUDE_GRID, tables[index])
        magnitude[rows] = np.interp(rng.random(count) * ceiling, tables[index], MAGNITUDE_GRID)
    cosine = rng.uniform(LEAST_COSINE, 1.0, BLOCK)
    dust = sample_dust(rng, cosine)
    reddening = np.minimum(rng.exponential(0.03, BLOCK), 0.3)
    if ebv is not None:
        reddening = np.full(BLOCK, float(ebv))
    true = model_fluxes(z, spectral_type, magnitude, dust, reddening, survey.names)
    true *= np.exp(SPECTRAL_SCATTER * rng.standard_normal(true.shape))
    flux = true + error * rng.standard_normal(true.shape)
    structure = sample_structure(rng, z, spectral_type, magnitude, cosine)
    block = Galaxies(
        id=rng.integers(10**18, 9 * 10**18, BLOCK),
        z=z,
        spectral_type=spectral_type,
        absolute_magnitude=magnitude,
        dust=dust,
        ebv=reddening,
        true_flux=true,
        flux=flux,
        flux_error=error,
        structure=structure,
    )
    return block[np.flatnonzero(flux[:, survey.selection] > limit)]


def _exchange_structure(
    block: Galaxies, rng: np.random.Generator, survey: RedshiftSurvey
) -> Galaxies:
    """The same galaxies with sizes and shapes of others.

    The radius is scaled with the measured brightness, so that bright objects stay large: given
    the measured fluxes, structure and redshift are independent.
    """
    others = _sample_block(rng, survey, None)
    rows = np.arange(len(block)) % len(others)
    ratio = block.flux[:, survey.selection] / others.flux[rows, survey.selection]
    structure = others.structure[rows]
    structure = dataclasses.replace(structure, r_e=structure.r_e * ratio**0.35)
    return dataclasses.replace(block, structure=structure)
