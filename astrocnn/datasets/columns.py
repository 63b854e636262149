"""Catalogue columns in the table of a shard and back, without losing a value, a mask or a letter.

`astrocnn.column.Column` says how a column is stored; it is kept in the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
from astropy import table
from numpy.typing import NDArray

from astrocnn.column import Column
from astrocnn.errors import CatalogError, PredictionError

__all__ = ["decode", "encode", "stored_names"]


def stored_names(names: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """FITS names for catalogue names: letters, digits and underscores, unlike even without case."""
    used = {name.lower() for name in taken}
    result = {}
    for name in names:
        # Short of the 68 characters of a card, so that a number has room.
        base = re.sub(r"[^A-Za-z0-9_]", "_", name)[:60] or "column"
        candidate, number = base, 1
        while candidate.lower() in used:
            number += 1
            candidate = f"{base}_{number}"
        used.add(candidate.lower())
        result[name] = candidate
    return result


def encode(name: str, stored: str, column: Any) -> tuple[Column, NDArray[Any]]:
    """A column as numbers or bytes that FITS holds exactly.

    Parameters
    ----------
    name, stored : str
        Its name in the catalogue, and in the FITS table.
    column : Column, MaskedColumn or ndarray of shape (n, ...)

    Returns
    -------
    stored : Column
    values : ndarray of shape (n, ...)

    Raises
    ------
    CatalogError
        If FITS has no way to hold such values.
    """
    values, missing = np.ma.getdata(column), np.array(np.ma.getmaskarray(column))
    if values.dtype.kind == "O":
        values, missing = _text_of_objects(name, values, missing)
    try:
        if values.dtype.kind in "US" and values.ndim > 1:
            raise PredictionError("texts of more than one dimension")
        # Without anything missing an empty text is a text.
        plain = np.ma.MaskedArray(values, missing) if missing.any() else np.asarray(values)
        declared = Column.like(stored, plain, title=name, exact=True)
        encoded = declared.encode(plain, len(values))
    except PredictionError as error:
        raise CatalogError(
            f"The column '{name}' cannot be kept beside the cutouts.",
            received=f"{values.dtype} of shape {values.shape}",
            allowed="numbers, booleans and text; vectors of numbers or booleans",
            hint="name the columns to keep: columns=[...]",
        ) from error
    unit = getattr(column, "unit", None)
    if unit is not None:
        declared = Column(**{**asdict(declared), "unit": str(unit)})
    return declared, np.asarray(encoded, declared.stored.base)


def decode(stored: Column, raw: NDArray[Any]) -> table.Column:
    """The column as it was in the catalogue, from the raw field of the table."""
    values = stored.decode(raw)
    # As it came: a mask without a masked value would change the class of the column.
    kind = table.MaskedColumn if stored.nullable else table.Column
    return kind(values, name=stored.title, unit=stored.unit or None)


def _text_of_objects(
    name: str, values: NDArray[Any], missing: NDArray[np.bool_]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
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
