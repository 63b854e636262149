"""Populations of galaxies and their spectra through filters at any redshift.

Three populations with a Schechter function and a range of types each, constant in comoving
density.  The posterior uses the same distributions as its prior.  The template spectra are the
means of nearby galaxies of types E, Sbc, Scd and Im, without evolution; a type between two of them
is a linear mixture of both.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.cosmology import FlatLambdaCDM
from scipy.interpolate import CubicSpline

from astrocnn.simulation.canvas import import_galsim

__all__ = [
    "BANDS",
    "DUST_GRID",
    "LEAST_COSINE",
    "MAGNITUDE_GRID",
    "POPULATIONS",
    "REDSHIFTS",
    "Population",
    "Structure",
    "Templates",
    "bulge_logit",
    "comoving_volume",
    "distance_modulus",
    "dust_density",
    "dust_given_inclination",
    "kiloparsec_per_arcsec",
    "load_templates",
    "log_radius",
    "reddening",
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
BANDS = ("u", "g", "r", "i", "z")
TYPES = ("E", "Sbc", "Scd", "Im")
"""Template at type 0, 1, 2 and 3."""
REFERENCE = "r"  # absolute magnitudes are those of the rest frame in this band
INNER_DUST = (0.015, 0.13, 0.11, 0.05)
"""Mean E(B-V) inside a galaxy of each type [mag], about which its inclination varies."""
LARGEST_REDSHIFT, REDSHIFT_STEP = 1.0, 0.002  # of the tabulated spectra
R_V = 3.1
ANCHORS = np.array(  # wavelength [micron], A(wavelength) / E(B-V)
    [
        (np.inf, 0.0),
        (2.65, 0.265),
        (1.22, 0.829),
        (0.60, 2.688),
        (0.547, 3.055),
        (0.467, 3.806),
        (0.411, 4.315),
        (0.27, 6.265),
        (0.26, 6.591),
    ]
)


@dataclasses.dataclass(frozen=True)
class Population:
    """A population of galaxies.

    Parameters
    ----------
    name : str
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


@dataclasses.dataclass(frozen=True)
class Templates:
    """Model fluxes, tabulated in redshift.

    Parameters
    ----------
    redshifts : ndarray of shape (n_z,)
        Grid.
    log_flux : ndarray of shape (n_types, n_bands, n_z)
        Natural logarithm of the flux density f_nu in a band relative to that in the rest-frame
        r band: minus the K correction, in units of 1.086 mag.
    wavelengths : ndarray of shape (n_bands,)
        Effective wavelengths of the bands [micron].
    """

    redshifts: np.ndarray
    log_flux: np.ndarray
    wavelengths: np.ndarray

    def template_fluxes(self, z: np.ndarray) -> np.ndarray:
        """Relative fluxes of the four templates, shape (n_types, n_bands, n)."""
        step = self.redshifts[1] - self.redshifts[0]
        place = np.clip(np.asarray(z) / step, 0, len(self.redshifts) - 1.001)
        low = place.astype(int)
        share = place - low
        return np.exp((1 - share) * self.log_flux[..., low] + share * self.log_flux[..., low + 1])

    def fluxes(self, z: np.ndarray, spectral_type: np.ndarray, dust: np.ndarray) -> np.ndarray:
        """Fluxes relative to the rest-frame r band, without distance, of shape (n, n_bands).

        Parameters
        ----------
        z : ndarray of shape (n,)
            Redshift, at most 1.
        spectral_type : ndarray of shape (n,)
            Type from 0 (elliptical) to 3 (irregular).
        dust : ndarray of shape (n,)
            Dust in the line of sight, relative to the mean of the type: above 1 it reddens.
        """
        pure = self.template_fluxes(z)
        low = np.clip(np.floor(spectral_type).astype(int), 0, len(TYPES) - 2)
        share = spectral_type - low
        n = np.arange(len(low))
        mixed = (1 - share) * pure[low, :, n].T + share * pure[low + 1, :, n].T
        excess = np.interp(spectral_type, np.arange(len(TYPES)), INNER_DUST) * (dust - 1)
        rest = self.wavelengths[:, None] / (1 + np.asarray(z))
        return (mixed * 10 ** (-0.4 * excess * reddening(rest))).T

    @property
    def galactic_extinction(self) -> np.ndarray:
        """Extinction in each band for unit Galactic E(B-V) [mag per mag], shape (n_bands,)."""
        return reddening(self.wavelengths)


@functools.lru_cache(maxsize=4)
def load_templates(bands: tuple[str, ...] = BANDS) -> Templates:
    """The templates through LSST filters, of u, g, r, i, z, y.

    Raises
    ------
    MissingDependency
        Without galsim, which provides the spectra and filters.

    References
    ----------
    Coleman, Wu & Weedman 1980, ApJS 43, 393; extended by Bolzonella, Miralles & Pello 2000,
    A&A 363, 476.  K correction: Hogg et al. 2002, arXiv:astro-ph/0210394, equation 13.
    """
    share = Path(import_galsim().meta_data.share_dir)
    redshifts = np.arange(0.0, LARGEST_REDSHIFT + REDSHIFT_STEP / 2, REDSHIFT_STEP)
    filters = [_load_filter(share, band) for band in bands]
    reference = _load_filter(share, REFERENCE)
    table = np.empty((len(TYPES), len(bands), len(redshifts)))
    for row, name in zip(table, TYPES, strict=True):
        wave, flux = np.loadtxt(share / "SEDs" / f"CWW_{name}_ext.sed").T
        wave = wave / 1e4
        unit = band_mean(*reference, np.interp(reference[0], wave, flux))
        for line, (x, through) in zip(row, filters, strict=True):
            shifted = np.interp(x / (1 + redshifts[:, None]), wave, flux)
            line[:] = np.log(band_mean(x, through, shifted) / (1 + redshifts) / unit)
    wavelengths = np.array([np.trapezoid(x * t, x) / np.trapezoid(t, x) for x, t in filters])
    return Templates(redshifts, table, wavelengths)


def _load_filter(share: Path, band: str) -> tuple[np.ndarray, np.ndarray]:
    x, through = np.loadtxt(share / "bandpasses" / f"LSST_{band}.dat").T
    fine = np.arange(x[0], x[-1], 0.2)
    return fine / 1e3, np.interp(fine, x, through)


def band_mean(x: np.ndarray, through: np.ndarray, f_lambda: np.ndarray) -> np.ndarray:
    """Photon-weighted mean of f_nu up to a constant, as a CCD measures it for AB magnitudes."""
    return np.trapezoid(f_lambda * through * x, x) / np.trapezoid(through / x, x)


def reddening(wavelength: npt.ArrayLike) -> np.ndarray:
    """Extinction per unit color excess, A / E(B-V), of the Milky Way with R_V = 3.1.

    The wavelength is that in the rest frame of the dust [micron]; 0.12 or more.

    References
    ----------
    Fitzpatrick 1999, PASP 111, 63, Table 3 (optical anchors) and equation 2 (ultraviolet).

    Examples
    --------
    >>> float(reddening(0.547))
    3.055
    """
    inverse = 1.0 / np.asarray(wavelength, dtype=np.float64)
    return np.where(inverse > 1 / 0.27, _ultraviolet(inverse), _optical()(inverse))


@functools.cache
def _optical() -> CubicSpline:
    return CubicSpline(1.0 / ANCHORS[:, 0], ANCHORS[:, 1], bc_type="natural")


def _ultraviolet(x: np.ndarray) -> np.ndarray:
    slope = -0.824 + 4.717 / R_V
    bump = x**2 / ((x**2 - 4.596**2) ** 2 + (0.99 * x) ** 2)
    over = np.maximum(x - 5.9, 0.0)
    rise = 0.5392 * over**2 + 0.05644 * over**3
    return R_V + (2.030 - 3.007 * slope) + slope * x + 3.23 * bump + 0.41 * rise
