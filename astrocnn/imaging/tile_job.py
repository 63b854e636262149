"""Work on one band of one tile: cut or resample, mask, and count."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from astrocnn.imaging.cutouts import gather, overlap
from astrocnn.imaging.masking import bad_pixels, decoder
from astrocnn.imaging.planes import Plane
from astrocnn.imaging.resampling import GridMap, resample
from astrocnn.imaging.survey import Band

__all__ = ["Job"]

SAMPLES = 1_000_000
"""Pixels that are resampled at a time, which bounds the memory."""


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

    def run(
        self,
        start: int,
        stop: int,
        into: np.ndarray,
        images: np.ndarray,
        outside: np.ndarray,
        covered: np.ndarray,
    ) -> None:
        """Fill the channel of those objects that stand from `start` to `stop` in the group."""
        first, last = np.searchsorted(self.at, (start, stop))
        if first == last:
            return
        part = slice(int(first), int(last))
        rows = into[self.at[part]]
        if not self.planes:
            for row in rows.tolist():
                images[row, :, :, self.channel] = np.nan
            outside[rows, self.channel] = images.shape[1] * images.shape[2]
        elif self.grid_map is None:
            self._slice(part, rows, images, outside, covered)
        else:
            self._resample(part, rows, images, outside, covered)

    def _slice(
        self,
        part: slice,
        rows: np.ndarray,
        images: np.ndarray,
        outside: np.ndarray,
        covered: np.ndarray,
    ) -> None:
        assert self.x0 is not None and self.y0 is not None
        x0, y0 = self.x0[part], self.y0[part]
        out = images[..., self.channel]
        image = self.arrays["image"]
        decode = decoder(self.planes["image"].scaling, self.band.valid_range)
        gather(image, x0, y0, out, into=rows, decode=decode, factor=self.factor)
        size = images.shape[1]
        height, width = image.shape
        inside = overlap(x0, size, width) * overlap(y0, size, height)
        outside[rows, self.channel] = size * size - inside
        covered[rows, self.channel] = inside > 0
        bad = self._bad(x0, y0, size)
        if bad is not None:
            for k in np.flatnonzero(bad.any(axis=(1, 2))).tolist():
                out[rows[k]][bad[k]] = np.nan

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

    def _resample(
        self,
        part: slice,
        rows: np.ndarray,
        images: np.ndarray,
        outside: np.ndarray,
        covered: np.ndarray,
    ) -> None:
        assert self.grid_map is not None
        size = images.shape[1]
        steps = max(1, int(np.ceil(self.grid_map.ratio)))
        at_once = max(1, SAMPLES // (size * steps) ** 2)
        whole = self.grid_map[part]
        for k in range(0, len(rows), at_once):
            some = slice(k, k + at_once)
            values, out, seen = self._resampled(whole[some], size)
            for row, image in zip(rows[some].tolist(), values, strict=True):
                images[row, :, :, self.channel] = image
            outside[rows[some], self.channel] = out
            covered[rows[some], self.channel] = seen

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
