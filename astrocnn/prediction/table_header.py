"""Headers of a table of predictions, made by astropy and completed where it keeps silent."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.io import fits

from astrocnn.column import Column, ascii_text
from astrocnn.errors import PredictionError
from astrocnn.prediction import checksum
from astrocnn.prediction.table_image import TableImage

__all__ = ["extra_table", "image_header", "primary_header", "seal", "table_header"]

BITPIX = {"u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64}
RESERVED = {"SIMPLE", "BITPIX", "NAXIS", "EXTEND", "CHECKSUM", "DATASUM", "END"}


def primary_header(cards: Sequence[tuple[str, Any, str]]) -> fits.Header:
    """Header of an empty primary HDU with the given cards.

    Raises
    ------
    PredictionError
        If a keyword is not one of FITS, or a value is neither text, number nor truth value.
    """
    header = fits.PrimaryHDU().header
    for keyword, value, comment in cards:
        if not re.fullmatch(r"[A-Z0-9_-]{1,8}", keyword) or keyword in RESERVED:
            raise PredictionError(
                "A card of the primary header has no valid keyword.",
                received=keyword,
                allowed="one to eight capitals, digits, '-' and '_'",
            )
        _set(header, keyword, _value(keyword, value), comment)
    return _summed(header)


def table_header(name: str, columns: Sequence[Column], n_rows: int, row_bytes: int) -> fits.Header:
    """Header of the table extension."""
    definitions = fits.ColDefs([column.fits_column() for column in columns])
    header = fits.BinTableHDU.from_columns(definitions, nrows=0, name=name).header
    if header["NAXIS1"] != row_bytes:
        raise PredictionError(
            "astropy and numpy disagree about the length of a row.",
            received=f"{header['NAXIS1']} and {row_bytes} bytes",
        )
    header["NAXIS2"] = n_rows
    for number, column in enumerate(columns, start=1):
        last = _last_card(header, number)
        # Cards of a column stand together, so that a reader of the header finds them.
        for keyword, text in (("TUCD", column.ucd), ("TCOMM", column.description)):
            if text:
                _set(header, f"{keyword}{number}", text, "", after=last)
                last = f"{keyword}{number}"
    return _summed(header)


def image_header(image: TableImage, plane: Column, n_rows: int) -> fits.Header:
    """Header of an image extension of shape (n_rows, *plane.shape)."""
    header = fits.ImageHDU(name=image.name).header
    header["BITPIX"] = BITPIX[plane.stored.base.str[1:]]
    axes = (*plane.shape[::-1], n_rows)
    header["NAXIS"] = len(axes)
    after = "NAXIS"
    for number, length in enumerate(axes, start=1):
        header.set(f"NAXIS{number}", length, after=after)
        after = f"NAXIS{number}"
    if plane.unit:
        header["BUNIT"] = plane.unit
    if image.scale is not None:
        header["BSCALE"] = (image.scale, "value = BZERO + BSCALE * integer")
        header["BZERO"] = 0.0
    if image.blank is not None:
        header["BLANK"] = (image.blank, "no value")
    for keyword, value, comment in image.cards:
        _set(header, keyword, _value(keyword, value), comment)
    for line in textwrap.wrap(_ascii(image.description), 72):
        header["COMMENT"] = line
    return _summed(header)


def extra_table(name: str, columns: Mapping[str, Any]) -> bytes:
    """A small table extension, whole."""
    declared = [Column.like(key, np.asanyarray(value)) for key, value in columns.items()]
    rows = len(next(iter(columns.values())))
    data = np.empty(rows, dtype=[(c.name, c.stored) for c in declared])
    for column, value in zip(declared, columns.values(), strict=True):
        data[column.name] = column.encode(np.asanyarray(value), rows)
    header = table_header(name, declared, rows, data.dtype.itemsize)
    content = data.tobytes()
    content += bytes(-len(content) % 2880)
    # Not astropy's checksums: they come with the time of day.
    seal(header, checksum.sum_of(content))
    return header.tostring().encode("ascii") + content


def seal(header: fits.Header, data: int) -> None:
    """Fill in the checksums of an HDU whose data have the sum `data`."""
    header["DATASUM"] = str(data)
    total = checksum.add(checksum.sum_of(header.tostring().encode("ascii")), data)
    header["CHECKSUM"] = checksum.encode(total)


def _last_card(header: fits.Header, number: int) -> str:
    present = [
        f"{k}{number}"
        for k in ("TTYPE", "TFORM", "TUNIT", "TNULL", "TDIM")
        if f"{k}{number}" in header
    ]
    return max(present, key=header.index)


def _set(header: fits.Header, keyword: str, value: Any, comment: str, **where: str) -> None:
    if isinstance(value, str):
        value = _ascii(value)
        if len(value.replace("'", "''")) > 68:
            # A long value and its comment do not fit one card; the comment would be cut.
            comment = ""
            if "LONGSTRN" not in header:
                header.set(
                    "LONGSTRN",
                    "OGIP 1.0",
                    "long strings are continued",
                    before=keyword if keyword in header else None,
                )
    comment = _ascii(comment)
    # Comments begin after column 30, or after the value.
    room = 77 - max(30, len(str(fits.Card(keyword, value)).rstrip()))
    header.set(keyword, value, comment[: max(0, room)], **where)


def _value(keyword: str, value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise PredictionError(
        f"The card {keyword} of the primary header has a value FITS cannot hold.",
        received=f"{type(value).__name__}: {value!r}"[:100],
        allowed="text, a number, true or false",
    )


def _summed(header: fits.Header) -> fits.Header:
    """Room for the checksums, which are known only when the data are."""
    header.set("CHECKSUM", "0" * 16, "checksum of this HDU")
    header.set("DATASUM", "0", "checksum of the data")
    return header


def _ascii(text: str) -> str:
    return ascii_text(np.array([text])).item().decode("ascii")
