"""Broad-band colors of stellar populations and stars: simple, smooth and documented.

Magnitudes are AB, relative to 0.62 micron (the r band).  Populations are read from a short
table of rounded colors of galaxies near redshift 0.1, interpolated in the logarithm of the
wavelength; stars are black bodies; dust dims as a power law of the wavelength.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["POPULATIONS", "extinction", "relative_magnitude"]

PIVOT = 0.62
WAVELENGTHS = (0.36, 0.48, 0.62, 0.75, 0.90, 1.05, 1.25, 1.60, 2.20)
POPULATIONS: dict[str, tuple[float, ...]] = {
    "old": (2.60, 0.88, 0.0, -0.40, -0.68, -0.85, -1.05, -1.35, -1.45),
    "disk": (1.70, 0.52, 0.0, -0.26, -0.42, -0.50, -0.62, -0.82, -0.80),
    "young": (0.90, 0.20, 0.0, -0.10, -0.15, -0.15, -0.20, -0.25, -0.15),
}
"""Relative AB magnitudes at `WAVELENGTHS` [micron] of an old, a mixed and a young population."""

_HC_OVER_K = 14387.77  # second radiation constant [micron K]


def relative_magnitude(
    spectrum: str | float, wavelengths: npt.ArrayLike, tilt: float = 0.0
) -> np.ndarray:
    """AB magnitude at each wavelength, relative to 0.62 micron.

    Parameters
    ----------
    spectrum : str or float
        A name of `POPULATIONS`, or the temperature [K] of a black body.
    wavelengths : array_like of shape (n,)
        Pivot wavelengths of the bands [micron].
    tilt : float
        Individual scatter of the color [mag per factor e in wavelength]; positive is bluer.

    Returns
    -------
    ndarray of shape (n,)
        Magnitudes [mag]; 0 at 0.62 micron.
    """
    wavelength = np.asarray(wavelengths, dtype=np.float64)
    if isinstance(spectrum, str):
        magnitude = np.interp(np.log(wavelength), np.log(WAVELENGTHS), POPULATIONS[spectrum])
    else:
        magnitude = -2.5 * np.log10(_planck(wavelength, spectrum) / _planck(PIVOT, spectrum))
    return magnitude + tilt * np.log(wavelength / PIVOT)


def _planck(wavelength: npt.ArrayLike, temperature: float) -> np.ndarray:
    wavelength = np.asarray(wavelength, dtype=np.float64)
    # B_nu up to a constant.
    return wavelength**-3 / np.expm1(_HC_OVER_K / (wavelength * temperature))


def extinction(wavelengths: npt.ArrayLike, a_v: float) -> np.ndarray:
    """Extinction at each wavelength for A_V at 0.55 micron.

    Parameters
    ----------
    wavelengths : array_like of shape (n,)
        Wavelengths [micron].
    a_v : float
        Extinction in V [mag]; 3.1 E(B-V) in the Milky Way.

    Returns
    -------
    ndarray of shape (n,)
        Extinction [mag], falling as the power -1.3 of the wavelength.

    References
    ----------
    Charlot & Fall 2000, ApJ 539, 718, section 4, for power laws of this kind.
    """
    return a_v * (np.asarray(wavelengths, dtype=np.float64) / 0.55) ** -1.3
