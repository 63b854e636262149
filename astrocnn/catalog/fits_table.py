"""FITS tables, read in blocks: memory grows with the chosen columns only.

References
----------
FITS 4.0, sections 7.3 (binary tables) and 10.3 (compressed binary tables).
"""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table

from astrocnn.catalog.columns import (
    MAX_EXPANSION,
    MAX_MEMORY,
    UNREAD,
    decode_text,
    validate_memory,
)
from astrocnn.errors import CatalogError
from astrocnn.fits_file import decompress, is_compressed, open_fits, open_regular, read_bytes
from astrocnn.plugins import nearest

__all__ = ["count_rows", "read_blocks", "read_fits_table"]

BLOCK_BYTES = 1 << 22
UNSIGNED = {"i2": 2**15, "i4": 2**31, "i8": 2**63}
BITS = {"L": 8, "X": 8, "B": 8, "A": 8, "I": 16, "J": 32, "E": 32, "K": 64, "D": 64}
"""Bits of the elements of which columns of a compressed table are compressed."""


@dataclass(frozen=True)
class _Stored:
    """Where a binary table lies, and what its columns are."""

    columns: dict[str, Any]
    record: np.dtype
    rows: int
    start: int
    comments: dict[str, str]


def read_fits_table(
    path: Path,
    hdu: int | str | None,
    choose: Callable[[Sequence[str]], list[str]],
    rows: slice | None = None,
) -> Table:
    """Read the chosen columns, of all or some rows, of one table extension.

    A file that is compressed as a whole is decompressed in memory.

    Parameters
    ----------
    path : Path
    hdu : int, str or None
        The extension; None takes the first table.
    choose : callable
        All column names -> those to read.
    rows : slice, optional
        Without a step.

    Raises
    ------
    CatalogError
        If there is no such extension, it is an image, or the file ends too early.
    """
    if not is_compressed(path):
        return _read_table(path, None, hdu, choose, rows)
    data = read_bytes(path)
    limit = MAX_MEMORY + MAX_EXPANSION * len(data)
    return _read_table(path, decompress(data, path, limit), hdu, choose, rows)


def count_rows(path: Path, hdu: int | str | None) -> int | None:
    """Number of rows of a table whose rows can be read by themselves; None if it is compressed.

    Raises
    ------
    CatalogError
        As `read_fits_table`.
    """
    if is_compressed(path):
        return None
    with open_fits(path, error=CatalogError, allow_truncated=True) as hdus:
        unit = _find_table(hdus, hdu, path)
        return None if unit.header.get("ZTABLE") is True else _describe(unit, path).rows


def _read_table(
    path: Path,
    data: bytes | bytearray | None,
    hdu: int | str | None,
    choose: Callable[[Sequence[str]], list[str]],
    rows: slice | None,
) -> Table:
    source = path if data is None else data
    with open_fits(source, path=path, error=CatalogError, allow_truncated=True) as hdus:
        unit = _find_table(hdus, hdu, path)
        if unit.header.get("ZTABLE") is True:
            return _read_table(path, _decompress_table(unit, path), 1, choose, rows)
        stored = _describe(unit, path)
        first, last, _ = (rows or slice(None)).indices(stored.rows)
        chosen = [stored.columns[name] for name in choose(list(stored.columns))]
        loose = {}
        for column in chosen:
            if not _is_raw(unit, column) and not _is_ragged(column):
                # Bits, and tables in ASCII, are left to astropy.
                loose[column.name] = np.array(unit.data.field(column.name)[first:last])
    raw = [c.name for c in chosen if c.name not in loose and not _is_ragged(c)]
    with open_regular(path) if data is None else io.BytesIO(data) as stream:
        values = _gather(stream, _select(stored, first, last), raw, path)
    table = Table(
        [_column((values | loose)[c.name], c, c.name in values, stored.comments)
         for c in chosen if not _is_ragged(c)],
        copy=False,
    )  # fmt: skip
    ragged = "its arrays differ in length from row to row"
    table.meta[UNREAD] = {c.name: ragged for c in chosen if _is_ragged(c)}
    return table


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
    with open_fits(path, error=CatalogError, allow_truncated=True) as hdus:
        unit = _find_table(hdus, hdu, path)
        other = [c.name for c in unit.columns if not _is_raw(unit, c)]
        if other:
            raise CatalogError(
                f"'{path}' cannot be read in blocks.",
                received=f"columns of variable length or bits: {', '.join(other)}",
            )
        stored = _describe(unit, path)
    with open_regular(path) as stream:
        for _, records in _records(stream, stored, path, rows):
            yield Table(
                [
                    _column(_native(records[name]), column, True, stored.comments)
                    for name, column in stored.columns.items()
                ]
            )


def _is_raw(unit: Any, column: Any) -> bool:
    """Whether the bytes of the record are the values, up to order and scale."""
    return isinstance(unit, fits.BinTableHDU) and _letter(column.format) in "LBIJKEDACM"


def _is_ragged(column: Any) -> bool:
    # Descriptors of arrays in the heap.
    return _letter(column.format) in "PQ"


def _letter(form: str) -> str:
    return form.lstrip("0123456789")[:1]


def _find_table(hdus: Any, hdu: int | str | None, path: Path) -> Any:
    if hdu is None:
        for unit in hdus:
            if _is_table(unit) and unit.name != "LDAC_IMHEAD":
                return unit
        with open_fits(path, error=CatalogError):
            pass  # raises if it is too short for what it declares
        raise CatalogError(
            f"'{path}' holds no table.",
            received=_listing(hdus),
            hint="an image is named under the survey, not as the catalogue",
        )
    try:
        unit = hdus[hdu]
    except (KeyError, IndexError):
        raise CatalogError(
            f"'{path}' has no extension {hdu!r}.",
            allowed=_listing(hdus),
            hint=nearest(str(hdu), [u.name for u in hdus if u.name]),
        ) from None
    if not _is_table(unit):
        raise CatalogError(
            f"Extension {hdu!r} of '{path}' is an image, not a table.", received=_listing(hdus)
        )
    return unit


def _is_table(unit: Any) -> bool:
    tables = (fits.BinTableHDU, fits.TableHDU)
    return isinstance(unit, tables) and not isinstance(unit, fits.CompImageHDU)


def _listing(hdus: Any) -> list[str]:
    return [
        f"{i} {u.name or 'unnamed'} ({'table' if 'Table' in type(u).__name__ else 'image'})"
        for i, u in enumerate(hdus)
    ]


def _describe(unit: Any, path: Path) -> _Stored:
    """Columns and place of the records.

    Raises
    ------
    CatalogError
        If names occur twice, or the records do not fit the columns or the file.
    """
    for number, column in enumerate(unit.columns, start=1):
        column.name = column.name or f"unnamed_{number}"
    names = unit.columns.names
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise CatalogError(f"'{path}' has column names that occur twice.", received=repeated)
    # Not unit.data, which holds the whole table: a wide catalogue of 10^8 rows has 100 GB.
    record = unit.columns.dtype.newbyteorder(">")
    width, rows = int(unit.header["NAXIS1"]), int(unit.header["NAXIS2"])
    if record.itemsize != width and isinstance(unit, fits.BinTableHDU):
        raise CatalogError(
            f"'{path}' has records of {width} bytes but columns for {record.itemsize}."
        )
    start, size = unit.fileinfo()["datLoc"], unit.fileinfo()["file"].size
    if start + rows * width > size:
        raise CatalogError(
            f"'{path}' is cut short: its header promises {rows} rows, it holds "
            f"{max(0, size - start) // max(1, width)}.",
            hint="fetch or write the file again",
        )
    # astropy does not read TCOMMn.
    comments = {
        name: str(unit.header[f"TCOMM{number}"])
        for number, name in enumerate(names, start=1)
        if f"TCOMM{number}" in unit.header
    }
    return _Stored({c.name: c for c in unit.columns}, record, rows, start, comments)


def _select(stored: _Stored, first: int, last: int) -> _Stored:
    """The records of some rows."""
    start = stored.start + first * stored.record.itemsize
    return replace(stored, rows=max(0, last - first), start=start)


def _records(
    stream: BinaryIO, stored: _Stored, path: Path, step: int | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """Row number of the first record, and records as stored, block after block."""
    width = stored.record.itemsize
    step = step or max(1, BLOCK_BYTES // max(1, width))
    stream.seek(stored.start)
    for start in range(0, stored.rows, step):
        count = min(step, stored.rows - start)
        block = stream.read(count * width)
        if len(block) < count * width:
            raise CatalogError(f"'{path}' became shorter while it was read.")
        yield start, np.frombuffer(block, dtype=stored.record)


def _gather(
    stream: BinaryIO, stored: _Stored, names: list[str], path: Path
) -> dict[str, np.ndarray]:
    """Native values of the columns, gathered while the records stream by once."""
    out = {name: _room(stored.rows, stored.record[name]) for name in names}
    if out:
        for start, records in _records(stream, stored, path):
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
    kind = _letter(definition.format)
    missing: np.ndarray | None = None
    if raw and kind == "A":
        values = _text(values)
        missing = values == ""
    elif raw and kind == "L":
        # A logical is "T" or "F"; 0 means neither, which astropy reads as False.
        missing = values == 0
        values = values == ord("T")
    else:
        if isinstance(definition.null, int) and values.dtype.kind in "iu":
            missing = values == definition.null
        if raw:
            values = _scaled(values, definition)
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
    return decode_text(data)


def _decompress_table(unit: Any, path: Path) -> bytes:
    """The bytes of a FITS file with the table that `fpack` compressed.

    Each row holds some rows of the original (a tile), column by column: a column is what an image
    of one dimension, compressed in tiles, would be.
    """
    compressed, header = unit.header, fits.Header()
    rows, width = int(compressed["ZNAXIS2"]), int(compressed["ZNAXIS1"])
    stored = int(compressed["NAXIS1"]) * int(compressed["NAXIS2"]) + int(compressed["PCOUNT"])
    validate_memory(rows * width, stored, f"The compressed table in '{path}'")
    for card in compressed.cards:
        if not re.match(r"Z|TFORM|NAXIS\d|PCOUNT|CHECKSUM|DATASUM", card.keyword):
            header.append(card)
    header["NAXIS1"], header["NAXIS2"], header["PCOUNT"] = width, rows, 0
    records, offset = np.zeros((rows, width), np.uint8), 0
    for number, name in enumerate(unit.columns.names, start=1):
        form = str(compressed[f"ZFORM{number}"])
        header[f"TFORM{number}"] = form
        size = fits.ColDefs([fits.Column(name, form)]).dtype.itemsize
        letter = _letter(form)
        # Arrays of variable length are compressed in another way; they are not read.
        if letter in BITS and rows:
            method = str(compressed.get(f"ZCTYP{number}", "GZIP_2"))
            lengths = int(compressed["ZTILELEN"]), BITS[letter]
            records[:, offset : offset + size] = _decompress_column(
                path, unit.data.field(name), method, size, rows, *lengths
            )
        offset += size
    headers = fits.PrimaryHDU().header.tostring() + header.tostring()
    return headers.encode("ascii", "replace") + records.tobytes()


def _decompress_column(
    path: Path, cells: Any, method: str, size: int, rows: int, tile: int, bits: int
) -> np.ndarray:
    """Bytes of a column, of shape (rows, size), by astropy's decoder of images."""
    count = size * 8 // bits
    hdu = fits.BinTableHDU.from_columns([fits.Column("COMPRESSED_DATA", "1PB()", array=cells)])
    hdu.header.update(
        {"ZIMAGE": True, "ZCMPTYPE": method, "ZBITPIX": bits, "ZNAXIS": 1}
        | {"ZNAXIS1": rows * count, "ZTILE1": tile * count}
        | {"ZNAME1": "BLOCKSIZE", "ZVAL1": 32, "ZNAME2": "BYTEPIX", "ZVAL2": bits // 8}
    )
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(file)
    with open_fits(file.getvalue(), path=path, error=CatalogError) as hdus:
        values = hdus[1].data
    stored = values.astype(values.dtype.newbyteorder(">"))
    return stored.view(np.uint8).reshape(rows, size)
