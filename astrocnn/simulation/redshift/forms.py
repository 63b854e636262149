"""Sizes and forms of galaxies, given type, luminosity and redshift."""

from __future__ import annotations

import dataclasses

import numpy as np

from astrocnn.simulation.redshift.population import FLATTEST, distance_modulus

__all__ = ["Forms", "bulge_logit", "draw_forms", "kiloparsec_per_arcsec", "log_radius"]

RADIUS_SCATTER = 0.12  # of log10
BULGE_SCATTER = 0.45  # of the logit
ARCSEC_PER_RADIAN = 206264.806


@dataclasses.dataclass(frozen=True)
class Forms:
    """Forms of n galaxies.

    Parameters
    ----------
    kind : ndarray of shape (n,)
        Type that decides how a galaxy is painted: 0 elliptical to 3 irregular.
    r_e : ndarray of shape (n,)
        Half-light radius along the major axis [arcsec].
    b_over_t : ndarray of shape (n,)
        Share of the bulge in the rest-frame r band.
    cosine : ndarray of shape (n,)
        Cosine of the inclination.
    position_angle : ndarray of shape (n,)
        From north through east [deg].
    """

    kind: np.ndarray
    r_e: np.ndarray
    b_over_t: np.ndarray
    cosine: np.ndarray
    position_angle: np.ndarray

    def __getitem__(self, rows: np.ndarray | slice) -> Forms:
        return Forms(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))


def kiloparsec_per_arcsec(z: np.ndarray) -> np.ndarray:
    """Transverse size of an arcsecond [kpc]."""
    angular = 10 ** (0.2 * (distance_modulus(z) - 25)) / (1 + np.asarray(z)) ** 2
    return angular * 1e3 / ARCSEC_PER_RADIAN


def log_radius(kind: np.ndarray, magnitude: np.ndarray) -> np.ndarray:
    """Median log10 of the half-light radius [kpc].

    Early types are smaller at the same luminosity, and their radius rises more steeply.

    References
    ----------
    Shen et al. 2003, MNRAS 343, 978, figures 4 and 6: rounded.
    """
    late = 0.70 - 0.13 * (magnitude + 21)
    early = 0.60 - 0.24 * (magnitude + 21)
    # Dwarf ellipticals do not go on along the line of the giants.
    early = np.maximum(early, 0.25 - 0.06 * (magnitude + 19))
    share = np.clip(kind, 0, 1)
    return share * late + (1 - share) * early


def bulge_logit(kind: np.ndarray) -> np.ndarray:
    """Median of log(B/T / (1 - B/T)) for a type."""
    return np.interp(kind, (0, 1, 2, 3), (1.8, -0.7, -2.0, -3.0))


def draw_forms(
    rng: np.random.Generator,
    z: np.ndarray,
    kind: np.ndarray,
    magnitude: np.ndarray,
    cosine: np.ndarray,
) -> Forms:
    """Forms of galaxies.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    z, kind, magnitude, cosine : ndarray of shape (n,)
        Redshift, type, absolute magnitude and cosine of the inclination.
    """
    n = len(z)
    radius = 10 ** (log_radius(kind, magnitude) + RADIUS_SCATTER * rng.standard_normal(n))
    logit = bulge_logit(kind) + BULGE_SCATTER * rng.standard_normal(n)
    return Forms(
        kind=kind,
        r_e=radius / kiloparsec_per_arcsec(z),
        b_over_t=1 / (1 + np.exp(-logit)),
        cosine=np.maximum(cosine, FLATTEST),
        position_angle=rng.uniform(0, 180, n),
    )
