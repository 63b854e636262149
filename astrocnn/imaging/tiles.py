"""The tiles of a band: planes, grids, units, zero points; the tile an object is deepest inside."""

from __future__ import annotations

import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from astrocnn.errors import AstrocnnWarning, ImageError
from astrocnn.imaging import photometry
from astrocnn.imaging.files import find_files
from astrocnn.imaging.planes import Plane, find_extensions, find_mosaic, find_plane
from astrocnn.imaging.sky_grid import SkyGrid, compute_separation, compute_unit_vectors, same_grid
from astrocnn.imaging.survey import Band, Hdu, Survey
from astrocnn.remote import CONNECTIONS, Url

__all__ = [
    "ZERO_POINT_CARDS",
    "BandTiles",
    "assign_tiles",
    "compute_factors",
    "find_units",
    "open_band",
    "warn_of_zero_points",
]

ZERO_POINT_CARDS = ("MAGZERO", "MAGZP", "MAGZPT", "MAG_ZERO", "MAG0", "PHOTZP", "ZP", "ZPT")
"""Cards that hold the zero point of an image, by the habits of surveys."""
CHUNK = 500_000
"""Objects that are matched to tiles at a time, which bounds the memory."""


@dataclass(frozen=True)
class BandTiles:
    """The images of one band: planes, grids, and the planes that mark bad pixels.

    Parameters
    ----------
    band : Band
        The band.
    planes : dict of str to list of Plane
        ``"image"`` and, where the band has them, the others of `astrocnn.imaging.survey.PLANES`.
    grids : list of SkyGrid
        One per image.
    """

    band: Band
    planes: dict[str, list[Plane]]
    grids: list[SkyGrid]

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for bands whose tiles lie on the same grids in the same order."""
        return tuple(grid.key for grid in self.grids)

    @property
    def pairs(self) -> list[str]:
        """For each image the planes that mark its bad pixels, as sentences."""
        others = {role: planes for role, planes in self.planes.items() if role != "image"}
        if not others:
            return []
        return [
            f"{image.label}: "
            + ", ".join(f"{role} {planes[k].label}" for role, planes in others.items())
            for k, image in enumerate(self.planes["image"])
        ]

    def find_neighbors(self, tile: int, size: float) -> list[tuple[int, int, int]]:
        """Find the tiles that continue the pixel grid of a tile.

        Parameters
        ----------
        tile : int
            Index of the tile.
        size : float
            Side of a cutout [arcsec], which may reach across a gap or a small tile.

        Returns
        -------
        list of (int, int, int)
            Index of each, and what to add to x and y in `tile` to have x and y in it.
        """
        grid = self.grids[tile]
        distance = compute_separation(np.stack([g.center for g in self.grids]), grid.center)
        reach = (
            np.array([g.radius for g in self.grids]) + grid.radius + 1.5 * np.radians(size / 3600)
        )
        shifts = []
        for other in np.flatnonzero(distance <= reach).tolist():
            # Comparing two grids pixel by pixel is slow, and hopeless for most pairs.
            if other != tile and grid.may_continue(self.grids[other]):
                shift = same_grid(grid, self.grids[other])
                if shift is not None:
                    shifts.append((other, *shift))
        return shifts


def open_band(band: Band) -> BandTiles:
    """Find the tiles of a band, reading headers only.

    Weights, noise maps and masks are paired with the images by their pixel grid on the sky; names
    only decide between several on one grid.

    Raises
    ------
    ImageError
        If a file is missing or unusable, or the planes that mark bad pixels do not fit.
    """
    planes: dict[str, list[Plane]] = {}
    for role, (patterns, hdu) in band.planes().items():
        files = find_files(patterns, f"the {role} of band '{band.name}'")
        plane = band.plane if role == "image" else None
        # The key of a survey file goes before the brackets of a file name.
        chosen = [(path, file_hdu if hdu is None else hdu, plane) for path, file_hdu in files]
        if any(isinstance(path, Url) for path, _, _ in chosen):
            # Of thousands of headers on servers each costs the time of some answers.
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                found = list(pool.map(_find_chosen, *zip(*chosen, strict=True)))
        else:
            found = [_find_chosen(*one) for one in chosen]
        planes[role] = [one for group in found for one in group]
    images = planes["image"]
    grids = [SkyGrid.from_plane(plane) for plane in images]
    for role in planes.keys() - {"image"}:
        planes[role] = _pair_planes(band.name, role, images, grids, planes[role])
    return BandTiles(band, planes, grids)


def _find_chosen(path: Path | Url, hdu: Hdu, plane: int | None) -> list[Plane]:
    """The images of a file that the survey names."""
    if hdu is None:
        return _find_unnamed(path, plane)
    result = []
    for one in hdu if isinstance(hdu, (list, tuple)) else (hdu,):
        if isinstance(one, str) and "*" in one:
            result += find_extensions(path, one, plane)
        else:
            result.append(find_plane(path, one, plane))
    return result


def _find_unnamed(path: Path | Url, plane: int | None) -> list[Plane]:
    """The images of a file of which the survey names none: the first one, or all CCDs of a mosaic.

    Images on one grid are an image and what belongs to it (weights, masks), of which the first is
    meant.  Images that lie elsewhere must not be passed over without a word.
    """
    found = find_mosaic(path, plane)
    if len(found) == 1:
        return found
    first = SkyGrid.from_plane(found[0])
    grids = [first, *(_grid_if_any(other) for other in found[1:])]
    # An image in pixels of another size is no CCD of the same camera: a background, a thumbnail.
    ccds = [
        (one, grid)
        for one, grid in zip(found, grids, strict=True)
        if grid is not None and abs(grid.pixel_scale / first.pixel_scale - 1) < 0.05
    ]
    centers = np.stack([grid.center for _, grid in ccds])
    pixel = np.radians(first.pixel_scale / 3600)
    # How many images have the center of each.
    alike = [int((compute_separation(centers, center) < pixel).sum()) for center in centers]
    # All in one place: an image and what belongs to it.
    if alike[0] == len(ccds):
        return found[:1]
    # Each in a place of its own: the CCDs of a mosaic.
    if max(alike) == 1:
        return [one for one, _ in ccds]
    raise ImageError(
        f"The file {path} holds images of several places and several of one place.",
        received=[one.unit.title for one, _ in ccds],
        allowed="an 'hdu' that names those to use: a list, or a pattern such as 'SCI*'",
        hint=f"hdu = '{found[0].unit.name or 'CCD'}*' takes all whose names begin so",
    )


def _pair_planes(
    band: str, role: str, images: list[Plane], grids: list[SkyGrid], others: list[Plane]
) -> list[Plane]:
    """The planes of a role in the order of the images."""
    if len(others) != len(images):
        raise ImageError(
            f"Band '{band}' has {len(images)} images and {len(others)} files of {role}.",
            received=[plane.path.name for plane in others],
            allowed="one for each image",
        )
    by_path = {plane.path: plane for plane in others}
    # Planes in the file of their image need no comparison.
    if len(by_path) == len(others) and all(image.path in by_path for image in images):
        return [_same_shape(role, image, by_path[image.path]) for image in images]
    # With one of each, other sizes are a mistake, and not a pair to be looked for.
    if len(images) == 1:
        _same_shape(role, images[0], others[0])
    other_grids = [_grid_if_any(plane) for plane in others]
    centers = np.array([np.full(3, np.nan) if g is None else g.center for g in other_grids])
    # A plane belongs to one image only.
    free = set(range(len(others)))
    paired = []
    for image, grid in zip(images, grids, strict=True):
        # Most of a survey is elsewhere; pixel by pixel only what has the same center is compared.
        near = compute_separation(centers, grid.center) < np.radians(grid.pixel_scale / 3600)
        candidates = []
        for k in sorted(free):
            other = other_grids[k]
            if other is not None and near[k] and same_grid(grid, other) == (0, 0):
                candidates.append(k)
        if not candidates:
            # Files without coordinates can only be paired by their names.
            candidates = [k for k in sorted(free) if other_grids[k] is None]
        best = _best_by_name(image, [others[k] for k in candidates])
        if best is None:
            raise ImageError(
                f"No {role} file of band '{band}' lies on the pixel grid of {image.title}."
                if not candidates
                else f"Several {role} files of band '{band}' fit the image {image.title}.",
                received=[others[k].path.name for k in (candidates or sorted(free))],
                allowed="a file on the same grid, or with the same numbers in its name",
            )
        free.remove(candidates[best])
        paired.append(_same_shape(role, image, others[candidates[best]]))
    return paired


def _same_shape(role: str, image: Plane, other: Plane) -> Plane:
    if image.shape != other.shape:
        raise ImageError(
            f"The {role} plane has another size than the image in {image.title}.",
            received=f"{other.title}: {other.shape[1]} x {other.shape[0]}",
            allowed=f"{image.shape[1]} x {image.shape[0]}",
        )
    return other


def _grid_if_any(plane: Plane) -> SkyGrid | None:
    try:
        return SkyGrid.from_plane(plane)
    except ImageError:
        return None


def _best_by_name(image: Plane, others: list[Plane]) -> int | None:
    """Index of the only plane, or of the one whose name has the numbers of the image's name."""
    if len(others) == 1:
        return 0
    numbers = _numbers_in(image.path.name)
    matching = [k for k, plane in enumerate(others) if _numbers_in(plane.path.name) == numbers]
    return matching[0] if len(matching) == 1 else None


def _numbers_in(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"[0-9]+", name)]


def find_units(survey: Survey, tiles: BandTiles) -> list[str | None]:
    """Find the unit of each image of a band; None where neither survey nor header says it."""
    band = tiles.band
    return [
        band.choose_unit(plane.card("BUNIT"), survey.unit, plane.title)
        for plane in tiles.planes["image"]
    ]


def compute_factors(survey: Survey, tiles: BandTiles, units: list[str | None]) -> list[float]:
    """Compute the factor of each image of a band, from its pixels to the unit of the survey.

    Raises
    ------
    ImageError
        If the card of a zero point is missing.
    """
    return [
        photometry.compute_factor(
            survey.unit, unit, _read_zero_point(tiles.band, plane), grid.pixel_area
        )
        * tiles.band.flux_scale
        for plane, grid, unit in zip(tiles.planes["image"], tiles.grids, units, strict=True)
    ]


def warn_of_zero_points(survey: Survey, tiles: list[BandTiles]) -> None:
    """Warn where headers state different zero points and the survey uses none of them."""
    if survey.unit is not None:
        return
    for key in ZERO_POINT_CARDS:
        stated = {
            # Digits beyond a millimagnitude are those of the program that wrote the header.
            round(float(value), 3): plane.label
            for t in tiles
            if t.band.flux_scale == 1 and t.band.unit is None
            for plane in t.planes["image"]
            if isinstance(value := plane.card(key), (int, float))
        }
        if len(stated) > 1:
            some = [f"{value} in {name}" for value, name in list(stated.items())[:2]]
            warnings.warn(
                f"The images of the survey '{survey.name}' state different zero points"
                f" ({key} = {' and '.join(some)}), and it names none: their pixels are taken as"
                f" they are. To bring them to one unit: zero_point = '{key}'.",
                AstrocnnWarning,
                stacklevel=3,
            )


def _read_zero_point(band: Band, plane: Plane) -> float | None:
    if not isinstance(band.zero_point, str):
        return band.zero_point
    value = plane.card(band.zero_point)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        photometry.validate_zero_point(value, f"card {band.zero_point} of {plane.title}")
        return float(value)
    present = [key for key in ZERO_POINT_CARDS if plane.card(key) is not None]
    raise ImageError(
        f"The zero point of band '{band.name}' should be in card {band.zero_point} of"
        f" {plane.title}.",
        received="no such card" if value is None else value,
        hint="; ".join(f"the header has {key} = {plane.card(key)}" for key in present)
        or "give zero_point as a number [AB mag], or leave it out to keep the values as they are",
    )


def assign_tiles(grids: list[SkyGrid], ra: np.ndarray, dec: np.ndarray, size: float) -> np.ndarray:
    """Assign to each object the tile in which it is farthest from an edge.

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
        # In arcsec, since tiles may have pixels of different sizes.
        edge = grid.edge_distance(x, y) * grid.pixel_scale
        # Equal depths go to the first tile, however the tiles were found.
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
    # The tree measures along straight lines; the factor allows for rounding.
    chord = 2 * np.sin(min(reach.max(), np.pi) / 2) * (1 + 1e-9)
    n_tiles = tree.n
    # Few surveys have more than eight tiles near a place; such rows are asked again.
    rows, near = np.arange(len(vectors)), min(8, n_tiles)
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    while len(rows):
        distance, tile = tree.query(vectors[rows], k=near, distance_upper_bound=chord)
        distance = np.reshape(distance, (len(rows), -1))
        tile = np.reshape(tile, (len(rows), -1))
        # Rows whose list of neighbors is full may have more of them.
        full = np.isfinite(distance[:, -1]) & (near < n_tiles)
        done = np.isfinite(distance) & ~full[:, None]
        pair_row, column = np.nonzero(done)
        pairs.append((rows[pair_row], tile[pair_row, column]))
        rows, near = rows[full], min(4 * near, n_tiles)
    row = np.concatenate([p[0] for p in pairs])
    tiles = np.concatenate([p[1] for p in pairs])
    order = np.argsort(tiles, kind="stable")
    row, tiles = row[order], tiles[order]
    edges = np.searchsorted(tiles, np.arange(n_tiles + 1))
    result = []
    for index in range(n_tiles):
        mine = row[edges[index] : edges[index + 1]]
        # The tree was asked with the largest reach of all tiles.
        mine = mine[compute_separation(vectors[mine], tree.data[index]) <= reach[index]]
        if len(mine):
            result.append((index, mine))
    return result
