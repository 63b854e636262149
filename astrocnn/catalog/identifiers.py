"""Identifiers of a table, exact: int64 or text, present and different in every row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import Column, Table

from astrocnn.errors import CatalogError

__all__ = ["identifiers"]

# Largest run of integers that a float of so many bytes holds without gaps.
EXACT_BELOW = {2: 2**11, 4: 2**24, 8: 2**53}
SHOWN_GROUPS = 5


def identifiers(table: Table, name: str) -> np.ndarray:
    """The identifier of each row.

    Integers become int64; unsigned ones too large for that, and text, become str.

    Parameters
    ----------
    table : Table
    name : str
        The identifier column.

    Returns
    -------
    ids : ndarray of int64 or str, shape (n,)

    Raises
    ------
    CatalogError
        If an identifier is missing, repeated, or was rounded by a float on the way.
        Rows are counted from 0.
    """
    column = table[name]
    if column.ndim != 1:
        raise CatalogError(
            f"The identifier column '{name}' holds {column.shape[1:]} values per row.",
            allowed="one integer or one text per row",
        )
    missing = np.ma.getmaskarray(column)
    values = _exact(column, name)
    if values.dtype.kind == "U":
        missing = missing | (values == "")
    if missing.any():
        raise CatalogError(
            f"{missing.sum()} rows have no identifier in '{name}'.",
            received=f"rows {_listed(np.flatnonzero(missing))} (counted from 0)",
            allowed="an identifier in every row",
        )
    _refuse_repeated(values, name, table)
    return values


def _exact(column: Column, name: str) -> np.ndarray:
    values = np.asarray(np.ma.getdata(column))
    kind = values.dtype.kind
    if kind == "i" or (kind == "u" and (not len(values) or values.max() <= 2**63 - 1)):
        return values.astype(np.int64, copy=False)
    if kind in "uU":
        return values.astype(str)
    if kind == "f":
        limit = EXACT_BELOW.get(values.dtype.itemsize, 2**53)
        known = values[~np.ma.getmaskarray(column)]
        if np.all(np.isfinite(known)) and np.all((np.abs(known) < limit) & (known % 1 == 0)):
            return np.where(np.isfinite(values), values, 0).astype(np.int64)
        raise CatalogError(
            f"The identifier column '{name}' is stored as {values.dtype} and may be rounded: "
            f"such a float holds integers exactly only below {limit}.",
            allowed="integers or text",
            hint="write the table again with 64-bit integers (not through a NaN column of pandas)",
        )
    raise CatalogError(
        f"The identifier column '{name}' has the type {values.dtype}.",
        allowed="integers or text",
    )


def _refuse_repeated(values: np.ndarray, name: str, table: Table) -> None:
    ordered = np.sort(values)
    same = ordered[1:] == ordered[:-1]
    if not same.any():
        return
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(same & ~np.concatenate([[False], same[:-1]]))
    groups = []
    for start in starts[:SHOWN_GROUPS]:
        rows = order[start : start + 2 + _run(same[start + 1 :])]
        groups.append(f"{ordered[start]} in rows {_listed(rows)}")
    more = f"; and {len(starts) - SHOWN_GROUPS} more" if len(starts) > SHOWN_GROUPS else ""
    raise CatalogError(
        f"Column '{name}' holds {len(starts)} "
        f"{'identifier' if len(starts) == 1 else 'identifiers'} more than once.",
        received="; ".join(groups) + more + " (rows counted from 0)",
        allowed="every identifier once",
        hint=_unique_columns(table, name),
    )


def _run(same: np.ndarray) -> int:
    ends = np.flatnonzero(~same)
    return int(ends[0]) if len(ends) else len(same)


def _unique_columns(table: Table, name: str) -> str | None:
    unique = [
        n
        for n in table.colnames
        if n != name
        and "id" in n.lower()
        and table[n].ndim == 1
        and table[n].dtype.kind in "iuU"
        and len(np.unique(np.ma.getdata(table[n]))) == len(table)
    ]
    if unique:
        return f"take another column as identifier: {', '.join(unique)}"
    return "remove the repeated rows, or name another column as identifier"


def _listed(rows: Sequence[int] | np.ndarray) -> str:
    shown = ", ".join(str(int(r)) for r in rows[:10])
    return shown + (f", ... ({len(rows)} in all)" if len(rows) > 10 else "")
