"""Population of galaxies: numbers, types, luminosities, dust, sizes and shapes.

Three populations with a Schechter function and a range of types each, constant in comoving
density.  The posterior uses the same distributions as its prior.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt
from astropy.cosmology import FlatLambdaCDM

__all__ = [
    "DUST_GRID",
    "LEAST_COSINE",
    "MAGNITUDE_GRID",
    "POPULATIONS",
    "REDSHIFTS",
    "Population",
    "Structure",
    "bulge_logit",
    "comoving_volume",
    "distance_modulus",
    "dust_density",
    "dust_given_inclination",
    "kiloparsec_per_arcsec",
    "log_radius",
    "sample_density",
    "sample_dust",
    "sample_structure",
]

REDSHIFTS = (0.02, 0.40)
"""Range of redshifts; nearer galaxies are too large for a stamp, and rare."""
MAGNITUDE_GRID = np.arange(-25.0, -14.99, 0.01)
DUST_GRID = np.arange(0.0, 4.01, 0.02)
TYPE_GRID = np.linspace(0.0, 3.0, 3001)
LEAST_COSINE = 0.2  # of the inclination: disks have a thickness
DUST_SCATTER = 0.2  # of the natural logarithm
RADIUS_SCATTER = 0.12  # of log10
BULGE_SCATTER = 0.45  # of the logit
ARCSEC_PER_RADIAN = 206264.806
HUBBLE, MATTER = 70.0, 0.3


@dataclasses.dataclass(frozen=True)
class Population:
    """A population of galaxies.

    Parameters
    ----------
    name : str
        Name.
    magnitude : float
        Characteristic absolute magnitude M* in the rest-frame r band, AB, H0 = 70 [mag].
    slope : float
        Faint-end slope alpha.
    density : float
        Normalization phi* [per Mpc^3].
    mean_type, type_spread : float
        Center and width of the normal distribution of types, truncated at 0 and 3.
    """

    name: str
    magnitude: float
    slope: float
    density: float
    mean_type: float
    type_spread: float

    def luminosity_function(self, magnitude: npt.ArrayLike) -> np.ndarray:
        """Number per Mpc^3 and magnitude: Schechter 1976, ApJ 203, 297."""
        x = 10 ** (-0.4 * (np.asarray(magnitude) - self.magnitude))
        return 0.4 * np.log(10) * self.density * x ** (self.slope + 1) * np.exp(-x)

    def type_density(self, spectral_type: np.ndarray) -> np.ndarray:
        """Density of types, shape as `spectral_type`; the integral from 0 to 3 is 1."""
        return self._bell(spectral_type) / np.trapezoid(self._bell(TYPE_GRID), TYPE_GRID)

    def sample_types(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Types of n galaxies."""
        return sample_density(rng, TYPE_GRID, self._bell(TYPE_GRID), n)

    def _bell(self, spectral_type: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * ((spectral_type - self.mean_type) / self.type_spread) ** 2)


POPULATIONS = (
    Population("early", -21.3, -0.50, 2.1e-3, 0.10, 0.20),
    Population("spiral", -20.9, -0.90, 3.6e-3, 1.25, 0.45),
    Population("irregular", -20.0, -1.25, 2.2e-3, 2.40, 0.40),
)
"""Rounded numbers whose sum is near the luminosity function of all nearby galaxies.

References
----------
Blanton et al. 2003, ApJ 592, 819 (all galaxies); Baldry et al. 2004, ApJ 600, 681 (the red ones
are more luminous, with a shallow faint end; the blue ones have a steep one).
"""


def sample_density(
    rng: np.random.Generator, grid: np.ndarray, density: np.ndarray, n: int
) -> np.ndarray:
    """Random numbers with a tabulated density, by its inverse cumulative distribution."""
    steps = np.diff(grid) * 0.5 * (density[1:] + density[:-1])
    cumulative = np.append(0.0, np.cumsum(steps))
    return np.interp(rng.random(n) * cumulative[-1], cumulative, grid)


@functools.cache
def _cosmology() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z = np.linspace(0.001, 1.0, 2000)
    model = FlatLambdaCDM(H0=HUBBLE, Om0=MATTER)
    return z, model.distmod(z).value, model.differential_comoving_volume(z).value


def distance_modulus(z: npt.ArrayLike) -> np.ndarray:
    """Distance modulus [mag] at redshift 0.001 to 1, for flat LambdaCDM: H0 = 70, Omega_m = 0.3."""
    grid, modulus, _ = _cosmology()
    # Nearly a straight line in log z, unlike in z.
    return np.interp(np.log(np.asarray(z)), np.log(grid), modulus)


def comoving_volume(z: npt.ArrayLike) -> np.ndarray:
    """Comoving volume per unit redshift and steradian [Mpc^3], shape as `z`."""
    grid, _, element = _cosmology()
    return np.interp(np.asarray(z), grid, element)


def dust_given_inclination(dust: npt.ArrayLike, cosine: npt.ArrayLike) -> np.ndarray:
    """Density of the dust in the line of sight, relative to the mean of the type.

    `cosine` is that of the inclination: the apparent axis ratio of the disk.
    """
    dust = np.maximum(dust, 1e-9)  # where the density is 0 to all digits
    offset = np.log(dust / _median_dust(np.asarray(cosine))) / DUST_SCATTER
    return np.exp(-0.5 * offset**2) / (dust * DUST_SCATTER * np.sqrt(2 * np.pi))


def sample_dust(rng: np.random.Generator, cosine: np.ndarray) -> np.ndarray:
    """Dust of galaxies of the given inclinations, within the range of the grid."""
    dust = _median_dust(cosine) * np.exp(DUST_SCATTER * rng.standard_normal(len(cosine)))
    return np.clip(dust, DUST_GRID[0], DUST_GRID[-1])


def _median_dust(cosine: np.ndarray) -> np.ndarray:
    return 0.3 + 1.7 * (1 - cosine)


@functools.cache
def _dust_table() -> np.ndarray:
    cosines = np.linspace(LEAST_COSINE, 1.0, 401)
    density = dust_given_inclination(DUST_GRID[:, None], cosines)
    return np.trapezoid(density, cosines, axis=1) / (1 - LEAST_COSINE)


def dust_density(dust: npt.ArrayLike) -> np.ndarray:
    """Density of the dust over disks of all inclinations, shape as `dust`."""
    return np.interp(np.asarray(dust), DUST_GRID, _dust_table())


@dataclasses.dataclass(frozen=True)
class Structure:
    """Sizes and shapes of n galaxies.

    Parameters
    ----------
    spectral_type : ndarray of shape (n,)
        Type that decides how a galaxy is rendered: 0 elliptical to 3 irregular.
    r_e : ndarray of shape (n,)
        Half-light radius along the major axis [arcsec].
    b_over_t : ndarray of shape (n,)
        Bulge-to-total flux ratio in the rest-frame r band.
    cosine : ndarray of shape (n,)
        Cosine of the inclination.
    position_angle : ndarray of shape (n,)
        From north through east [deg].
    """

    spectral_type: np.ndarray
    r_e: np.ndarray
    b_over_t: np.ndarray
    cosine: np.ndarray
    position_angle: np.ndarray

    def __getitem__(self, rows: np.ndarray | slice) -> Structure:
        return Structure(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))


def kiloparsec_per_arcsec(z: np.ndarray) -> np.ndarray:
    """Transverse size of an arcsecond [kpc]."""
    angular = 10 ** (0.2 * (distance_modulus(z) - 25)) / (1 + np.asarray(z)) ** 2
    return angular * 1e3 / ARCSEC_PER_RADIAN


def log_radius(spectral_type: np.ndarray, magnitude: np.ndarray) -> np.ndarray:
    """Median log10 of the half-light radius [kpc].

    Early types are smaller at the same luminosity, and their radius rises more steeply.

    References
    ----------
    Shen et al. 2003, MNRAS 343, 978, figures 4 and 6: rounded.
    """
    late = 0.70 - 0.13 * (magnitude + 21)
    early = 0.60 - 0.24 * (magnitude + 21)
    # Dwarf ellipticals do not follow the relation of the giants.
    early = np.maximum(early, 0.25 - 0.06 * (magnitude + 19))
    share = np.clip(spectral_type, 0, 1)
    return share * late + (1 - share) * early


def bulge_logit(spectral_type: np.ndarray) -> np.ndarray:
    """Median of log(B/T / (1 - B/T)) for a type."""
    return np.interp(spectral_type, (0, 1, 2, 3), (1.8, -0.7, -2.0, -3.0))


def sample_structure(
    rng: np.random.Generator,
    z: np.ndarray,
    spectral_type: np.ndarray,
    magnitude: np.ndarray,
    cosine: np.ndarray,
) -> Structure:
    """Sizes and shapes for given redshift, type, absolute magnitude and cosine of inclination."""
    n = len(z)
    radius = 10 ** (log_radius(spectral_type, magnitude) + RADIUS_SCATTER * rng.standard_normal(n))
    logit = bulge_logit(spectral_type) + BULGE_SCATTER * rng.standard_normal(n)
    return Structure(
        spectral_type=spectral_type,
        r_e=radius / kiloparsec_per_arcsec(z),
        b_over_t=1 / (1 + np.exp(-logit)),
        cosine=np.maximum(cosine, LEAST_COSINE),
        position_angle=rng.uniform(0, 180, n),
    )
