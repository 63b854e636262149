"""FITS tables, read in blocks: memory grows with the chosen columns only."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table

from astrocnn.errors import CatalogError
from astrocnn.plugins import nearest

__all__ = ["read_blocks", "read_fits_table"]

BLOCK = 2880
BLOCK_BYTES = 1 << 22
UNSIGNED = {"i2": 2**15, "i4": 2**31, "i8": 2**63}


def read_fits_table(
    path: Path,
    opener: Callable[[], BinaryIO],
    hdu: int | str | None,
    choose: Callable[[Sequence[str]], list[str]],
) -> Table:
    """Read the chosen columns of one table extension.

    Parameters
    ----------
    path : Path
        For messages.
    opener : callable
        Opens the uncompressed bytes of the file.
    hdu : int, str or None
        The extension; None takes the first table.
    choose : callable
        All column names -> those to read.

    Raises
    ------
    CatalogError
        If there is no such extension, it is an image, or the file ends too early.
    """
    with warnings.catch_warnings(), opener() as stream:
        # A cut file is reported below, with the number of rows.
        warnings.simplefilter("ignore")
        with fits.open(stream, memmap=False, lazy_load_hdus=True) as hdus:
            unit = _table_hdu(hdus, hdu, path, stream)
            names = choose(unit.columns.names)
            chosen = [unit.columns[name] for name in names]
            raw = [c for c in chosen if _is_raw(unit, c)]
            data = _gather(stream, unit, raw, path)
            for column in chosen:
                if column.name not in data:
                    data[column.name] = np.array(unit.data.field(column.name))
            comments = _comments(unit)
    return Table([_column(data[c.name], c, c in raw, comments) for c in chosen])


def read_blocks(
    path: str | os.PathLike[str], hdu: int | str | None = None, rows: int = 65536
) -> Iterator[Table]:
    """Read all columns of a FITS table block by block, in constant memory.

    Parameters
    ----------
    path : path
        An uncompressed FITS file.
    hdu : int, str or None
        The extension; None takes the first table.
    rows : int
        Rows in each block but the last.

    Yields
    ------
    Table of at most `rows` rows

    Raises
    ------
    CatalogError
        As `read_fits_table`, and for columns of variable length.
    """
    path = Path(path)
    with path.open("rb") as stream, fits.open(stream, memmap=False) as hdus:
        unit = _table_hdu(hdus, hdu, path, stream)
        columns = list(unit.columns)
        other = [c.name for c in columns if not _is_raw(unit, c)]
        if other:
            raise CatalogError(
                f"'{path}' cannot be read in blocks.",
                received=f"columns of variable length or bits: {', '.join(other)}",
            )
        comments = _comments(unit)
        for _, records in _records(stream, unit, path, rows):
            yield Table([_column(_native(records[c.name]), c, True, comments) for c in columns])


def _is_raw(unit: Any, column: Any) -> bool:
    """Whether the bytes of the record are the values, up to order and scale."""
    # Not X (packed bits), nor P and Q (descriptors of arrays in the heap).
    letters = column.format.lstrip("0123456789")
    return isinstance(unit, fits.BinTableHDU) and letters[:1] in "LBIJKEDACM"


def _comments(unit: Any) -> dict[str, str]:
    """Descriptions by column name: astropy does not read TCOMMn."""
    names = unit.columns.names
    return {
        name: str(unit.header[f"TCOMM{number}"])
        for number, name in enumerate(names, start=1)
        if f"TCOMM{number}" in unit.header
    }


def _table_hdu(hdus: Any, hdu: int | str | None, path: Path, stream: BinaryIO) -> Any:
    tables = (fits.BinTableHDU, fits.TableHDU)
    if hdu is None:
        for unit in hdus:
            if _is_table(unit, tables) and unit.name != "LDAC_IMHEAD":
                return unit
        # For astropy a damaged extension is the end of the file; reading on raises the cause.
        stream.seek(0)
        while stream.read(BLOCK_BYTES):
            pass
        if stream.tell() % BLOCK:
            raise CatalogError(
                f"'{path}' is cut short: FITS files are multiples of {BLOCK} bytes.",
                received=f"{stream.tell()} bytes, with {', '.join(_listing(hdus))}",
                hint="fetch or write the file again",
            )
        raise CatalogError(
            f"'{path}' holds no table.",
            received=_listing(hdus),
            hint="this is an image file: name it under the survey, not as the catalogue",
        )
    try:
        unit = hdus[hdu]
    except (KeyError, IndexError):
        listing = _listing(hdus)
        raise CatalogError(
            f"'{path}' has no extension {hdu!r}.",
            allowed=listing,
            hint=nearest(str(hdu), [u.name for u in hdus if u.name]),
        ) from None
    if not _is_table(unit, tables):
        raise CatalogError(
            f"Extension {hdu!r} of '{path}' is an image, not a table.", received=_listing(hdus)
        )
    return unit


def _is_table(unit: Any, tables: tuple[type, ...]) -> bool:
    return isinstance(unit, tables) and not isinstance(unit, fits.CompImageHDU)


def _listing(hdus: Any) -> list[str]:
    return [
        f"{i} {u.name or 'unnamed'} ({'table' if 'Table' in type(u).__name__ else 'image'})"
        for i, u in enumerate(hdus)
    ]


def _records(
    stream: BinaryIO, unit: Any, path: Path, step: int | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """Row number of the first record, and records as stored, block after block."""
    rows = int(unit.header["NAXIS2"])
    # Not unit.data, which holds the whole table: a wide catalogue of 10^8 rows has 100 GB.
    record = unit.columns.dtype.newbyteorder(">")
    if record.itemsize != unit.header["NAXIS1"]:
        raise CatalogError(
            f"'{path}' has records of {unit.header['NAXIS1']} bytes but columns for "
            f"{record.itemsize}."
        )
    step = step or max(1, BLOCK_BYTES // max(1, record.itemsize))
    stream.seek(unit.fileinfo()["datLoc"])
    for start in range(0, rows, step):
        count = min(step, rows - start)
        block = stream.read(count * record.itemsize)
        if len(block) < count * record.itemsize:
            raise CatalogError(
                f"'{path}' is cut short: its header promises {rows} rows, it holds "
                f"{start + len(block) // record.itemsize}.",
                hint="fetch or write the file again",
            )
        yield start, np.frombuffer(block, dtype=record)


def _gather(stream: BinaryIO, unit: Any, columns: list[Any], path: Path) -> dict[str, np.ndarray]:
    """Native values of the columns, gathered while the records stream by once."""
    if not columns:
        return {}
    record = unit.columns.dtype
    out = {c.name: _room(int(unit.header["NAXIS2"]), record[c.name]) for c in columns}
    for start, records in _records(stream, unit, path):
        for name, values in out.items():
            values[start : start + len(records)] = records[name]
    return out


def _native(values: np.ndarray) -> np.ndarray:
    return values.astype(values.dtype.newbyteorder("="))


def _room(rows: int, field: np.dtype) -> np.ndarray:
    # Native byte order: assigning the big-endian records converts them while it copies.
    base, shape = field.subdtype or (field, ())
    return np.empty((rows, *shape), dtype=base.newbyteorder("="))


def _column(values: np.ndarray, definition: Any, raw: bool, comments: dict[str, str]) -> Column:
    kind = definition.format.lstrip("0123456789")[:1]
    missing: np.ndarray | None = None
    if raw and kind == "A":
        values = _text(values)
        missing = values == ""
    elif raw and kind == "L":
        # A logical is "T" or "F"; 0 means neither, which astropy reads as False.
        missing = values == 0
        values = values == ord("T")
    elif raw:
        if definition.null is not None and values.dtype.kind in "iu":
            missing = values == definition.null
        values = _scaled(values, definition)
    elif definition.null is not None and values.dtype.kind in "iu":
        missing = values == definition.null
    about = {
        "name": definition.name,
        "unit": definition.unit or None,
        "description": comments.get(definition.name),
    }
    if missing is not None and missing.any():
        return MaskedColumn(values, mask=missing, **about)
    return Column(values, **about)


def _scaled(values: np.ndarray, definition: Any) -> np.ndarray:
    zero, scale = definition.bzero, definition.bscale
    if zero in ("", None, 0) and scale in ("", None, 1):
        return values
    scale = 1 if scale in ("", None) else scale
    zero = 0 if zero in ("", None) else zero
    if scale == 1 and UNSIGNED.get(values.dtype.str[1:]) == zero:
        # The top bit turned over is the addition of 2^15, 2^31 or 2^63, without a float.
        unsigned = values.view(values.dtype.str.replace("i", "u"))
        return unsigned ^ unsigned.dtype.type(zero)
    if scale == 1 and zero == -128 and values.dtype == np.uint8:
        return (values ^ np.uint8(128)).view(np.int8)
    return values * np.float64(scale) + np.float64(zero)


def _text(values: np.ndarray) -> np.ndarray:
    """Bytes -> text without the blanks FITS pads with; a NUL ends a text (FITS 4.0, 7.3.3)."""
    data = values
    if values.dtype.itemsize:
        letters = np.ascontiguousarray(values)[..., None].view(np.uint8)
        ended = np.logical_or.accumulate(letters == 0, axis=-1)
        data = np.where(ended, np.uint8(0), letters).view(values.dtype)[..., 0]
        data = np.strings.rstrip(data, b" \x00")
    try:
        return np.strings.decode(data, "utf-8")
    except UnicodeDecodeError:
        # All bytes are valid latin-1, so this decoding cannot fail.
        return np.strings.decode(data, "latin-1")
