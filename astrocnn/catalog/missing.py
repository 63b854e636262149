"""Numbers that stand for "no value": declared ones are masked, undeclared ones are refused."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from astropy.table import Column, MaskedColumn, Table

from astrocnn.errors import CatalogError

__all__ = ["SENTINELS", "check_missing", "mask_declared", "suspects"]

SENTINELS: tuple[float, ...] = (99.0, -99.0, 999.0, -999.0, 9999.0, -9999.0)
"""What surveys usually write for "not measured" and "not detected"."""

_GAP = 0.1
"""A sentinel stands alone: no other value within this fraction of it."""


def check_missing(missing: Iterable[float]) -> tuple[float, ...]:
    """Declared values as floats.

    Raises
    ------
    CatalogError
        If they are not a list of finite numbers.
    """
    try:
        values = tuple(float(v) for v in missing)
    except (TypeError, ValueError):
        values = (np.nan,)
    if isinstance(missing, str) or not np.all(np.isfinite(values)):
        raise CatalogError(
            "Values that stand for 'missing' are a list of finite numbers.",
            received=missing,
            hint="missing = [99.0, -99.0]",
        )
    return values


def mask_declared(table: Table, missing: tuple[float, ...], keep: Iterable[str | None]) -> None:
    """Mask the declared values in all columns of numbers, in place.

    Parameters
    ----------
    table : Table
    missing : tuple of float
        Compared exactly, in the precision of the column.
    keep : iterable of str
        Columns to leave alone: the identifier and the position, in which any number has its
        own meaning.
    """
    for name in table.colnames:
        column = table[name]
        if name in set(keep) or not isinstance(column, Column) or column.dtype.kind not in "iuf":
            continue
        values = np.ma.getdata(column)
        gone = _equal_any(np.asarray(values), missing)
        if gone.any():
            mask = gone | np.ma.getmaskarray(column)
            about = {"unit": column.unit, "description": column.description, "meta": column.meta}
            table.replace_column(name, MaskedColumn(values, name=name, mask=mask, **about))


def suspects(values: np.ndarray) -> dict[float, int]:
    """Usual sentinels among some numbers, with their counts.

    Parameters
    ----------
    values : ndarray of float64 of shape (n,)
        NaN where missing.

    Returns
    -------
    dict of float to int
        Those that stand alone: no other number is within a tenth of them, as 99.2 would be
        in a column of percentages.
    """
    known = values[np.isfinite(values)]
    is_sentinel = _equal_any(known, SENTINELS)
    if not is_sentinel.any():
        return {}
    found, counts = np.unique(known[is_sentinel], return_counts=True)
    others = known[~is_sentinel]
    return {
        float(s): int(n)
        for s, n in zip(found, counts, strict=True)
        if not (np.abs(others - s) < _GAP * abs(s)).any()
    }


def _equal_any(values: np.ndarray, wanted: tuple[float, ...]) -> np.ndarray:
    result = np.zeros(values.shape, bool)
    for value in wanted:
        if values.dtype.kind == "f":
            with np.errstate(over="ignore"):
                result |= values == values.dtype.type(value)
        elif value.is_integer() and (value >= 0 or values.dtype.kind == "i"):
            result |= values == int(value)
    return result
