"""Catalogue columns in a FITS binary table and back, without losing a value, a mask or a letter.

FITS has no masked booleans, no text beyond ASCII, no trailing blanks and no unsigned or 8-bit
signed integers, and names differ by more than case.  `StoredColumn` says how a
column was stored; it is kept in the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
from astropy.io import fits
from astropy.table import Column, MaskedColumn

from astrocnn.errors import CatalogError

__all__ = ["StoredColumn", "decode", "encode", "stored_names"]

PRINTABLE = "".join(map(chr, range(32, 127))).replace("%", "")
WIDENED = {"i1": "i2", "u2": "i4", "u4": "i8", "u8": "i8", "f2": "f4", "f16": "f8"}
FORMATS = {"i2": "I", "i4": "J", "i8": "K", "u1": "B", "f4": "E", "f8": "D"}


@dataclass(frozen=True)
class StoredColumn:
    """How one column of the catalogue stands in the table.

    Parameters
    ----------
    name, stored : str
        Its name in the catalogue, and in the FITS table.
    kind : {"number", "bool", "text", "quoted"}
        ``quoted`` is percent-encoded text.
    dtype : str
        Numpy type in the catalogue, native byte order.
    shape : tuple of int
        Of one value; () for a scalar.
    masked : bool
        Missing integers and booleans are `null`, missing text is empty, missing floats are NaN.
    unit : str, optional
        As in the catalogue.
    null : int, optional
        TNULL: an integer that is nowhere among the values.
    """

    name: str
    stored: str
    kind: str
    dtype: str
    shape: tuple[int, ...] = ()
    masked: bool = False
    unit: str | None = None
    null: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> StoredColumn:
        """The inverse of `to_dict`."""
        return cls(**{**mapping, "shape": tuple(mapping["shape"])})


def stored_names(names: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """FITS names for catalogue names: letters, digits and underscores, unlike even without case."""
    used = {name.lower() for name in taken}
    result = {}
    for name in names:
        base = re.sub(r"[^A-Za-z0-9_]", "_", name)[:60] or "column"
        candidate, number = base, 1
        while candidate.lower() in used:
            number += 1
            candidate = f"{base}_{number}"
        used.add(candidate.lower())
        result[name] = candidate
    return result


def encode(name: str, stored: str, column: Any) -> tuple[StoredColumn, np.ndarray]:
    """A column as numbers or bytes that FITS holds exactly.

    Parameters
    ----------
    name, stored : str
        See `StoredColumn`.
    column : Column, MaskedColumn or ndarray of shape (n, ...)

    Returns
    -------
    stored : StoredColumn
    values : ndarray of shape (n, ...)

    Raises
    ------
    CatalogError
        If FITS has no way to hold such values.
    """
    values = np.asarray(np.ma.getdata(column))
    missing = np.array(np.ma.getmaskarray(column))
    unit = getattr(column, "unit", None)
    facts: dict[str, Any] = {
        "name": name,
        "stored": stored,
        "shape": tuple(values.shape[1:]),
        "unit": None if unit is None else str(unit),
    }
    if values.dtype.kind == "O":
        values, missing = _text_of_objects(name, values, missing)
    facts["dtype"] = values.dtype.newbyteorder("=").str.lstrip("<>=|")
    facts["masked"] = bool(missing.any())
    kind = values.dtype.kind
    if kind in "US" and values.ndim == 1:
        return _encode_text(facts, np.where(missing, "", values.astype(np.str_)))
    if kind == "b" and not facts["masked"]:
        return StoredColumn(kind="bool", **facts), values
    if kind == "f":
        wide = values.astype(WIDENED.get(facts["dtype"], facts["dtype"]))
        return StoredColumn(kind="number", **facts), np.where(missing, np.nan, wide)
    if kind in "iub":
        wide = values.astype(WIDENED.get(facts["dtype"], facts["dtype"]))  # u8 keeps its bits
        if facts["masked"]:
            wide = wide.astype(np.int64)
            facts["null"] = _unused(wide)
            wide = np.where(missing, facts["null"], wide)
        return StoredColumn(kind="bool" if kind == "b" else "number", **facts), wide
    raise CatalogError(
        f"The column '{name}' cannot be kept beside the cutouts.",
        received=f"{values.dtype} of shape {values.shape}",
        allowed="numbers, booleans and text; vectors of numbers or booleans",
        hint="name the columns to keep: columns=[...]",
    )


def fits_column(stored: StoredColumn, values: np.ndarray) -> fits.Column:
    """The column to write, from the values of `encode` (all or some rows)."""
    size = int(np.prod(stored.shape)) if stored.shape else 1
    if values.dtype.kind == "S":
        form = f"{max(1, values.dtype.itemsize)}A"
    elif values.dtype.kind == "b":
        form = f"{size}L"
    else:
        form = f"{size}{FORMATS[values.dtype.newbyteorder('=').str.lstrip('<>=|')]}"
    dim = None
    if len(stored.shape) > 1:
        dim = "(" + ",".join(str(n) for n in reversed(stored.shape)) + ")"
    return fits.Column(
        stored.stored, form, unit=stored.unit, null=stored.null, dim=dim, array=values
    )


def decode(stored: StoredColumn, raw: np.ndarray) -> Column:
    """The column as it was in the catalogue, from the raw field of the table.

    Parameters
    ----------
    stored : StoredColumn
    raw : ndarray of shape (n, ...)
        Big-endian numbers, bytes of text, or the letters T and F.
    """
    missing: np.ndarray | None = None
    if stored.kind in ("text", "quoted"):
        values = np.char.decode(raw, "ascii") if raw.dtype.itemsize else raw.astype(np.str_)
        missing = values == "" if stored.masked else None
        if stored.kind == "quoted":
            values = np.array([unquote(text) for text in values.tolist()], dtype=np.str_)
        values = values.astype(stored.dtype)
    else:
        raw = raw.reshape(len(raw), *stored.shape)
        if stored.null is not None:
            missing = raw == stored.null
            raw = np.where(missing, 0, raw)
        elif stored.masked:
            missing = np.isnan(raw)
        if stored.kind == "bool" and not stored.masked:
            raw = raw == ord("T")
        values = raw.astype(stored.dtype)
    if missing is None:
        return Column(values, name=stored.name, unit=stored.unit)
    return MaskedColumn(values, mask=missing, name=stored.name, unit=stored.unit)


def _unused(values: np.ndarray) -> int:
    """The smallest int64 that is not among the values."""
    null = int(np.iinfo(np.int64).min)
    while (values == null).any():
        null += 1
    return null


def _encode_text(facts: dict[str, Any], values: np.ndarray) -> tuple[StoredColumn, np.ndarray]:
    plain = re.compile(r"[ -~]*").fullmatch
    if all(plain(v) and not v.endswith(" ") for v in np.unique(values).tolist()):
        return StoredColumn(kind="text", **facts), np.char.encode(values, "ascii")
    coded = [quote(v, safe=PRINTABLE) for v in values.tolist()]
    coded = [re.sub(" +$", lambda blanks: "%20" * len(blanks[0]), v) for v in coded]
    return StoredColumn(kind="quoted", **facts), np.array(coded, dtype=np.bytes_)


def _text_of_objects(
    name: str, values: np.ndarray, missing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Python strings with None for missing ones, as pandas and VOTable make them."""
    if values.ndim == 1:
        absent = np.array([v is None for v in values], bool) | missing
        if all(isinstance(v, str) for v in values[~absent]):
            return np.where(absent, "", values).astype(np.str_), absent
    raise CatalogError(
        f"The column '{name}' holds Python objects, which FITS cannot keep.",
        received=f"for instance {values.flat[0]!r}" if values.size else "no rows",
        hint="name the columns to keep: columns=[...]",
    )
