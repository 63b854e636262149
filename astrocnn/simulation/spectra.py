"""Bands of a simulated survey, and broad-band colors of populations, stars and dust.

Magnitudes are AB, relative to 0.62 micron (the r band).  Populations are read from a short
table of rounded colors of galaxies near redshift 0.1, interpolated in the logarithm of the
wavelength; stars are black bodies; dust attenuates as a power law of the wavelength.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

__all__ = [
    "MOFFAT_BETA",
    "POPULATIONS",
    "ZERO_POINT",
    "Component",
    "SimulatedBand",
    "extinction",
    "relative_magnitude",
]

ZERO_POINT = 31.4  # AB magnitude of 1 nJy
MOFFAT_BETA = 3.5  # of every point spread function
PIVOT = 0.62
WAVELENGTHS = (0.36, 0.48, 0.62, 0.75, 0.90, 1.05, 1.25, 1.60, 2.20)
POPULATIONS: dict[str, tuple[float, ...]] = {
    "old": (2.60, 0.88, 0.0, -0.40, -0.68, -0.85, -1.05, -1.35, -1.45),
    "disk": (1.70, 0.52, 0.0, -0.26, -0.42, -0.50, -0.62, -0.82, -0.80),
    "young": (0.90, 0.20, 0.0, -0.10, -0.15, -0.15, -0.20, -0.25, -0.15),
}
"""Relative AB magnitudes at `WAVELENGTHS` [micron] of an old, a mixed and a young population."""

_HC_OVER_K = 14387.77  # second radiation constant [micron K]


@dataclasses.dataclass(frozen=True)
class SimulatedBand:
    """A filter of the simulated survey.

    Parameters
    ----------
    name : str
        Band name.
    wavelength : float
        Pivot wavelength [micron].
    fwhm : float
        Full width at half maximum of the point spread function, pixel excluded [arcsec].
    sky_sigma : float
        Standard deviation of the sky noise in one pixel [nJy].
    zero_point : float
        AB magnitude of one unit of the image.
    gain : float
        Detected electrons per nJy.
    pixel_scale : float
        Pixel size [arcsec].
    noise_correlation : float
        Sigma [pixel] of the Gaussian that correlates the noise of resampled images; 0 for none.
    """

    name: str
    wavelength: float
    fwhm: float
    sky_sigma: float
    zero_point: float
    gain: float
    pixel_scale: float
    noise_correlation: float = 0.0

    @property
    def unit(self) -> float:
        """Flux of one unit of the image [nJy]."""
        return float(10 ** (0.4 * (ZERO_POINT - self.zero_point)))


@dataclasses.dataclass(frozen=True)
class Component:
    """Flux and color of one component of an object.

    Parameters
    ----------
    weight : float
        Flux before dust, at 0.62 micron, relative to the other components of the object.
    spectrum : str or float
        A population of `POPULATIONS`, or the temperature [K] of a black body.
    tilt : float
        Individual scatter of the color; see `relative_magnitude`.
    a_v : float
        Extinction by dust inside the object [mag].
    """

    weight: float
    spectrum: str | float
    tilt: float = 0.0
    a_v: float = 0.0

    def fluxes(self, wavelengths: np.ndarray) -> np.ndarray:
        """Relative flux density at each wavelength, shape (n,)."""
        magnitude = relative_magnitude(self.spectrum, wavelengths, self.tilt)
        magnitude = magnitude + extinction(wavelengths, self.a_v)
        return np.asarray(self.weight * 10 ** (-0.4 * magnitude))


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
    """B_nu of a black body up to a constant."""
    wavelength = np.asarray(wavelength, dtype=np.float64)
    return wavelength**-3 / np.expm1(_HC_OVER_K / (wavelength * temperature))


def extinction(wavelengths: npt.ArrayLike, a_v: float) -> np.ndarray:
    """Extinction [mag] at wavelengths [micron], falling as the power -1.3 of the wavelength.

    `a_v` is the extinction at 0.55 micron: 3.1 E(B-V) in the Milky Way.  Power laws of this kind
    are discussed by Charlot & Fall 2000, ApJ 539, 718, section 4.
    """
    return a_v * (np.asarray(wavelengths, dtype=np.float64) / 0.55) ** -1.3
