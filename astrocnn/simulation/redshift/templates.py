"""Template spectra of galaxies through filters at any redshift, and the reddening law of dust.

The templates are the mean spectra of nearby galaxies of types E, Sbc, Scd and Im, without
evolution.  A type between two of them is a linear mixture of both.  All is tabulated once.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from astrocnn.simulation.canvas import import_galsim

__all__ = ["BANDS", "TYPES", "Templates", "load_templates", "reddening"]

BANDS = ("u", "g", "r", "i", "z")
TYPES = ("E", "Sbc", "Scd", "Im")
"""Template at type 0, 1, 2 and 3."""
REFERENCE = "r"  # absolute magnitudes are those of the rest frame in this band
INNER_DUST = (0.015, 0.13, 0.11, 0.05)
"""Mean E(B-V) inside a galaxy of each type [mag], about which its inclination varies."""
_STEP = 0.002
_LIMIT = 1.0


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
        """Relative fluxes of galaxies.

        Parameters
        ----------
        z : ndarray of shape (n,)
            Redshift, at most 1.
        spectral_type : ndarray of shape (n,)
            Type from 0 (elliptical) to 3 (irregular).
        dust : ndarray of shape (n,)
            Dust in the line of sight through the galaxy, in units of the mean of its type: 1
            leaves the template as it is, more reddens it.

        Returns
        -------
        ndarray of shape (n, n_bands)
            Flux relative to the rest-frame r band of the template, without distance.
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
    redshifts = np.arange(0.0, _LIMIT + _STEP / 2, _STEP)
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


R_V = 3.1
ANCHORS = (  # wavelength [micron], A(wavelength) / E(B-V)
    (np.inf, 0.0),
    (2.65, 0.265),
    (1.22, 0.829),
    (0.60, 2.688),
    (0.547, 3.055),
    (0.467, 3.806),
    (0.411, 4.315),
    (0.27, 6.265),
    (0.26, 6.591),
)


def reddening(wavelength: npt.ArrayLike) -> np.ndarray:
    """Extinction per unit color excess, A / E(B-V), of the Milky Way with R_V = 3.1.

    Parameters
    ----------
    wavelength : array_like of shape (...)
        Wavelength in the rest frame of the dust [micron]; 0.12 or more.

    Returns
    -------
    ndarray of shape (...)
        Extinction [mag per mag].

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
    wavelength, value = np.array(ANCHORS).T
    return CubicSpline(1.0 / wavelength, value, bc_type="natural")


def _ultraviolet(x: np.ndarray) -> np.ndarray:
    slope = -0.824 + 4.717 / R_V
    bump = x**2 / ((x**2 - 4.596**2) ** 2 + (0.99 * x) ** 2)
    over = np.maximum(x - 5.9, 0.0)
    rise = 0.5392 * over**2 + 0.05644 * over**3
    return R_V + (2.030 - 3.007 * slope) + slope * x + 3.23 * bump + 0.41 * rise
