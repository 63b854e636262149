"""Cutouts from survey tiles, by sky position.

An object is cut from one tile of each band: its window is copied when the tile lies on the pixel
grid of the tile of the reference band, and resampled otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from astrocnn.block_cache import open_remote
from astrocnn.errors import (
    CatalogError,
    ConfigError,
    ImageError,
    MissingFileError,
)
from astrocnn.flags import Flag
from astrocnn.imaging import photometry
from astrocnn.imaging.cutout_wcs import build_tangent_wcs, build_window_wcs
from astrocnn.imaging.cutouts import (
    Cutouts,
    allocate_stack,
    compute_corners,
    compute_flags,
)
from astrocnn.imaging.files import compute_digest, compute_state, get_status
from astrocnn.imaging.jobs import (
    BLOCK,
    Group,
    Job,
    Layer,
    Neighbor,
    Stack,
    fill_block,
    split_phases,
)
from astrocnn.imaging.plane_cache import PlaneCache
from astrocnn.imaging.planes import Plane
from astrocnn.imaging.remote_planes import Window
from astrocnn.imaging.resampling import GridMap, compute_nodes
from astrocnn.imaging.sky_grid import SkyGrid, TangentGrid, same_grid
from astrocnn.imaging.source import DisplayedSource
from astrocnn.imaging.survey import Survey
from astrocnn.imaging.tiles import (
    assign_tiles,
    compute_factors,
    find_units,
    open_band,
    warn_of_zero_points,
)
from astrocnn.remote import CONNECTIONS, Status, Url, get_statuses
from astrocnn.scheduling import count_threads

__all__ = ["source", "TileSource"]

ASSIGN_ALL = 100_000
"""Catalogues up to this length are assigned to their tiles at once."""
SCALE_TOLERANCE = 0.01
"""Largest relative difference of two pixel scales that count as the same."""

GROUPS = 16
"""Reference tiles that are cut at a time where images are on servers."""

TILED = True
"""Objects are cut from images of the sky, by their position."""


def source(
    survey: Survey,
    *,
    ra: npt.ArrayLike | None,
    dec: npt.ArrayLike | None,
    columns: Mapping[str, npt.ArrayLike],
    size: int,
    **options: int,
) -> TileSource:
    """Open the tiles of a survey; see `TileSource` for the options.

    Raises
    ------
    ConfigError
        If there are no positions.
    """
    if survey.crop is not None:
        raise ConfigError(
            f"The survey '{survey.name}' is not usable: crop applies to stamps only.",
            received=f"crop = {survey.crop} with kind = 'tiles'",
        )
    if ra is None or dec is None:
        raise ConfigError(
            f"The survey '{survey.name}' has tiles, so the catalogue needs RA and Dec.",
            hint="name the columns of ra and dec in [catalog]",
        )
    return TileSource(survey, ra, dec, size, **options)


class TileSource(DisplayedSource):
    """Cutouts of objects from the tiles of a survey.

    The tiles of each band are looked up independently; an object is cut from the one in which
    it is farthest from an edge.  Bands on the pixel grid of the reference band are cut by
    slicing, others are resampled on it.

    Parameters
    ----------
    survey : Survey
        With ``kind = "tiles"``.
    ra, dec : array of shape (n,)
        ICRS positions [deg].
    size : int
        Side of the cutouts [pixel].

    workers : int, optional
        Threads; by default one per CPU core of this process, at most 8.
    cache_bytes : int
        Memory for decoded compressed tiles.

    Raises
    ------
    ImageError
        If a tile is missing, damaged, no image, or has no celestial WCS.
    """

    def __init__(
        self,
        survey: Survey,
        ra: npt.ArrayLike,
        dec: npt.ArrayLike,
        size: int = 64,
        *,
        workers: int | None = None,
        cache_bytes: int = 1 << 30,
    ) -> None:
        self.survey = survey
        self.ra, self.dec = _validate_positions(ra), _validate_positions(dec)
        if self.ra.shape != self.dec.shape:
            raise CatalogError("There are not as many values of RA as of Dec.")
        self.size = size
        self.bands = survey.band_names
        self.unit = survey.common_unit
        self.workers = workers or min(8, count_threads())
        self._cache = PlaneCache(cache_bytes)
        self._tiles = [open_band(band) for band in survey.bands]
        planes = [p for t in self._tiles for group in t.planes.values() for p in group]
        # Headers are read only once: `state` refuses files that were written anew since.
        self._opened = {plane.path: _get_opened(plane.path) for plane in planes}
        self._is_remote = any(isinstance(path, Url) for path in self._opened)
        self._reference = self._tiles[survey.reference_index].grids
        self.pixel_scale: float | None
        self.pixel_scale, self._tangent = _choose_target(survey, self._reference)
        # Objects outside the reference band get pixels like those of its first tile.
        self._fallback = TangentGrid(self._reference[0].matrix())
        units = [find_units(survey, tiles) for tiles in self._tiles]
        if self.unit is None:
            self.unit = survey.combine_units(
                (t.band, unit, plane.title)
                for t, own in zip(self._tiles, units, strict=True)
                for unit, plane in zip(own, t.planes["image"], strict=True)
            )
        warn_of_zero_points(survey, self._tiles)
        self._factors = [
            compute_factors(survey, *one) for one in zip(self._tiles, units, strict=True)
        ]
        # Two grids are compared once, which takes longer than cutting an object.
        self._shifts: dict[tuple[str, str], tuple[int, int] | None] = {}
        self._neighbors: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        self._assigned: list[np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.ra)

    def with_positions(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> TileSource:
        """The same open tiles for other objects."""
        other = copy(self)
        other.ra, other.dec = _validate_positions(ra), _validate_positions(dec)
        other._assigned = None
        return other

    @property
    def assigned(self) -> list[np.ndarray]:
        """Per band the index of the tile of each object, -1 without coverage."""
        if self._assigned is None:
            self._assigned = self._assign(self.ra, self.dec)
        return self._assigned

    def _get_assigned(self, rows: np.ndarray) -> list[np.ndarray]:
        """As `assigned`, for some rows: one of many workers never looks at all of them."""
        if self._assigned is None and len(self) > ASSIGN_ALL:
            return self._assign(self.ra[rows], self.dec[rows])
        return [assigned[rows] for assigned in self.assigned]

    def _assign(self, ra: np.ndarray, dec: np.ndarray) -> list[np.ndarray]:
        # Bands mostly share their grids, and the inverse WCS of all objects is expensive.
        size = self.size * (self.pixel_scale or 1.0)
        by_band = {b: assign_tiles(self._tiles[b].grids, ra, dec, size) for b in set(self._alike)}
        return [by_band[b] for b in self._alike]

    @property
    def pairs(self) -> list[str]:
        """Which weights, noise maps and masks belong to which image, one sentence per image."""
        return [pair for tiles in self._tiles for pair in tiles.pairs]

    @property
    def places(self) -> list[tuple[float, float]]:
        """Right ascension and declination of the first tiles of the reference band [deg]."""
        centers = [grid.center for grid in self._reference[:3]]
        return [
            (float(np.degrees(np.arctan2(y, x)) % 360), float(np.degrees(np.arcsin(z))))
            for x, y, z in centers
        ]

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the survey, of the factors from its headers, and of samples of its files."""
        remote = {str(k): v for k, v in self._opened.items() if isinstance(k, Url)}
        local = [path for path in self._opened if not isinstance(path, Url)]
        described = (self.survey, self._factors)
        return compute_digest((*described, remote) if remote else described, local)

    def state(self, rows: npt.ArrayLike) -> str:
        """Digest of the lengths and times of the files that cover some rows.

        Raises
        ------
        ImageError
            If one was written anew since it was opened: its header may not be that of its pixels.
        """
        files = self._find_files(np.asarray(rows, np.int64))
        get_statuses(file for file in files if isinstance(file, Url))
        statuses = {file: get_status(file) for file in files}
        # What is gone from a server flags its objects.
        changed = [
            file
            for file, status in statuses.items()
            if status != self._opened[file] and not (status is None and isinstance(file, Url))
        ]
        if changed:
            raise ImageError(
                "Images were written anew while they were being read.",
                received=changed,
                hint="give the same command again when they are complete",
            )
        return compute_state(files)

    def _find_files(self, rows: np.ndarray) -> list[Path | Url]:
        """The files that cover some rows, those of neighboring tiles included."""
        return [
            planes[tile].path
            for b, assigned in enumerate(self._get_assigned(rows))
            for near in np.unique(assigned).tolist()
            if near >= 0
            for tile in (near, *(other for other, _, _ in self._get_neighbors(b, near)))
            for planes in self._tiles[b].planes.values()
        ]

    def order(self) -> np.ndarray:
        """Permutation of the rows that visits each tile once; rows without a tile come last."""
        # An object without the reference band is cut from another band, after all others.
        first = self.assigned[self.survey.reference_index].astype(np.int64)
        for other in self.assigned:
            first = np.where(first < 0, other + np.int64(1 << 31) * (other >= 0), first)
        first = np.where(first < 0, np.int64(1) << 40, first)
        return np.lexsort((np.nan_to_num(self.dec), first)).astype(np.int64)

    def read(self, rows: npt.ArrayLike, out: np.ndarray | None = None) -> Cutouts:
        """Cut the given rows, in their order.

        Parameters
        ----------
        rows : array of shape (n,)
            Row numbers.
        out : ndarray of shape (n, size, size, n_bands), optional
            Contiguous float32 array to write to, which saves allocating one for each chunk.
        """
        rows = np.asarray(rows, np.int64)
        shape = (len(rows), self.size, self.size, len(self.bands))
        counts = np.zeros((len(rows), len(self.bands)), np.int64)
        stack = Stack(
            allocate_stack(shape, out),
            counts,
            counts.copy(),
            counts.astype(bool),
            np.zeros(len(rows), bool),
        )
        with ThreadPoolExecutor(self.workers) as pool:
            if self._is_remote:
                # Many tiles at a time, since each costs the time of some answers.
                get_statuses(file for file in self._find_files(rows) if isinstance(file, Url))
                with ThreadPoolExecutor(GROUPS) as tiles, ThreadPoolExecutor(CONNECTIONS) as planes:
                    list(tiles.map(lambda g: self._cut(pool, planes, g, stack), self._groups(rows)))
            else:
                for group in self._groups(rows):
                    self._cut(pool, pool, group, stack)
        flags = compute_flags(stack.no_data, stack.outside, self.size**2, stack.covered)
        flags[stack.gone] |= Flag.FILE_MISSING.value
        # An object without a valid position is a fault of the catalogue, not missing coverage.
        good = _valid(self.ra[rows], self.dec[rows])
        flags[~good] = (flags[~good] | Flag.BAD_COORDINATES.value) & ~Flag.NO_COVERAGE.value
        no_data = (stack.no_data / self.size**2).astype(np.float32)
        return Cutouts(stack.images, flags, no_data)

    def wcs(self, row: int) -> WCS | None:
        """Celestial WCS of the cutout of a row; None where no tile covers it."""
        tiles = [int(assigned[0]) for assigned in self._get_assigned(np.array([row]))]
        if max(tiles) < 0:
            return None
        ra, dec = float(self.ra[row]), float(self.dec[row])
        tile = tiles[self.survey.reference_index]
        if self._tangent is not None or tile < 0:
            return build_tangent_wcs((self._tangent or self._fallback).matrix, ra, dec, self.size)
        grid = self._reference[tile]
        x0, y0 = (
            compute_corners(at, self.size) for at in grid.to_pixel(np.array([ra]), np.array([dec]))
        )
        return build_window_wcs(grid, int(x0[0]), int(y0[0]), self.size)

    def _groups(self, rows: np.ndarray) -> Iterator[Group]:
        """Yield the objects of each reference tile with their jobs."""
        assigned = self._get_assigned(rows)
        tile = assigned[self.survey.reference_index]
        if self._tangent is not None:
            tile = np.full_like(tile, -1)
        # By declination within a tile: neighbors on the sky share pages of the mapped file.
        order = np.lexsort((np.nan_to_num(self.dec[rows]), tile))
        # -2 differs from every tile number, and from -1 for no tile, so the first group begins at
        # 0.
        starts = np.flatnonzero(np.diff(tile[order], prepend=-2))
        for into in np.split(order, starts[1:]):
            if len(into):
                own = [tiles[into] for tiles in assigned]
                yield self._group(rows[into], into, int(tile[into[0]]), own)

    def _group(
        self, rows: np.ndarray, into: np.ndarray, tile: int, by_band: list[np.ndarray]
    ) -> Group:
        ra, dec = self.ra[rows], self.dec[rows]
        grid = self._reference[tile] if tile >= 0 else None
        if grid is not None:
            x, y = grid.to_pixel(ra, dec)
            x0, y0 = compute_corners(x, self.size), compute_corners(y, self.size)
        else:
            x0 = y0 = np.zeros(len(rows), np.int64)
        sky: tuple[np.ndarray, np.ndarray] | None = None
        jobs = []
        for b, tiles in enumerate(self._tiles):
            assigned = by_band[b]
            for t in np.unique(assigned).tolist():  # -1, no tile, comes first
                at = np.flatnonzero(assigned == t)
                if t < 0:
                    jobs.append(Job(b, Layer(tiles.band, {}), at))
                    continue
                planes = {role: p[t] for role, p in tiles.planes.items()}
                job = Job(b, Layer(tiles.band, planes, self._factors[b][t]), at)
                jobs.append(job)
                # On one grid a pixel is the same place in both images: cutting is exact, while
                # resampling would correlate the noise.
                shift = None if grid is None else self._shift(grid, tiles.grids[t])
                if shift is not None:
                    job.x0, job.y0 = x0[at] + shift[0], y0[at] + shift[1]
                    job.neighbors = self._find_neighbors(b, t, job.x0, job.y0, self.size)
                    continue
                # The target pixels on the sky are those of the reference tile, for all bands.
                if sky is None:
                    sky = self._node_positions(grid, ra, dec, x0, y0)
                job.grid_map = GridMap(self.size, *tiles.grids[t].to_pixel(sky[0][at], sky[1][at]))
                job.neighbors = self._find_neighbors(b, t, *job.grid_map.bounds())
                job.method = self.survey.resampling
                job.conserve = not photometry.is_surface_brightness(self.unit or tiles.band.unit)
        return Group(into, jobs)

    def _node_positions(
        self,
        grid: SkyGrid | None,
        ra: np.ndarray,
        dec: np.ndarray,
        x0: np.ndarray,
        y0: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        dx, dy = compute_nodes(self.size)
        if grid is not None:
            return grid.to_sky(x0[:, None] + dx, y0[:, None] + dy)
        middle = (self.size - 1) / 2
        tangent = self._tangent or self._fallback
        return tangent.to_sky(ra, dec, dx - middle, dy - middle)

    def _find_neighbors(
        self, b: int, t: int, x0: np.ndarray, y0: np.ndarray, side: int
    ) -> list[Neighbor]:
        """The tiles that hold pixels of windows beyond the edge of a tile."""
        height, width = self._tiles[b].planes["image"][t].shape
        beyond = (x0 < 0) | (y0 < 0) | (x0 > width - side) | (y0 > height - side)
        if not beyond.any():
            return []
        result = []
        for other, dx, dy in self._get_neighbors(b, t):
            planes = {role: p[other] for role, p in self._tiles[b].planes.items()}
            rows, columns = planes["image"].shape
            x, y = x0[beyond] + dx, y0[beyond] + dy
            if ((x < columns) & (x > -side) & (y < rows) & (y > -side)).any():
                layer = Layer(self._tiles[b].band, planes, self._factors[b][other])
                result.append(Neighbor(layer, dx, dy))
        return result

    def _get_neighbors(self, b: int, t: int) -> list[tuple[int, int, int]]:
        """The tiles on the grid of a tile whose pixels its cutouts may hold, and their offsets."""
        if len(self._tiles[b].grids) == 1:
            return []
        # Bands whose tiles are on the same grids have the same neighbors.
        key = (self._alike[b], t)
        if key not in self._neighbors:
            size = self.size * (self.pixel_scale or 1.0)
            self._neighbors[key] = self._tiles[b].find_neighbors(t, size)
        return self._neighbors[key]

    @cached_property
    def _alike(self) -> list[int]:
        """Per band the first one whose tiles lie on the same grids."""
        keys = [tiles.key for tiles in self._tiles]
        return [keys.index(key) for key in keys]

    def _shift(self, grid: SkyGrid, other: SkyGrid) -> tuple[int, int] | None:
        key = (grid.key, other.key)
        if key not in self._shifts:
            self._shifts[key] = same_grid(grid, other)
        return self._shifts[key]

    def _load(self, pool: ThreadPoolExecutor, jobs: list[Job]) -> list[Layer]:
        """Load the planes of all tiles; those that are gone from a server are left out."""
        if self._is_remote:
            placed = [pair for job in jobs for pair in job.place_windows(self.size)]
            layers, windows = [one for one, _ in placed], [[window] for _, window in placed]
        else:
            layers = [layer for job in jobs for layer in job.layers]
            windows = [[] for _ in layers]
        planes = [
            (one, role, plane, where)
            for one, where in zip(layers, windows, strict=True)
            for role, plane in one.planes.items()
        ]
        arrays = pool.map(self._get, *zip(*(p[2:] for p in planes), strict=True)) if planes else ()
        for (one, role, _, _), array in zip(planes, arrays, strict=True):
            if array is not None:
                one.arrays[role] = array
        return layers

    def _get(self, plane: Plane, windows: list[Window]) -> np.ndarray | None:
        try:
            return self._cache.get(plane, windows)
        except MissingFileError:
            if isinstance(plane.path, Url):
                return None
            raise

    def _cut(
        self, pool: ThreadPoolExecutor, loading: ThreadPoolExecutor, group: Group, stack: Stack
    ) -> None:
        phases = split_phases(group.jobs, self._cache.max_bytes)
        for jobs in phases:
            layers = self._load(loading, jobs)
            gone = [one for one in layers if len(one.arrays) < len(one.planes)]
            for job in jobs:
                if gone and job.drop(gone):
                    stack.gone[group.into[job.at]] = True
            is_last = jobs is phases[-1]
            starts = range(0, len(group.into), BLOCK)
            # Copying takes a few microseconds a window: threads would only wait for each other.
            run = map if all(job.is_slice for job in jobs) else pool.map
            # All blocks are done before the loop variables change, so the closure is safe.
            list(run(lambda at: fill_block(at, jobs, group.into, stack, is_last), starts))  # noqa: B023
            for job in jobs:
                job.count(group.into, stack)
            for one in layers:
                one.arrays.clear()  # the cache alone decides what stays in memory


def _get_opened(path: Path | Url) -> tuple[int, int] | Status | None:
    """Length and version of a file whose header was read."""
    return open_remote(path).status if isinstance(path, Url) else get_status(path)


def _choose_target(survey: Survey, grids: list[SkyGrid]) -> tuple[float, TangentGrid | None]:
    """Pixel scale of the cutouts, and their own grid when it is not that of the tiles."""
    # Each tile has its own, because projections and distortions stretch the pixels.
    scales = np.array([grid.pixel_scale for grid in grids])
    requested = survey.pixel_scale
    if requested is not None and not 0.02 < requested / np.median(scales) < 50:
        raise ImageError(
            f"The pixel scale of the survey '{survey.name}' is far from that of its images.",
            received=f"pixel_scale = {requested:g}",
            allowed=f"a scale [arcsec] near {np.median(scales):.4g}, that of the images",
            hint="leave it out to keep the pixels of the images",
        )
    if requested is not None and np.any(np.abs(scales / requested - 1) > SCALE_TOLERANCE):
        return requested, TangentGrid.north_up(requested)
    # The scale varies by some percent within one wide-field image, and between the tiles of a
    # survey, so that small differences are not an error.
    if scales.max() / scales.min() - 1 > 5 * SCALE_TOLERANCE:
        raise ImageError(
            f"The tiles of the reference band '{survey.bands[survey.reference_index].name}'"
            " have different pixel scales.",
            received=f"{scales.min():.4g} to {scales.max():.4g} arcsec",
            hint="give the survey a pixel_scale to resample all bands to",
        )
    return (float(np.median(scales)) if requested is None else requested), None


def _validate_positions(values: npt.ArrayLike) -> np.ndarray:
    if isinstance(values, np.ma.MaskedArray):
        # The value below a mask would be a place on the sky.
        values = np.ma.filled(values.astype(float), np.nan)
    try:
        array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise CatalogError("RA and Dec are numbers of degrees.", received=str(error)) from error
    if array.ndim != 1:
        raise CatalogError("RA and Dec are one-dimensional.", received=array.shape)
    return array


def _valid(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    # Catalogues count right ascension from 0 to 360 or from -180 to 180.
    return np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90) & (np.abs(ra) <= 360)
