"""What the tiles contribute to cutouts: windows copied or resampled, joined at the seams, marked.

Objects on one tile of the reference band are a group.  What one tile of one band contributes to a
group is a `Job`; pixels beyond the edge of the tile come from the tiles that continue its pixel
grid (its neighbors), so that a cutout on a seam equals that of the joined image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from astrocnn.imaging.cutouts import (
    Windows,
    build_decoder,
    copy_windows,
    count_overlap,
    drop_infinite,
    find_bad_pixels,
)
from astrocnn.imaging.planes import Plane
from astrocnn.imaging.remote_planes import Window
from astrocnn.imaging.resampling import GridMap, resample
from astrocnn.imaging.survey import Band

__all__ = ["BLOCK", "Group", "Job", "Layer", "Neighbor", "Stack", "fill_block", "split_phases"]

BLOCK = 128
"""Objects that a thread cuts at a time, in all bands."""
SAMPLES = 1_000_000
"""Pixels that are resampled at a time, which bounds the memory."""


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
    gone : ndarray of shape (n,)
        Whether an image does not exist any more.
    """

    images: np.ndarray
    no_data: np.ndarray
    outside: np.ndarray
    covered: np.ndarray
    gone: np.ndarray


@dataclass(frozen=True)
class Layer:
    """One tile of a band: its image, and what marks bad pixels on it.

    Parameters
    ----------
    band : Band
        The band.
    planes : dict of str to Plane
        By role; empty when no tile covers the objects.
    factor : float
        On every pixel.
    arrays : dict of str to ndarray
        The loaded planes, while they are needed.
    """

    band: Band
    planes: dict[str, Plane]
    factor: float = 1.0
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def decode(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """From stored pixels of the image to values."""
        return build_decoder(self.planes["image"].scaling, self.band.valid_range)

    def find_bad(self, x0: np.ndarray, y0: np.ndarray, side: int) -> np.ndarray | None:
        """Pixels of windows that another plane marks as bad; nothing is said of those outside."""
        total: np.ndarray | None = None
        for role, array in self.arrays.items():
            if role == "image":
                continue
            scaling = self.planes[role].scaling
            # The type after scaling: a mask must stay an integer for its bits.
            probe = array[:1, :1] if scaling is None else scaling(array[:1, :1])
            # Bits are tested in the byte order of the machine.
            values = np.empty((len(x0), side, side), probe.dtype.newbyteorder("="))
            copy_windows(array, x0, y0, values, decode=scaling, fill=0)
            bad = find_bad_pixels(role, values, self.band)
            total = bad if total is None else total | bad
        return total

    def overlap(self, x: int, y: int, side: int) -> tuple[slice, slice]:
        """The part of a window, which begins at (x, y), that lies on the tile."""
        height, width = self.planes["image"].shape
        low, left = min(max(0, -y), side), min(max(0, -x), side)
        return slice(low, max(low, min(side, height - y))), slice(
            left, max(left, min(side, width - x))
        )

    def paste(self, window: np.ndarray, x: int, y: int, factor: float) -> None:
        """Write the pixels of the tile over a window that begins at (x, y)."""
        part = self.overlap(x, y, len(window))
        target = window[part]
        if not target.size:
            return
        first = np.array([x]), np.array([y])
        pixels = np.empty((1, *window.shape), window.dtype)
        copy_windows(self.arrays["image"], *first, pixels, decode=self.decode, factor=factor)
        bad = self.find_bad(*first, len(window))
        if bad is not None:
            pixels[bad] = np.nan
        target[...] = pixels[0][part]


@dataclass(frozen=True)
class Neighbor:
    """A tile that continues the pixel grid of another one, and the shift to its pixels."""

    layer: Layer
    dx: int
    dy: int


@dataclass
class Job:
    """The objects of a group that one tile of one band covers.

    Parameters
    ----------
    channel : int
        Which band.
    layer : Layer
        The tile.
    at : ndarray of shape (n,)
        Positions in the group, ascending.
    x0, y0 : ndarray of shape (n,), optional
        First pixels of the windows, for a tile on the target grid.
    grid_map : GridMap, optional
        Map from the target, for a tile on another grid.
    neighbors : list of Neighbor
        Tiles that hold pixels beyond the edge.
    """

    channel: int
    layer: Layer
    at: np.ndarray
    x0: np.ndarray | None = None
    y0: np.ndarray | None = None
    grid_map: GridMap | None = None
    method: str = "lanczos3"
    conserve: bool = True
    neighbors: list[Neighbor] = field(default_factory=list)

    @property
    def layers(self) -> list[Layer]:
        """All tiles of which pixels are needed."""
        return [self.layer, *(neighbor.layer for neighbor in self.neighbors)]

    def place_windows(self, size: int) -> list[tuple[Layer, Window]]:
        """The tiles of which pixels are needed, and the windows of all objects on each."""
        if not self.layer.planes:
            return []
        if self.grid_map is not None:
            x0, y0, side = self.grid_map.bounds()
        else:
            assert self.x0 is not None and self.y0 is not None
            x0, y0, side = self.x0, self.y0, size
        others = [(n.layer, (x0 + n.dx, y0 + n.dy, side)) for n in self.neighbors]
        return [(self.layer, (x0, y0, side)), *others]

    def drop(self, gone: list[Layer]) -> bool:
        """Cut without some tiles; whether the one of the objects themselves is among them."""
        self.neighbors = [n for n in self.neighbors if not any(n.layer is one for one in gone)]
        if not any(self.layer is one for one in gone):
            return False
        self.layer = Layer(self.layer.band, {})
        self.x0 = self.y0 = self.grid_map = None
        self.neighbors = []
        return True

    @property
    def is_slice(self) -> bool:
        """Whether cutting is copying, without resampling."""
        return self.x0 is not None

    def windows(self, start: int, stop: int, size: int) -> Windows:
        """Windows of the objects from `start` to `stop` of `at`, for a tile on the target grid."""
        assert self.x0 is not None and self.y0 is not None
        part, layer = slice(start, stop), self.layer
        return Windows(
            layer.arrays["image"],
            self.x0[part],
            self.y0[part],
            (size, size),
            layer.decode,
            layer.factor,
        )

    def run(self, start: int, stop: int, into: np.ndarray, stack: Stack, is_cut: bool) -> None:
        """Fill the channel of the objects `start` to `stop` of the group.

        With `is_cut` the pixels are there already, and only the bad ones are marked.
        """
        # A band may cover only some objects of a group.
        first, last = (int(k) for k in np.searchsorted(self.at, (start, stop)))
        if first == last:
            return
        rows = into[self.at[first:last]]
        size = stack.images.shape[1]
        if not self.layer.planes:
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
        if not self.layer.planes:
            stack.outside[rows, self.channel] = size * size
        elif self.x0 is not None and self.y0 is not None:
            height, width = self.layer.planes["image"].shape
            inside = count_overlap(self.x0, size, width) * count_overlap(self.y0, size, height)
            for k in self._beyond(self.x0, self.y0, size):
                # Tiles overlap, so pixels are marked and not summed.
                there = np.zeros((size, size), bool)
                for layer, x, y in self._places(int(self.x0[k]), int(self.y0[k])):
                    there[layer.overlap(x, y, size)] = True
                inside[k] = there.sum()
            stack.outside[rows, self.channel] = size * size - inside
            stack.covered[rows, self.channel] = inside > 0

    def _mark(self, part: slice, rows: np.ndarray, images: np.ndarray) -> None:
        assert self.x0 is not None and self.y0 is not None
        x0, y0, size = self.x0[part], self.y0[part], images.shape[1]
        bad = self.layer.find_bad(x0, y0, size)
        if bad is not None:
            for k in np.flatnonzero(bad.any(axis=(1, 2))).tolist():
                images[rows[k], :, :, self.channel][bad[k]] = np.nan
        for k in self._beyond(x0, y0, size):
            self._join(images[rows[k], :, :, self.channel], int(x0[k]), int(y0[k]))

    def _beyond(self, x0: np.ndarray, y0: np.ndarray, side: int) -> list[int]:
        """The windows that reach beyond the edge of the tile to one of its neighbors."""
        if not self.neighbors:
            return []
        height, width = self.layer.planes["image"].shape
        beyond = (x0 < 0) | (y0 < 0) | (x0 > width - side) | (y0 > height - side)
        return [int(k) for k in np.flatnonzero(beyond)]

    def _places(self, x: int, y: int) -> list[tuple[Layer, int, int]]:
        """The tiles of a window and where it begins in each; the tile of the object comes last."""
        places = [(n.layer, x + n.dx, y + n.dy) for n in reversed(self.neighbors)]
        return [*places, (self.layer, x, y)]

    def _inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Whether positions, in pixels of the tile, lie on it or on one of its neighbors."""
        inside = np.zeros(x.shape, bool)
        for layer, dx, dy in self._places(0, 0):
            height, width = layer.planes["image"].shape
            # The edges lie half a pixel beyond the centers of the outermost pixels.
            inside |= (np.abs(2 * (x + dx) - width + 1) <= width) & (
                np.abs(2 * (y + dy) - height + 1) <= height
            )
        return inside

    def _join(self, window: np.ndarray, x: int, y: int, by_factor: float = 1.0) -> None:
        """Put a window together from all tiles that overlap it."""
        window[...] = np.nan
        with np.errstate(over="ignore", invalid="ignore"):
            for layer, left, low in self._places(x, y):
                # Tiles of other zero points are brought to that of this one before they are joined.
                layer.paste(window, left, low, layer.factor / by_factor)

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
        layer = self.layer
        x0, y0, side = grid_map.bounds()
        # In double precision, because kernels sum terms of both signs.
        windows = np.empty((len(x0), side, side))
        copy_windows(layer.arrays["image"], x0, y0, windows, decode=layer.decode)
        bad = layer.find_bad(x0, y0, side)
        if bad is not None:
            windows[bad] = np.nan
        for k in self._beyond(x0, y0, side):
            self._join(windows[k], int(x0[k]), int(y0[k]), layer.factor)
        # An infinite pixel would spread over the whole kernel as NaN.
        windows[~np.isfinite(windows)] = np.nan
        values = resample(windows, x0, y0, grid_map, self.method, self.conserve) * layer.factor
        x, y = grid_map.at(np.arange(size))
        reach = max(1.0, grid_map.ratio)
        # At the very edge of all tiles a pixel has no value because its neighbors lie outside.
        covered = far = self._inside(x, y) & grid_map.ok[:, None, None]
        for dx, dy in ((-reach, -reach), (-reach, reach), (reach, -reach), (reach, reach)):
            far = far & self._inside(x + dx, y + dy)
        near = np.isnan(values) & ~far
        return values, near.sum(axis=(1, 2)), covered.any(axis=(1, 2))


@dataclass
class Group:
    """Objects on one reference tile."""

    into: np.ndarray
    jobs: list[Job]


def fill_block(start: int, jobs: list[Job], into: np.ndarray, stack: Stack, is_last: bool) -> None:
    """Cut some objects in all bands of a phase.

    All bands of an object are cut before the next object: the cutout stays in the processor's
    cache, which halves the time of cutting band by band.
    """
    stop = min(start + BLOCK, len(into))
    rows = into[start:stop]
    # Bands that cover all objects of the group; the others follow one by one.
    together = [job for job in jobs if job.is_slice and len(job.at) == len(into)]
    windows = [(job.channel, job.windows(start, stop, stack.images.shape[1])) for job in together]
    with np.errstate(over="ignore", invalid="ignore"):
        for k, row in enumerate(rows.tolist()):
            image = stack.images[row]
            for channel, window in windows:
                window.copy(k, image[:, :, channel])
    for job in jobs:
        job.run(start, stop, into, stack, any(job is one for one in together))
    # Only now every band is there, and pixels without data can be counted.
    if is_last:
        stack.no_data[rows] = drop_infinite(stack.images, rows)


def split_phases(jobs: list[Job], max_bytes: int) -> list[list[Job]]:
    """Jobs whose decoded planes fit in memory together."""
    phases: list[list[Job]] = [[]]
    used = 0
    for job in jobs:
        need = sum(p.decoded_bytes for one in job.layers for p in one.planes.values())
        # A tile that is larger than the limit has a phase of its own.
        if phases[-1] and used + need > max_bytes:
            phases.append([])
            used = 0
        phases[-1].append(job)
        used += need
    return phases
