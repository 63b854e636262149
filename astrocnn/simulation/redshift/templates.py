"""Spectra of four galaxies seen through filters at any redshift.

The templates are the mean spectra of nearby galaxies of types E, Sbc, Scd and Im; they do not
evolve.  A type between two of them is the sum of both, in proportion.  All is tabulated once.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np

from astrocnn.simulation.canvas import import_galsim
from astrocnn.simulation.redshift.dust import reddening

__all__ = ["BANDS", "TYPES", "Templates", "templates"]

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

    def pure(self, z: np.ndarray) -> np.ndarray:
        """Relative fluxes of the pure types, shape (n_types, n_bands, n)."""
        step = self.redshifts[1] - self.redshifts[0]
        place = np.clip(np.asarray(z) / step, 0, len(self.redshifts) - 1.001)
        low = place.astype(int)
        share = place - low
        return np.exp((1 - share) * self.log_flux[..., low] + share * self.log_flux[..., low + 1])

    def fluxes(self, z: np.ndarray, kind: np.ndarray, dust: np.ndarray) -> np.ndarray:
        """Relative fluxes of galaxies.

        Parameters
        ----------
        z : ndarray of shape (n,)
            Redshift, at most 1.
        kind : ndarray of shape (n,)
            Type from 0 (elliptical) to 3 (irregular).
        dust : ndarray of shape (n,)
            Dust in the line of sight through the galaxy, in units of the mean of its type: 1
            leaves the template as it is, more reddens it.

        Returns
        -------
        ndarray of shape (n, n_bands)
            Flux relative to the rest-frame r band of the template, without distance.
        """
        pure = self.pure(z)
        low = np.clip(np.floor(kind).astype(int), 0, len(TYPES) - 2)
        share = kind - low
        n = np.arange(len(low))
        mixed = (1 - share) * pure[low, :, n].T + share * pure[low + 1, :, n].T
        excess = np.interp(kind, np.arange(len(TYPES)), INNER_DUST) * (dust - 1)
        rest = self.wavelengths[:, None] / (1 + np.asarray(z))
        return (mixed * 10 ** (-0.4 * excess * reddening(rest))).T

    @property
    def galactic(self) -> np.ndarray:
        """Extinction in each band for unit Galactic E(B-V) [mag per mag], shape (n_bands,)."""
        return reddening(self.wavelengths)


@functools.lru_cache(maxsize=4)
def templates(bands: tuple[str, ...] = BANDS) -> Templates:
    """The templates through LSST filters.

    Parameters
    ----------
    bands : tuple of str
        Of u, g, r, i, z, y.

    Raises
    ------
    MissingDependency
        Without galsim, which brings the spectra and filters.

    References
    ----------
    Coleman, Wu & Weedman 1980, ApJS 43, 393; extended by Bolzonella, Miralles & Pello 2000,
    A&A 363, 476.  K correction: Hogg et al. 2002, arXiv:astro-ph/0210394, equation 13.
    """
    share = Path(import_galsim().meta_data.share_dir)
    redshifts = np.arange(0.0, _LIMIT + _STEP / 2, _STEP)
    filters = [_filter(share, band) for band in bands]
    reference = _filter(share, REFERENCE)
    table = np.empty((len(TYPES), len(bands), len(redshifts)))
    for row, name in zip(table, TYPES, strict=True):
        wave, flux = np.loadtxt(share / "SEDs" / f"CWW_{name}_ext.sed").T
        wave = wave / 1e4
        unit = _mean(*reference, np.interp(reference[0], wave, flux))
        for line, (x, through) in zip(row, filters, strict=True):
            shifted = np.interp(x / (1 + redshifts[:, None]), wave, flux)
            line[:] = np.log(_mean(x, through, shifted) / (1 + redshifts) / unit)
    wavelengths = np.array([np.trapezoid(x * t, x) / np.trapezoid(t, x) for x, t in filters])
    return Templates(redshifts, table, wavelengths)


def _filter(share: Path, band: str) -> tuple[np.ndarray, np.ndarray]:
    x, through = np.loadtxt(share / "bandpasses" / f"LSST_{band}.dat").T
    fine = np.arange(x[0], x[-1], 0.2)
    return fine / 1e3, np.interp(fine, x, through)


def _mean(x: np.ndarray, through: np.ndarray, f_lambda: np.ndarray) -> np.ndarray:
    """Photon-weighted mean of f_nu up to a constant, as a CCD and AB magnitudes have it."""
    return np.trapezoid(f_lambda * through * x, x) / np.trapezoid(through / x, x)
