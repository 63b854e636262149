"""Extensions of FITS files, images and tables with cards and checksums, reproducible by bytes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from astrocnn.atomic import replacing
from astrocnn.column import Column, ascii_text

__all__ = [
    "NO_UNIT",
    "Card",
    "band_cards",
    "find_hdus",
    "image_hdu",
    "native",
    "read_bands",
    "read_hdus",
    "table_hdu",
    "write_hdus",
]

Card = tuple[str, Any, str]
"""Keyword, value, comment."""
NO_UNIT: Card = ("BUNIT", "", "none: the pixels have no dimension")
"""For logits, probabilities, redshifts and activations; FITS has neither "1" nor "nat" as unit."""


def band_cards(names: Sequence[str]) -> list[Card]:
    """Names of the planes of an image: ``BAND1`` and so on."""
    return [(f"BAND{b}", name, "") for b, name in enumerate(names, start=1)]


def read_bands(header: Any) -> tuple[str, ...]:
    """The inverse of `band_cards`."""
    names: list[str] = []
    while (key := f"BAND{len(names) + 1}") in header:
        names.append(header[key])
    return tuple(names)


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
    name, number : str, int
        EXTNAME, written in capitals, and EXTVER.
    values : array_like of shape (..., y, x)
        The pixels.
    cards, comments : sequence of Card, sequence of str
        Of its header.
    wcs : astropy.wcs.WCS, optional
        WCS of the last two axes; a third one counts planes.
    """
    data = np.ascontiguousarray(np.asarray(values, np.float32))
    hdu = fits.ImageHDU(data, name=name.upper())
    if number > 1:
        hdu.header["EXTVER"] = number
    if wcs is not None:
        _add_wcs(hdu.header, wcs, data.ndim)
    _add_cards(hdu.header, cards, comments)
    return hdu


def table_hdu(
    name: str,
    columns: Mapping[str, tuple[Any, str, str]],
    cards: Sequence[Card] = (),
    *,
    number: int = 1,
    comments: Sequence[str] = (),
) -> fits.BinTableHDU:
    """A table extension, from values, unit and description of each column.

    All else is as for `image_hdu`.
    """
    fits_columns = []
    for key, (values, unit, _) in columns.items():
        array = np.asarray(values)
        declared = replace(Column.like(key, array), unit=unit)
        stored = declared.encode(array, len(array)).astype(declared.stored.base)
        fits_columns.append(declared.fits_column(stored))
    hdu = fits.BinTableHDU.from_columns(fits_columns, name=name.upper())
    for k, (_, _, description) in enumerate(columns.values(), start=1):
        if description:
            hdu.header.set(f"TCOMM{k}", _ascii(description)[:68], after=f"TFORM{k}")
    if number > 1:
        hdu.header["EXTVER"] = number
    _add_cards(hdu.header, cards, comments)
    return hdu


def find_hdus(hdus: Sequence[Any], name: str) -> dict[int, Any]:
    """Data of the images of a name, by EXTVER."""
    return {hdu.ver: native(hdu.data) for hdu in hdus if hdu.name == name}


def write_hdus(path: Path, cards: Sequence[Card], hdus: Sequence[Any]) -> None:
    """Write a FITS file of an empty primary HDU and extensions, atomically, with checksums."""
    first = fits.PrimaryHDU()
    _add_cards(first.header, cards, ())
    hdu_list = fits.HDUList([first, *hdus])
    hdu_list.update_extend()
    for hdu in hdu_list:
        # astropy's default comments contain the time, which would change the bytes.
        hdu.add_datasum(when="checksum of the data")
        hdu.add_checksum(when="checksum of this HDU", override_datasum=True)
    with replacing(path) as temporary:
        hdu_list.writeto(temporary, overwrite=True)


def read_hdus(path: Path) -> list[Any]:
    """All HDUs of a file, with their data."""
    with fits.open(path, memmap=False, lazy_load_hdus=False) as hdus:
        for hdu in hdus:
            _ = hdu.data
        return list(hdus)


def native(values: Any) -> Any:
    """Values of a FITS file in the byte order of this machine, text without trailing blanks."""
    values = np.asarray(values)
    if values.dtype.kind in "SU":
        return np.char.rstrip(values.astype(str))
    return values.astype(values.dtype.newbyteorder("="))


def _ascii(value: Any) -> str:
    """Text as FITS can hold it: printable ASCII, the rest escaped."""
    return bytes(ascii_text(np.array([str(value)])).item()).decode("ascii")


def _add_cards(header: fits.Header, cards: Sequence[Card], comments: Sequence[str]) -> None:
    for keyword, value, comment in cards:
        if value is None or (isinstance(value, float) and not np.isfinite(value)):
            continue
        stored = _ascii(value) if isinstance(value, str) else value
        # Drop a comment that would be truncated.
        length = len(str(fits.Card(keyword, stored)).rstrip()) + len(" / ")
        header[keyword] = (stored, comment if length + len(comment) <= fits.Card.length else "")
    if any(len(str(value)) > 66 for value in header.values()) and "LONGSTRN" not in header:
        header["LONGSTRN"] = ("OGIP 1.0", "long strings are continued")
    for sentence in comments:
        header.add_comment(_ascii(sentence))


def _add_wcs(header: fits.Header, wcs: Any, axes: int) -> None:
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
