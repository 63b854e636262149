"""Tables from files: what a file is, is decided by its content."""

from __future__ import annotations

import bz2
import gzip
import os
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from astropy.table import MaskedColumn, Table

from astrocnn.catalog import fits_table, text_table
from astrocnn.catalog.catalog import Catalog
from astrocnn.catalog.roles import choose_roles, resolve_column
from astrocnn.errors import CatalogError

__all__ = ["read_catalog", "detect_format"]

FORMATS = ("FITS", "VOTable", "ECSV", "CSV", "TSV", "text in columns", "Parquet")
Choose = Callable[[Sequence[str]], list[str]]
"""Column names of a file -> those to read."""


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
    """Read a catalogue: FITS, VOTable, ECSV, CSV, TSV, blank-separated text or Parquet.

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

    def choose(names: Sequence[str]) -> list[str]:
        if columns is None:
            return list(names)
        roles = choose_roles(list(names), id=id, ra=ra, dec=dec)
        wanted = [roles.id, roles.ra, roles.dec, *(resolve_column(c, names) for c in columns)]
        return list(dict.fromkeys(name for name in wanted if name is not None))

    kind, opener = detect_format(path)
    if hdu is not None and kind != "FITS":
        raise CatalogError(
            f"'{path.name}' is a {kind} file and has no HDUs.", received=f"hdu = {hdu!r}"
        )
    try:
        if kind == "FITS":
            table = fits_table.read_fits_table(path, opener, hdu, choose)
        elif kind == "VOTable":
            table = _votable(opener, choose)
        elif kind == "ECSV":
            table = _ecsv(opener, choose)
        elif kind == "Parquet":
            table = _parquet(path, choose)
        else:
            table = text_table.read(path, opener, choose)
    except CatalogError:
        raise
    except (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, zlib.error) as error:
        raise CatalogError(
            f"'{path}' cannot be read as {kind}: {error}",
            hint="the file may be damaged or cut short",
        ) from error
    return Catalog.from_table(table, id=id, ra=ra, dec=dec, missing=missing)


def detect_format(path: Path) -> tuple[str, Callable[[], BinaryIO]]:
    """The format of a file, and a function that opens its uncompressed content.

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
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"SIMPLE  ="):
        return "FITS", opener
    if head.startswith(b"PAR1"):
        return "Parquet", opener
    if start.startswith(b"# %ECSV"):
        return "ECSV", opener
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


def _votable(opener: Callable[[], BinaryIO], choose: Choose) -> Table:
    from astropy.io import votable

    with warnings.catch_warnings(), opener() as stream:
        # Real VOTables break rules of the standard in ways that do not touch their values.
        warnings.simplefilter("ignore")
        parsed = votable.parse(stream, verify="ignore")
    tables = list(parsed.iter_tables())
    if not tables:
        raise CatalogError("The VOTable document holds no table.")
    table = tables[0].to_table(use_names_over_ids=True)
    return table[choose(table.colnames)]


def _ecsv(opener: Callable[[], BinaryIO], choose: Choose) -> Table:
    with opener() as stream:
        lines = stream.read().decode("utf-8").splitlines()
    table = Table.read(lines, format="ascii.ecsv")
    return table[choose(table.colnames)]


def _parquet(path: Path, choose: Choose) -> Table:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        wanted = choose(file.schema_arrow.names)
        data = file.read(columns=wanted, use_threads=True)
    return Table({name: _from_arrow(data.column(name), name) for name in wanted})


def _from_arrow(column: object, name: str) -> np.ndarray | MaskedColumn:
    import pyarrow as pa
    import pyarrow.compute as pc

    data = cast(pa.ChunkedArray, column)
    if pa.types.is_dictionary(data.type):
        data = data.cast(data.type.value_type)
    missing = data.is_null().to_numpy() if data.null_count else None
    kind = data.type
    if pa.types.is_decimal(kind):
        data = data.cast(pa.string() if kind.scale == 0 else pa.float64())
        kind = data.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return text_table.to_text(data, missing)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        # Filled before numpy sees it: with nulls, arrow would hand over floats.
        values = pc.fill_null(data, False if pa.types.is_boolean(kind) else 0).to_numpy()
    elif pa.types.is_floating(kind):
        values = data.to_numpy()
    elif (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ):
        values = _vectors(data.to_pylist(), name)
    else:
        values = np.array(data.to_pylist(), dtype=object)
    return values if missing is None else MaskedColumn(values, mask=_like(missing, values))


def _vectors(rows: list[list[float] | None], name: str) -> np.ndarray:
    lengths = {len(row) for row in rows if row is not None}
    if len(lengths) > 1:
        raise CatalogError(
            f"The column '{name}' holds lists of different lengths.",
            received=sorted(lengths),
            allowed="vectors of one length",
            hint="leave the column out with columns=[...]",
        )
    length = lengths.pop() if lengths else 0
    return np.array([[np.nan] * length if row is None else row for row in rows])


def _like(missing: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.broadcast_to(missing.reshape(-1, *[1] * (values.ndim - 1)), values.shape)
