"""Where a cutout lies on the sky: the WCS of the image it was cut from, moved to its pixels.

References
----------
Calabretta & Greisen 2002, A&A 395, 1077 (celestial WCS); Shupe et al. 2005, ASP 347, 491 (SIP).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from astrocnn.imaging.skygrid import SkyGrid

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["cutout_wcs", "tangent_wcs", "window_wcs"]


def cutout_wcs(source: Any, row: int) -> WCS | None:
    """The celestial WCS of the pixels of one cutout.

    Parameters
    ----------
    source : Source
        Where the cutouts come from.
    row : int
        Which one.

    Returns
    -------
    astropy.wcs.WCS or None
        That of the reference band; None where the place on the sky is not known: pictures, arrays,
        files without coordinates, objects that no tile covers.
    """
    of = getattr(source, "wcs", None)
    return None if of is None else of(int(row))


def window_wcs(grid: SkyGrid, x0: int, y0: int, size: int, step: float = 1.0) -> WCS:
    """The WCS of a square window of an image.

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
    from astropy.wcs import Sip

    if _has_tables(grid.wcs):
        return _local(grid, x0, y0, size, step)
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
        warnings.simplefilter("ignore")  # what astropy repairs was told of when it was opened
        wcs.wcs.set()
    return wcs


def tangent_wcs(matrix: np.ndarray, ra: float, dec: float, size: int) -> WCS:
    """The WCS of a tangent plane that touches the sky in the middle of a cutout.

    Parameters
    ----------
    matrix : ndarray of shape (2, 2)
        Offsets east and north [arcsec] per pixel in x and y.
    ra, dec : float
        ICRS position of the middle [deg].
    size : int
        Pixels a side.
    """
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [(size + 1) / 2] * 2
    wcs.wcs.cd = np.asarray(matrix, float) / 3600
    wcs.array_shape = (size, size)
    wcs.wcs.set()
    return wcs


def _has_tables(wcs: WCS) -> bool:
    tables = (wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2)
    in_tables = any(str(kind).endswith("-TAB") for kind in wcs.wcs.ctype)
    return in_tables or any(table is not None for table in tables)


def _local(grid: SkyGrid, x0: int, y0: int, size: int, step: float) -> WCS:
    x, y = (first + (size * step - 1) / 2 for first in (x0, y0))
    reach = size * step / 2
    ra, dec = grid.to_sky(
        np.array([x, x + reach, x - reach, x, x]), np.array([y, y, y, y + reach, y - reach])
    )
    # Gnomonic offsets of the four points from the middle.
    lon, lat = np.radians(ra - ra[0]), np.radians(dec)
    cosine = np.sin(lat[0]) * np.sin(lat) + np.cos(lat[0]) * np.cos(lat) * np.cos(lon)
    east = np.cos(lat) * np.sin(lon) / cosine
    north = (np.cos(lat[0]) * np.sin(lat) - np.sin(lat[0]) * np.cos(lat) * np.cos(lon)) / cosine
    arcsec = np.degrees(np.stack([east, north])) * 3600
    matrix = np.stack([arcsec[:, 1] - arcsec[:, 2], arcsec[:, 3] - arcsec[:, 4]], axis=1)
    return tangent_wcs(matrix / (2 * reach) * step, float(ra[0]), float(dec[0]), size)


def _rescaled(polynomial: np.ndarray, step: float) -> np.ndarray:
    """A SIP polynomial in larger pixels: u = u' step, and its value in them, too."""
    p = np.arange(len(polynomial))
    return np.asarray(polynomial * step ** (p[:, None] + p[None, :] - 1.0))
