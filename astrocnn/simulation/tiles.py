"""Geometry of the survey: tiles on the sky, and positions of objects on the tiles."""

from __future__ import annotations

import dataclasses

import numpy as np
from astropy.wcs import WCS

from astrocnn.simulation.objects import make_rng

__all__ = ["GAP", "Tile", "layout_tiles", "sample_position", "sample_uncovered_position"]

GAP = 60  # between tiles [pixel]


@dataclasses.dataclass(frozen=True)
class Tile:
    """A square tile with its own tangent point.

    Parameters
    ----------
    index : int
        Number of the tile.
    ra, dec : float
        Center [deg].
    side : float
        Side [arcsec].
    """

    index: int
    ra: float
    dec: float
    side: float

    def size(self, pixel_scale: float) -> int:
        """Side in pixels of the given size [arcsec]."""
        return round(self.side / pixel_scale)

    def wcs(self, pixel_scale: float) -> WCS:
        """Tangent projection, north up and east to the left, with pixels of that size [arcsec]."""
        return _tangent_wcs(self.ra, self.dec, pixel_scale, self.size(pixel_scale))

    def pixels(self, ra: np.ndarray, dec: np.ndarray, pixel_scale: float) -> np.ndarray:
        """Zero-based pixel coordinates (x, y), NaN on the other half of the sky; shape (n, 2)."""
        ra, dec = np.atleast_1d(ra), np.atleast_1d(dec)
        delta = np.radians(ra - self.ra)
        cosine = np.sin(np.radians(dec)) * np.sin(np.radians(self.dec))
        cosine += np.cos(np.radians(dec)) * np.cos(np.radians(self.dec)) * np.cos(delta)
        # The tangent projection would map the far hemisphere on the same plane.
        near = cosine > 0.5
        pixel = np.full((ra.size, 2), np.nan)
        if near.any():
            positions = np.column_stack([ra[near], dec[near]])
            pixel[near] = self.wcs(pixel_scale).all_world2pix(positions, 0)
        return pixel


def _tangent_wcs(ra: float, dec: float, pixel_scale: float, size: int) -> WCS:
    """Tangent projection about the middle of an image of `size` pixels."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = [ra % 360.0, dec]
    wcs.wcs.crpix = [(size + 1) / 2, (size + 1) / 2]
    wcs.wcs.cdelt = [-pixel_scale / 3600, pixel_scale / 3600]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs


def layout_tiles(
    n_tiles: int, size: int, overlap: int, pixel_scale: float, center: tuple[float, float]
) -> tuple[Tile, ...]:
    """Tiles in rows around a center; the first two overlap, the others leave gaps.

    Parameters
    ----------
    n_tiles : int
        Number of tiles.
    size, overlap : int
        Side of a tile, and width of the overlap of the first two [pixel].
    pixel_scale : float
        Pixel size [arcsec].
    center : tuple of float
        RA, Dec of the middle of the field [deg].
    """
    columns = int(np.ceil(np.sqrt(n_tiles)))
    rows = -(-n_tiles // columns)
    sky = _tangent_wcs(*center, pixel_scale, 1)
    tiles = []
    for index in range(n_tiles):
        row, column = divmod(index, columns)
        x = (column - (columns - 1) / 2) * (size + GAP)
        if index == 1:
            x -= GAP + overlap
        y = (row - (rows - 1) / 2) * (size + GAP)
        # Columns run eastwards, that is to the left.
        ra, dec = sky.all_pix2world([[-x, y]], 0)[0]
        tiles.append(Tile(index, float(ra), float(dec), size * pixel_scale))
    return tuple(tiles)


def sample_position(
    seed: int, index: int, tiles: tuple[Tile, ...], pixel_scale: float, margin: int
) -> tuple[float, float]:
    """RA, Dec [deg] of an object: uniform over the area of all tiles, few near an edge.

    Parameters
    ----------
    seed, index : int
        Seed of the simulation and number of the object.
    tiles : tuple of Tile
        The tiles.
    pixel_scale : float
        Pixel size [arcsec].
    margin : int
        Width of the border that receives one object in fifty [pixel].
    """
    rng = make_rng(seed, "place", index)
    at_edge = rng.random() < 0.02
    while True:
        tile = tiles[rng.integers(len(tiles))]
        size = tile.size(pixel_scale)
        x, y = rng.uniform(-0.5, size - 0.5, 2)
        inside = min(x, y, size - 1 - x, size - 1 - y) > margin
        if inside == at_edge:
            continue
        ra, dec = tile.wcs(pixel_scale).all_pix2world([[x, y]], 0)[0]
        # Where tiles overlap, accept each as often as one tile would.
        covering = sum(
            bool(np.all((pixel > -0.5) & (pixel < other.size(pixel_scale) - 0.5)))
            for other in tiles
            for pixel in other.pixels(ra, dec, pixel_scale)
        )
        if rng.random() * covering < 1:
            return float(ra), float(dec)


def sample_uncovered_position(
    rng: np.random.Generator, tiles: tuple[Tile, ...]
) -> tuple[float, float]:
    """RA, Dec [deg] of a position that no tile covers, within a few tile sides of the field."""
    reach = max(tile.side for tile in tiles) / 3600
    dec = max((tile.dec for tile in tiles), key=abs)
    sign = -1.0 if dec > 0 else 1.0  # away from the pole
    distance = reach * (1 + np.ceil(np.sqrt(len(tiles))) + rng.uniform(0, 2))
    middle = float(np.mean([tile.dec for tile in tiles]))
    return tiles[0].ra, float(middle + sign * distance)
