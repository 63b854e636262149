"""Drawing one object: components on a fine grid in Fourier space, all bands at once.

A component is drawn once, with unit flux, either from an analytic profile (by its Fourier
transform, so that cusps are exact) or painted on a grid finer than the pixels.  A band is the sum
of components times their fluxes, times the transform of point spread function and pixel.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

import numpy as np
import scipy.fft

from astrocnn.errors import MissingDependency
from astrocnn.simulation.presets import SimulatedBand

__all__ = ["Canvas", "canvas", "import_galsim"]

MOFFAT_BETA = 3.5


def import_galsim() -> ModuleType:
    """The module galsim.

    Raises
    ------
    MissingDependency
        When it is not installed.
    """
    try:
        import galsim
    except ImportError:
        raise MissingDependency("galsim", "sim", "simulate a survey") from None
    return galsim


class Canvas:
    """A square grid of `size` pixels, each divided into `oversampling` cells a side.

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
        """Coordinates along and across a direction.

        Parameters
        ----------
        position_angle : float
            Direction of the major axis, from north through east [deg].

        Returns
        -------
        tuple of ndarray
            Major and minor coordinate [arcsec], right-handed as x and y are.
        """
        sine, cosine = np.sin(np.radians(position_angle)), np.cos(np.radians(position_angle))
        return -self.x * sine + self.y * cosine, -self.x * cosine - self.y * sine

    def profile(self, profile: Any) -> np.ndarray:
        """Transform of an analytic galsim profile centered on the canvas.

        Parameters
        ----------
        profile : galsim.GSObject
            Profile [arcsec].

        Returns
        -------
        ndarray of shape (cells, cells // 2 + 1)
            Complex64 transform with the zero frequency first.
        """
        galsim = import_galsim()
        half = self.cells // 2
        step = 2 * np.pi / (self.cells * self.cell)
        image = galsim.ImageCF(galsim.BoundsI(0, half, -half, half - 1), scale=step)
        profile.drawKImage(image=image, recenter=False)
        return np.fft.ifftshift(image.array, axes=0)

    def painted(self, light: np.ndarray) -> np.ndarray:
        """Transform of an image painted on the cells, scaled to unit flux.

        Parameters
        ----------
        light : ndarray of shape (cells, cells)
            Surface brightness in any unit.

        Returns
        -------
        ndarray of shape (cells, cells // 2 + 1)
            Complex64 transform with the zero frequency first.
        """
        light = np.fft.ifftshift(light.astype(np.float32))
        return scipy.fft.rfft2(light / light.sum(dtype=np.float64).astype(np.float32))

    def blobs(
        self, x: np.ndarray, y: np.ndarray, sigma: np.ndarray, weight: np.ndarray
    ) -> np.ndarray:
        """Transform of a sum of round Gaussians, scaled to unit flux.

        Parameters
        ----------
        x, y, sigma : ndarray of shape (n,)
            Centers and widths [arcsec].
        weight : ndarray of shape (n,)
            Relative fluxes.

        Returns
        -------
        ndarray of shape (cells, cells // 2 + 1)
            Complex64 transform with the zero frequency first.
        """
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
        """Transform of a point source of unit flux."""
        return np.ones((self.cells, self.cells // 2 + 1), np.complex64)

    def response(self, band: SimulatedBand) -> np.ndarray:
        """Transform of point spread function and pixel of a band."""
        if band not in self._responses:
            galsim = import_galsim()
            star = galsim.Moffat(beta=MOFFAT_BETA, fwhm=band.fwhm)
            self._responses[band] = self.profile(
                galsim.Convolve(star, galsim.Pixel(self.pixel_scale))
            )
        return self._responses[band]

    def render(
        self,
        components: np.ndarray,
        fluxes: np.ndarray,
        bands: tuple[SimulatedBand, ...],
        shift: tuple[float, float] = (0.0, 0.0),
    ) -> np.ndarray:
        """Images of an object in several bands.

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

        Returns
        -------
        ndarray of shape (n_bands, size, size)
            Flux in each pixel, float32.
        """
        frequency = scipy.fft.fftfreq(self.cells, 1 / self.cells) / self.size
        half = self.size // 2
        along_y = np.exp(-2j * np.pi * frequency * (half + shift[1])).astype(np.complex64)
        along_x = np.exp(
            -2j * np.pi * np.arange(self.cells // 2 + 1) / self.size * (half + shift[0])
        ).astype(np.complex64)
        weights = fluxes.astype(np.float32)
        mixed = np.zeros((len(bands), *components.shape[1:]), np.complex64)
        for image, band, weight in zip(mixed, bands, weights.T, strict=True):
            for component, share in zip(components, weight, strict=True):
                image += share * component
            image *= self.response(band)
        mixed *= along_y[:, None]
        mixed *= along_x * np.float32(self.oversampling**2)
        fine = scipy.fft.irfft2(mixed, s=(self.cells, self.cells), overwrite_x=True)
        return fine[:, :: self.oversampling, :: self.oversampling]


@functools.lru_cache(maxsize=32)
def canvas(size: int, pixel_scale: float, oversampling: int) -> Canvas:
    """A canvas kept for reuse, with the responses of its bands."""
    return Canvas(size, pixel_scale, oversampling)
