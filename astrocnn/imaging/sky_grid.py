"""The pixel grid of an image on the sky: full celestial WCS in both directions.

No linear guess anywhere: distortions (SIP, TPV), projections, rotation and the order of the axes
are those of the header.  Positions that a WCS cannot invert come out as NaN.

References
----------
Calabretta & Greisen 2002, A&A 395, 1077 (celestial WCS); Shupe et al. 2005, ASP 347, 491 (SIP).
"""

from __future__ import annotations

import hashlib
import math
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.coordinates import BaseCoordinateFrame, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, NoConvergence
from astropy.wcs.utils import wcs_to_celestial_frame

from astrocnn.errors import ImageError
from astrocnn.fits_file import open_fits
from astrocnn.imaging.planes import Plane

__all__ = [
    "read_pixel_scale",
    "SkyGrid",
    "central_differences",
    "TangentGrid",
    "same_grid",
    "compute_separation",
    "compute_unit_vectors",
]

ROUND_TRIP = 0.1
"""Largest disagreement [pixel] of sky -> pixel -> sky; beyond it the inversion has failed."""

MAX_SIP_ORDER = 9  # Shupe et al. 2005


class SkyGrid:
    """Sky to pixel and back for one image.

    Parameters
    ----------
    wcs : astropy.wcs.WCS
        Two celestial axes, in the order of the pixel axes (x, y); Dec may come first.
    shape : tuple of int
        Rows and columns of the image.
    title : str
        For messages.

    Attributes
    ----------
    center : ndarray of shape (3,)
        Unit vector (ICRS) of the middle of the image.
    radius : float
        Largest angle from the center to the border [rad]; pi when it is not known.
    pixel_scale : float
        Square root of the pixel area in the middle [arcsec].
    pixel_area : float
        Area of a pixel in the middle [sr].
    key : str
        Digest of everything that moves a pixel; equal for equal grids.
    uses_tables : bool
        Whether lookup tables distort the grid (CPDIS, D2IM, -TAB).
    """

    def __init__(self, wcs: WCS, shape: tuple[int, int], title: str = "image") -> None:
        self.wcs = wcs
        self.shape = shape
        self.title = title
        # Declination may be the first axis; this is the index of the longitude.
        self._lon = int(wcs.wcs.lng)
        self._lock = threading.Lock()
        frame = wcs_to_celestial_frame(wcs)
        # None means ICRS, the frame of the catalogue, which needs no transformation.
        self._frame = None if frame.name == "icrs" else frame
        self._measure()
        self.uses_tables = _uses_tables(wcs)
        self.key = _identity(wcs, f"{shape} {frame!r}")

    @classmethod
    def from_plane(cls, plane: Plane) -> SkyGrid:
        """Read the grid of an image plane.

        Raises
        ------
        ImageError
            If its header has no celestial WCS for the two axes of the image.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # astropy warns of every card that it repairs
            try:
                header = plane.header
                _validate_orders(header)
                wcs = _with_tables(plane) if _names_tables(header) else WCS(header)
                if not wcs.has_celestial:
                    raise ImageError(
                        f"The image in {plane.title} has no celestial WCS.",
                        received=[t for t in wcs.wcs.ctype if t] or "no CTYPE cards",
                        hint="images without coordinates are read as stamps, one per object",
                    )
                if wcs.naxis > 2:
                    # A cube has further axes (frequency, Stokes), which do not move a pixel on the
                    # sky.
                    wcs = wcs.sub(list(plane.axes))
                if not wcs.has_celestial:
                    raise ImageError(
                        f"The celestial axes of {plane.title} are not those of the image plane.",
                        received=f"FITS axes {plane.axes[0]} and {plane.axes[1]}",
                    )
                return cls(wcs, plane.shape, plane.title)
            except ImageError:
                raise
            except Exception as error:  # wcslib raises many different types
                raise ImageError(
                    f"The WCS of {plane.title} cannot be used: {str(error).strip()}"
                ) from error

    def to_pixel(self, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Convert sky positions to pixel coordinates, 0 in the middle of the first pixel.

        Parameters
        ----------
        ra, dec : ndarray of any common shape
            ICRS coordinates [deg].

        Returns
        -------
        x, y : ndarray
            NaN where the position cannot be projected or the inversion does not converge.
        """
        ra, dec = np.broadcast_arrays(np.asarray(ra, float), np.asarray(dec, float))
        x = np.full(ra.shape, np.nan)
        y = np.full(ra.shape, np.nan)
        good = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90)
        if not good.any():
            return x, y
        lon, lat = self._native(ra[good], dec[good])
        world = np.stack([lon, lat] if self._lon == 0 else [lat, lon], axis=-1)
        pixel = self._invert(world)
        x[good], y[good] = pixel[:, 0], pixel[:, 1]
        return x, y

    def to_sky(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Convert pixel coordinates to ICRS right ascension and declination [deg]."""
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        # wcslib keeps intermediate results in the object: one thread at a time.
        with self._lock, np.errstate(invalid="ignore"):
            world = self.wcs.all_pix2world(np.stack([x.ravel(), y.ravel()], axis=-1), 0)
        lon, lat = world[:, self._lon], world[:, 1 - self._lon]
        if self._frame is not None:
            lon, lat = _transform(lon, lat, self._frame, "icrs")
        return lon.reshape(x.shape), lat.reshape(x.shape)

    def edge_distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Compute the distance to the nearest edge of the image [pixel]; negative outside."""
        height, width = self.shape
        # Pixel centers are whole numbers, so the edges lie at -0.5 and size - 0.5.
        across = np.minimum(x + 0.5, width - 0.5 - x)
        return np.minimum(across, np.minimum(y + 0.5, height - 0.5 - y))

    def matrix(self) -> np.ndarray:
        """Compute offsets east and north [arcsec] per pixel in x and y, in the middle: (2, 2)."""
        height, width = self.shape
        x, y = (width - 1) / 2, (height - 1) / 2
        ra, dec = self.to_sky(
            np.array([x, x + 0.5, x - 0.5, x, x]), np.array([y, y, y, y + 0.5, y - 0.5])
        )
        return central_differences(ra, dec)

    def may_continue(self, other: SkyGrid) -> bool:
        """Whether another image may lie on this pixel grid; quick, so that few are compared.

        Projections on a plane that touches the sky elsewhere never have the same pixels.
        """
        mine, theirs = self.wcs.wcs, other.wcs.wcs
        if list(mine.ctype) != list(theirs.ctype):
            return False
        cylinders = ("CAR", "CEA", "MER", "CYP", "HPX")
        if any(str(kind)[5:8] in cylinders for kind in mine.ctype):
            return True
        return bool(np.allclose(mine.crval, theirs.crval, rtol=0, atol=1e-8))

    def _invert(self, world: np.ndarray) -> np.ndarray:
        with self._lock, warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                pixel = self.wcs.all_world2pix(world, 0, tolerance=1e-5, maxiter=50)
            except NoConvergence as error:
                # One position that does not converge must not lose the others.
                pixel = np.array(error.best_solution)
                for lost in (error.divergent, error.slow_conv):
                    if lost is not None:
                        pixel[lost] = np.nan
            back = self.wcs.all_pix2world(pixel, 0)
        # Some projections give pixels for positions far outside, and distortions have false roots:
        # only what comes back to its position has been inverted.
        off = compute_separation(
            compute_unit_vectors(back[:, self._lon], back[:, 1 - self._lon]),
            compute_unit_vectors(world[:, self._lon], world[:, 1 - self._lon]),
        )
        tolerance = ROUND_TRIP * np.radians(self.pixel_scale / 3600)
        # Negated, so that NaN separations count as failures as well.
        pixel[~(off <= tolerance)] = np.nan
        return pixel

    def _native(self, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (ra, dec) if self._frame is None else _transform(ra, dec, "icrs", self._frame)

    def _measure(self) -> None:
        height, width = self.shape
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        step = np.array([[0, 0], [0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
        vectors = compute_unit_vectors(*self.to_sky(*(middle + step).T))
        self.center = vectors[0]
        # A cross product of vectors, because differences of right ascension fail at a pole.
        area = np.linalg.norm(np.cross(vectors[1] - vectors[2], vectors[3] - vectors[4]))
        if not (np.isfinite(area) and area > 0):
            raise ImageError(f"The WCS of {self.title} does not reach the middle of the image.")
        self.pixel_area = float(area)
        self.pixel_scale = float(np.degrees(np.sqrt(area)) * 3600)
        t = np.linspace(-0.5, 0.5, 9)
        border = np.concatenate(
            [np.stack([t, np.full(9, side)], 1) for side in (-0.5, 0.5)]
            + [np.stack([np.full(9, side), t], 1) for side in (-0.5, 0.5)]
        )
        rim = compute_unit_vectors(*self.to_sky(*(middle + border * [width, height]).T))
        angles = compute_separation(rim, self.center)
        radius = float(np.max(angles)) if np.isfinite(angles).all() else np.pi
        # Beyond a hemisphere a cap around the center does not bound the image.
        self.radius = np.pi if radius > np.pi / 2 else radius


def read_pixel_scale(card: Callable[[str], object]) -> float | None:
    """Read the pixel scale [arcsec] of a linear celestial WCS; None if the header has none.

    Parameters
    ----------
    card : callable
        Gives the value of a header card, None when absent.

    Notes
    -----
    Good to a few percent in a wide field, and a hundred times faster than a `SkyGrid`.
    """

    def determinant(name: str, diagonal: float) -> float:
        cards = ((i, j, card(f"{name}{i}_{j}")) for i in (1, 2) for j in (1, 2))
        a, b, c, d = (
            value if isinstance(value, (int, float)) else diagonal * (i == j)
            for i, j, value in cards
        )
        return abs(a * d - b * c)

    if not str(card("CTYPE1") or "").startswith(("RA", "DEC", "GLON", "GLAT", "ELON", "ELAT")):
        return None
    # Absent CD cards are 0, absent PC cards those of the identity matrix.
    area = determinant("CD", 0.0)
    steps = [card("CDELT1"), card("CDELT2")]
    if not area and all(isinstance(step, (int, float)) for step in steps):
        area = abs(determinant("PC", 1.0) * steps[0] * steps[1])  # type: ignore[operator]
    return math.sqrt(area) * 3600 if 0 < area < math.inf else None


def compute_unit_vectors(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Compute the unit vectors, of shape (n, 3), of positions [deg]."""
    lon, lat = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def compute_separation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute the angle between unit vectors [rad], accurate for the smallest ones."""
    # By the chord: the arc cosine of a scalar product loses the digits of small angles.
    return 2 * np.arcsin(np.clip(np.linalg.norm(a - b, axis=-1) / 2, 0, 1))


def _transform(
    lon: np.ndarray,
    lat: np.ndarray,
    source: BaseCoordinateFrame | str,
    target: BaseCoordinateFrame | str,
) -> tuple[np.ndarray, np.ndarray]:
    good = np.isfinite(lon) & np.isfinite(lat)
    coord = SkyCoord(np.where(good, lon, 0) * u.deg, np.where(good, lat, 0) * u.deg, frame=source)
    moved = coord.transform_to(target).spherical
    nan = np.where(good, 0.0, np.nan)
    return moved.lon.deg + nan, moved.lat.deg + nan


def _identity(wcs: WCS, text: str) -> str:
    """Digest of all numbers of a WCS that move a pixel."""
    digest = hashlib.blake2b(f"{text} {wcs.to_header_string(relax=True)}".encode(), digest_size=16)
    arrays = []
    if wcs.sip is not None:
        arrays += [wcs.sip.a, wcs.sip.b, wcs.sip.ap, wcs.sip.bp, wcs.sip.crpix]
    # The header names lookup tables, but their numbers stand in extensions.
    for table in (wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2):
        arrays += [None] if table is None else [table.crpix, table.crval, table.cdelt, table.data]
    for table in wcs.wcs.tab:
        arrays += [np.array(table.crval), table.coord, *(table.index or ())]
    for array in arrays:
        digest.update(b"none" if array is None else np.asarray(array, float).tobytes())
    return digest.hexdigest()


def _uses_tables(wcs: WCS) -> bool:
    tables = (wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2)
    in_tables = any(str(kind).endswith("-TAB") for kind in wcs.wcs.ctype)
    return in_tables or any(table is not None for table in tables)


def _names_tables(header: fits.Header) -> bool:
    keys = ("D2IMDIS1", "CPDIS1", "CPDIS2", "D2IMDIS2")
    return any(key in header for key in keys) or any(
        str(header.get(f"CTYPE{axis}", "")).endswith("-TAB") for axis in (1, 2, 3)
    )


def _validate_orders(header: fits.Header) -> None:
    """Refuse a SIP polynomial of more than its ninth order, before memory is taken for it."""
    for key in ("A_ORDER", "B_ORDER", "AP_ORDER", "BP_ORDER"):
        order = header.get(key, 0)
        if not (isinstance(order, int) and 0 <= order <= MAX_SIP_ORDER):
            raise ValueError(f"{key} = {order!r}")


def _with_tables(plane: Plane) -> WCS:
    with open_fits(plane.path) as hdus:
        return WCS(plane.header, hdus)


SAME_GRID = 1e-3
"""Two grids whose pixels differ by less than this [pixel] everywhere are the same."""


@dataclass(frozen=True)
class TangentGrid:
    """Tangent planes, each centered on its own object.

    Parameters
    ----------
    matrix : ndarray of shape (2, 2)
        Offsets east and north [arcsec] per pixel in x and y.
    """

    matrix: np.ndarray

    @classmethod
    def north_up(cls, scale: float) -> TangentGrid:
        """Build a grid with north up and east left, with a pixel scale [arcsec]."""
        return cls(np.array([[-scale, 0.0], [0.0, scale]]))

    def to_sky(
        self, ra: np.ndarray, dec: np.ndarray, x: np.ndarray, y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Convert pixel offsets from the objects to sky positions [deg].

        Parameters
        ----------
        ra, dec : ndarray of shape (n,)
            Objects [deg].
        x, y : ndarray of shape (m,)
            Offsets [pixel].

        Returns
        -------
        ra, dec : ndarray of shape (n, m)

        References
        ----------
        Calabretta & Greisen 2002, A&A 395, 1077, section 5.1.3 (gnomonic projection).
        """
        east, north = np.radians(self.matrix @ np.stack([x, y]) / 3600)
        lon0, lat0 = np.radians(ra)[:, None], np.radians(dec)[:, None]
        down = np.cos(lat0) - north * np.sin(lat0)
        lon = lon0 + np.arctan2(east, down)
        lat = np.arctan2(np.sin(lat0) + north * np.cos(lat0), np.hypot(east, down))
        return np.degrees(lon) % 360, np.degrees(lat)


def same_grid(target: SkyGrid, other: SkyGrid) -> tuple[int, int] | None:
    """Find the shift (x, y) by whole pixels from one image grid to another; None without one.

    Parameters
    ----------
    target, other : SkyGrid
        Grids of two images.
    """
    if target is other or target.key == other.key:
        return 0, 0
    if target.uses_tables or other.uses_tables:
        return None  # tables can differ between any points that are compared
    height, width = target.shape
    y, x = np.meshgrid(np.linspace(0, height - 1, 5), np.linspace(0, width - 1, 5), indexing="ij")
    there_x, there_y = other.to_pixel(*target.to_sky(x, y))
    shift_x, shift_y = there_x - x, there_y - y
    whole_x, whole_y = np.round(shift_x[2, 2]), np.round(shift_y[2, 2])
    worst = np.maximum(np.abs(shift_x - whole_x), np.abs(shift_y - whole_y)).max()
    return (int(whole_x), int(whole_y)) if worst < SAME_GRID else None


def central_differences(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """East and north [arcsec] from the left to the right and from the lower to the upper neighbor.

    Parameters
    ----------
    ra, dec : ndarray of shape (5,)
        A position and its right, left, upper and lower neighbor [deg].

    Returns
    -------
    ndarray of shape (2, 2)
    """
    # Gnomonic offsets: differences of right ascension have no meaning at a pole.
    lon, lat = np.radians(ra - ra[0]), np.radians(dec)
    cosine = np.sin(lat[0]) * np.sin(lat) + np.cos(lat[0]) * np.cos(lat) * np.cos(lon)
    east = np.cos(lat) * np.sin(lon) / cosine
    north = (np.cos(lat[0]) * np.sin(lat) - np.sin(lat[0]) * np.cos(lat) * np.cos(lon)) / cosine
    arcsec = np.degrees(np.stack([east, north])) * 3600
    return np.stack([arcsec[:, 1] - arcsec[:, 2], arcsec[:, 3] - arcsec[:, 4]], axis=1)
