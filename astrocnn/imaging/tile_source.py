"""Cutouts from survey tiles, by sky position."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from astrocnn.errors import CatalogError, ImageError
from astrocnn.flags import Flag
from astrocnn.imaging import photometry
from astrocnn.imaging.cutout_wcs import tangent_wcs, window_wcs
from astrocnn.imaging.cutouts import Cutouts, corners, drop_infinite, empty_stack, row_flags
from astrocnn.imaging.fingerprints import digest_of
from astrocnn.imaging.plane_cache import PlaneCache
from astrocnn.imaging.resampling import GridMap, nodes
from astrocnn.imaging.skygrid import SkyGrid
from astrocnn.imaging.survey import Survey
from astrocnn.imaging.target import TangentGrid, same_grid
from astrocnn.imaging.tile_job import Job, Stack
from astrocnn.imaging.tiles import assign, open_band

__all__ = ["TileSource"]

BLOCK = 128
"""Objects that a thread cuts at a time, in all bands."""
SCALE_TOLERANCE = 0.01


@dataclass
class _Group:
    """Objects on one reference tile."""

    into: np.ndarray
    jobs: list[Job]


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
        ra: Any,
        dec: Any,
        size: int = 64,
        *,
        workers: int | None = None,
        cache_bytes: int = 1 << 30,
    ) -> None:
        self.survey = survey
        self.ra, self.dec = _positions(ra), _positions(dec)
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
        self.pixel_scale, self._tangent = _target(survey, self._reference)
        self._fallback = TangentGrid(self._reference[0].matrix())
        self._factors = [
            [
                photometry.factor(
                    survey.unit, tiles.band, _zero_point(tiles.band, plane), grid.pixel_area
                )
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
            by_key: dict[tuple[str, ...], np.ndarray] = {}
            for tiles in self._tiles:
                if tiles.key not in by_key:
                    by_key[tiles.key] = assign(
                        tiles.grids, self.ra, self.dec, self.size * (self.pixel_scale or 1.0)
                    )
            self._assigned = [by_key[tiles.key] for tiles in self._tiles]
        return self._assigned

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the survey and of samples of its files."""
        planes = [p for t in self._tiles for found in t.planes.values() for p in found]
        return digest_of(self.survey, dict.fromkeys(plane.path for plane in planes))

    def order(self) -> np.ndarray:
        """Permutation of the rows that visits each tile once; rows without a tile come last."""
        first = self.assigned[self.survey.reference_index].astype(np.int64)
        for other in self.assigned:
            first = np.where(first < 0, other + np.int64(1 << 31) * (other >= 0), first)
        first = np.where(first < 0, np.int64(1) << 40, first)
        return np.lexsort((np.nan_to_num(self.dec), first)).astype(np.int64)

    def read(self, rows: Any, out: np.ndarray | None = None) -> Cutouts:
        """Cutouts of the rows asked for, in that order, one for each.

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
        stack = Stack(empty_stack(shape, out), counts, counts.copy(), counts.astype(bool))
        with ThreadPoolExecutor(self.workers) as pool:
            for group in self._groups(rows):
                self._cut(pool, group, stack)
        flags = row_flags(stack.no_data, stack.outside, self.size**2, stack.covered)
        good = _valid(self.ra[rows], self.dec[rows])
        flags[~good] = (flags[~good] | Flag.BAD_COORDINATES.value) & ~Flag.NO_COVERAGE.value
        no_data = (stack.no_data / self.size**2).astype(np.float32)
        return Cutouts(stack.images, flags, no_data)

    def wcs(self, row: int) -> Any:
        """Celestial WCS of the cutout of a row; None where no tile covers it."""
        tiles = [int(found[row]) for found in self.assigned]
        if max(tiles) < 0:
            return None
        ra, dec = float(self.ra[row]), float(self.dec[row])
        tile = tiles[self.survey.reference_index]
        if self._tangent is not None or tile < 0:
            return tangent_wcs((self._tangent or self._fallback).matrix, ra, dec, self.size)
        grid = self._reference[tile]
        x0, y0 = (corners(at, self.size) for at in grid.to_pixel(np.array([ra]), np.array([dec])))
        return window_wcs(grid, int(x0[0]), int(y0[0]), self.size)

    def _groups(self, rows: np.ndarray) -> Any:
        """Yield the objects of each reference tile, low ones first, with their jobs."""
        tile = self.assigned[self.survey.reference_index][rows]
        if self._tangent is not None:
            tile = np.full_like(tile, -1)
        order = np.lexsort((np.nan_to_num(self.dec[rows]), tile))
        starts = np.flatnonzero(np.diff(tile[order], prepend=-2))
        for into in np.split(order, starts[1:]):
            if len(into):
                yield self._group(rows[into], into, int(tile[into[0]]))

    def _group(self, rows: np.ndarray, into: np.ndarray, tile: int) -> _Group:
        ra, dec = self.ra[rows], self.dec[rows]
        grid = self._reference[tile] if tile >= 0 else None
        if grid is not None:
            x, y = grid.to_pixel(ra, dec)
            x0, y0 = corners(x, self.size), corners(y, self.size)
        else:
            x0 = y0 = np.zeros(len(rows), np.int64)
        sky: tuple[np.ndarray, np.ndarray] | None = None
        jobs = []
        for b, tiles in enumerate(self._tiles):
            mine = self.assigned[b][rows]
            for t in np.unique(mine).tolist():
                at = np.flatnonzero(mine == t)
                job = Job(
                    b, tiles.band, {r: p[t] for r, p in tiles.planes.items()} if t >= 0 else {}, at
                )
                jobs.append(job)
                if t < 0:
                    continue
                job.factor = self._factors[b][t]
                shift = None if grid is None else self._shift(grid, tiles.grids[t])
                if shift is not None:
                    job.x0, job.y0 = x0[at] + shift[0], y0[at] + shift[1]
                    continue
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
        dx, dy = nodes(self.size)
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
            list(run(lambda at: _block(at, jobs, group.into, stack, is_last), starts))  # noqa: B023
            for job in jobs:
                job.count(group.into, stack)
                job.arrays.clear()


def _block(start: int, jobs: list[Job], into: np.ndarray, stack: Stack, is_last: bool) -> None:
    """Cut a few objects in all bands of a phase."""
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


def _target(survey: Survey, grids: list[SkyGrid]) -> tuple[float, TangentGrid | None]:
    scales = np.array([grid.pixel_scale for grid in grids])
    wanted = survey.pixel_scale
    if wanted is not None and np.any(np.abs(scales / wanted - 1) > SCALE_TOLERANCE):
        return wanted, TangentGrid.north_up(wanted)
    # Within one image of a wide field the scale varies by some percent; between the tiles of a
    # survey it does so, too.
    if scales.max() / scales.min() - 1 > 5 * SCALE_TOLERANCE:
        raise ImageError(
            f"The tiles of the reference band '{survey.bands[survey.reference_index].name}'"
            " have different pixel scales.",
            received=f"{scales.min():.4g} to {scales.max():.4g} arcsec",
            hint="give the survey a pixel_scale to resample all bands to",
        )
    return (float(np.median(scales)) if wanted is None else wanted), None


def _zero_point(band: Any, plane: Any) -> float | None:
    if not isinstance(band.zero_point, str):
        return band.zero_point
    value = plane.card(band.zero_point)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise ImageError(
        f"The zero point of band '{band.name}' should be in card {band.zero_point} of"
        f" {plane.title}.",
        received="no such card" if value is None else value,
    )


def _positions(values: Any) -> np.ndarray:
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
