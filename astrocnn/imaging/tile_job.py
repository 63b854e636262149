"""Work on one band of one tile: cut or resample, mask, and count."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from astrocnn.imaging.cutouts import Windows, gather, overlap
from astrocnn.imaging.masking import bad_pixels, decoder
from astrocnn.imaging.planes import Plane
from astrocnn.imaging.resampling import GridMap, resample
from astrocnn.imaging.survey import Band

__all__ = ["Job", "Stack"]

SAMPLES = 1_000_000
"""Pixels that are resampled at a time, which bounds the memory."""


@dataclass(frozen=True)
class Stack:
    """What a read fills: cutouts, and per row and band the pixels outside and the coverage."""

    images: np.ndarray
    no_data: np.ndarray
    outside: np.ndarray
    covered: np.ndarray


@dataclass
class Job:
    """Objects of a group that one tile of one band covers.

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
        decode = decoder(self.planes["image"].scaling, self.band.valid_range)
        shape = (size, size)
        image = self.arrays["image"]
        return Windows(image, self.x0[part], self.y0[part], shape, decode, self.factor)

    def run(self, start: int, stop: int, into: np.ndarray, stack: Stack, is_cut: bool) -> None:
        """Fill the channel of those objects that stand from `start` to `stop` in the group.

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
            inside = overlap(self.x0, size, width) * overlap(self.y0, size, height)
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
            probe = array[:1, :1] if scaling is None else scaling(array[:1, :1])
            values = np.empty((len(x0), side, side), probe.dtype.newbyteorder("="))
            gather(array, x0, y0, values, decode=scaling, fill=0)
            bad = bad_pixels(role, values, self.band)
            total = bad if total is None else total | bad
        return total

    def _resample(self, part: slice, rows: np.ndarray, stack: Stack) -> None:
        assert self.grid_map is not None
        size = stack.images.shape[1]
        steps = max(1, int(np.ceil(self.grid_map.ratio)))
        at_once = max(1, SAMPLES // (size * steps) ** 2)
        whole = self.grid_map[part]
        for k in range(0, len(rows), at_once):
            some = slice(k, k + at_once)
            values, outside, covered = self._resampled(whole[some], size)
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
        decode = decoder(self.planes["image"].scaling, self.band.valid_range)
        gather(image, x0, y0, windows, decode=decode)
        windows[~np.isfinite(windows)] = np.nan
        bad = self._bad(x0, y0, side)
        if bad is not None:
            windows[bad] = np.nan
        values = resample(windows, x0, y0, grid_map, self.method, self.conserve) * self.factor
        x, y = grid_map.at(np.arange(size))
        edge = np.minimum(
            np.minimum(x + 0.5, width - 0.5 - x), np.minimum(y + 0.5, height - 0.5 - y)
        )
        edge[~grid_map.ok] = -np.inf
        # At the very edge a pixel has no value because its neighbors lie outside.
        near = np.isnan(values) & (edge < max(1.0, grid_map.ratio))
        return values, near.sum(axis=(1, 2)), (edge > 0).any(axis=(1, 2))
