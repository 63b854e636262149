"""Guarded opening of files of unknown origin: any bytes become a result or one `AstrocnnError`.

Sizes that a header or a compressed stream only claims to have cost neither time nor memory: what
does not fit into the file, or would expand beyond all measure, is refused before it is read.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import math
import os
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from astropy.io import fits

from astrocnn.block_cache import open_remote
from astrocnn.errors import AstrocnnError, ImageError, MissingFileError, RemoteError
from astrocnn.header_units import HeaderUnit, next_block, scan_bytes, scan_file
from astrocnn.remote import Url, keep_url

__all__ = [
    "MAX_EXPANSION",
    "MAX_MEMORY",
    "decompress",
    "is_compressed",
    "lock_decoder",
    "open_fits",
    "open_regular",
    "read_bytes",
    "truncation_error",
    "validate_compression",
    "validate_streams",
]

MAX_MEMORY = 1 << 30
"""Memory that a compressed file may always take [byte]: what it expands to is read as a whole."""
MAX_EXPANSION = 32
"""And beyond that memory, this many times its size: more than images with noise ever reach."""
# Of a Rice-compressed tile without any noise; descriptors of the tiles included.
MAX_TILE_EXPANSION = 256
_MAGIC: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": lambda stream: gzip.GzipFile(fileobj=stream),
    b"BZ": bz2.BZ2File,
    b"\xfd7": lzma.LZMAFile,
}


@contextlib.contextmanager
def open_fits(
    source: str | os.PathLike[str] | bytes | bytearray | io.IOBase,
    *,
    path: str | os.PathLike[str] | None = None,
    error: type[AstrocnnError] = ImageError,
    allow_truncated: bool = False,
    **options: Any,
) -> Iterator[fits.HDUList]:
    """Open a FITS file with astropy, whatever its bytes are.

    A plain, gzip, bzip2 or xz file is opened; its headers are checked before astropy reads them.
    astropy reads headers and data when they are asked for: whatever it raises inside the block of
    the ``with`` statement becomes one `error` as well, so the block should do nothing but read.

    Parameters
    ----------
    source : path, bytes or stream
        The file, or its content, decompressed.
    path : path, optional
        Of the file that bytes came from, for messages.
    error : type
        What to raise.
    allow_truncated : bool
        Whether data may end early, for readers that say themselves how much is missing.
    **options
        For `astropy.io.fits.open`; by default ``memmap=False``.

    Yields
    ------
    astropy.io.fits.HDUList

    Raises
    ------
    AstrocnnError
        Of the type `error`, if the file cannot be read, is not FITS, is truncated or damaged, or
        would need more than `MAX_MEMORY` to decompress.
    """
    given = source if isinstance(source, io.IOBase) else None
    data = source if isinstance(source, (bytes, bytearray)) else None
    path = keep_url(
        path or ("FITS file" if isinstance(source, (bytes, bytearray, io.IOBase)) else source)
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        try:
            stream: BinaryIO
            if data is None and given is None and is_compressed(path):
                data = decompress(read_bytes(path), path)
            if data is not None:
                units, size = scan_bytes(data, path), len(data)
                stream = io.BytesIO(data)
            else:
                stream = cast(BinaryIO, given) or stack.enter_context(open_regular(path))
                units, size = scan_file(stream, path)
            end = 0
            for unit in units:
                if unit.stop > size and not allow_truncated:
                    raise truncation_error(unit, path, size)
                validate_compression(unit, path)
                end = next_block(unit.stop)
            stream.seek(0)
            if end < size:
                stream = _read_start(stream, end, path)
            # A stream and not a name: astropy takes some names for addresses, and loads them.
            hdus = stack.enter_context(fits.open(stream, **{"memmap": False, **options}))
            yield hdus
        except AstrocnnError as known:
            if isinstance(known, (error, RemoteError)):
                raise
            raise error(
                known.what, received=known.received, allowed=known.allowed, hint=known.hint
            ) from known
        except Exception as other:  # astropy and its decoders raise many different types
            raise error(
                f"The FITS file {path} is damaged.",
                received=f"{type(other).__name__}: {other}"[:300],
            ) from other


def _read_start(stream: BinaryIO, end: int, path: Path | Url) -> BinaryIO:
    """What stands before `end`: astropy takes for headers what the standard says are none."""
    if end > MAX_MEMORY:
        raise ImageError(
            f"The FITS file {path} goes on behind its last HDU.",
            hint=f"only its first {end} bytes are FITS: copy the HDUs to a new file",
        )
    return io.BytesIO(stream.read(end))


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open an ordinary file for reading in binary; no pipe or device, which may never end.

    Of a `Url` only what is read is fetched.

    Raises
    ------
    MissingFileError
        If there is no file of the name.
    ImageError
        If it is something else, or cannot be read.
    """
    if isinstance(path, Url):
        return cast(BinaryIO, open_remote(path).open())
    try:
        # Opening a pipe waits for its writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        mode = os.fstat(handle).st_mode
        if stat.S_ISREG(mode):
            return os.fdopen(handle, "rb")
        os.close(handle)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(f"The file {path} does not exist.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"The file {os.fspath(path)!r} cannot be read: {reason}.") from error
    if stat.S_ISDIR(mode):
        raise MissingFileError(f"The file {path} cannot be read: it is a folder.")
    raise ImageError(
        f"{path} is no ordinary file but a pipe, a socket or a device.",
        hint="save its content to a file first",
    )


def read_bytes(path: str | os.PathLike[str], limit: int | None = None) -> bytes:
    """Read all bytes of an ordinary file.

    Raises
    ------
    MissingFileError
        If there is no file of the name.
    ImageError
        If it cannot be read, or is larger than `limit`.
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size if not isinstance(path, Url) else -1
        size = stream.seek(0, os.SEEK_END) if size < 0 else size
        stream.seek(0)
        if limit is not None and size > limit:
            raise ImageError(
                f"The file {path} is too large.",
                received=f"{size} bytes",
                allowed=f"{limit} bytes",
            )
        try:
            return stream.read()
        except OSError as error:
            raise ImageError(f"The file {path} cannot be read: {error.strerror}.") from error


def is_compressed(file: str | os.PathLike[str] | BinaryIO) -> bool:
    """Whether a file is gzip, bzip2 or xz, by its first bytes: names are not reliable."""
    if isinstance(file, (str, os.PathLike)):
        with open_regular(file) as stream:
            return stream.read(2) in _MAGIC
    magic = file.read(2)
    file.seek(0)
    return magic in _MAGIC


def decompress(data: bytes, path: Path | Url, limit: int | None = None) -> bytes | bytearray:
    """Decompress bytes that are gzip, bzip2 or xz; others are returned as they are.

    Parameters
    ----------
    data : bytes
        All bytes of the file.
    path : Path
        For messages.
    limit : int, optional
        Largest length of the result; by default `MAX_MEMORY` and `MAX_EXPANSION` times `data`.

    Raises
    ------
    ImageError
        If the compressed stream is damaged, or longer than `limit`.
    """
    opener = _MAGIC.get(bytes(data[:2]))
    if opener is None:
        return data
    if limit is None:
        limit = MAX_MEMORY + MAX_EXPANSION * len(data)
    result = bytearray()
    try:
        with opener(io.BytesIO(data)) as stream:
            # In pieces: what a stream expands to is known only when it has been decompressed.
            while piece := stream.read(1 << 24):
                result += piece
                if len(result) > limit:
                    raise ImageError(
                        f"The compressed file {path} expands to more than {limit} bytes.",
                        received=f"{len(data)} bytes of compressed data",
                        hint="decompress it by hand if it is sound: plain FITS has no such limit",
                    )
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, AstrocnnError):
            raise
        raise ImageError(f"The compressed file {path} is truncated or damaged.") from error
    return bytes(result) if len(result) < 1 << 24 else result


def truncation_error(unit: HeaderUnit, path: Path | Url, size: int) -> ImageError:
    """The error for a file that ends before the data of a unit do."""
    return ImageError(
        f"The file {path} is truncated: {unit.title} needs {unit.stop} bytes and the file"
        f" has {size}."
    )


def validate_compression(unit: HeaderUnit, path: Path | Url) -> None:
    """Refuse a compressed image whose size does not follow from its tiles, or is out of bounds.

    Raises
    ------
    ImageError
        If so: decoding would take memory and time without limit.
    """
    if unit.kind != "compressed":
        return
    tiles = 1
    for number, length in enumerate(reversed(unit.shape), start=1):
        # By default a tile is a row of the image.
        tile = unit.value(f"ZTILE{number}")
        tile = (length if number == 1 else 1) if tile is None else tile
        if not isinstance(tile, int) or tile < 1:
            raise ImageError(f"The tiles of {path}, {unit.title}, have no valid size.")
        tiles *= -(-length // tile)
    if tiles != unit.value("NAXIS2"):
        raise ImageError(
            f"The compressed image in {path}, {unit.title}, is damaged.",
            received=f"{unit.value('NAXIS2')} tiles",
            allowed=f"{tiles} tiles, for its size",
        )
    decoded = math.prod(unit.shape) * max(abs(unit.bitpix) // 8, 4)
    stored = unit.stop - unit.start
    if decoded > max(MAX_MEMORY, MAX_TILE_EXPANSION * stored):
        raise ImageError(
            f"The compressed image in {path}, {unit.title}, expands to {decoded} bytes.",
            received=f"{stored} bytes of compressed data",
            hint="decompress it by hand if it is sound: plain FITS has no such limit",
        )


_HCOMPRESS = threading.Lock()


def lock_decoder(unit: HeaderUnit) -> contextlib.AbstractContextManager[object]:
    """Have one thread at a time decode, where the decoder needs it.

    That of HCOMPRESS in CFITSIO, which astropy uses without the lock of Python, keeps its state in
    global variables: two threads would get each other's pixels.
    """
    is_shared = unit.value("ZCMPTYPE") == "HCOMPRESS_1"
    return _HCOMPRESS if is_shared else contextlib.nullcontext()


def validate_streams(
    unit: HeaderUnit,
    path: Path | Url,
    source: Path | Url | bytes | bytearray | io.IOBase,
    index: int | None = None,
    numbers: Iterable[int] | None = None,
) -> None:
    """Refuse tiles whose HCOMPRESS streams state another size than the tiles have.

    The decoder believes the size in the stream: one that is zero ends the process, a larger one
    writes beyond its memory.

    Parameters
    ----------
    unit : HeaderUnit
    path : path
        For messages.
    source : path, bytes or stream
        See `open_fits`.
    index : int, optional
        Position of the unit in the source, where it is another one.
    numbers : iterable of int, optional
        Which tiles, by default all.

    Raises
    ------
    ImageError
        If a tile does.

    References
    ----------
    White 1992, in Space and Earth Science Data Compression Workshop: the stream begins with two
    magic bytes, the two sides and the scale as 32-bit integers.
    """
    if unit.kind != "compressed" or unit.value("ZCMPTYPE") != "HCOMPRESS_1":
        return
    sides = [
        (length, unit.value(f"ZTILE{number}") or (length if number == 1 else 1))
        for number, length in enumerate(reversed(unit.shape), start=1)
    ]
    counts = [-(-length // tile) for length, tile in sides]
    with open_fits(source, path=path, disable_image_compression=True) as hdus:
        streams = hdus[unit.index if index is None else index].data["COMPRESSED_DATA"]
        for number in range(len(streams)) if numbers is None else numbers:
            stream = streams[number]
            places = np.unravel_index(number, counts, order="F")
            pixels = math.prod(
                min(tile, length - int(place) * tile)
                for (length, tile), place in zip(sides, places, strict=True)
            )
            # A tile that could not be compressed has no stream here.
            if not len(stream):
                continue
            start = np.asarray(stream[:10]).astype(np.uint8).tobytes()
            height, width = struct.unpack(">2i", start[2:]) if len(start) == 10 else (0, 0)
            if min(height, width) < 1 or height * width != pixels:
                raise ImageError(
                    f"Tile {number} of the compressed image in {path}, {unit.title}, is damaged.",
                    received=f"{height} x {width} pixels",
                    allowed=f"{pixels} pixels",
                )
