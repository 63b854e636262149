"""Columns of extras: checked against what was declared, and filled where nothing was predicted."""

from __future__ import annotations

from typing import Any

import numpy as np

from astrocnn.errors import PredictionError
from astrocnn.prediction.batch import Batch, Extra

__all__ = ["absent_values", "compute"]

KINDS = {"f": "fiu", "i": "iu", "u": "iu", "b": "b", "U": "U"}


def absent_values(extra: Extra) -> dict[str, np.ndarray]:
    """What each column of an extra holds in a row without a prediction, as arrays of one value.

    Raises
    ------
    PredictionError
        If a column has a type without a natural absent value, or one that cannot hold it.
    """
    stated = dict(getattr(extra, "absent", {}))
    found = {}
    for column in extra.columns():
        kind = np.dtype(column.dtype)
        if kind.kind not in KINDS:
            raise _wrong(extra, column.name, column.dtype, "floats, integers, bool, U<length>")
        value: Any = {"f": np.nan, "U": "", "b": False}.get(kind.kind, -1)
        if kind.kind in "iu":
            value = stated.get(column.name, value)
            limits = np.iinfo(kind)
            if not limits.min <= value <= limits.max:
                raise PredictionError(
                    f"The column '{column.name}' of {_name(extra)} cannot hold its absent value.",
                    received=f"{value} in {column.dtype}",
                    hint=f"give {_name(extra)} an attribute absent = {{'{column.name}': ...}}",
                )
        found[column.name] = np.array([value], dtype=kind)
    return found


def compute(extra: Extra, batch: Batch) -> dict[str, np.ndarray]:
    """Columns of an extra, each of the type and length declared.

    Raises
    ------
    PredictionError
        If a column is forgotten, not declared, or has values that its type cannot hold.
    """
    given = extra.compute(batch)
    declared = {column.name: np.dtype(column.dtype) for column in extra.columns()}
    if set(given) != set(declared):
        raise PredictionError(
            f"{_name(extra)} computes other columns than it declares.",
            received=sorted(given),
            allowed=sorted(declared),
        )
    return {
        name: _exactly(extra, name, given[name], kind, len(batch))
        for name, kind in declared.items()
    }


def _exactly(extra: Extra, name: str, given: Any, kind: np.dtype, count: int) -> np.ndarray:
    values = np.asarray(given)
    if values.shape != (count,):
        raise _wrong(extra, name, f"shape {values.shape}", f"({count},)")
    if values.dtype.kind not in KINDS[kind.kind]:
        raise _wrong(extra, name, f"values of type {values.dtype}", str(kind))
    if kind.kind == "f":
        return values.astype(kind)
    cast = values.astype(kind)
    # A text is cut and an integer wraps around without a word.
    if not np.array_equal(cast, values):
        raise _wrong(extra, name, f"values of type {values.dtype} that do not fit", str(kind))
    return cast


def _wrong(extra: Extra, column: str, received: str, allowed: str) -> PredictionError:
    return PredictionError(
        f"The column '{column}' of {_name(extra)} has the wrong values.",
        received=received,
        allowed=allowed,
    )


def _name(extra: Extra) -> str:
    return type(extra).__name__
