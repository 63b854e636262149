"""A file of reserved length whose records are put in any order, with bounded memory."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

__all__ = ["RecordFile"]

BLOCK_BYTES = 1 << 20
RELEASE_BYTES = 1 << 24


class RecordFile:
    """Records of any numpy type at any place of one file.

    Records that follow one another are written; scattered ones go through a memory map, whose
    pages are given back as they grow.

    Parameters
    ----------
    path : Path
        An existing file, which is overwritten.
    length : int
        Reserved on entering [bytes], so that a full disk is an error at once.
    """

    def __init__(self, path: Path, length: int) -> None:
        self._path, self._length = path, length
        self._touched, self._mapped = 0, False

    def __enter__(self) -> Self:
        self.stream = self._path.open("r+b", buffering=0)
        try:
            # A memory map of a file with holes would kill the process on a full disk.
            _reserve(self.stream.fileno(), self._length)
            self._map = mmap.mmap(self.stream.fileno(), self._length)
        except BaseException:
            self.stream.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # An error on its way up still holds a view of the map; it is unmapped with that error.
        with suppress(BufferError):
            self._map.close()
        self.stream.close()

    def put(
        self,
        record: np.dtype,
        start: int,
        count: int,
        rows: np.ndarray,
        values: Mapping[str, np.ndarray],
    ) -> None:
        """Put values into some fields of some records.

        Parameters
        ----------
        record : dtype
            Type of one record, with named fields.
        start, count : int
            Position of the first record [bytes], and how many there are.
        rows : ndarray of int, shape (n,)
            Records to fill, in any order.
        values : mapping of str to ndarray of shape (n, ...)
            By field.
        """
        size = record.itemsize
        step = max(1, BLOCK_BYTES // size)
        whole = len(values) == len(record.names or ())
        for begin in range(0, rows.size, step):
            part = slice(begin, min(begin + step, rows.size))
            where = rows[part]
            in_a_row = where[-1] - where[0] == where.size - 1 and bool(np.all(np.diff(where) == 1))
            if in_a_row and whole:
                records = np.empty(where.size, dtype=record)
                for name, given in values.items():
                    records[name] = given[part]
                self._write_at(start + int(where[0]) * size, records)
                continue
            target = np.frombuffer(self._map, dtype=record, count=count, offset=start)
            for name, given in values.items():
                target[name][where] = given[part]
            span = (int(where.max()) - int(where.min()) + 1) * size + mmap.PAGESIZE
            self._release(min(span, where.size * (size + mmap.PAGESIZE)))

    def flush(self) -> None:
        """Bring what went through the map to where `stream` reads it."""
        if self._mapped:
            self._map.flush()

    def _write_at(self, position: int, records: np.ndarray) -> None:
        left = records.view(np.uint8).data
        while left:
            done = os.pwrite(self.stream.fileno(), left, position)
            left, position = left[done:], position + done

    def _release(self, touched: int) -> None:
        """Give pages back to the system's cache, so that the map costs no memory of its own."""
        self._touched, self._mapped = self._touched + touched, True
        if self._touched > RELEASE_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._touched = 0


def _reserve(descriptor: int, length: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, length)
        return
    zeros = bytes(BLOCK_BYTES)
    for start in range(0, length, BLOCK_BYTES):
        os.pwrite(descriptor, zeros[: length - start], start)
