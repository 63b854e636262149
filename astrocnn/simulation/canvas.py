"""Rendering of one object in Fourier space, all bands at once.

Each component is computed once with unit flux: an analytic profile from its closed Fourier
transform, so that cusps are exact, or an image on a grid finer than the pixels.  A band is the sum
of the components times their fluxes, times the transform of point spread function and pixel.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

import numpy as np
import scipy.fft

from astrocnn.errors import MissingDependency
from astrocnn.simulation.spectra import MOFFAT_BETA, SimulatedBand

__all__ = ["Canvas", "get_canvas", "import_galsim"]

TRUNCATION = 6.0  # half-light radii at which Sersic profiles end


def import_galsim() -> ModuleType:
    """The module galsim; raises `MissingDependency` where it is not installed."""
    try:
        import galsim
    except ImportError:
        raise MissingDependency("galsim", "sim", "simulate a survey") from None
    return galsim


class Canvas:
    """A square grid of `size` pixels, each divided into `oversampling` cells a side.

    Every method that makes a component returns its Fourier transform for unit flux: complex64
    of shape (cells, cells // 2 + 1) with the zero frequency first.

    Parameters
    ----------
    size : int
        Side [pixel]; even.
    pixel_scale : float
        Pixel size [arcsec].
    oversampling : int
        Cells per pixel side.

    Attributes
    ----------
    x, y : ndarray of shape (cells, cells)
        Offset of each cell from the center [arcsec]; x to the right (west), y upwards (north).
    """

    def __init__(self, size: int, pixel_scale: float, oversampling: int) -> None:
        self.size = size
        self.pixel_scale = pixel_scale
        self.oversampling = oversampling
        self.cells = size * oversampling
        self.cell = pixel_scale / oversampling
        axis = (np.arange(self.cells, dtype=np.float32) - self.cells // 2) * self.cell
        self.x, self.y = np.meshgrid(axis, axis)
        self._responses: dict[SimulatedBand, np.ndarray] = {}

    def axes(self, position_angle: float) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates along the major and the minor axis [arcsec], right-handed as x and y are.

        The position angle of the major axis [deg] runs from north through east.
        """
        sine, cosine = np.sin(np.radians(position_angle)), np.cos(np.radians(position_angle))
        return -self.x * sine + self.y * cosine, -self.x * cosine - self.y * sine

    def sersic(
        self,
        n: float,
        r_e: float,
        axis_ratio: float,
        position_angle: float,
        offset: tuple[float, float] = (0.0, 0.0),
    ) -> np.ndarray:
        """A Sersic profile of index n, cut off at six half-light radii.

        Parameters
        ----------
        r_e : float
            Half-light radius along the major axis [arcsec].
        axis_ratio : float
            Minor over major axis.
        position_angle : float
            Direction of the major axis, from north through east [deg].
        offset : tuple of float
            Offset (x, y) of its center from that of the canvas [arcsec].

        References
        ----------
        Sersic 1963, BAAA 6, 41; Ciotti & Bertin 1999, A&A 352, 447.
        """
        profile = import_galsim().Sersic(n=n, half_light_radius=r_e, trunc=TRUNCATION * r_e)
        return self._inclined(profile, axis_ratio, position_angle, offset)

    def exponential(
        self,
        r_e: float,
        axis_ratio: float,
        position_angle: float,
        offset: tuple[float, float] = (0.0, 0.0),
    ) -> np.ndarray:
        """An exponential disk (Freeman 1970, ApJ 160, 811); parameters as for `sersic`."""
        profile = import_galsim().Exponential(half_light_radius=r_e)
        return self._inclined(profile, axis_ratio, position_angle, offset)

    def _inclined(
        self,
        profile: Any,
        axis_ratio: float,
        position_angle: float,
        offset: tuple[float, float],
    ) -> np.ndarray:
        # Only the minor axis is squeezed, so radii are along the major axis; galsim counts angles
        # from +x counterclockwise, and north is +y.
        angle = (90.0 + position_angle) * import_galsim().degrees
        profile = profile.transform(1.0, 0.0, 0.0, axis_ratio).rotate(angle) / axis_ratio
        return self.transform(profile.shift(*offset) if any(offset) else profile)

    def transform(self, profile: Any) -> np.ndarray:
        """Fourier transform of a galsim object [arcsec] about the center of the canvas."""
        galsim = import_galsim()
        half = self.cells // 2
        step = 2 * np.pi / (self.cells * self.cell)
        image = galsim.ImageCF(galsim.BoundsI(0, half, -half, half - 1), scale=step)
        profile.drawKImage(image=image, recenter=False)
        return np.fft.ifftshift(image.array, axes=0)

    def image(self, brightness: np.ndarray) -> np.ndarray:
        """A component given by its surface brightness on the cells, shape (cells, cells)."""
        # The transform expects the center of the object in the first cell.
        light = np.fft.ifftshift(brightness.astype(np.float32))
        return scipy.fft.rfft2(light / light.sum(dtype=np.float64).astype(np.float32))

    def gaussians(
        self, x: np.ndarray, y: np.ndarray, sigma: np.ndarray, weight: np.ndarray
    ) -> np.ndarray:
        """A sum of n round Gaussians: centers and widths [arcsec], relative fluxes."""
        step = 2 * np.pi / (self.cells * self.cell)
        along_y = step * scipy.fft.fftfreq(self.cells, 1 / self.cells)[:, None]
        along_x = step * np.arange(self.cells // 2 + 1)[:, None]
        # A round Gaussian is a product of two in one dimension.
        left = np.exp(-0.5 * (along_y * sigma) ** 2 - 1j * along_y * y) * (weight / weight.sum())
        right = np.exp(-0.5 * (along_x * sigma) ** 2 - 1j * along_x * x)
        # Not "@": the bits of BLAS may depend on its threads, and workers share the cores.
        total = np.zeros((self.cells, self.cells // 2 + 1), np.complex64)
        columns, rows = left.astype(np.complex64).T, right.astype(np.complex64).T
        for column, row in zip(columns, rows, strict=True):
            total += column[:, None] * row
        return total

    def point(self) -> np.ndarray:
        """A point source."""
        return np.ones((self.cells, self.cells // 2 + 1), np.complex64)

    def response(self, band: SimulatedBand) -> np.ndarray:
        """Transform of point spread function and pixel of a band."""
        if band not in self._responses:
            galsim = import_galsim()
            star = galsim.Moffat(beta=MOFFAT_BETA, fwhm=band.fwhm)
            pixel = galsim.Pixel(self.pixel_scale)
            self._responses[band] = self.transform(galsim.Convolve(star, pixel))
        return self._responses[band]

    def render(
        self,
        components: np.ndarray,
        fluxes: np.ndarray,
        bands: tuple[SimulatedBand, ...],
        shift: tuple[float, float] = (0.0, 0.0),
    ) -> np.ndarray:
        """Flux of an object in each pixel, float32, of shape (n_bands, size, size).

        Parameters
        ----------
        components : ndarray of shape (n_components, cells, cells // 2 + 1)
            Transforms of unit flux.
        fluxes : ndarray of shape (n_components, n_bands)
            Flux of each component in each band.
        bands : tuple of SimulatedBand
            Bands, of the pixel size of this canvas.
        shift : tuple of float
            Offset (x, y) of the object from the center of pixel (size // 2, size // 2) [pixel].
        """
        frequency = scipy.fft.fftfreq(self.cells, 1 / self.cells) / self.size
        half = self.size // 2
        along_y = np.exp(-2j * np.pi * frequency * (half + shift[1])).astype(np.complex64)
        along_x = np.exp(
            -2j * np.pi * np.arange(self.cells // 2 + 1) / self.size * (half + shift[0])
        ).astype(np.complex64)
        mixed = np.zeros((len(bands), *components.shape[1:]), np.complex64)
        for image, band, weights in zip(mixed, bands, fluxes.astype(np.float32).T, strict=True):
            for component, weight in zip(components, weights, strict=True):
                image += weight * component
            image *= self.response(band)
        mixed *= along_y[:, None]
        mixed *= along_x * np.float32(self.oversampling**2)
        fine = scipy.fft.irfft2(mixed, s=(self.cells, self.cells), overwrite_x=True)
        # The response includes the pixel, so one cell per pixel already holds its whole flux.
        return fine[:, :: self.oversampling, :: self.oversampling]


@functools.lru_cache(maxsize=32)
def get_canvas(size: int, pixel_scale: float, oversampling: int) -> Canvas:
    """A canvas kept for reuse, with the responses of its bands."""
    return Canvas(size, pixel_scale, oversampling)
