"""Reddening by dust: the mean law of the Milky Way."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

__all__ = ["reddening"]

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
    """Extinction for unit color excess, A / E(B-V), with R_V = 3.1.

    Parameters
    ----------
    wavelength : array_like of shape (...)
        Wavelength in the frame of the dust [micron]; 0.12 or more.

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
