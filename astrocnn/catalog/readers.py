"""Read catalogues of all formats; the format is taken from the content of the file."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import math
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from astropy.io import votable
from astropy.table import Table

from astrocnn.block_cache import fetch
from astrocnn.catalog.catalog import Catalog
from astrocnn.catalog.columns import MAX_COLUMNS, validate_memory
from astrocnn.catalog.fits_table import read_fits_table
from astrocnn.catalog.parquet_table import read_parquet_table
from astrocnn.catalog.roles import ROW_NUMBER, choose_roles, resolve_column
from astrocnn.catalog.text_layout import AS_UTF8
from astrocnn.catalog.text_table import TEXT_FORMATS, Choose, read_text_table
from astrocnn.catalog.validation import CatalogWarning
from astrocnn.errors import AstrocnnError, CatalogError, MissingFileError
from astrocnn.fits_file import open_regular
from astrocnn.plugins import nearest_file
from astrocnn.remote import Url, locate

__all__ = ["detect_format", "read_catalog", "read_column_names"]

FORMATS = ("FITS", "VOTable", "Parquet", *TEXT_FORMATS)
COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}
MAX_MEMORY = 1 << 26
MAX_EXPANSION = 32
"""Compressed text may expand to `MAX_MEMORY` bytes and this many times the size of its file."""
HEAD_BYTES = 1 << 16


def read_catalog(
    path: str | os.PathLike[str],
    *,
    hdu: int | str | None = None,
    id: str | None = None,
    ra: str | None = None,
    dec: str | None = None,
    columns: Sequence[str] | None = None,
    missing: Sequence[float] | None = None,
    rows: slice | None = None,
    keys: Mapping[str, str] | None = None,
) -> Catalog:
    """Read a catalogue: FITS, VOTable, Parquet (also a folder of files, or HATS), or text.

    Text is CSV, TSV or blank-separated, with SExtractor's or VizieR's head, IPAC, MRT or ECSV.

    The format is taken from the content, the suffix only settles doubt; any but Parquet may be
    compressed by gzip, bzip2 or xz.  Integers of 64 bits stay exact also where values are missing.
    In text files a column of integers with leading zeros or with more digits than 64 bits hold
    stays text.

    Parameters
    ----------
    path : path or str
        Also the address of a file (``https://...``, ``s3://...``), which is copied to the cache
        folder.
    hdu : int or str, optional
        Table extension of a FITS file; by default the first.
    id, ra, dec : str, optional
        Columns of the identifier and the position; by default found by the alias table.  Without
        an identifier ``id="row_number"`` numbers the rows from 1.
    columns : sequence of str, optional
        Read only these (and the identifier and position), so that a large table fits in memory.
    missing : sequence of float, optional
        Numbers that mean "no value" in this file, such as ``(99.0, -99.0)``; see
        `Catalog.from_table`.
    rows : slice, optional
        Read only these rows, without a step.  Of a FITS table and of one Parquet file no others
        are in memory.
    keys : mapping of str to str, optional
        Columns of one value that a Parquet file has by the names of its folders (``key=value``).

    Raises
    ------
    CatalogError
        If the file is missing, empty, cut short or not a table, or its columns cannot be used.

    Warns
    -----
    CatalogWarning
        If RA and Dec look exchanged or look like radians.
    """

    def choose(names: Sequence[str]) -> tuple[list[str], str | None]:
        if not 0 < len(names) <= MAX_COLUMNS:
            raise CatalogError(
                f"'{path}' has {len(names) or 'no'} columns.", allowed=f"1 to {MAX_COLUMNS}"
            )
        roles = choose_roles(list(names), id=id, ra=ra, dec=dec)
        if columns is None:
            return list(names), roles.id
        selected = [roles.id, roles.ra, roles.dec, *(resolve_column(c, names) for c in columns)]
        return [str(name) for name in dict.fromkeys(selected) if name in names], roles.id

    table = _read_table(path, hdu, choose, rows, keys)
    with _errors_of(path):
        if id == ROW_NUMBER and rows is not None and id not in table.colnames:
            first = 1 + (rows.start or 0)
            table.add_column(np.arange(first, first + len(table)), name=id, index=0)
        catalog = Catalog.from_table(table, id=id, ra=ra, dec=dec, missing=missing)
    for name in columns or ():
        catalog.column(name)
    return catalog


def read_column_names(
    path: str | os.PathLike[str],
    hdu: int | str | None = None,
    keys: Mapping[str, str] | None = None,
) -> list[str]:
    """Names of the columns of a catalogue; of FITS and Parquet without reading any value.

    Raises
    ------
    CatalogError
        As `read_catalog`.
    """
    found: list[str] = []

    def note(names: Sequence[str]) -> tuple[list[str], str | None]:
        found.extend(names)
        return [], None

    _read_table(path, hdu, note, slice(0, 0), keys)
    return found


def _read_table(
    path: str | os.PathLike[str],
    hdu: int | str | None,
    choose: Choose,
    rows: slice | None,
    keys: Mapping[str, str] | None,
) -> Table:
    """Read the chosen columns, of some rows, of a table of any format."""
    kind, place = "a table", locate(path)
    with _errors_of(path, lambda: kind):
        path = fetch(place) if isinstance(place, Url) else place.expanduser()
        kind, opener = detect_format(path)
        if hdu is not None and kind != "FITS":
            raise CatalogError(
                f"'{path.name}' is a {kind} file and has no HDUs.", received=f"hdu = {hdu!r}"
            )
        if kind == "FITS":
            return read_fits_table(path, hdu, lambda names: choose(names)[0], rows)
        if kind == "Parquet":
            return read_parquet_table(path, lambda names: choose(names)[0], rows, keys)
        if kind == "VOTable":
            table = _read_votable(opener, choose)
        else:
            table = read_text_table(path, opener, choose)
        return table if rows is None else table[rows]


@contextmanager
def _errors_of(
    path: str | os.PathLike[str], get_kind: Callable[[], str] = lambda: "a table"
) -> Iterator[None]:
    """Raise `CatalogError` in place of any error: each format has types of its own."""
    try:
        yield
    except CatalogError:
        raise
    except AstrocnnError as error:
        raise CatalogError(
            error.what, received=error.received, allowed=error.allowed, hint=error.hint
        ) from error
    except Exception as error:
        raise CatalogError(
            f"'{path}' cannot be read as {get_kind()}.",
            received=f"{type(error).__name__}: {error}"[:300],
            hint="the file may be damaged or cut short",
        ) from error


def detect_format(path: Path) -> tuple[str, Callable[[], BinaryIO]]:
    """Detect the format of a file, and how its uncompressed content is opened.

    Raises
    ------
    CatalogError
        If there is no such file, it is empty, or its content is no table.
    """
    if path.is_dir():
        return "Parquet", lambda: open_regular(path)
    opener = _opener(path)
    with opener() as stream:
        head = stream.read(HEAD_BYTES)
    if not head.strip():
        raise CatalogError(f"'{path}' is empty.", allowed=FORMATS)
    # The suffix is not trusted: pipelines write FITS as .cat and HTML error pages as .fits.
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"SIMPLE  ="):
        return "FITS", opener
    if head.startswith(b"PAR1"):
        return "Parquet", opener
    if start.startswith(b"<") and re.search(rb"<(\w+:)?VOTABLE[\s>]", head):
        return "VOTable", opener
    suffixes = [s.lower() for s in path.suffixes]
    received = f"first bytes {head[:12]!r}"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CatalogError(f"'{path}' is text in UTF-16.", received=received, hint=AS_UTF8)
    if b"\x00" in head or head.startswith(b"\x89HDF") or start.startswith(b"<"):
        raise CatalogError(
            f"'{path}' is no table of a known format.", received=received, allowed=FORMATS
        )
    if {".fits", ".fit", ".parquet", ".vot"} & set(suffixes):
        raise CatalogError(
            f"'{path}' is named as if it were {suffixes[-1]} but does not begin like one.",
            received=received,
            hint="the file may be damaged, or a web page saved in its place",
        )
    return "text", opener


def _opener(path: Path) -> Callable[[], BinaryIO]:
    """How the content of a file is opened, decompressed where it is compressed."""
    try:
        with open_regular(path) as stream:
            magic, size = stream.read(2), os.fstat(stream.fileno()).st_size
    except MissingFileError:
        raise CatalogError(
            f"'{path}' is missing.",
            allowed=f"a file: {', '.join(FORMATS)}; or a folder of Parquet files",
            hint=nearest_file(path) if isinstance(path, Path) else None,
        ) from None
    if magic not in COMPRESSED:
        return lambda: open_regular(path)
    decompressed, limit = COMPRESSED[magic], MAX_MEMORY + MAX_EXPANSION * size
    return lambda: io.BufferedReader(_Limited(decompressed(path, "rb"), limit, path), 1 << 16)


class _Limited(io.RawIOBase):
    """A decompressed stream that refuses to become far larger than its file."""

    def __init__(self, stream: BinaryIO, limit: int, path: Path) -> None:
        self._stream, self._limit, self._path = stream, limit, path
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._count += len(data)
        if self._count > self._limit:
            raise CatalogError(
                f"'{self._path}' expands to more than {self._limit} bytes.",
                hint="decompress it by hand if it is sound: a plain file has no such limit",
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _read_votable(opener: Callable[[], BinaryIO], choose: Choose) -> Table:
    with opener() as stream:
        content = stream.read()
    if re.search(rb"<(\w+:)?STREAM\b[^>]*\bhref\s*=", content):
        # The parser would fetch the address or open the file.
        raise CatalogError(
            "The VOTable keeps its data in another place, which is not opened.",
            received="STREAM href",
            hint="save it with its data inside (TABLEDATA or BINARY2)",
        )
    if b"<!ENTITY" in content:
        raise CatalogError(
            "The VOTable declares entities, which can expand without limit and are not read.",
            hint="save it without a document type definition",
        )
    _validate_votable_size(content)
    with warnings.catch_warnings():
        # Real VOTables break rules of the standard in ways that do not touch their values.
        warnings.simplefilter("ignore")
        parsed = votable.parse(io.BytesIO(content), verify="ignore")
    tables = list(parsed.iter_tables())
    if not tables:
        raise CatalogError("The VOTable document holds no table.")
    if any(
        str(info.name) == "QUERY_STATUS" and "OVERFLOW" in str(info.value)
        for info in parsed.iter_info()
    ):
        warnings.warn(
            f"The service cut the VOTable after {tables[0].nrows} rows (QUERY_STATUS = OVERFLOW).",
            CatalogWarning,
            stacklevel=4,
        )
    table = tables[0].to_table(use_names_over_ids=True)
    systems = {system.ID: system for system in parsed.iter_coosys()}
    for one in tables[0].fields:
        if one.ref in systems and one.name in table.colnames:
            system = systems[one.ref]
            table[one.name].meta["frame"] = (system.system, system.equinox)
    return table[choose(table.colnames)[0]]


def _validate_votable_size(content: bytes) -> None:
    """Refuse a document that declares more rows, or longer arrays, than it has bytes for."""
    declared = [int(n) for n in re.findall(rb"""\bnrows\s*=\s*["'](\d+)""", content)]
    rows = max([len(re.findall(rb"<(?:\w+:)?TR\b", content)), *declared])
    sizes = [
        math.prod(int(n) for n in re.findall(rb"\d+", dimensions))
        for dimensions in re.findall(rb"""\barraysize\s*=\s*["']([^"']*)""", content)
    ]
    # 16 bytes are those of the largest element.
    validate_memory(16 * rows * sum(sizes), len(content), "The VOTable")
