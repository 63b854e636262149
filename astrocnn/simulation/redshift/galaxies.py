"""Drawing galaxies: redshift, type, luminosity, dust, fluxes with noise, and form."""

from __future__ import annotations

import dataclasses

import numpy as np

from astrocnn.errors import ConfigError
from astrocnn.simulation.canvas import import_galsim
from astrocnn.simulation.population import generator
from astrocnn.simulation.presets import NANOJANSKY_ZERO_POINT
from astrocnn.simulation.redshift.forms import Forms, draw_forms
from astrocnn.simulation.redshift.photometry import SPECTRAL_SCATTER, RedshiftSurvey
from astrocnn.simulation.redshift.population import (
    FLATTEST,
    MAGNITUDE_GRID,
    POPULATIONS,
    REDSHIFTS,
    distance_modulus,
    draw_dust,
    inverse_draw,
    volume,
)
from astrocnn.simulation.redshift.templates import templates

__all__ = ["Galaxies", "draw_galaxies", "model_fluxes"]

BLOCK = 4096
BRIGHTEST_CORRECTION = 0.65  # no K correction, with least dust, makes an object brighter by more


@dataclasses.dataclass(frozen=True)
class Galaxies:
    """Galaxies of the catalogue of a survey.

    Parameters
    ----------
    id : ndarray of shape (n,)
        Identifier of 19 digits, int64.
    z : ndarray of shape (n,)
        Redshift.
    kind : ndarray of shape (n,)
        Spectral type: 0 elliptical, 1 Sbc, 2 Scd, 3 irregular, and all between.
    magnitude : ndarray of shape (n,)
        Absolute rest-frame r magnitude, without dust of either galaxy [mag].
    dust : ndarray of shape (n,)
        Dust in the line of sight through the galaxy, relative to the mean of its type.
    ebv : ndarray of shape (n,)
        Galactic reddening E(B-V) [mag].
    true_flux, flux : ndarray of shape (n, n_bands)
        Flux as it arrives, and as measured [nJy].
    flux_error : ndarray of shape (n_bands,)
        Noise of the measured flux [nJy].
    forms : Forms
        Sizes and forms.
    """

    id: np.ndarray
    z: np.ndarray
    kind: np.ndarray
    magnitude: np.ndarray
    dust: np.ndarray
    ebv: np.ndarray
    true_flux: np.ndarray
    flux: np.ndarray
    flux_error: np.ndarray
    forms: Forms

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, rows: np.ndarray | slice) -> Galaxies:
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        chosen = {k: v if k == "flux_error" else v[rows] for k, v in values.items()}
        return Galaxies(**chosen)


def model_fluxes(
    z: np.ndarray,
    kind: np.ndarray,
    magnitude: np.ndarray,
    dust: np.ndarray,
    ebv: np.ndarray,
    bands: tuple[str, ...],
) -> np.ndarray:
    """Fluxes of galaxies whose spectra are exactly templates.

    Parameters
    ----------
    z, kind, magnitude, dust, ebv : ndarray of shape (n,)
        As in `Galaxies`.
    bands : tuple of str
        Names of the bands.

    Returns
    -------
    ndarray of shape (n, n_bands)
        Flux as it arrives [nJy].
    """
    spectra = templates(bands)
    apparent = magnitude + distance_modulus(z)
    apparent = apparent[:, None] + ebv[:, None] * spectra.galactic
    return 10 ** (0.4 * (NANOJANSKY_ZERO_POINT - apparent)) * spectra.fluxes(z, kind, dust)


def draw_galaxies(
    n: int, *, seed: int = 0, survey: RedshiftSurvey | None = None, ebv: float | None = None
) -> Galaxies:
    """The first n galaxies of a seed that are bright enough for the catalogue.

    Parameters
    ----------
    n : int
        Number of galaxies.
    seed : int
        Galaxy i of a seed is always the same, whatever `n`.
    survey : RedshiftSurvey, optional
        Bands, noise and limit.
    ebv : float, optional
        Galactic reddening of all [mag]; by default each has its own, 0.03 in the mean.

    Raises
    ------
    ConfigError
        For a negative seed or no galaxies.
    MissingDependency
        Without galsim.

    Examples
    --------
    >>> galaxies = draw_galaxies(100, seed=1)
    >>> bool(np.all(galaxies.z < 0.4))
    True
    """
    import_galsim()
    if n < 1:
        raise ConfigError("There must be at least one galaxy.", received=n, allowed="n >= 1")
    survey = survey or RedshiftSurvey()
    blocks: list[Galaxies] = []
    while sum(map(len, blocks)) < n:
        block = _block(generator(seed, "galaxies", len(blocks)), survey, ebv)
        blocks.append(block if survey.morphology else _exchanged(block, seed, len(blocks), survey))
    names = [f.name for f in dataclasses.fields(Galaxies)]
    names = [name for name in names if name not in ("flux_error", "forms")]
    joined = {name: np.concatenate([getattr(b, name) for b in blocks]) for name in names}
    forms = Forms(
        *(
            np.concatenate([getattr(b.forms, f.name) for b in blocks])
            for f in dataclasses.fields(Forms)
        )
    )
    return Galaxies(**joined, flux_error=survey.flux_error, forms=forms)[:n]


def _block(rng: np.random.Generator, survey: RedshiftSurvey, ebv: float | None) -> Galaxies:
    """Draw `BLOCK` galaxies from the universe, down to where none is selected; keep the bright."""
    error = survey.flux_error
    limit = 10 ** (0.4 * (NANOJANSKY_ZERO_POINT - survey.limit))
    reach = survey.limit + BRIGHTEST_CORRECTION
    reach += 6 * 1.086 * np.hypot(error[survey.selection] / limit, SPECTRAL_SCATTER)
    grid = np.linspace(*REDSHIFTS, 1521)
    faintest = np.clip(reach - distance_modulus(grid), MAGNITUDE_GRID[0], MAGNITUDE_GRID[-1])
    step = MAGNITUDE_GRID[1] - MAGNITUDE_GRID[0]
    numbers, tables = [], []
    for population in POPULATIONS:
        table = np.cumsum(population.luminosity_function(MAGNITUDE_GRID)) * step
        tables.append(table)
        numbers.append(volume(grid) * np.interp(faintest, MAGNITUDE_GRID, table))
    totals = np.trapezoid(numbers, grid, axis=1)
    members = rng.choice(len(POPULATIONS), BLOCK, p=totals / totals.sum())
    z, kind, magnitude = np.empty((3, BLOCK))
    for place, population in enumerate(POPULATIONS):
        rows = members == place
        count = int(rows.sum())
        z[rows] = inverse_draw(rng, grid, numbers[place], count)
        kind[rows] = population.draw_kinds(rng, count)
        ceiling = np.interp(np.interp(z[rows], grid, faintest), MAGNITUDE_GRID, tables[place])
        magnitude[rows] = np.interp(rng.random(count) * ceiling, tables[place], MAGNITUDE_GRID)
    cosine = rng.uniform(FLATTEST, 1.0, BLOCK)
    dust = draw_dust(rng, cosine)
    reddening = np.minimum(rng.exponential(0.03, BLOCK), 0.3)
    if ebv is not None:
        reddening = np.full(BLOCK, float(ebv))
    true = model_fluxes(z, kind, magnitude, dust, reddening, survey.names)
    true *= np.exp(SPECTRAL_SCATTER * rng.standard_normal(true.shape))
    flux = true + error * rng.standard_normal(true.shape)
    forms = draw_forms(rng, z, kind, magnitude, cosine)
    identifier = rng.integers(10**18, 9 * 10**18, BLOCK)
    whole = Galaxies(identifier, z, kind, magnitude, dust, reddening, true, flux, error, forms)
    return whole[np.flatnonzero(flux[:, survey.selection] > limit)]


def _exchanged(block: Galaxies, seed: int, number: int, survey: RedshiftSurvey) -> Galaxies:
    """The same galaxies with forms of others.

    The radius is scaled with the measured brightness, so that bright objects stay large: given
    the measured fluxes, form and redshift are independent.
    """
    others = _block(generator(seed, "forms", number), survey, None)
    rows = np.arange(len(block)) % len(others)
    band = survey.selection
    ratio = block.flux[:, band] / others.flux[rows, band]
    forms = others.forms[rows]
    forms = dataclasses.replace(forms, r_e=forms.r_e * ratio**0.35)
    return dataclasses.replace(block, forms=forms)
