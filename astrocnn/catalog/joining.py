"""Join several catalogues into one: the same roles, identifiers that occur once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from astropy.table import Column, Table, TableMergeError, vstack

from astrocnn.catalog.catalog import Catalog
from astrocnn.catalog.roles import ROW_NUMBER
from astrocnn.errors import CatalogError

__all__ = ["FILE", "join_catalogs"]

FILE = "catalog_file"
"""Column of a joined catalogue: the place of the row's file in the list of files, from 0."""


def join_catalogs(catalogs: Sequence[Catalog], names: Sequence[str]) -> Catalog:
    """Join catalogues, one below the other.

    Columns of identifiers and positions take the names that they have in the first one.  A column
    that a catalogue lacks, or that has no value in it, is missing in its rows; one that cannot be
    used in any of them is left out.  Where the rows are numbered for want of identifiers, the
    numbers continue.

    Parameters
    ----------
    catalogs : sequence of Catalog
        At least one.
    names : sequence of str
        What to call each in an error, such as its file.

    Returns
    -------
    Catalog
        With a column `FILE` of int16.

    Raises
    ------
    CatalogError
        If an identifier occurs in two of them, one has positions and another none, or a column
        has other units, frames or types.
    """
    catalogs = _number_rows(catalogs)
    first = catalogs[0]
    unread = {name: why for catalog in catalogs for name, why in catalog.unread.items()}
    tables: list[Table] = []
    for number, (catalog, name) in enumerate(zip(catalogs, names, strict=True)):
        _check_roles(first, catalog, names[0], name)
        table = _rename(catalog, first, name)
        table.remove_columns([column for column in unread if column in table.colnames])
        table[FILE] = np.full(len(table), number, np.int16)
        for before, other in zip(tables, names, strict=False):
            _check_columns(before, table, other, name, (first.roles.ra, first.roles.dec))
        tables.append(table)
    _refuse_repeated([catalog.ids for catalog in catalogs], names)
    try:
        joined = vstack(tables, join_type="outer", metadata_conflicts="silent")
    except TableMergeError as error:
        raise CatalogError("The catalogues cannot be joined.", received=str(error)) from error
    joined.meta = first.table.meta
    for column in joined.itercols():
        _copy_description(column, tables)
    return replace(
        first,
        table=joined,
        ids=np.concatenate([catalog.ids for catalog in catalogs]),
        ra=_concatenate([catalog.ra for catalog in catalogs]),
        dec=_concatenate([catalog.dec for catalog in catalogs]),
        flags=np.concatenate([catalog.flags for catalog in catalogs]),
        unread=unread,
    )


def _number_rows(catalogs: Sequence[Catalog]) -> list[Catalog]:
    """Numbers of rows as identifiers go on from one catalogue to the next."""
    if any(
        catalog.roles.id != ROW_NUMBER or catalog.ids.tolist() != list(range(1, len(catalog) + 1))
        for catalog in catalogs
    ):
        return list(catalogs)
    numbered, start = [], 0
    for catalog in catalogs:
        table, ids = catalog.table.copy(copy_data=False), catalog.ids + start
        table.replace_column(ROW_NUMBER, Column(ids, description=table[ROW_NUMBER].description))
        numbered.append(replace(catalog, table=table, ids=ids))
        start += len(catalog)
    return numbered


def _check_roles(first: Catalog, other: Catalog, first_name: str, name: str) -> None:
    kinds = ["text" if c.ids.dtype.kind == "U" else "integers" for c in (first, other)]
    if kinds[0] != kinds[1]:
        raise CatalogError(
            f"'{first_name}' and '{name}' have identifiers of different types.",
            received=f"{kinds[0]} and {kinds[1]}",
        )
    if (first.ra is None) != (other.ra is None):
        without = first_name if first.ra is None else name
        raise CatalogError(
            f"'{first_name}' and '{name}' cannot be one catalogue: only one has positions.",
            received=f"no position in '{without}'",
            hint="name its columns by catalog.ra and catalog.dec",
        )
    if first.frame != other.frame:
        raise CatalogError(
            f"The positions of '{first_name}' and '{name}' are in different frames.",
            received=f"{first.frame} and {other.frame}",
        )


def _rename(catalog: Catalog, first: Catalog, name: str) -> Table:
    """A shallow copy of the table with the roles of the first catalogue."""
    table = catalog.table.copy(copy_data=False)
    if FILE in table.colnames:
        raise CatalogError(
            f"'{name}' has a column '{FILE}', which joined catalogues use.", hint="rename it"
        )
    for role in ("id", "ra", "dec"):
        own, wanted = getattr(catalog.roles, role), getattr(first.roles, role)
        if own is not None and own != wanted:
            if wanted in table.colnames:
                raise CatalogError(
                    f"The column '{wanted}' of '{name}' is not what it is in the first catalogue.",
                    received=f"{role}: '{own}'",
                    hint=f"name the column in the run file: catalog.{role} = '{wanted}'",
                )
            table.rename_column(own, wanted)
    return table


def _check_columns(
    before: Table, table: Table, first_name: str, name: str, positions: Sequence[str | None]
) -> None:
    for column in [name for name in before.colnames if name in table.colnames]:
        one, other = before[column], table[column]
        kinds = ["text" if c.dtype.kind == "U" else "numbers" for c in (one, other)]
        empty = [part for part in (before, table) if _is_empty(part[column])]
        if kinds[0] != kinds[1] and empty:
            # A column of labels without any has no type of its own.
            empty[0].remove_column(column)
            continue
        # Positions without a unit, as in CSV, are in degrees.
        default = "deg" if column in positions else "none"
        for what, received in (
            ("type", kinds),
            ("unit", [str(c.unit or default) for c in (one, other)]),
            ("shape", [str(c.shape[1:]) for c in (one, other)]),
        ):
            if received[0] != received[1]:
                raise CatalogError(
                    f"The column '{column}' of '{name}' has another {what} than in '{first_name}'.",
                    received=f"{received[1]}, and {received[0]} in '{first_name}'",
                    hint="make the files alike, or rename one of the columns",
                )


def _is_empty(column: Column) -> bool:
    """Whether no row has a value."""
    values = np.asarray(np.ma.getdata(column))
    gone = values == "" if values.dtype.kind == "U" else values != values  # NaN
    return bool(np.all(np.ma.getmaskarray(column) | gone))


def _refuse_repeated(ids: Sequence[np.ndarray], names: Sequence[str]) -> None:
    for later in range(1, len(ids)):
        for earlier in range(later):
            both = np.intersect1d(ids[earlier], ids[later])
            if len(both):
                shown = ", ".join(map(str, both[:3].tolist()))
                raise CatalogError(
                    f"'{names[earlier]}' and '{names[later]}' have {len(both)} identifiers in "
                    "common.",
                    received=shown + (", ..." if len(both) > 3 else ""),
                    allowed="each object once",
                    hint="remove them from one of the files, or name another catalog.id",
                )


def _copy_description(column: Column, tables: Sequence[Table]) -> None:
    """Description and frame of a column from the first table that has it."""
    origin = next(table[column.name] for table in tables if column.name in table.colnames)
    column.description = origin.description
    column.meta.update(origin.meta)


def _concatenate(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [array for array in arrays if array is not None]
    return np.concatenate(known) if known else None
