"""Images in NumPy's ``.npy`` files, mapped, and ``.npz`` archives, read as a whole."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from astrocnn.errors import AstrocnnError, ImageError
from astrocnn.fits_file import MAX_EXPANSION, MAX_MEMORY, open_regular
from astrocnn.imaging.array_files import build_source
from astrocnn.remote import Url

__all__ = ["source"]

_ZIP = b"PK"


def open_array(path: Path | Url, name: str | None) -> np.ndarray:
    """Open an array; `name` is that of a member of an archive.

    Raises
    ------
    ImageError
        If the file is damaged, holds objects of Python, or has no such array.
    """
    try:
        with open_regular(path) as stream:
            is_archive = stream.read(2) == _ZIP
        if is_archive:
            return _read_member(path, name)
        if name is not None:
            raise ImageError(f"The file {path} holds one array without a name.", received=name)
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except AstrocnnError:
        raise
    except Exception as error:  # damaged bytes raise errors of many kinds
        raise ImageError(
            f"The arrays of {path} cannot be read.",
            received=f"{type(error).__name__}: {error}"[:200],
        ) from error


def _read_member(path: Path | Url, name: str | None) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        members = {m.filename.removesuffix(".npy"): m for m in archive.infolist()}
        if name is None and len(members) == 1:
            (name,) = members
        if name not in members:
            raise ImageError(
                f"The archive {path} has no such array.",
                received=f"hdu = {name!r}",
                allowed=list(members),
            )
        member = members[name]
        if member.file_size > MAX_MEMORY + MAX_EXPANSION * member.compress_size:
            raise ImageError(
                f"The array '{name}' of {path} is too large.", received=member.file_size
            )
        with archive.open(member) as stream:
            _validate_header(stream, member.file_size)
        with archive.open(member) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)


def _validate_header(stream: Any, size: int) -> None:
    """Refuse an array that states more elements than its member has bytes for."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
    shape, _, dtype = (read or np.lib.format.read_array_header_2_0)(stream)
    if math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"{shape} elements in {size} bytes")


source = build_source(open_array)
