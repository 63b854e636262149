"""Images in arrays of Zarr, versions 2 and 3, in a folder or at an address.

References
----------
Zarr core specification 3.0, https://zarr-specs.readthedocs.io.
"""

from __future__ import annotations

import asyncio
import functools
import math
import os
import stat
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from astrocnn.errors import AstrocnnError, ImageError, MissingDependency, MissingFileError
from astrocnn.imaging.array_files import build_source
from astrocnn.imaging.files import sample_rows
from astrocnn.remote import Url, get_statuses, read_ranges, read_url

__all__ = ["source"]

MAX_CHUNK = 256 << 20
"""Largest chunk, decompressed [byte]: several are read at once, and each as a whole."""
MARGIN = 1 << 16
CODECS = ("bytes", "transpose", "blosc", "gzip", "zlib", "zstd", "crc32c", "sharding_indexed")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def open_array(path: Path | Url, name: str | None) -> _Array:
    """Open an array; `name` is its place in a group.

    Raises
    ------
    ImageError
        If there is no such array, or its chunks are too large or in a form that is not read.
    """
    return _Array(path, name or "")


class _Array:
    """An array, of which every read is checked."""

    def __init__(self, path: Path | Url, name: str) -> None:
        self._path, self._name = path, name
        try:
            import zarr
        except ImportError:
            raise MissingDependency("zarr", "zarr", f"read {path}") from None
        self._store = _get_store_class()(path)
        node = self._call(lambda: zarr.open(self._store, path=name, mode="r"))
        if not isinstance(node, zarr.Array):
            raise ImageError(
                f"{path} is a group of Zarr, and 'hdu' names an array in it.",
                received=name or "no hdu",
                allowed=None
                if isinstance(path, Url)
                else self._call(lambda: sorted(node.array_keys())),
            )
        self._array = node
        self.shape, self.dtype = node.shape, node.dtype
        self._store.limit = self._validate_chunks()

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return np.asarray(self._call(lambda: self._array.oindex[rows]))

    @property
    def files(self) -> list[Path | Url]:
        """The description of the array, and some of its chunks."""
        documents = (["zarr.json"], [".zarray"])[self._array.metadata.zarr_format == 2]
        sides = self._array.shards or self._array.chunks
        counts = [-(-n // side) for n, side in zip(self.shape, sides, strict=True)]
        encode = self._array.metadata.encode_chunk_key
        places = (np.unravel_index(k, counts) for k in sample_rows(math.prod(counts)).tolist())
        keys = [*documents, *(encode(tuple(map(int, place))) for place in places)]
        names = ["/".join(filter(None, (self._array.path, key))) for key in keys]
        if isinstance(self._path, Url):
            return [Url(f"{self._path.rstrip('/')}/{name}") for name in names]
        return [self._path / name for name in names]

    def _call(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except AstrocnnError:
            raise
        except Exception as error:  # damaged bytes raise errors of many kinds
            raise ImageError(
                f"The array '{self._name}' of {self._path} cannot be read.",
                received=f"{type(error).__name__}: {error}"[:200],
            ) from error

    def _validate_chunks(self) -> int:
        """Bytes of a chunk, which no stored one may exceed when it is decompressed."""
        sides = self._array.shards or self._array.chunks
        size = math.prod(sides) * self.dtype.itemsize
        if size > MAX_CHUNK:
            raise ImageError(
                f"The chunks of the array '{self._name}' of {self._path} are too large.",
                received=f"{size} bytes",
                allowed=f"{MAX_CHUNK} bytes",
            )
        used = self._call(lambda: _find_codecs(self._array.metadata.to_dict()))
        if unknown := sorted(used - set(CODECS)):
            raise ImageError(
                f"The chunks of the array '{self._name}' of {self._path} are not read.",
                received=unknown,
                allowed=list(CODECS),
            )
        return size + MARGIN


def _find_codecs(description: dict[str, Any]) -> set[str]:
    """Names of all codecs of an array, those within shards included."""
    if description["zarr_format"] == 2:
        found = [*(description.get("filters") or ()), description.get("compressor")]
        return {codec["id"] for codec in found if codec}
    names: set[str] = set()
    waiting = list(description["codecs"])
    while waiting:
        codec = waiting.pop()
        names.add(codec["name"])
        if codec["name"] == "sharding_indexed":
            waiting += [*codec["configuration"]["codecs"], *codec["configuration"]["index_codecs"]]
            if codec["configuration"].get("index_location", "end") != "end":
                names.add("sharding_indexed with its index at the start")
    return names


@functools.cache
def _get_store_class() -> Any:
    from zarr.abc.store import SuffixByteRequest
    from zarr.storage import LocalStore, MemoryStore, WrapperStore

    class CheckedStore(WrapperStore):
        """A folder or an address whose values are ordinary files and expand to at most a limit."""

        def __init__(self, path: Path | Url) -> None:
            is_url = isinstance(path, Url)
            store: Any = MemoryStore(read_only=True) if is_url else LocalStore(path, read_only=True)
            super().__init__(store)
            self.path, self.limit = path, MARGIN

        def _with_store(self, store: Any) -> Any:
            return self

        async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
            if isinstance(self.path, Url):
                url = Url(f"{self.path.rstrip('/')}/{key}")
                data = await asyncio.to_thread(_fetch, url, byte_range, self.limit + MAX_CHUNK)
                value = None if data is None else prototype.buffer.from_bytes(data)
            else:
                _validate_file(self.path, key, self.limit)
                value = await self._store.get(key, prototype, byte_range)
            # The index of a shard, at its end, is not compressed.
            if value is not None and not isinstance(byte_range, SuffixByteRequest):
                content = value.as_numpy_array()
                await asyncio.to_thread(_validate_expansion, content, self.limit, key)
            return value

        async def exists(self, key: str) -> bool:
            if isinstance(self.path, Url):
                url = Url(f"{self.path.rstrip('/')}/{key}")
                return (await asyncio.to_thread(get_statuses, [url]))[url] is not None
            return bool(await self._store.exists(key))

        async def get_partial_values(self, prototype: Any, key_ranges: Any) -> list[Any]:
            return [await self.get(key, prototype, part) for key, part in key_ranges]

    return CheckedStore


def _fetch(url: Url, byte_range: Any, limit: int) -> bytes | None:
    """A value of a store at an address, or a part of one; None where there is none."""
    from zarr.abc.store import RangeByteRequest, SuffixByteRequest

    try:
        if byte_range is None:
            return read_url(url, limit)
        if isinstance(byte_range, RangeByteRequest):
            start, stop = byte_range.start, byte_range.end
        else:
            status = get_statuses([url])[url]
            if status is None or status.size is None:
                return None
            is_end = isinstance(byte_range, SuffixByteRequest)
            start = max(0, status.size - byte_range.suffix) if is_end else byte_range.offset
            stop = status.size
        if stop - start > limit:
            raise ImageError(f"A part of {url} is too large.", received=f"{stop - start} bytes")
        return read_ranges(url, [(start, stop)])[0]
    except MissingFileError:
        return None


def _validate_file(folder: Path, key: str, limit: int) -> None:
    """Refuse links out of the folder, pipes and devices, and files longer than what they hold."""
    path = Path(os.path.realpath(folder / key))
    try:
        status = path.stat()
    except OSError:
        return  # a chunk that is not there has the fill value
    if not path.is_relative_to(os.path.realpath(folder)):
        raise ImageError(f"'{key}' is a link out of {folder}.", received=path)
    if stat.S_ISDIR(status.st_mode):
        return
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{path} is no ordinary file.")
    if status.st_size > limit + MAX_CHUNK:
        raise ImageError(f"The chunk {path} is too large.", received=f"{status.st_size} bytes")


def _validate_expansion(data: np.ndarray, limit: int, path: str) -> None:
    """Refuse what would decompress to more than a limit, before its decoder takes the memory."""
    head = data[:16].tobytes()
    size = 0
    try:
        if head[:2] == _GZIP or head[:4] == _ZSTD:
            kind = "gzip" if head[:2] == _GZIP else "zstd"
            with pa.input_stream(pa.py_buffer(data), compression=kind) as stream:
                while size <= limit and (piece := stream.read(1 << 20)):
                    size += len(piece)
        elif head[:1] == b"\x78":
            size = len(zlib.decompressobj().decompress(data.tobytes(), limit + 1))
        elif head[:1] in (b"\x01", b"\x02") and len(head) == 16:
            # Blosc: version, version of the codec, flags, size of an element, sizes of 4 bytes.
            stated, _, stored = np.frombuffer(head[4:], "<u4").tolist()
            size = stated if stored == len(data) else 0
    except (OSError, zlib.error, pa.ArrowException):
        return  # not of this form: the decoder says what is wrong
    if size > limit:
        raise ImageError(f"The chunk {path} expands to more than {limit} bytes.")


source = build_source(open_array, remote=True)
