"""Cutouts from survey tiles, by sky position.

An object is cut from one tile of each band.  Objects on the same tile of the reference band are a
group, and what one tile of one band contributes to a group is a job: its windows are copied when
the tile lies on the pixel grid of the reference tile, and resampled otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from astrocnn.errors import CatalogError, ConfigError, ImageError
from astrocnn.flags import Flag
from astrocnn.imaging import photometry
from astrocnn.imaging.cutouts import (
    Cutouts,
    Windows,
    allocate_stack,
    build_decoder,
    compute_corners,
    compute_flags,
    copy_windows,
    count_overlap,
    drop_infinite,
    find_bad_pixels,
)
from astrocnn.imaging.files import compute_digest
from astrocnn.imaging.planes import Plane, PlaneCache
from astrocnn.imaging.resampling import GridMap, compute_nodes, resample
from astrocnn.imaging.sky_grid import (
    SkyGrid,
    TangentGrid,
    build_tangent_wcs,
    build_window_wcs,
    same_grid,
)
from astrocnn.imaging.survey import Band, Survey
from astrocnn.imaging.tiles import assign_tiles, open_band

__all__ = ["source", "TileSource"]

BLOCK = 128
"""Objects that a thread cuts at a time, in all bands."""
SAMPLES = 1_000_000
"""Pixels that are resampled at a time, which bounds the memory."""
SCALE_TOLERANCE = 0.01
"""Largest relative difference of two pixel scales that count as the same."""


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


class TileSource:
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
        Threads; by default one per CPU core, at most 8.
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
        self.workers = workers or min(8, os.cpu_count() or 1)
        self._cache = PlaneCache(cache_bytes)
        self._tiles = [open_band(band) for band in survey.bands]
        self._reference = self._tiles[survey.reference_index].grids
        self.pixel_scale: float | None
        self.pixel_scale, self._tangent = _choose_target(survey, self._reference)
        self._fallback = TangentGrid(self._reference[0].matrix())
        self._factors = [
            [
                photometry.compute_factor(
                    survey.unit, tiles.band.unit, _zero_point(tiles.band, plane), grid.pixel_area
                )
                * tiles.band.flux_scale
                for plane, grid in zip(tiles.planes["image"], tiles.grids, strict=True)
            ]
            for tiles in self._tiles
        ]
        self._shifts: dict[tuple[str, str], tuple[int, int] | None] = {}
        self._assigned: list[np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.ra)

    @property
    def assigned(self) -> list[np.ndarray]:
        """Per band the index of the tile of each object, -1 without coverage."""
        if self._assigned is None:
            # Bands mostly share their grids, and the inverse WCS of all objects is expensive.
            by_key: dict[tuple[str, ...], np.ndarray] = {}
            for tiles in self._tiles:
                if tiles.key not in by_key:
                    by_key[tiles.key] = assign_tiles(
                        tiles.grids, self.ra, self.dec, self.size * (self.pixel_scale or 1.0)
                    )
            self._assigned = [by_key[tiles.key] for tiles in self._tiles]
        return self._assigned

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the survey and of samples of its files."""
        planes = [p for t in self._tiles for group in t.planes.values() for p in group]
        return compute_digest(self.survey, dict.fromkeys(plane.path for plane in planes))

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
        stack = Stack(allocate_stack(shape, out), counts, counts.copy(), counts.astype(bool))
        with ThreadPoolExecutor(self.workers) as pool:
            for group in self._groups(rows):
                self._cut(pool, group, stack)
        flags = compute_flags(stack.no_data, stack.outside, self.size**2, stack.covered)
        # An object without a valid position is a fault of the catalogue, not missing coverage.
        good = _valid(self.ra[rows], self.dec[rows])
        flags[~good] = (flags[~good] | Flag.BAD_COORDINATES.value) & ~Flag.NO_COVERAGE.value
        no_data = (stack.no_data / self.size**2).astype(np.float32)
        return Cutouts(stack.images, flags, no_data)

    def wcs(self, row: int) -> WCS | None:
        """Celestial WCS of the cutout of a row; None where no tile covers it."""
        tiles = [int(assigned[row]) for assigned in self.assigned]
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

    def _groups(self, rows: np.ndarray) -> Iterator[_Group]:
        """Yield the objects of each reference tile with their jobs."""
        tile = self.assigned[self.survey.reference_index][rows]
        if self._tangent is not None:
            tile = np.full_like(tile, -1)
        # By declination within a tile: neighbors on the sky share pages of the mapped file.
        order = np.lexsort((np.nan_to_num(self.dec[rows]), tile))
        # -2 differs from every tile number, and from -1 for no tile, so the first group begins at
        # 0.
        starts = np.flatnonzero(np.diff(tile[order], prepend=-2))
        for into in np.split(order, starts[1:]):
            if len(into):
                yield self._group(rows[into], into, int(tile[into[0]]))

    def _group(self, rows: np.ndarray, into: np.ndarray, tile: int) -> _Group:
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
            assigned = self.assigned[b][rows]
            for t in np.unique(assigned).tolist():  # -1, no tile, comes first
                at = np.flatnonzero(assigned == t)
                job = Job(
                    b, tiles.band, {r: p[t] for r, p in tiles.planes.items()} if t >= 0 else {}, at
                )
                jobs.append(job)
                if t < 0:
                    continue
                job.factor = self._factors[b][t]
                # On one grid a pixel is the same place in both images: cutting is exact, while
                # resampling would correlate the noise.
                shift = None if grid is None else self._shift(grid, tiles.grids[t])
                if shift is not None:
                    job.x0, job.y0 = x0[at] + shift[0], y0[at] + shift[1]
                    continue
                # The target pixels on the sky are those of the reference tile, for all bands.
                if sky is None:
                    sky = self._node_positions(grid, ra, dec, x0, y0)
                job.grid_map = GridMap(self.size, *tiles.grids[t].to_pixel(sky[0][at], sky[1][at]))
                job.method = self.survey.resampling
                job.conserve = not photometry.is_surface_brightness(
                    self.survey.unit or tiles.band.unit
                )
        return _Group(into, jobs)

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

    def _shift(self, grid: SkyGrid, other: SkyGrid) -> tuple[int, int] | None:
        key = (grid.key, other.key)
        if key not in self._shifts:
            self._shifts[key] = same_grid(grid, other)
        return self._shifts[key]

    def _cut(self, pool: ThreadPoolExecutor, group: _Group, stack: Stack) -> None:
        phases = _phases(group.jobs, self._cache.max_bytes)
        for jobs in phases:
            planes = [(job, role, plane) for job in jobs for role, plane in job.planes.items()]
            arrays = pool.map(self._cache.get, [plane for _, _, plane in planes])
            for (job, role, _), array in zip(planes, arrays, strict=True):
                job.arrays[role] = array
            is_last = jobs is phases[-1]
            starts = range(0, len(group.into), BLOCK)
            # Copying takes a few microseconds a window: threads would only wait for each other.
            run = map if all(job.is_slice for job in jobs) else pool.map
            # All blocks are done before the loop variables change, so the closure is safe.
            list(run(lambda at: _block(at, jobs, group.into, stack, is_last), starts))  # noqa: B023
            for job in jobs:
                job.count(group.into, stack)
                job.arrays.clear()  # the cache alone decides what stays in memory


@dataclass(frozen=True)
class Stack:
    """The arrays that a read fills, each with one row per object.

    Parameters
    ----------
    images : ndarray of shape (n, size, size, n_bands)
    no_data, outside : ndarray of shape (n, n_bands)
        Pixels without data, and pixels outside of the image.
    covered : ndarray of shape (n, n_bands)
        Whether an image overlaps the cutout.
    """

    images: np.ndarray
    no_data: np.ndarray
    outside: np.ndarray
    covered: np.ndarray


@dataclass
class Job:
    """The objects of a group that one tile of one band covers.

    Parameters
    ----------
    channel : int
        Which band.
    band : Band
        The band.
    planes : dict of str to Plane
        The image and what marks bad pixels; empty when nothing covers the objects.
    at : ndarray of shape (n,)
        Positions in the group, ascending.
    x0, y0 : ndarray of shape (n,), optional
        First pixels of the windows, for a tile on the target grid.
    grid_map : GridMap, optional
        Map from the target, for a tile on another grid.
    """

    channel: int
    band: Band
    planes: dict[str, Plane]
    at: np.ndarray
    x0: np.ndarray | None = None
    y0: np.ndarray | None = None
    grid_map: GridMap | None = None
    method: str = "lanczos3"
    conserve: bool = True
    factor: float = 1.0
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def is_slice(self) -> bool:
        """Whether cutting is copying, without resampling."""
        return self.x0 is not None

    def windows(self, start: int, stop: int, size: int) -> Windows:
        """Windows of the objects from `start` to `stop` of `at`, for a tile on the target grid."""
        assert self.x0 is not None and self.y0 is not None
        part = slice(start, stop)
        decode = build_decoder(self.planes["image"].scaling, self.band.valid_range)
        shape = (size, size)
        image = self.arrays["image"]
        return Windows(image, self.x0[part], self.y0[part], shape, decode, self.factor)

    def run(self, start: int, stop: int, into: np.ndarray, stack: Stack, is_cut: bool) -> None:
        """Fill the channel of the objects `start` to `stop` of the group.

        With `is_cut` the pixels are there already, and only the bad ones are marked.
        """
        first, last = (int(k) for k in np.searchsorted(self.at, (start, stop)))
        if first == last:
            return
        rows = into[self.at[first:last]]
        size = stack.images.shape[1]
        if not self.planes:
            for row in rows.tolist():
                stack.images[row, :, :, self.channel] = np.nan
        elif self.grid_map is not None:
            self._resample(slice(first, last), rows, stack)
        else:
            if not is_cut:
                windows = self.windows(first, last, size)
                with np.errstate(over="ignore", invalid="ignore"):
                    for k, row in enumerate(rows.tolist()):
                        windows.copy(k, stack.images[row, :, :, self.channel])
            self._mark(slice(first, last), rows, stack.images)

    def count(self, into: np.ndarray, stack: Stack) -> None:
        """Count the pixels outside the image; resampling has done so on the way."""
        rows, size = into[self.at], stack.images.shape[1]
        if not self.planes:
            stack.outside[rows, self.channel] = size * size
        elif self.x0 is not None and self.y0 is not None:
            height, width = self.planes["image"].shape
            inside = count_overlap(self.x0, size, width) * count_overlap(self.y0, size, height)
            stack.outside[rows, self.channel] = size * size - inside
            stack.covered[rows, self.channel] = inside > 0

    def _mark(self, part: slice, rows: np.ndarray, images: np.ndarray) -> None:
        assert self.x0 is not None and self.y0 is not None
        bad = self._bad(self.x0[part], self.y0[part], images.shape[1])
        if bad is not None:
            for k in np.flatnonzero(bad.any(axis=(1, 2))).tolist():
                images[rows[k], :, :, self.channel][bad[k]] = np.nan

    def _bad(self, x0: np.ndarray, y0: np.ndarray, side: int) -> np.ndarray | None:
        """Pixels of the windows that another plane marks; nothing is marked outside."""
        total: np.ndarray | None = None
        for role, array in self.arrays.items():
            if role == "image":
                continue
            scaling = self.planes[role].scaling
            # The type after scaling: a mask must stay an integer for its bits.
            probe = array[:1, :1] if scaling is None else scaling(array[:1, :1])
            values = np.empty((len(x0), side, side), probe.dtype.newbyteorder("="))
            copy_windows(array, x0, y0, values, decode=scaling, fill=0)
            bad = find_bad_pixels(role, values, self.band)
            total = bad if total is None else total | bad
        return total

    def _resample(self, part: slice, rows: np.ndarray, stack: Stack) -> None:
        assert self.grid_map is not None
        size = stack.images.shape[1]
        steps = max(1, int(np.ceil(self.grid_map.ratio)))
        at_once = max(1, SAMPLES // (size * steps) ** 2)
        full_map = self.grid_map[part]
        # A target pixel is sampled `steps` x `steps` times, so that many fewer fit in memory.
        for k in range(0, len(rows), at_once):
            some = slice(k, k + at_once)
            values, outside, covered = self._resampled(full_map[some], size)
            with np.errstate(over="ignore"):
                for row, image in zip(rows[some].tolist(), values, strict=True):
                    stack.images[row, :, :, self.channel] = image
            stack.outside[rows[some], self.channel] = outside
            stack.covered[rows[some], self.channel] = covered

    def _resampled(self, grid_map: GridMap, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        image = self.arrays["image"]
        height, width = image.shape
        x0, y0, side = grid_map.bounds()
        windows = np.empty((len(x0), side, side))
        decode = build_decoder(self.planes["image"].scaling, self.band.valid_range)
        copy_windows(image, x0, y0, windows, decode=decode)
        # An infinite pixel would spread over the whole kernel as NaN.
        windows[~np.isfinite(windows)] = np.nan
        bad = self._bad(x0, y0, side)
        if bad is not None:
            windows[bad] = np.nan
        values = resample(windows, x0, y0, grid_map, self.method, self.conserve) * self.factor
        x, y = grid_map.at(np.arange(size))
        edge = np.minimum(
            np.minimum(x + 0.5, width - 0.5 - x), np.minimum(y + 0.5, height - 0.5 - y)
        )
        edge[~grid_map.ok] = -np.inf  # a part of the cutout cannot be projected on the image
        # At the very edge a pixel has no value because its neighbors lie outside.
        near = np.isnan(values) & (edge < max(1.0, grid_map.ratio))
        return values, near.sum(axis=(1, 2)), (edge > 0).any(axis=(1, 2))


@dataclass
class _Group:
    """Objects on one reference tile."""

    into: np.ndarray
    jobs: list[Job]


def _block(start: int, jobs: list[Job], into: np.ndarray, stack: Stack, is_last: bool) -> None:
    """Cut some objects in all bands of a phase.

    All bands of an object are cut before the next object: the cutout stays in the processor's
    cache, which halves the time of cutting band by band.
    """
    stop = min(start + BLOCK, len(into))
    rows = into[start:stop]
    together = [job for job in jobs if job.is_slice and len(job.at) == len(into)]
    windows = [(job.channel, job.windows(start, stop, stack.images.shape[1])) for job in together]
    with np.errstate(over="ignore", invalid="ignore"):
        for k, row in enumerate(rows.tolist()):
            image = stack.images[row]
            for channel, window in windows:
                window.copy(k, image[:, :, channel])
    for job in jobs:
        job.run(start, stop, into, stack, any(job is one for one in together))
    if is_last:
        stack.no_data[rows] = drop_infinite(stack.images, rows)


def _phases(jobs: list[Job], max_bytes: int) -> list[list[Job]]:
    """Jobs whose decoded planes fit in memory together."""
    phases: list[list[Job]] = [[]]
    used = 0
    for job in jobs:
        need = sum(plane.decoded_bytes for plane in job.planes.values())
        if phases[-1] and used + need > max_bytes:
            phases.append([])
            used = 0
        phases[-1].append(job)
        used += need
    return phases


def _choose_target(survey: Survey, grids: list[SkyGrid]) -> tuple[float, TangentGrid | None]:
    """Pixel scale of the cutouts, and their own grid when it is not that of the tiles."""
    scales = np.array([grid.pixel_scale for grid in grids])
    requested = survey.pixel_scale
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


def _zero_point(band: Band, plane: Plane) -> float | None:
    if not isinstance(band.zero_point, str):
        return band.zero_point
    value = plane.card(band.zero_point)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        photometry.validate_zero_point(value, f"card {band.zero_point} of {plane.title}")
        return float(value)
    raise ImageError(
        f"The zero point of band '{band.name}' should be in card {band.zero_point} of"
        f" {plane.title}.",
        received="no such card" if value is None else value,
    )


def _validate_positions(values: npt.ArrayLike) -> np.ndarray:
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(float), np.nan)
    try:
        array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise CatalogError("RA and Dec are numbers of degrees.", received=str(error)) from error
    if array.ndim != 1:
        raise CatalogError("RA and Dec are one-dimensional.", received=array.shape)
    return array


def _valid(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    return np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90) & (np.abs(ra) <= 360)
