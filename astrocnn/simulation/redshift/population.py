"""How many galaxies of which type and luminosity there are at which redshift.

Three populations with a Schechter function and a range of types each, constant in comoving
density.  The posterior uses the same numbers as its prior.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

__all__ = [
    "DUST_GRID",
    "FLATTEST",
    "MAGNITUDE_GRID",
    "POPULATIONS",
    "REDSHIFTS",
    "Population",
    "distance_modulus",
    "draw_dust",
    "dust_density",
    "dust_given_inclination",
    "inverse_draw",
    "volume",
]

REDSHIFTS = (0.02, 0.40)
"""Range of redshifts; nearer galaxies are too large for a stamp, and rare."""
MAGNITUDE_GRID = np.arange(-25.0, -14.99, 0.01)
DUST_GRID = np.arange(0.0, 4.01, 0.02)
FLATTEST = 0.2  # cosine of the largest inclination: disks have a thickness
DUST_SCATTER = 0.2
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
    kind, spread : float
        Center and width of the normal distribution of types, cut at 0 and 3.
    """

    name: str
    magnitude: float
    slope: float
    density: float
    kind: float
    spread: float

    def luminosity_function(self, magnitude: npt.ArrayLike) -> np.ndarray:
        """Number per Mpc^3 and magnitude.

        Parameters
        ----------
        magnitude : array_like of shape (...)
            Absolute magnitude [mag].

        References
        ----------
        Schechter 1976, ApJ 203, 297.
        """
        x = 10 ** (-0.4 * (np.asarray(magnitude) - self.magnitude))
        return 0.4 * np.log(10) * self.density * x ** (self.slope + 1) * np.exp(-x)

    def kinds(self, kind: np.ndarray) -> np.ndarray:
        """Density of types, shape as `kind`; the integral from 0 to 3 is 1."""
        fine = np.linspace(0.0, 3.0, 3001)
        whole = np.trapezoid(self._bell(fine), fine)
        return self._bell(np.asarray(kind)) / whole

    def draw_kinds(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Types of n galaxies."""
        fine = np.linspace(0.0, 3.0, 3001)
        return inverse_draw(rng, fine, self._bell(fine), n)

    def _bell(self, kind: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * ((kind - self.kind) / self.spread) ** 2)


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


def inverse_draw(
    rng: np.random.Generator, grid: np.ndarray, density: np.ndarray, n: int
) -> np.ndarray:
    """Numbers with a density tabulated on a grid, linear between its points."""
    steps = np.diff(grid) * 0.5 * (density[1:] + density[:-1])
    cumulative = np.append(0.0, np.cumsum(steps))
    return np.interp(rng.random(n) * cumulative[-1], cumulative, grid)


@functools.cache
def _cosmology() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from astropy.cosmology import FlatLambdaCDM

    z = np.linspace(0.001, 1.0, 2000)
    model = FlatLambdaCDM(H0=HUBBLE, Om0=MATTER)
    return z, model.distmod(z).value, model.differential_comoving_volume(z).value


def distance_modulus(z: npt.ArrayLike) -> np.ndarray:
    """Distance modulus in a flat universe with H0 = 70 km/s/Mpc and a matter density of 0.3 [mag].

    Parameters
    ----------
    z : array_like of shape (...)
        Redshift, 0.001 to 1.
    """
    grid, modulus, _ = _cosmology()
    # Nearly a straight line in log z, unlike in z.
    return np.interp(np.log(np.asarray(z)), np.log(grid), modulus)


def volume(z: npt.ArrayLike) -> np.ndarray:
    """Comoving volume per unit redshift and steradian [Mpc^3], shape as `z`."""
    grid, _, element = _cosmology()
    return np.interp(z, grid, element)


def dust_given_inclination(dust: npt.ArrayLike, cosine: npt.ArrayLike) -> np.ndarray:
    """Density of the dust in the line of sight, for a disk of known inclination.

    Parameters
    ----------
    dust : array_like of shape (...)
        Dust relative to the mean of the type.
    cosine : array_like of shape (...)
        Cosine of the inclination: the apparent axis ratio.
    """
    dust = np.maximum(dust, 1e-9)  # where the density is 0 to all digits
    offset = np.log(dust / _center(np.asarray(cosine))) / DUST_SCATTER
    return np.exp(-0.5 * offset**2) / (dust * DUST_SCATTER * np.sqrt(2 * np.pi))


def draw_dust(rng: np.random.Generator, cosine: np.ndarray) -> np.ndarray:
    """Dust of galaxies of the given inclinations, within the range of the grid."""
    dust = _center(cosine) * np.exp(DUST_SCATTER * rng.standard_normal(len(cosine)))
    return np.clip(dust, DUST_GRID[0], DUST_GRID[-1])


def _center(cosine: np.ndarray) -> np.ndarray:
    return 0.3 + 1.7 * (1 - cosine)


@functools.cache
def _dust_table() -> np.ndarray:
    cosines = np.linspace(FLATTEST, 1.0, 401)
    return np.trapezoid(dust_given_inclination(DUST_GRID[:, None], cosines), cosines, axis=1) / (
        1 - FLATTEST
    )


def dust_density(dust: npt.ArrayLike) -> np.ndarray:
    """Density of the dust over disks of all inclinations, shape as `dust`."""
    return np.interp(dust, DUST_GRID, _dust_table())
