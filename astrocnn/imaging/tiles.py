"""Which image covers which object: footprints, and the tile an object is deepest inside."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from astrocnn.errors import ImageError
from astrocnn.imaging.files import find_files
from astrocnn.imaging.planes import Plane, find_plane
from astrocnn.imaging.sky_grid import SkyGrid, compute_separation, compute_unit_vectors
from astrocnn.imaging.survey import Band

__all__ = ["BandTiles", "assign_tiles", "open_band"]

CHUNK = 500_000
"""Objects that are matched to tiles at a time, which bounds the memory."""


class BandTiles:
    """The images of one band: planes, grids, and the planes that mark bad pixels.

    Parameters
    ----------
    band : Band
        What was asked for.
    planes : dict of str to list of Plane
        ``"image"`` and, where the band has them, ``"weight"``, ``"rms"``, ``"mask"``.
    grids : list of SkyGrid
        One per image.
    """

    def __init__(self, band: Band, planes: dict[str, list[Plane]], grids: list[SkyGrid]) -> None:
        self.band = band
        self.planes = planes
        self.grids = grids

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for bands whose tiles lie on the same grids in the same order."""
        return tuple(grid.key for grid in self.grids)


def open_band(band: Band) -> BandTiles:
    """Find the tiles of a band, reading headers only.

    Raises
    ------
    ImageError
        If a file is missing or unusable, or the planes that mark bad pixels do not fit.
    """
    planes: dict[str, list[Plane]] = {}
    for role, (patterns, hdu) in band.planes().items():
        found = find_files(patterns, f"the {role} of band '{band.name}'")
        plane = band.plane if role == "image" else None
        planes[role] = [
            find_plane(path, named if hdu is None else hdu, plane) for path, named in found
        ]
    images = planes["image"]
    for role, others in planes.items():
        if len(others) != len(images):
            raise ImageError(
                f"Band '{band.name}' has {len(images)} images and {len(others)} files of"
                f" {role}; there must be as many, in the same order.",
                received=[p.path.name for p in others],
            )
        for image, other in zip(images, others, strict=True):
            if image.shape != other.shape:
                raise ImageError(
                    f"The {role} plane has another size than the image in {image.title}.",
                    received=f"{other.title}: {other.shape[1]} x {other.shape[0]}",
                    allowed=f"{image.shape[1]} x {image.shape[0]}",
                )
    return BandTiles(band, planes, [SkyGrid.from_plane(plane) for plane in images])


def assign_tiles(grids: list[SkyGrid], ra: np.ndarray, dec: np.ndarray, size: float) -> np.ndarray:
    """The tile in which each object is farthest from an edge.

    Parameters
    ----------
    grids : list of SkyGrid
        The tiles.
    ra, dec : ndarray of shape (n,)
        Positions [deg]; NaN or out of range gives -1.
    size : float
        Side of the cutout [arcsec]; objects off the image are assigned to it as long as
        their cutout overlaps it.

    Returns
    -------
    ndarray of shape (n,)
        Index of the tile, -1 without coverage.  Ties go to the first tile.
    """
    tile = np.full(len(ra), -1, np.int32)
    if not grids:
        return tile
    tree = cKDTree(np.stack([grid.center for grid in grids]))
    # The corner of a cutout reaches sqrt(2)/2 of its side beyond its center.
    margin = np.radians(size / 3600) * 0.75
    reach = np.array([min(grid.radius + margin, np.pi) for grid in grids])
    for start in range(0, len(ra), CHUNK):
        part = slice(start, start + CHUNK)
        good = np.isfinite(ra[part]) & np.isfinite(dec[part]) & (np.abs(dec[part]) <= 90)
        rows = np.flatnonzero(good)
        if len(rows):
            best = _deepest(grids, tree, reach, ra[part][rows], dec[part][rows], size)
            tile[start + rows] = best
    return tile


def _deepest(
    grids: list[SkyGrid],
    tree: cKDTree,
    reach: np.ndarray,
    ra: np.ndarray,
    dec: np.ndarray,
    size: float,
) -> np.ndarray:
    vectors = compute_unit_vectors(ra, dec)
    best = np.full(len(ra), -1, np.int32)
    depth = np.full(len(ra), -np.inf)
    for tile, rows in _candidates(tree, reach, vectors):
        grid = grids[tile]
        x, y = grid.to_pixel(ra[rows], dec[rows])
        edge = grid.edge_distance(x, y) * grid.pixel_scale
        better = (edge > -0.5 * size) & (
            (edge > depth[rows]) | ((edge == depth[rows]) & (tile < best[rows]))
        )
        best[rows[better]] = tile
        depth[rows[better]] = edge[better]
    return best


def _candidates(
    tree: cKDTree, reach: np.ndarray, vectors: np.ndarray
) -> list[tuple[int, np.ndarray]]:
    """Pairs of a tile and the rows within its reach."""
    chord = 2 * np.sin(min(reach.max(), np.pi) / 2) * (1 + 1e-9)
    n_tiles = tree.n
    rows, near = np.arange(len(vectors)), min(8, n_tiles)
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    while len(rows):
        distance, tile = tree.query(vectors[rows], k=near, distance_upper_bound=chord)
        distance = np.reshape(distance, (len(rows), -1))
        tile = np.reshape(tile, (len(rows), -1))
        # Rows with as many neighbors as were asked for may have more of them.
        full = np.isfinite(distance[:, -1]) & (near < n_tiles)
        done = np.isfinite(distance) & ~full[:, None]
        which, column = np.nonzero(done)
        pairs.append((rows[which], tile[which, column]))
        rows, near = rows[full], min(4 * near, n_tiles)
    row = np.concatenate([p[0] for p in pairs])
    tiles = np.concatenate([p[1] for p in pairs])
    order = np.argsort(tiles, kind="stable")
    row, tiles = row[order], tiles[order]
    edges = np.searchsorted(tiles, np.arange(n_tiles + 1))
    result = []
    for index in range(n_tiles):
        mine = row[edges[index] : edges[index + 1]]
        mine = mine[compute_separation(vectors[mine], tree.data[index]) <= reach[index]]
        if len(mine):
            result.append((index, mine))
    return result
