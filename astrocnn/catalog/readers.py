"""Read catalogues of all formats; the format is taken from the content of the file."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import re
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow.parquet as pq
from astropy.io import votable
from astropy.table import Table

from astrocnn.catalog.catalog import Catalog, convert_arrow_column
from astrocnn.catalog.fits_table import read_fits_table
from astrocnn.catalog.roles import choose_roles, resolve_column
from astrocnn.catalog.text_table import TEXT_FORMATS, Choose, read_text_table
from astrocnn.catalog.validation import CatalogWarning
from astrocnn.errors import CatalogError

__all__ = ["read_catalog", "detect_format"]

FORMATS = ("FITS", "VOTable", "Parquet", *TEXT_FORMATS)


def read_catalog(
    path: str | os.PathLike[str],
    *,
    hdu: int | str | None = None,
    id: str | None = None,
    ra: str | None = None,
    dec: str | None = None,
    columns: Sequence[str] | None = None,
    missing: Sequence[float] | None = None,
) -> Catalog:
    """Read a catalogue: FITS, VOTable, Parquet, or text.

    Text is CSV, TSV or blank-separated, with SExtractor's or VizieR's head, IPAC, MRT or ECSV.

    The format is taken from the content, the suffix only settles doubt; any but Parquet may be
    compressed by gzip or bzip2.  Integers of 64 bits stay exact also where values are missing.
    In text files a column of integers with leading zeros or with more digits than 64 bits hold
    stays text.

    Parameters
    ----------
    path : path
    hdu : int or str, optional
        Table extension of a FITS file; by default the first.
    id, ra, dec : str, optional
        Columns of the identifier and the position; by default found by the alias table.
    columns : sequence of str, optional
        Read only these (and the identifier and position), so that a large table fits in memory.
    missing : sequence of float, optional
        Numbers that mean "no value" in this file, such as ``(99.0, -99.0)``; see
        `Catalog.from_table`.

    Raises
    ------
    CatalogError
        If the file is missing, empty, cut short or not a table, or its columns cannot be used.

    Warns
    -----
    CatalogWarning
        If RA and Dec look exchanged or look like radians.
    """
    path = Path(path).expanduser()

    def choose(names: Sequence[str]) -> tuple[list[str], str | None]:
        if not names:
            raise CatalogError(f"'{path}' has no columns.")
        roles = choose_roles(list(names), id=id, ra=ra, dec=dec)
        if columns is None:
            return list(names), roles.id
        selected = [roles.id, roles.ra, roles.dec, *(resolve_column(c, names) for c in columns)]
        return list(dict.fromkeys(name for name in selected if name is not None)), roles.id

    kind, opener = detect_format(path)
    if hdu is not None and kind != "FITS":
        raise CatalogError(
            f"'{path.name}' is a {kind} file and has no HDUs.", received=f"hdu = {hdu!r}"
        )
    try:
        if kind == "FITS":
            table = read_fits_table(path, opener, hdu, lambda names: choose(names)[0])
        elif kind == "VOTable":
            table = _read_votable(opener, choose)
        elif kind == "Parquet":
            table = _read_parquet(path, choose)
        else:
            table = read_text_table(path, opener, choose)
    except CatalogError:
        raise
    except (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, zlib.error) as error:
        raise CatalogError(
            f"'{path}' cannot be read as {kind}: {error}",
            hint="the file may be damaged or cut short",
        ) from error
    return Catalog.from_table(table, id=id, ra=ra, dec=dec, missing=missing)


def detect_format(path: Path) -> tuple[str, Callable[[], BinaryIO]]:
    """Detect the format of a file, and how its uncompressed content is opened.

    Raises
    ------
    CatalogError
        If there is no such file, it is empty, or its content is no table.
    """
    if not path.is_file():
        raise CatalogError(
            f"'{path}' is {'a folder' if path.is_dir() else 'missing'}.",
            allowed=f"a file: {', '.join(FORMATS)}",
        )
    opener = _opener(path)
    try:
        with opener() as stream:
            head = stream.read(4096)
    except (OSError, EOFError, zlib.error) as error:
        raise CatalogError(f"'{path}' cannot be opened: {error}") from error
    if not head.strip():
        raise CatalogError(f"'{path}' is empty.", allowed=", ".join(FORMATS))
    # The suffix is not trusted: pipelines write FITS as .cat and HTML error pages as .fits.
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"SIMPLE  ="):
        return "FITS", opener
    if head.startswith(b"PAR1"):
        return "Parquet", opener
    if start.startswith(b"<") and b"<VOTABLE" in head:
        return "VOTable", opener
    suffixes = [s.lower() for s in path.suffixes]
    if b"\x00" in head or head.startswith(b"\x89HDF") or start.startswith(b"<"):
        raise CatalogError(
            f"'{path}' is no table of a known format.",
            received=f"suffix '{path.suffix}', first bytes {head[:12]!r}",
            allowed=", ".join(FORMATS),
        )
    if {".fits", ".fit", ".parquet", ".vot"} & set(suffixes):
        raise CatalogError(
            f"'{path}' is named as if it were {suffixes[-1]} but does not begin like one.",
            received=f"first bytes {head[:12]!r}",
            hint="the file may be damaged, or a web page saved in its place",
        )
    return "text", opener


def _opener(path: Path) -> Callable[[], BinaryIO]:
    with path.open("rb") as stream:
        magic = stream.read(3)
    if magic[:2] == b"\x1f\x8b":
        return lambda: cast(BinaryIO, gzip.open(path, "rb"))
    if magic == b"BZh":
        return lambda: cast(BinaryIO, bz2.open(path, "rb"))
    return lambda: path.open("rb")


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
    with warnings.catch_warnings():
        # Real VOTables break rules of the standard in ways that do not touch their values.
        warnings.simplefilter("ignore")
        parsed = votable.parse(io.BytesIO(content), verify="ignore")
    tables = list(parsed.iter_tables())
    if not tables:
        raise CatalogError("The VOTable document holds no table.")
    if any(info.name == "QUERY_STATUS" and "OVERFLOW" in info.value for info in parsed.iter_info()):
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


def _read_parquet(path: Path, choose: Choose) -> Table:
    with pq.ParquetFile(path) as file:
        selected, _ = choose(file.schema_arrow.names)
        data = file.read(columns=selected, use_threads=True)
    return Table({name: convert_arrow_column(data.column(name), name) for name in selected})
