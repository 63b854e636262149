"""Byte ranges of files at URLs, kept in the cache folder.

What one request brought is an extent: a file of its own, written once and atomically, with the
length and version of the remote file and a digest.  Any number of processes may read and write
extents without a lock; a damaged or stale one is removed and asked for again.  The least recently
used ones are removed where all together exceed `MAX_CACHE`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from astrocnn.atomic import cache_folder, remove_leftovers, replacing, write_bytes
from astrocnn.errors import ImageError, MissingFileError, RemoteError, register_alias
from astrocnn.remote import Status, Url, get_statuses, read_ranges

__all__ = ["MAX_CACHE", "RemoteFile", "fetch", "merge", "open_remote", "subtract", "unite"]

MAX_CACHE = 8 << 30
"""Bytes that the cache of remote files may take on the disk."""
WASTE = 0.2
"""Bytes that may be read without need, as a fraction of those that are needed."""
AHEAD = 28_800
"""Bytes that are read at once where headers are looked for: ten blocks of FITS."""
_SMALL = 1 << 18
_STEP = 1 << 23
_TRIM_AFTER = 64 << 20
_SUFFIX = ".extent"
_MAX_HEAD = 1 << 16


class _Head(BaseModel):
    """First line of an extent."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    url: str
    size: int
    version: str
    n: int
    digest: str


@dataclass(frozen=True)
class _Extent:
    """Byte ranges of a remote file that lie in a file of the cache.

    Parameters
    ----------
    path : Path
    head : _Head
    ranges : ndarray of shape (n, 2)
        First byte of each and the one after the last.
    start : int
        Where the bytes of the first range begin in `path`.
    """

    path: Path
    head: _Head
    ranges: np.ndarray
    start: int

    def load(self) -> bytes | None:
        """The bytes of all ranges; None if they are damaged."""
        with contextlib.suppress(OSError):
            content = self.path.read_bytes()
            if _digest(content[self.start - self.ranges.nbytes :]) == self.head.digest:
                os.utime(self.path)
                return content[self.start :]
        self.path.unlink(missing_ok=True)
        return None


class RemoteFile:
    """A file at a URL, of which byte ranges are read once and kept.

    Parameters
    ----------
    url : Url

    Attributes
    ----------
    status : Status
        Length and version that all kept bytes belong to: those in the cache folder, without a
        request.  See `validate`.

    Raises
    ------
    MissingFileError
        If there is no such file.
    RemoteError
        If the server does not answer, refuses, or does not say how long the file is.
    """

    def __init__(self, url: Url) -> None:
        self.url = url
        self.folder = _root() / hashlib.sha256(url.encode()).hexdigest()[:32]
        self._lock = threading.RLock()
        self._extents = _find_extents(self.folder, url)
        self._pieces: list[tuple[int, bytes]] = []
        self._unsaved: list[tuple[int, bytes]] = []
        if self._extents:
            head = self._extents[0].head
            self.status, self._is_valid = Status(head.size, head.version), False
        else:
            status = get_statuses([url])[url]
            if status is None:
                raise MissingFileError(f"The file {url} does not exist.")
            self.status, self._is_valid = status, True
        if self.status.size is None:
            raise RemoteError(
                f"The server of {url} does not say how long the file is, so that parts of it "
                "cannot be read.",
                hint=f"simplecache::{url} keeps whole files on this machine",
            )
        self.size = self.status.size

    def validate(self) -> None:
        """Ask the server whether the file is the one that the kept bytes are of, once.

        Raises
        ------
        MissingFileError
            If it has gone.
        ImageError
            If it was written anew; what was kept is removed.
        """
        if self._is_valid:
            return
        status = get_statuses([self.url])[self.url]
        if status is None:
            raise MissingFileError(f"The file {self.url} does not exist any more.")
        if status != self.status:
            shutil.rmtree(self.folder, ignore_errors=True)
            forget(self.url)
            raise ImageError(
                f"The file {self.url} was written anew since its header was read.",
                received=status.version,
                allowed=self.status.version,
                hint="give the same command again",
            )
        self._is_valid = True

    def read(self, start: int, stop: int) -> bytes:
        """Read a range, and some bytes after it where little is asked for."""
        start, stop = min(start, self.size), min(stop, self.size)
        if start >= stop:
            return b""
        with self._lock:
            if stop - start > _SMALL:
                buffer = bytearray(stop - start)
                self.fill(buffer, start, np.array([[start, stop]]))
                return bytes(buffer)
            for at, piece in self._find_pieces(start, stop):
                if at <= start and stop <= at + len(piece):
                    return piece[start - at : stop - at]
            last = min(max(stop, start + AHEAD), self.size)
            (piece,) = read_ranges(self.url, [(start, last)])
            self._pieces.append((start, piece))
            self._unsaved.append((start, piece))
            return piece[: stop - start]

    def fill(
        self, buffer: Any, first: int, needed: np.ndarray, present: np.ndarray | None = None
    ) -> np.ndarray:
        """Write ranges into a buffer, from the cache folder where they are there.

        Parameters
        ----------
        buffer : bytearray, mmap or memoryview
            Writable.
        first : int
            The byte of the file that its first one is.
        needed : ndarray of shape (n, 2)
            First byte of each range and the one after the last.
        present : ndarray of shape (m, 2), optional
            Ranges that are in the buffer.

        Returns
        -------
        ndarray of shape (k, 2)
            Ranges that are in the buffer now, united.
        """
        present = np.empty((0, 2), np.int64) if present is None else present
        with self._lock:
            missing = subtract(needed, present)
            for extent in self._extents:
                if not len(missing):
                    return present
                if not _overlap(extent.ranges, missing):
                    continue
                data = extent.load()
                if data is None:
                    continue
                taken = _copy(buffer, first, extent.ranges, data)
                present = unite(np.concatenate([present, taken])) if len(present) else taken
                missing = subtract(missing, taken)
            if len(missing):
                ranges = merge(missing)
                pieces = read_ranges(self.url, [(int(a), int(b)) for a, b in ranges])
                data = b"".join(pieces)
                _copy(buffer, first, ranges, data)
                self._save(ranges, data)
                present = unite(np.concatenate([present, ranges]))
        return present

    def close(self) -> None:
        """Keep what was read of headers in the cache folder and no longer in memory."""
        with self._lock:
            if self._unsaved:
                pieces = sorted(self._unsaved)
                ranges = unite(np.array([(at, at + len(piece)) for at, piece in pieces]))
                # Reads that begin in one piece and end after it overlap with it.
                data, end = bytearray(), 0
                for at, piece in pieces:
                    data += piece[max(end - at, 0) :]
                    end = max(end, at + len(piece))
                self._save(ranges, bytes(data))
            self._unsaved, self._pieces = [], []

    def open(self) -> io.BufferedIOBase:
        """Open it as a stream."""
        # Requests are as large as `read` decides, so the buffer is small.
        return io.BufferedReader(_Stream(self), 2880)

    def _find_pieces(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """What is in memory, then what of the cache folder holds a range."""
        yield from self._pieces
        for extent in self._extents:
            sizes = extent.ranges[:, 1] - extent.ranges[:, 0]
            holds = (extent.ranges[:, 0] <= start) & (stop <= extent.ranges[:, 1])
            if holds.any() and sizes.sum() <= _SMALL and (data := extent.load()) is not None:
                k = int(np.flatnonzero(holds)[0])
                before = int(sizes[:k].sum())
                piece = (int(extent.ranges[k, 0]), data[before : before + int(sizes[k])])
                self._pieces.append(piece)
                yield piece

    def _save(self, ranges: np.ndarray, data: bytes) -> None:
        table = np.ascontiguousarray(ranges, "<i8").tobytes()
        digest = _digest(table, data)
        head = _Head(url=self.url, size=self.size, version=self.status.version, n=len(ranges),
                     digest=digest)  # fmt: skip
        line = head.model_dump_json().encode() + b"\n"
        path = self.folder / f"{digest}{_SUFFIX}"
        # Without a cache folder all is read again the next time.
        with contextlib.suppress(OSError):
            # Its digest says whether it is whole: a cache need not wait for the disk.
            write_bytes(path, line + table + data, sync=False)
            self._extents.append(_Extent(path, head, np.array(ranges), len(line) + len(table)))
            _trim(len(data))


class _Stream(io.RawIOBase):
    """A remote file as a seekable stream."""

    def __init__(self, file: RemoteFile) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._file.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(self._at, self._at + len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


_files: dict[str, RemoteFile] = {}
_files_lock = threading.Lock()


def open_remote(url: Url) -> RemoteFile:
    """The file of an address, which this process opens once."""
    file = _files.get(url)
    if file is None:
        file = RemoteFile(url)
        with _files_lock:
            file = _files.setdefault(url, file)
    return file


def forget(url: Url) -> None:
    """Open an address anew the next time."""
    with _files_lock:
        _files.pop(url, None)


def fetch(url: Url) -> Path:
    """Copy a whole file to the cache folder, unless its version is there already.

    Messages show the address in place of the copy.

    Raises
    ------
    MissingFileError, RemoteError
        See `RemoteFile`.
    """
    file = open_remote(url)
    file.validate()
    version = hashlib.sha256(repr(file.status).encode()).hexdigest()[:16]
    path = file.folder / version / (url.name or "file")
    if not path.is_file() or path.stat().st_size != file.size:
        ranges = [(at, min(at + _STEP, file.size)) for at in range(0, file.size, _STEP)]
        with replacing(path) as temporary, open(temporary, "wb") as stream:
            for k in range(0, len(ranges), 8):
                stream.writelines(read_ranges(url, ranges[k : k + 8]))
        _trim(file.size, keep=path)
    register_alias(str(path), url)
    os.utime(path)
    return path


def unite(ranges: np.ndarray) -> np.ndarray:
    """Unite ranges that overlap or touch, sorted.

    Parameters
    ----------
    ranges : ndarray of shape (n, 2)

    Returns
    -------
    ndarray of shape (m, 2)

    Examples
    --------
    >>> unite(np.array([[5, 9], [0, 2], [2, 4], [6, 7]])).tolist()
    [[0, 4], [5, 9]]
    """
    if len(ranges) < 2:
        return np.array(ranges, np.int64).reshape(-1, 2)
    starts, stops = ranges[np.argsort(ranges[:, 0], kind="stable")].T
    reach = np.maximum.accumulate(stops)
    first = np.flatnonzero(np.concatenate([[True], starts[1:] > reach[:-1]]))
    last = np.append(first[1:], len(starts)) - 1
    return np.stack([starts[first], reach[last]], axis=1).astype(np.int64)


def subtract(ranges: np.ndarray, present: np.ndarray) -> np.ndarray:
    """What of the first ranges, united, is not in the others.

    >>> subtract(np.array([[0, 10]]), np.array([[2, 4], [8, 12]])).tolist()
    [[0, 2], [4, 8]]
    """
    ranges, present = unite(ranges), unite(present)
    if not len(ranges) or not len(present):
        return ranges
    # Between two neighboring edges of either set all bytes are alike.
    edges = np.unique(np.concatenate([ranges.ravel(), present.ravel()]))
    low = edges[:-1]
    wanted = _holds(ranges, low) & ~_holds(present, low)
    return unite(np.stack([low[wanted], edges[1:][wanted]], axis=1))


def merge(ranges: np.ndarray, waste: float = WASTE) -> np.ndarray:
    """Merge the nearest of some ranges: fewer requests, for a bounded number of needless bytes.

    >>> merge(np.array([[0, 100], [110, 200], [900, 1000]])).tolist()
    [[0, 200], [900, 1000]]
    """
    ranges = unite(ranges)
    gaps = ranges[1:, 0] - ranges[:-1, 1]
    order = np.argsort(gaps, kind="stable")
    total = (ranges[:, 1] - ranges[:, 0]).sum()
    bridged = order[np.cumsum(gaps[order]) <= waste * total]
    apart = np.ones(len(ranges), bool)
    apart[bridged + 1] = False
    first = np.flatnonzero(apart)
    last = np.append(first[1:], len(ranges)) - 1
    return np.stack([ranges[first, 0], ranges[last, 1]], axis=1)


def _holds(ranges: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Whether united ranges hold some bytes."""
    k = np.searchsorted(ranges[:, 0], at, side="right") - 1
    return np.asarray((k >= 0) & (at < ranges[np.maximum(k, 0), 1]))


def _overlap(first: np.ndarray, second: np.ndarray) -> bool:
    k = np.searchsorted(first[:, 0], second[:, 1]) - 1
    return bool(((k >= 0) & (first[np.maximum(k, 0), 1] > second[:, 0])).any())


def _copy(buffer: Any, first: int, ranges: np.ndarray, data: bytes) -> np.ndarray:
    """Write the parts of ranges that lie in a buffer to it; those parts."""
    target, source = memoryview(buffer), memoryview(data)
    starts, stops = ranges.T
    low, high = np.maximum(starts, first), np.minimum(stops, first + len(target))
    at = np.cumsum(stops - starts) - stops + low
    inside = low < high
    copied = np.stack([low - first, high - first, at, at + high - low], axis=1)[inside]
    for start, stop, begin, end in copied.tolist():
        target[start:stop] = source[begin:end]
    return np.stack([low, high], axis=1)[inside]


def _digest(*parts: bytes) -> str:
    total = hashlib.blake2b(digest_size=16)
    for part in parts:
        total.update(part)
    return total.hexdigest()


def _root() -> Path:
    return cache_folder() / "remote"


def _find_extents(folder: Path, url: str) -> list[_Extent]:
    """The extents of the newest version, the newest first; others are removed."""
    found: list[_Extent] = []
    with contextlib.suppress(OSError):
        names = [entry for entry in os.scandir(folder) if entry.name.endswith(_SUFFIX)]
        for entry in sorted(names, key=lambda one: one.stat().st_mtime_ns, reverse=True):
            extent = _read_extent(Path(entry.path))
            versions = {(one.head.size, one.head.version) for one in found[:1]}
            if extent is None or extent.head.url != url:
                Path(entry.path).unlink(missing_ok=True)
            elif versions <= {(extent.head.size, extent.head.version)}:
                found.append(extent)
            else:
                extent.path.unlink(missing_ok=True)
    return found


def _read_extent(path: Path) -> _Extent | None:
    """The ranges of an extent; None for anything else."""
    try:
        with open(path, "rb") as stream:
            line = stream.readline(_MAX_HEAD)
            head = _Head.model_validate_json(line)
            size = os.fstat(stream.fileno()).st_size
            if not 0 < head.n <= size // 16:
                return None
            ranges = np.frombuffer(stream.read(16 * head.n), "<i8").reshape(-1, 2)
            start = stream.tell()
    except (OSError, ValueError):
        return None
    sizes = ranges[:, 1] - ranges[:, 0]
    is_sorted = (sizes > 0).all() and (ranges[1:, 0] >= ranges[:-1, 1]).all()
    inside = ranges[0, 0] >= 0 and ranges[-1, 1] <= head.size
    if not (is_sorted and inside and start + sizes.sum() == size):
        return None
    return _Extent(path, head, ranges.astype(np.int64), start)


_written = _TRIM_AFTER


def _trim(n_bytes: int, keep: Path | None = None) -> None:
    """Remove what was used least recently once the cache has grown beyond its limit."""
    global _written
    _written += n_bytes
    if _written < min(_TRIM_AFTER, MAX_CACHE // 8):
        return
    _written = 0
    files = []
    for folder, _, names in os.walk(_root()):
        remove_leftovers(folder)
        with contextlib.suppress(OSError):
            files += [(Path(folder, name), os.stat(Path(folder, name))) for name in names]
    total = sum(status.st_size for _, status in files)
    for path, status in sorted(files, key=lambda one: one[1].st_mtime_ns):
        if total <= MAX_CACHE:
            break
        if path != keep:
            path.unlink(missing_ok=True)
            total -= status.st_size
            with contextlib.suppress(OSError):
                path.parent.rmdir()
