"""The true posterior p(z | photometry), on a grid of redshift, type and dust.

The prior is the population from which the simulation is sampled, the likelihood is normal in
flux, and the luminosity is marginalized at every point of the grid.  Objects are selected by their
measured flux, so that the selection cancels: given the data it is a constant.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from astrocnn.errors import ConfigError
from astrocnn.simulation.redshift.galaxies import SPECTRAL_SCATTER
from astrocnn.simulation.redshift.population import (
    BANDS,
    BULGE_SCATTER,
    POPULATIONS,
    RADIUS_SCATTER,
    REDSHIFTS,
    Structure,
    bulge_logit,
    comoving_volume,
    distance_modulus,
    dust_density,
    dust_given_inclination,
    kiloparsec_per_arcsec,
    load_templates,
    log_radius,
)
from astrocnn.simulation.spectra import ZERO_POINT

__all__ = ["catalog_posterior", "posterior"]

FINEST = 0.004  # step in redshift
TYPES = 3.0 * np.linspace(0.0, 1.0, 51) ** 1.5  # dense where ellipticals are
LOG_DUST = np.linspace(np.log(0.14), np.log(3.3), 18)
NEGLIGIBLE = 32.0  # chi^2 above the best, beyond which a point of the grid is left out


@dataclasses.dataclass(frozen=True)
class _Grid:
    """Points of the grid, arrays of shape (n_points,); the model and its square: (bands, n_points).

    `model` is the flux of a galaxy of absolute magnitude 0, `prior` holds all factors that
    depend neither on the luminosity nor on the object.
    """

    bin: np.ndarray
    z: np.ndarray
    spectral_type: np.ndarray
    dust: np.ndarray
    model: np.ndarray
    squared: np.ndarray
    prior: np.ndarray
    dust_prior: np.ndarray
    shares: np.ndarray  # (n_populations, n_points)


def posterior(
    flux: npt.ArrayLike,
    flux_error: npt.ArrayLike,
    ebv: npt.ArrayLike,
    edges: npt.ArrayLike,
    *,
    structure: Structure | None = None,
) -> np.ndarray:
    """True p(z) of galaxies of the simulation, given their measured fluxes.

    Parameters
    ----------
    flux : array_like of shape (n, 5)
        Measured in u, g, r, i, z [nJy].
    flux_error : array_like of shape (5,) or (n, 5)
        Standard deviation of the noise [nJy], without the scatter of the spectra.
    ebv : array_like of shape (n,)
        Galactic reddening E(B-V) [mag].
    edges : array_like of shape (n_bins + 1,)
        Edges of the bins in redshift.
    structure : Structure, optional
        True radius, bulge and inclination, for p(z | photometry, structure): what a perfect
        measurement of these adds to the colors.

    Returns
    -------
    ndarray of shape (n, n_bins)
        Probability in each bin, summing to 1.  NaN for an object unlike any galaxy of the
        simulation, or with data that are not finite.

    Raises
    ------
    ConfigError
        For edges that do not increase or exclude all redshifts of the simulation, or noise that is
        not positive.

    References
    ----------
    Benitez 2000, ApJ 536, 571, for the likelihood at each redshift and type with a prior.

    Examples
    --------
    >>> from astrocnn.simulation.redshift import sample_galaxies
    >>> galaxies = sample_galaxies(4, seed=1)
    >>> edges = np.linspace(0, 0.4, 41)
    >>> masses = posterior(galaxies.flux, galaxies.flux_error, galaxies.ebv, edges)
    >>> masses.shape, bool(np.allclose(masses.sum(axis=1), 1))
    ((4, 40), True)
    """
    flux = np.atleast_2d(np.asarray(flux, dtype=np.float64))
    error = np.broadcast_to(np.asarray(flux_error, dtype=np.float64), flux.shape)
    ebv = np.broadcast_to(np.asarray(ebv, dtype=np.float64), flux.shape[:1])
    edges = np.asarray(edges, dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not np.all(np.diff(edges) > 0):
        raise ConfigError("`edges` must be strictly increasing.", received=edges)
    if edges[0] >= REDSHIFTS[1] or edges[-1] <= REDSHIFTS[0]:
        raise ConfigError(
            "`edges` exclude all redshifts of the simulation.",
            received=(float(edges[0]), float(edges[-1])),
            allowed=REDSHIFTS,
        )
    if not np.all(error[np.isfinite(error)] > 0):
        raise ConfigError("`flux_error` must be positive.", received=float(error.min()))
    grid = _grid(tuple(edges))
    masses = np.full((len(flux), len(edges) - 1), np.nan)
    usable = np.isfinite(flux).all(axis=1) & np.isfinite(error).all(axis=1) & np.isfinite(ebv)
    for row in np.flatnonzero(usable):
        fit = _fit(grid, flux[row], error[row], float(ebv[row]))
        own = None if structure is None else structure[row : row + 1]
        masses[row] = _masses(grid, *fit, own, len(edges) - 1)
    return masses


def catalog_posterior(
    table: Table, edges: npt.ArrayLike, *, with_structure: bool = False
) -> np.ndarray:
    """True p(z) of the rows of a catalogue of `simulate_redshift`.

    Parameters
    ----------
    table : Table
        With the columns ``flux_<band>``, ``flux_err_<band>``, ``ebv`` and, for
        `with_structure`, the truth.
    edges : array_like of shape (n_bins + 1,)
        As for `posterior`, also the result.
    with_structure : bool
        Whether to use true radius, bulge and inclination as well.  They are meaningless for a
        survey with `morphology` off.

    Raises
    ------
    ConfigError
        If a column is missing, or as `posterior` does.
    """
    names = [f"{kind}_{band}" for kind in ("flux", "flux_err") for band in BANDS]
    names += ["ebv", *(("type", "r_e", "b_over_t", "axis_ratio") if with_structure else ())]
    missing = [name for name in names if name not in table.colnames]
    if missing:
        raise ConfigError(
            "`table` is not a catalogue of a redshift simulation; columns are missing.",
            received=missing,
        )
    columns = {name: np.ma.filled(table[name], np.nan).astype(np.float64) for name in names}
    flux, error = (
        np.column_stack([columns[f"{kind}_{band}"] for band in BANDS])
        for kind in ("flux", "flux_err")
    )
    structure = None
    if with_structure:
        structure = Structure(
            spectral_type=columns["type"],
            r_e=columns["r_e"],
            b_over_t=columns["b_over_t"],
            cosine=columns["axis_ratio"],
            position_angle=np.zeros(len(table)),
        )
    return posterior(flux, error, columns["ebv"], edges, structure=structure)


@functools.lru_cache(maxsize=4)
def _grid(edges: tuple[float, ...]) -> _Grid:
    bins, redshifts, widths = [], [], []
    for number, (low, high) in enumerate(itertools.pairwise(edges)):
        low, high = max(low, REDSHIFTS[0]), min(high, REDSHIFTS[1])
        count = int(np.ceil(max(high - low, 0) / FINEST - 1e-9))
        middles = low + (np.arange(count) + 0.5) * (high - low) / max(count, 1)
        redshifts.append(middles)
        bins.append(np.full(count, number))
        widths.append(np.full(count, (high - low) / max(count, 1)))
    z, width, bin_index = map(np.concatenate, (redshifts, widths, bins))
    steps = np.sqrt(np.linspace(0.0, 1.0, len(TYPES)))  # steps between the types, up to a factor
    steps[-1] *= 0.5  # trapezoids
    dust = np.exp(LOG_DUST)
    shape = (len(z), len(TYPES), len(dust))
    each = [np.broadcast_to(a, shape).ravel() for a in np.ix_(z, TYPES, dust)]
    distance = 10 ** (0.4 * (ZERO_POINT - distance_modulus(each[0])))
    model = np.ascontiguousarray(load_templates(BANDS).fluxes(*each).T) * distance
    prior = (comoving_volume(z) * width)[:, None, None] * steps[:, None] * dust
    shares = np.stack([p.density * p.type_density(TYPES) for p in POPULATIONS])
    return _Grid(
        bin=np.broadcast_to(bin_index[:, None, None], shape).ravel(),
        z=each[0],
        spectral_type=each[1],
        dust=each[2],
        model=model,
        squared=model**2,
        prior=np.broadcast_to(prior, shape).ravel(),
        dust_prior=np.broadcast_to(dust_density(dust), shape).ravel(),
        shares=np.stack([np.broadcast_to(s[:, None], shape).ravel() for s in shares]),
    )


def _fit(
    grid: _Grid, flux: np.ndarray, error: np.ndarray, ebv: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Best luminosity at each point: its chi^2, value and inverse variance, (n_points,)."""
    variance = error**2 + (SPECTRAL_SCATTER * np.maximum(flux, 0)) ** 2
    through = 10 ** (-0.4 * ebv * load_templates(BANDS).galactic_extinction)
    # Not "@": over five bands its threads cost more than they save.
    projection = np.einsum("b,bg->g", through * flux / variance, grid.model)
    precision = np.einsum("b,bg->g", through**2 / variance, grid.squared)
    best = projection / precision
    chi2 = np.sum(flux**2 / variance) - best * projection
    chi2[best <= 0] = np.inf
    return chi2, best, precision


def _masses(
    grid: _Grid,
    chi2: np.ndarray,
    best: np.ndarray,
    precision: np.ndarray,
    structure: Structure | None,
    n_bins: int,
) -> np.ndarray:
    lowest = chi2.min()
    near = np.flatnonzero(chi2 < lowest + NEGLIGIBLE)
    luminosity, sigma = best[near], precision[near] ** -0.5
    density = np.zeros(len(near))
    for population, share in zip(POPULATIONS, grid.shares[:, near], strict=True):
        unit = 10 ** (0.4 * population.magnitude)
        x = unit * luminosity
        # The Schechter function averaged over the normal error of the luminosity, to second order.
        bend = ((population.slope - x) ** 2 - population.slope) * (sigma / luminosity) ** 2
        mean = np.exp(population.slope * np.log(x) - x) * (1 + 0.5 * bend)
        density += share * unit * mean
    density *= sigma * grid.prior[near] * np.exp(-0.5 * (chi2[near] - lowest))
    if structure is None:
        density *= grid.dust_prior[near]
    else:
        density *= _structure_density(grid, near, luminosity, structure)
    masses = np.bincount(grid.bin[near], density, minlength=n_bins)
    total = masses.sum()
    return masses / total if total > 0 else np.full(n_bins, np.nan)


def _structure_density(
    grid: _Grid, near: np.ndarray, luminosity: np.ndarray, structure: Structure
) -> np.ndarray:
    """Density of a structure, and of the dust given its inclination, at points of the grid."""
    z, spectral_type = grid.z[near], grid.spectral_type[near]
    radius = np.log10(structure.r_e * kiloparsec_per_arcsec(z))
    radius = (radius - log_radius(spectral_type, -2.5 * np.log10(luminosity))) / RADIUS_SCATTER
    bulge = np.log(structure.b_over_t / (1 - structure.b_over_t))
    bulge = (bulge - bulge_logit(spectral_type)) / BULGE_SCATTER
    bells = np.exp(-0.5 * (radius**2 + bulge**2))
    return bells * dust_given_inclination(grid.dust[near], structure.cosine)
