"""File names, archives and digests: where the files of a survey are, without reading images."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from astrocnn.atomic import write_text
from astrocnn.errors import ConfigError, ImageError, register_expansion
from astrocnn.fits_file import open_regular
from astrocnn.plugins import nearest_file
from astrocnn.remote import Status, Url, find_urls, get_statuses, locate

__all__ = [
    "FileTemplate",
    "compute_digest",
    "compute_state",
    "expand_path",
    "get_status",
    "sample_rows",
    "split_hdu",
    "find_files",
    "unpack",
    "replace_band",
]

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
# The standard allows any printable character in an EXTNAME: 'F814W+F606W', 'A.B', 'CCD*' for many.
_BRACKET = re.compile(r"^(.*\S)\[([\w, .+*-]+)\]$")
# Of a width without limit a format would take memory without limit.
_FORMAT = re.compile(r"(?:.?[<>=^])?[+\- ]?#?0?\d{0,3}[,_]?(?:\.\d{1,2})?[a-zA-Z%]?")
_FIELD = re.compile(r"\{\{|\}\}|\{([^{}:]+)(?::([^{}]*))?\}|[{}]")


def expand_path(text: str, root: Path) -> str:
    """Replace ``$NAME``, ``${NAME}`` and ``~``, and put a relative path under `root`.

    An address such as ``s3://bucket/tile.fits`` stays as it is.

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
        register_expansion(name, os.environ[name])
        return os.environ[name]

    place = locate(os.path.expanduser(_VARIABLE.sub(value, text)))
    if isinstance(place, Url):
        return str(place)
    path = str(place)
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


def find_files(
    patterns: str | tuple[str, ...], what: str
) -> list[tuple[Path | Url, int | str | None]]:
    """Find the files that paths or glob patterns name, sorted within each pattern, and their HDU.

    Files on servers are looked for where a pattern is the address of one.

    Raises
    ------
    ImageError
        If a pattern names no file.
    """
    files: list[tuple[Path | Url, int | str | None]] = []
    for pattern in (patterns,) if isinstance(patterns, str) else patterns:
        path, hdu = split_hdu(pattern)
        place = locate(path)
        if isinstance(place, Url):
            urls = find_urls(place)
            if not urls:
                raise ImageError(f"There is no file for {what}.", received=path)
            files += [(url, hdu) for url in urls]
            continue
        path = str(place)
        if os.path.exists(path):
            files.append((Path(path), hdu))
            continue
        folder, name = _split_existing(path)
        # Sorted, because the order of glob depends on the file system.
        names = sorted(glob.glob(os.path.join(glob.escape(folder), name), recursive=True))
        if not names:
            hint = None if glob.has_magic(name) else nearest_file(path)
            raise ImageError(f"There is no file for {what}.", received=path, hint=hint)
        files += [(Path(name), hdu) for name in names]
    return files


def _split_existing(path: str) -> tuple[str, str]:
    """The longest leading folder that exists, in which brackets and braces are letters."""
    folder = os.path.dirname(path)
    while folder and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder, path[len(folder) :].lstrip(os.sep)


def _split_server(url: str) -> tuple[str, str]:
    """The scheme and the server of an address, and the rest."""
    start = url.rindex("://") + 3
    end = url.find("/", start) + 1 or len(url)
    if "{" in url[:end] or "::" in url[end:]:
        raise ConfigError(
            "The address of a server cannot be made of columns of the catalogue.", received=url
        )
    return url[:end], url[end:]


class FileTemplate:
    """A file name with places for columns of the catalogue, such as ``"stamps/{id}.fits"``.

    Parameters
    ----------
    text : str
        ``{name}`` is replaced by the value of a column, ``{name:05d}`` by the value in a format;
        ``{{`` and ``}}`` are braces.  A value that is an absolute path replaces the folder before
        it.

    Attributes
    ----------
    names : tuple of str
        Names of the columns, in order of appearance.
    is_remote : bool
        Whether the files are on a server.  Its name stands in the template: values of a catalogue
        only go behind it.

    Raises
    ------
    ConfigError
        If a brace is not closed, or a column stands in the name of a server.

    Examples
    --------
    >>> FileTemplate("{field}-{id:03d}.fits").fill({"field": "a", "id": 7})
    'a-007.fits'
    """

    def __init__(self, text: str) -> None:
        self.text = text
        place = locate(text)
        self.is_remote = isinstance(place, Url)
        if self.is_remote:
            self.folder, pattern = _split_server(str(place))
        else:
            self.folder, pattern = _split_existing(str(place))
        # Not str.format, which reaches attributes and elements of what it is given.
        self._parts: list[str | tuple[str, str]] = []
        end = 0
        for match in _FIELD.finditer(pattern):
            self._parts.append(pattern[end : match.start()])
            end = match.end()
            if match.group(2) and not _FORMAT.fullmatch(match.group(2)):
                raise ConfigError(
                    "The file template is not valid: it has no such format.",
                    received=match.group(0),
                    allowed="{column}, or a format of at most three digits as in {column:05d}",
                )
            if match.group(1) is not None:
                self._parts.append((match.group(1), match.group(2) or ""))
            elif match.group(0) in ("{{", "}}"):
                self._parts.append(match.group(0)[0])
            else:
                raise ConfigError(
                    "The file template is not valid: a brace is not closed.", received=text
                )
        self._parts.append(pattern[end:])
        fields = (part[0] for part in self._parts if not isinstance(part, str))
        self.names = tuple(dict.fromkeys(fields))

    def fill(self, values: Mapping[str, object]) -> str:
        """The path for the values of one row.

        Raises
        ------
        ConfigError
            If a value has no such format.
        """
        path = self.folder if self.is_remote else os.path.join(self.folder, "")
        try:
            for part in self._parts:
                text = part if isinstance(part, str) else format(values[part[0]], part[1])
                if self.is_remote:
                    path += text if isinstance(part, str) else self._escape(text)
                    continue
                # As os.path.join: an absolute path is not put under another folder.
                path = os.path.join(path, text) if path.endswith(os.sep) else path + text
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"A value does not have the format of the file template ({error}).",
                received=self.text,
            ) from None
        return Url(path) if self.is_remote else path

    def _escape(self, text: str) -> str:
        """A value as a part of an address, in which some letters have a meaning."""
        if self.folder.startswith("http") or "::http" in self.folder:
            return quote(text, safe="/")
        # Another file system would be taken for the one of the template.
        return text.replace("::", "")


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
        status = archive.stat()
    except OSError as error:
        raise ImageError(f"The archive {archive} cannot be read: {error.strerror}.") from error
    done = folder / f".{archive.name}.unpacked"
    # A changed archive has another size or time, and is unpacked again.
    mark = f"{status.st_size} {status.st_mtime_ns}\n"
    if done.exists() and done.read_text() == mark:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            # The filter refuses members that would land outside the folder.
            tar.extractall(folder, filter="data")
    except tarfile.FilterError as error:
        raise ImageError(f"The archive {archive} holds a member that is not safe: {error}.") from (
            error
        )
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ImageError(f"The archive {archive} cannot be unpacked ({error}).") from error
    # Written last, so that an interrupted extraction is repeated.
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
    files = list(files)
    statuses = get_statuses(name for name in files if isinstance(name, Url))
    for name in files:
        path = name if isinstance(name, Url) else Path(name)
        # The name without its folder: moving a survey does not change the digest.
        total.update(f"\0{path.name}\0".encode())
        if isinstance(path, Url):
            total.update(repr(statuses[path]).encode())
            continue
        try:
            with open_regular(path) as stream:
                length = stream.seek(0, os.SEEK_END)
                total.update(str(length).encode())
                for start in np.linspace(0, max(0, length - BLOCK), BLOCKS).astype(np.int64):
                    stream.seek(int(start))
                    total.update(stream.read(BLOCK))
        except (OSError, ImageError):
            total.update(b"missing")
    return total.hexdigest()


def compute_state(files: Iterable[str | os.PathLike[str]]) -> str:
    """Digest of the names, lengths and times of files: one that is written anew differs."""
    files = list(files)
    # Many at a time.
    get_statuses(name for name in files if isinstance(name, Url))
    total = hashlib.blake2b(digest_size=16)
    for name in files:
        total.update(os.fsencode(f"{os.path.basename(name)}\0{get_status(name)}\0"))
    return total.hexdigest()


def get_status(path: str | os.PathLike[str]) -> tuple[int, int] | Status | None:
    """Length [byte] and time of change [ns] of a file; None where there is none."""
    if isinstance(path, Url):
        return get_statuses([path])[path]
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def sample_rows(n: int) -> np.ndarray:
    """At most 32 of the numbers 0 to n - 1, evenly spread, int64 of shape (n_chosen,)."""
    return np.unique(np.linspace(0, max(0, n - 1), AT_MOST).astype(np.int64))[:n]
