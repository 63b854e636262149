"""The celestial coordinate system of a cutout, as a header holds it."""

from __future__ import annotations

import warnings

import numpy as np
from astropy.wcs import WCS, Sip

from astrocnn.imaging.sky_grid import SkyGrid, central_differences

__all__ = ["build_tangent_wcs", "build_window_wcs"]


def build_window_wcs(grid: SkyGrid, x0: int, y0: int, size: int, step: float = 1.0) -> WCS:
    """Build the WCS of a square window of an image.

    Parameters
    ----------
    grid : SkyGrid
        Of the whole image.
    x0, y0 : int
        First pixel of the window, which may lie outside.
    size : int
        Pixels a side of the cutout made of the window.
    step : float
        Side of a pixel of the cutout in pixels of the image.

    Returns
    -------
    astropy.wcs.WCS
        With the distortions (SIP, TPV) of the image.  Those in tables do not fit into the header of
        a cutout: the tangent plane in its middle equals them there to first order.
    """
    if grid.uses_tables:
        return _local(grid, x0, y0, size, step)
    # A copy, because all cutouts of a tile share its grid.
    wcs = grid.wcs.deepcopy()
    # Pixel p of the cutout, counted from 1, has its middle at first + (p - 1/2) step - 1/2.
    first = np.array([x0, y0], float) + 0.5
    wcs.wcs.crpix = (wcs.wcs.crpix - first) / step + 0.5
    if step != 1:
        if wcs.wcs.has_cd():
            wcs.wcs.cd = wcs.wcs.cd * step
        elif wcs.wcs.has_crota():
            wcs.wcs.cdelt = wcs.wcs.cdelt * step
        else:
            # Not CDELT, which comes after the distortion of TPV.
            wcs.wcs.pc = wcs.wcs.get_pc() * step
    if wcs.sip is not None:
        polynomials = [
            None if p is None else _rescaled(p, step)
            for p in (wcs.sip.a, wcs.sip.b, wcs.sip.ap, wcs.sip.bp)
        ]
        wcs.sip = Sip(*polynomials, (wcs.sip.crpix - first) / step + 0.5)
    wcs.array_shape = (size, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what astropy repaired when it read the header
        wcs.wcs.set()
    return wcs


def build_tangent_wcs(matrix: np.ndarray, ra: float, dec: float, size: int) -> WCS:
    """Build the WCS of a tangent plane that touches the sky in the middle of a cutout.

    Parameters
    ----------
    matrix : ndarray of shape (2, 2)
        Offsets east and north [arcsec] per pixel in x and y.
    ra, dec : float
        ICRS position of the middle [deg].
    size : int
        Pixels a side.
    """
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crval = [ra, dec]
    # CRPIX counts pixels from 1.
    wcs.wcs.crpix = [(size + 1) / 2] * 2
    wcs.wcs.cd = np.asarray(matrix, float) / 3600
    wcs.array_shape = (size, size)
    wcs.wcs.set()
    return wcs


def _local(grid: SkyGrid, x0: int, y0: int, size: int, step: float) -> WCS:
    x, y = (first + (size * step - 1) / 2 for first in (x0, y0))
    reach = size * step / 2
    ra, dec = grid.to_sky(
        np.array([x, x + reach, x - reach, x, x]), np.array([y, y, y, y + reach, y - reach])
    )
    matrix = central_differences(ra, dec) / (2 * reach) * step
    return build_tangent_wcs(matrix, float(ra[0]), float(dec[0]), size)


def _rescaled(polynomial: np.ndarray, step: float) -> np.ndarray:
    """A SIP polynomial in larger pixels: u = u' step, and its value in them, too."""
    p = np.arange(len(polynomial))
    return np.asarray(polynomial * step ** (p[:, None] + p[None, :] - 1.0))
