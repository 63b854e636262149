"""File names, archives and digests: where the files of a survey are, without reading images."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from astrocnn.atomic import write_text
from astrocnn.errors import ConfigError, ImageError

__all__ = [
    "compute_digest",
    "expand_path",
    "sample_rows",
    "split_hdu",
    "find_files",
    "unpack",
    "replace_band",
]

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_BRACKET = re.compile(r"^(.*\S)\[([\w, -]+)\]$")


def expand_path(text: str, root: Path) -> str:
    """Replace ``$NAME``, ``${NAME}`` and ``~``, and put a relative path under `root`.

    Raises
    ------
    ConfigError
        If an environment variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        if name not in os.environ:
            raise ConfigError(
                f"The environment variable {name} is not set.",
                received=text,
                hint=f"export {name}=/path/to/the/files",
            )
        return os.environ[name]

    path = os.path.expanduser(_VARIABLE.sub(value, text))
    return path if os.path.isabs(path) else os.path.join(root, path)


def replace_band(value: Any, name: str) -> Any:
    """Put the band's name in place of ``{band}`` in every string of a nested value."""
    if isinstance(value, str):
        return value.replace("{band}", name)
    if isinstance(value, dict):
        return {key: replace_band(item, name) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(replace_band(item, name) for item in value)
    return value


def split_hdu(text: str) -> tuple[str, int | str | None]:
    """Split ``"file.fits[SCI]"`` into the file and the HDU's name or number.

    >>> split_hdu("a.fits[2]"), split_hdu("tile[0-9].fits")
    (('a.fits', 2), ('tile[0-9].fits', None))
    """
    match = _BRACKET.match(text)
    if not match:
        return text, None
    path, hdu = match.group(1), match.group(2).strip()
    return path, int(hdu) if hdu.lstrip("-").isdigit() else hdu


def find_files(patterns: str | tuple[str, ...], what: str) -> list[tuple[Path, int | str | None]]:
    """Files that paths or glob patterns name, sorted within each pattern, with their HDU.

    Raises
    ------
    ImageError
        If a pattern names no file.
    """
    found: list[tuple[Path, int | str | None]] = []
    for pattern in (patterns,) if isinstance(patterns, str) else patterns:
        path, hdu = split_hdu(pattern)
        if os.path.exists(path):
            found.append((Path(path), hdu))
            continue
        names = sorted(glob.glob(path, recursive=True))
        if not names:
            raise ImageError(f"There is no file for {what}.", received=path)
        found += [(Path(name), hdu) for name in names]
    return found


def unpack(archive: str | Path, folder: str | Path) -> Path:
    """Unpack a tar archive (plain or compressed) into a folder, once.

    A second call with the same, unchanged archive does nothing; an interrupted one is repeated.
    Members that would land outside the folder are refused.

    Parameters
    ----------
    archive : path-like
        The tar file.
    folder : path-like
        Where to; made when missing.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ImageError
        If the archive is missing, damaged or unsafe.
    """
    archive, folder = Path(archive), Path(folder)
    try:
        facts = archive.stat()
    except OSError as error:
        raise ImageError(f"The archive {archive} cannot be read: {error.strerror}.") from error
    done = folder / f".{archive.name}.unpacked"
    mark = f"{facts.st_size} {facts.st_mtime_ns}\n"
    if done.exists() and done.read_text() == mark:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except tarfile.FilterError as error:
        raise ImageError(f"The archive {archive} holds a member that is not safe: {error}.") from (
            error
        )
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ImageError(f"The archive {archive} cannot be unpacked ({error}).") from error
    write_text(done, mark)
    return folder


BLOCK = 4096
BLOCKS = 16
AT_MOST = 32


def compute_digest(description: Any, files: Iterable[str | os.PathLike[str]] = ()) -> str:
    """Digest of a description and of samples of some files.

    A file counts with its name, its length and sixteen blocks of 4096 bytes spread evenly over
    it, the first and the last among them: files written anew or cut short differ, copies and
    renamed folders do not.

    Parameters
    ----------
    description : object
        Anything whose ``repr`` says how the files are used.
    files : iterable of path
        Those that are missing count as missing.

    Returns
    -------
    str
        Hexadecimal, 32 characters.
    """
    total = hashlib.blake2b(repr(description).encode(), digest_size=16)
    for name in files:
        path = Path(name)
        total.update(f"\0{path.name}\0".encode())
        try:
            with path.open("rb") as stream:
                length = stream.seek(0, os.SEEK_END)
                total.update(str(length).encode())
                for start in np.linspace(0, max(0, length - BLOCK), BLOCKS).astype(np.int64):
                    stream.seek(int(start))
                    total.update(stream.read(BLOCK))
        except OSError:
            total.update(b"missing")
    return total.hexdigest()


def sample_rows(n: int) -> np.ndarray:
    """At most 32 of the numbers 0 to n - 1, evenly spread, int64 of shape (n_chosen,)."""
    return np.unique(np.linspace(0, max(0, n - 1), AT_MOST).astype(np.int64))[:n]
