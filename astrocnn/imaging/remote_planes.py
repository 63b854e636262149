"""Image planes of files at URLs: of each only the pixels of some windows are fetched.

The array has the full size of the plane.  Its memory is taken page by page where pixels are
written, so that cutting is the same as from a plane that is there as a whole.
"""

from __future__ import annotations

import io
import math
import mmap
import os
import re
import threading
from dataclasses import replace
from typing import Any

import numpy as np

from astrocnn.block_cache import open_remote
from astrocnn.errors import ImageError
from astrocnn.fits_file import lock_decoder, open_fits, validate_streams
from astrocnn.header_units import HeaderUnit
from astrocnn.imaging.planes import Plane, view_stored
from astrocnn.remote import Url

__all__ = ["RemotePlane", "Window", "is_remote"]

Window = tuple[np.ndarray, np.ndarray, int]
"""First columns and rows (n,) of square windows, and their side [pixel]."""

_BLOCK = 2880
_FORM = re.compile(r"(\d*)([A-Z])(.?)")
_WIDTHS = {"L": 1, "B": 1, "A": 1, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8, "C": 8, "M": 16}
# An array of the heap is a descriptor of two integers in its row: length and place.
_DESCRIPTORS = {"P": ">i4", "Q": ">i8"}
_PRIMARY = b"".join(
    card.ljust(80)
    for card in (
        b"SIMPLE  =                    T",
        b"BITPIX  =                    8",
        b"NAXIS   =                    0",
        b"EXTEND  =                    T",
        b"END",
    )
).ljust(_BLOCK)


def is_remote(plane: Plane) -> bool:
    """Whether parts of a plane can be fetched; files compressed as a whole come as a whole."""
    return isinstance(plane.path, Url) and not plane.whole


class RemotePlane:
    """The stored numbers of a plane, fetched for windows.

    Parameters
    ----------
    plane : Plane
        Of a file at a URL.

    Raises
    ------
    ImageError
        If the file was written anew since its header was read, or does not exist any more.
    """

    def __init__(self, plane: Plane) -> None:
        assert isinstance(plane.path, Url)
        self._plane = plane
        self._lock = threading.Lock()
        self._file = open_remote(plane.path)
        self._file.validate()
        self._present = np.empty((0, 2), np.int64)
        unit = plane.unit
        self._tiles = _Tiles(unit, plane.title) if unit.kind == "compressed" else None
        # A file with this unit alone, for the decoder of compressed images.
        self._head = _PRIMARY + unit.cards.text if self._tiles else b""
        length = -(-(len(self._head) + unit.stop - unit.start) // _BLOCK) * _BLOCK
        try:
            # Anonymous memory: pages that are not written take no room.
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            self._buffer = mmap.mmap(-1, length, flags=flags)
        except (OSError, ValueError, OverflowError) as error:
            raise ImageError(
                f"The image in {plane.title} does not fit into the memory.",
                received=f"{length} bytes",
            ) from error
        self._buffer[: len(self._head)] = self._head
        self._array: np.ndarray | None = None
        if self._tiles is None:
            moved = replace(unit, start=0, stop=unit.stop - unit.start)
            self._array = view_stored(self._buffer, moved, plane.path)[plane.take]

    @property
    def array(self) -> np.ndarray:
        """The plane as `Plane.load` gives it, and 0 outside of what was fetched."""
        return np.zeros(self._plane.shape, np.float32) if self._array is None else self._array

    def require(self, windows: list[Window]) -> None:
        """Fetch the pixels of windows, as far as they lie on the plane and are not there yet."""
        boxes = _clip(windows, self._plane.shape)
        if not len(boxes):
            return
        with self._lock:
            if self._tiles is None:
                self._fetch(_find_bytes(self._plane, boxes))
            else:
                self._decode(self._tiles, boxes)

    def _fetch(self, ranges: np.ndarray) -> None:
        data = memoryview(self._buffer)[len(self._head) :]
        first = self._plane.unit.start
        self._present = self._file.fill(data, first, ranges, self._present)

    def _decode(self, tiles: _Tiles, boxes: np.ndarray) -> None:
        plane = self._plane
        needed = tiles.find(boxes, plane.take)
        if not needed.any():
            return
        numbers = np.flatnonzero(needed.ravel())
        self._fetch(tiles.find_rows(numbers))
        self._fetch(tiles.find_heap(memoryview(self._buffer)[len(self._head) :], numbers))
        validate_streams(plane.unit, plane.path, _Reader(self._buffer), 1, numbers.tolist())
        stream = _Reader(self._buffer)
        with open_fits(stream, path=plane.path) as hdus, lock_decoder(plane.unit):
            section = hdus[1].section
            for place in tiles.split(needed, plane.take):
                taken = zip(place, plane.take, strict=True)
                part = tuple(s if isinstance(t, slice) else t for s, t in taken)
                values = np.asarray(section[part])
                if self._array is None:
                    kind = values.dtype.newbyteorder("=")
                    self._array = np.zeros(plane.shape, kind)
                self._array[tuple(s for s in part if isinstance(s, slice))] = values
        tiles.done |= needed


class _Reader(io.RawIOBase):
    """A buffer as a stream, without a copy; closing it leaves the buffer open."""

    def __init__(self, buffer: mmap.mmap) -> None:
        self._buffer, self._at = buffer, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._buffer)}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._buffer[self._at : self._at + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Tiles:
    """The tiles of a compressed image, and where their bytes lie.

    References
    ----------
    FITS 4.0, section 10.1: tiled image compression; section 7.3.5: the heap.
    """

    def __init__(self, unit: HeaderUnit, title: str) -> None:
        self.unit, self.title = unit, title
        lengths = []
        for number, length in zip(range(len(unit.shape), 0, -1), unit.shape, strict=True):
            stated = unit.value(f"ZTILE{number}")
            # By default a tile is a row of the image.
            lengths.append((length if number == 1 else 1) if stated is None else stated)
        self.lengths = lengths
        counts = [-(-n // tile) for n, tile in zip(unit.shape, lengths, strict=True)]
        self.done = np.zeros(counts, bool)
        try:
            self.width = int(unit.value("NAXIS1"))
            end = self.width * int(unit.value("NAXIS2"))
            heap = unit.value("THEAP")
            self.heap = unit.start + (end if heap is None else int(heap))
            self.columns = _find_descriptors(unit)
        except (TypeError, ValueError, AttributeError) as error:
            raise self._damaged() from error

    def find(self, boxes: np.ndarray, take: tuple[int | slice, ...]) -> np.ndarray:
        """Which tiles hold pixels of boxes (x0, y0, x1, y1) and are not decoded yet."""
        needed = np.zeros(self.done.shape, bool)
        place: list[int | slice] = [
            0 if isinstance(t, slice) else t // n for t, n in zip(take, self.lengths, strict=True)
        ]
        y_axis, x_axis = (axis for axis, t in enumerate(take) if isinstance(t, slice))
        tile_x, tile_y = self.lengths[x_axis], self.lengths[y_axis]
        first = boxes[:, :2] // [tile_x, tile_y]
        last = (boxes[:, 2:] - 1) // [tile_x, tile_y] + 1
        for x0, y0, x1, y1 in np.unique(np.hstack([first, last]), axis=0).tolist():
            place[y_axis], place[x_axis] = slice(y0, y1), slice(x0, x1)
            needed[tuple(place)] = True
        return needed & ~self.done

    def find_rows(self, numbers: np.ndarray) -> np.ndarray:
        """Bytes of the rows of some tiles."""
        start = self.unit.start + numbers.astype(np.int64) * self.width
        return np.stack([start, start + self.width], axis=1)

    def find_heap(self, data: memoryview, numbers: np.ndarray) -> np.ndarray:
        """Bytes of compressed tiles, whose rows are in the data of the unit."""
        table = np.frombuffer(data, np.uint8, (int(numbers.max()) + 1) * self.width)
        rows = table.reshape(-1, self.width)[numbers]
        found = []
        for offset, code, width in self.columns:
            size = 2 * np.dtype(code).itemsize
            pairs = np.ascontiguousarray(rows[:, offset : offset + size]).view(code)
            length, at = pairs.astype(np.int64).T
            start = self.heap + at
            found.append(np.stack([start, start + length * width], axis=1)[length > 0])
        ranges = np.concatenate(found)
        if len(ranges) and not (
            (ranges[:, 1] > ranges[:, 0]).all()
            and ranges.min() >= self.unit.start
            and ranges.max() <= self.unit.stop
        ):
            raise self._damaged()
        return ranges

    def split(self, needed: np.ndarray, take: tuple[int | slice, ...]) -> list[tuple[slice, ...]]:
        """Blocks of pixels that cover some tiles: runs of tiles along y."""
        y_axis = next(axis for axis, t in enumerate(take) if isinstance(t, slice))
        runs = []
        for others in np.argwhere(needed.any(axis=y_axis)).tolist():
            place: list[int | slice] = [*others[:y_axis], slice(None), *others[y_axis:]]
            column = np.concatenate([[False], needed[tuple(place)], [False]])
            edges = np.flatnonzero(np.diff(column.astype(np.int8))).reshape(-1, 2)
            for low, high in edges.tolist():
                tiles = [slice(k, k + 1) if isinstance(k, int) else slice(low, high) for k in place]
                runs.append(
                    tuple(
                        slice(s.start * tile, min(s.stop * tile, n))
                        for s, tile, n in zip(tiles, self.lengths, self.unit.shape, strict=True)
                    )
                )
        return runs

    def _damaged(self) -> ImageError:
        return ImageError(f"The compressed image in {self.title} is damaged.")


def _find_descriptors(unit: HeaderUnit) -> list[tuple[int, str, int]]:
    """Columns of arrays in the heap: place in a row, type of the descriptor, bytes an element."""
    columns, offset = [], 0
    for number in range(1, int(unit.value("TFIELDS")) + 1):
        match = _FORM.match(str(unit.value(f"TFORM{number}")).strip())
        if match is None:
            raise ValueError(f"TFORM{number}")
        count, letter, element = match.groups()
        repeat = int(count) if count else 1
        if letter in _DESCRIPTORS:
            code = _DESCRIPTORS[letter]
            if repeat:
                columns.append((offset, code, _WIDTHS.get(element, 1)))
            offset += repeat * 2 * np.dtype(code).itemsize
        elif letter == "X":
            offset += -(-repeat // 8)
        else:
            offset += repeat * _WIDTHS.get(letter, 1)
    if not columns or offset > int(unit.value("NAXIS1")):
        raise ValueError("TFIELDS")
    return columns


def _clip(windows: list[Window], shape: tuple[int, int]) -> np.ndarray:
    """Boxes (x0, y0, x1, y1) of the parts of windows that lie on a plane."""
    height, width = shape
    boxes = [np.stack([x0, y0, x0 + side, y0 + side], axis=1) for x0, y0, side in windows]
    all_boxes = np.concatenate(boxes) if boxes else np.empty((0, 4), np.int64)
    clipped = np.clip(all_boxes, 0, [width, height, width, height])
    return clipped[(clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])]


def _find_bytes(plane: Plane, boxes: np.ndarray) -> np.ndarray:
    """Bytes of the file that hold the pixels of boxes, line by line."""
    unit = plane.unit
    item = abs(unit.bitpix) // 8
    strides = [item * math.prod(unit.shape[axis + 1 :]) for axis in range(len(unit.shape))]
    fixed = sum(s * t for s, t in zip(strides, plane.take, strict=True) if isinstance(t, int))
    slow, fast = (s for s, t in zip(strides, plane.take, strict=True) if isinstance(t, slice))
    x0, y0, x1, y1 = boxes.T
    lines = y1 - y0
    # Number of the line within its box.
    within = np.arange(lines.sum()) - np.repeat(np.cumsum(lines) - lines, lines)
    y = np.repeat(y0, lines) + within
    start = unit.start + fixed + y * slow + np.repeat(x0, lines) * fast
    stop = start + (np.repeat(x1 - x0, lines) - 1) * fast + item
    return np.stack([start, stop], axis=1)
