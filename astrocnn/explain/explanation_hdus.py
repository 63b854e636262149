"""HDUs of explanations: images and tables with their cards and checksums, the same each time."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from astrocnn.atomic import replacing
from astrocnn.column import Column, ascii_text

__all__ = [
    "NO_UNIT",
    "Card",
    "Values",
    "image_hdu",
    "in_native_order",
    "table_hdu",
    "text_of",
    "write_hdus",
]

Card = tuple[str, Any, str]
"""Keyword, value, comment."""
Values = tuple[Any, str, str]
"""Values, unit, description."""
NO_UNIT: Card = ("BUNIT", "", "none: the pixels have no dimension")
"""Of logits, probabilities, redshifts and responses; FITS knows neither "1" nor "nat" as a unit."""


def image_hdu(
    name: str,
    values: Any,
    cards: Sequence[Card] = (),
    *,
    wcs: Any = None,
    number: int = 1,
    comments: Sequence[str] = (),
) -> fits.ImageHDU:
    """An image extension in float32.

    Parameters
    ----------
    name : str
        EXTNAME, in capitals.
    values : array_like of shape (..., y, x)
        The pixels.
    cards : sequence of Card
        Of its header.
    wcs : astropy.wcs.WCS, optional
        Of the last two axes; a third one counts planes.
    number : int
        EXTVER.
    comments : sequence of str
        Sentences for the reader of the header.
    """
    data = np.ascontiguousarray(np.asarray(values, np.float32))
    hdu = fits.ImageHDU(data, name=name.upper())
    if number > 1:
        hdu.header["EXTVER"] = number
    if wcs is not None:
        _place(hdu.header, wcs, data.ndim)
    _fill(hdu.header, cards, comments)
    return hdu


def table_hdu(
    name: str,
    columns: Mapping[str, Values],
    cards: Sequence[Card] = (),
    *,
    number: int = 1,
    comments: Sequence[str] = (),
) -> fits.BinTableHDU:
    """A table extension.

    Parameters
    ----------
    name : str
        EXTNAME, in capitals.
    columns : mapping of str to Values
        By name, all of the same length.
    cards, number, comments
        As for `image_hdu`.
    """
    made, said = [], []
    for key, (values, unit, description) in columns.items():
        array = np.asarray(values)
        declared = Column.like(key, array)
        n = len(array)
        stored = np.empty(n, dtype=declared.stored)
        stored[...] = declared.encode(array, n)
        column = declared.fits_column()
        made.append(
            fits.Column(column.name, column.format, unit or None, dim=column.dim, array=stored)
        )
        said.append(description)
    hdu = fits.BinTableHDU.from_columns(made, name=name.upper())
    for k, text in enumerate(said, start=1):
        if text:
            hdu.header.set(f"TCOMM{k}", text_of(text)[:68], after=f"TFORM{k}")
    if number > 1:
        hdu.header["EXTVER"] = number
    _fill(hdu.header, cards, comments)
    return hdu


def write_hdus(path: Path, cards: Sequence[Card], hdus: Sequence[Any]) -> None:
    """Write a FITS file of an empty primary HDU and extensions, atomically, with checksums."""
    first = fits.PrimaryHDU()
    _fill(first.header, cards, ())
    whole = fits.HDUList([first, *hdus])
    whole.update_extend()
    for hdu in whole:
        # Not astropy's own comments: they hold the time of day.
        hdu.add_datasum(when="checksum of the data")
        hdu.add_checksum(when="checksum of this HDU", override_datasum=True)
    with replacing(path) as temporary:
        whole.writeto(temporary, overwrite=True)


def in_native_order(values: Any) -> Any:
    """What was read from a FITS file, in the byte order of this machine."""
    values = np.asarray(values)
    return values.astype(values.dtype.newbyteorder("="))


def text_of(value: Any) -> str:
    """Text as FITS can hold it: printable ASCII, the rest escaped."""
    return bytes(ascii_text(np.array([str(value)])).item()).decode("ascii")


def _fill(header: fits.Header, cards: Sequence[Card], comments: Sequence[str]) -> None:
    for keyword, value, comment in cards:
        if value is None or (isinstance(value, float) and not np.isfinite(value)):
            continue
        kept = text_of(value) if isinstance(value, str) else value
        # A value leaves its comment what room there is, and none of a comment is better than half.
        taken = len(str(fits.Card(keyword, kept)).rstrip()) + len(" / ")
        header[keyword] = (kept, comment if taken + len(comment) <= fits.Card.length else "")
    if any(len(str(value)) > 66 for value in header.values()) and "LONGSTRN" not in header:
        header["LONGSTRN"] = ("OGIP 1.0", "long strings are continued")
    for sentence in comments:
        header.add_comment(text_of(sentence))


def _place(header: fits.Header, wcs: Any, axes: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sky = wcs.to_header(relax=True)
    if axes == 3:
        sky["WCSAXES"] = 3
        sky["CTYPE3"] = ("BAND", "which band, counted from 1")
        sky["CRPIX3"], sky["CRVAL3"], sky["CDELT3"] = 1.0, 1.0, 1.0
    # WCSAXES has to come before all other cards of the coordinates.
    for card in sky.cards:
        header.append(card, end=True)
