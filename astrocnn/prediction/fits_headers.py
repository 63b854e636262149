"""Headers and checksums of a table of predictions, beyond what astropy provides.

References
----------
FITS Standard 4.0, section 4.4.2.7 and appendix J; Seaman, Pence & Rots (FITS checksum proposal).
"""

from __future__ import annotations

import math
import re
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.votable.ucd import check_ucd
from astropy.utils.exceptions import AstropyUserWarning

from astrocnn.column import Column, ascii_text
from astrocnn.errors import PredictionError
from astrocnn.stored_files import compute_sum, has_valid_sum

__all__ = [
    "TableImage",
    "build_extra_table",
    "build_image_header",
    "build_primary_header",
    "build_table_header",
    "is_intact",
    "read_primary_header",
    "validate_ucds",
    "write_checksums",
]

BITPIX = {"u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64}
ESCAPED = "TESC"
"""Card of a column whose text has the escapes of a Python string, since FITS holds ASCII only."""
RESERVED = {"SIMPLE", "BITPIX", "NAXIS", "EXTEND", "CHECKSUM", "DATASUM", "END"}
PUNCTUATION = frozenset(b":;<=>?@[\\]^_`")


@dataclass(frozen=True)
class TableImage:
    """An image extension with one row for each row of the table, such as a PDF.

    Parameters
    ----------
    name : str
        EXTNAME, and the name under which `TableWriter.put` takes its values.
    shape : tuple of int
        Shape of the values of one row.
    dtype : str
        ``float32``, ``float64``, ``int16``, ``int32`` or ``int64``.
    unit : str
        FITS unit (BUNIT).
    description : str
        One sentence, written as a comment.
    scale : float, optional
        BSCALE of integers: the value is the integer times this.
    blank : int, optional
        BLANK of integers: the one that stands for a missing value.
    cards : tuple of (keyword, value, comment)
        Further cards of its header.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    unit: str = ""
    description: str = ""
    scale: float | None = None
    blank: int | None = None
    cards: tuple[tuple[str, Any, str], ...] = ()


def build_primary_header(cards: Sequence[tuple[str, Any, str]]) -> fits.Header:
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
        _set_card(header, keyword, _validate_value(keyword, value), comment)
    return _reserve_checksums(header)


def build_table_header(
    name: str, columns: Sequence[Column], n_rows: int, row_bytes: int
) -> fits.Header:
    """Header of the table extension."""
    validate_ucds(columns)
    definitions = fits.ColDefs([column.fits_column() for column in columns])
    header = fits.BinTableHDU.from_columns(definitions, nrows=0, name=name).header
    # Records are written as numpy lays them out, by offsets that a reader takes from the header.
    if header["NAXIS1"] != row_bytes:
        raise PredictionError(
            "astropy and numpy disagree about the length of a row.",
            received=f"{header['NAXIS1']} and {row_bytes} bytes",
        )
    header["NAXIS2"] = n_rows
    for number, column in enumerate(columns, start=1):
        last = _get_last_card(header, number)
        # Keep the cards of a column together, for readability.
        for keyword, text in (("TUCD", column.ucd), ("TCOMM", column.description)):
            if text:
                _set_card(header, f"{keyword}{number}", text, "", after=last)
                last = f"{keyword}{number}"
        if column.escaped:
            header.set(f"{ESCAPED}{number}", True, "text with escapes of Python", after=last)
    return _reserve_checksums(header)


def validate_ucds(columns: Sequence[Column]) -> None:
    """Raise for UCDs outside the controlled vocabulary.

    Raises
    ------
    PredictionError
    """
    for column in columns:
        if column.ucd and not check_ucd(column.ucd, check_controlled_vocabulary=True):
            raise PredictionError(
                f"The column '{column.name}' has an invalid UCD.",
                received=column.ucd,
                allowed="words of the IVOA UCD1+ vocabulary, primary word first",
            )


def build_image_header(image: TableImage, plane: Column, n_rows: int) -> fits.Header:
    """Header of an image extension of shape (n_rows, *plane.shape)."""
    header = fits.ImageHDU(name=image.name).header
    # The data are never in memory, so astropy cannot derive their type and axes.
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
        _set_card(header, keyword, _validate_value(keyword, value), comment)
    for line in textwrap.wrap(_ascii(image.description), 72):
        header["COMMENT"] = line
    return _reserve_checksums(header)


def build_extra_table(name: str, columns: Mapping[str, Any]) -> bytes:
    """Bytes of a small table extension."""
    declared = [Column.like(key, np.asanyarray(value)) for key, value in columns.items()]
    rows = len(next(iter(columns.values())))
    data = np.empty(rows, dtype=[(c.name, c.stored) for c in declared])
    for column, value in zip(declared, columns.values(), strict=True):
        data[column.name] = column.encode(np.asanyarray(value), rows)
    header = build_table_header(name, declared, rows, data.dtype.itemsize)
    content = data.tobytes()
    content += bytes(-len(content) % 2880)
    # Not astropy's checksums: they come with the time of day.
    write_checksums(header, compute_sum(content))
    return header.tostring().encode("ascii") + content


def write_checksums(header: fits.Header, data: int) -> None:
    """Fill in the checksums of an HDU whose data have the sum `data`."""
    header["DATASUM"] = str(data)
    header["CHECKSUM"] = encode_sum(compute_sum(header.tostring().encode("ascii"), data))


def _get_last_card(header: fits.Header, number: int) -> str:
    present = [
        f"{k}{number}"
        for k in ("TTYPE", "TFORM", "TUNIT", "TNULL", "TDIM")
        if f"{k}{number}" in header
    ]
    return max(present, key=header.index)


def _set_card(header: fits.Header, keyword: str, value: Any, comment: str, **position: str) -> None:
    if isinstance(value, str):
        value = _ascii(value)
        # A quote takes two of the 68 characters of a card.
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
    header.set(keyword, value, comment[: max(0, room)], **position)


def _validate_value(keyword: str, value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    # FITS cards hold no NaN and no infinity; as text they are not lost.
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise PredictionError(
        f"The card {keyword} of the primary header has a value FITS cannot hold.",
        received=f"{type(value).__name__}: {value!r}"[:100],
        allowed="text, a number, true or false",
    )


def _reserve_checksums(header: fits.Header) -> fits.Header:
    """Reserve cards for the checksums, which are known only after the data."""
    header.set("CHECKSUM", "0" * 16, "checksum of this HDU")
    header.set("DATASUM", "0", "checksum of the data")
    return header


def _ascii(text: str) -> str:
    return ascii_text(np.array([text])).item().decode("ascii")


def read_primary_header(path: Path) -> fits.Header | None:
    """The primary header of a FITS file; None if there is none that can be read."""
    if not path.is_file():
        return None
    try:
        header = fits.getheader(path, 0)
        dict(header)  # values are parsed on access
    except Exception:  # astropy raises errors of many kinds for damaged bytes
        return None
    return header


def is_intact(path: Path) -> bool:
    """Whether a file of `TableWriter` still has its length and its checksums.

    What is cut off at the end of a block only shows in the lengths that the headers state.
    It takes about half a second per GB beside the reading.
    """
    if not has_valid_sum(path):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("error", AstropyUserWarning)
        try:
            with fits.open(path) as hdus:
                n_extensions = hdus[0].header["NEXTEND"]
                last = hdus[len(hdus) - 1].fileinfo()
                return bool(
                    len(hdus) == 1 + n_extensions
                    and last["datLoc"] + last["datSpan"] == path.stat().st_size
                )
        except Exception:  # as above
            return False


def encode_sum(total: int) -> str:
    """The sixteen characters of CHECKSUM that bring the sum of an HDU to minus zero.

    Parameters
    ----------
    total : int
        Sum of the whole HDU while CHECKSUM is sixteen zeros.
    """
    complement = ~total & 0xFFFFFFFF
    characters = bytearray(16)
    for i in range(4):
        byte = complement >> (24 - 8 * i) & 0xFF
        # Four characters that add up to the byte, counted from '0'.
        quarters = [byte // 4 + ord("0")] * 4
        quarters[0] += byte % 4
        while PUNCTUATION.intersection(quarters):
            # Pairs move in opposite directions, so the sum stays and the signs disappear.
            for j in (0, 2):
                if PUNCTUATION.intersection(quarters[j : j + 2]):
                    quarters[j] += 1
                    quarters[j + 1] -= 1
        for j in range(4):
            characters[4 * j + i] = quarters[j]
    # The value begins at column 12 of its card, one byte before a word.
    return (characters[-1:] + characters[:-1]).decode("ascii")
