"""A table whose columns have roles."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.table import Column, MaskedColumn, Table

from astrocnn.catalog.roles import ALIASES, Roles, choose_roles, resolve_column, split_difference
from astrocnn.catalog.validation import (
    find_sentinels,
    mask_missing,
    parse_numbers,
    validate_identifiers,
    validate_missing,
    validate_positions,
)
from astrocnn.errors import CatalogError
from astrocnn.flags import Flag

__all__ = ["Catalog", "convert_arrow_column", "convert_text"]


@dataclass(frozen=True, eq=False)
class Catalog:
    """A table of objects with their identifiers and positions.

    Build one with `from_table` or `astrocnn.catalog.read_catalog`, which check it.

    Attributes
    ----------
    table : Table of n rows
        All columns as given, in native byte order; text as str.
    roles : Roles
        The names of the identifier and coordinate columns.
    ids : ndarray of int64 or str, shape (n,)
        Exact, without repetition.
    ra, dec : ndarray of float64, shape (n,), or None
        ICRS [deg], RA in [0, 360); NaN in rows flagged `Flag.BAD_COORDINATES`.  None when the
        catalogue has no coordinates.
    flags : ndarray of int32, shape (n,)
        Bits of `astrocnn.flags.Flag`.
    missing : tuple of float, or None
        Numbers that were declared to mean "no value", which are masked; None when nothing was
        declared.
    """

    table: Table
    roles: Roles
    ids: np.ndarray
    ra: np.ndarray | None
    dec: np.ndarray | None
    flags: np.ndarray
    missing: tuple[float, ...] | None = None

    @classmethod
    def from_table(
        cls,
        table: Table,
        *,
        id: str | None = None,
        ra: str | None = None,
        dec: str | None = None,
        missing: Iterable[float] | None = None,
    ) -> Catalog:
        """Check a table and give its columns roles.

        Parameters
        ----------
        table : Table or mapping of str to array
            An astropy or pyarrow table, a pandas data frame, or columns by name.
        id, ra, dec : str, optional
            Column names; by default found through `astrocnn.catalog.roles`.
        missing : iterable of float, optional
            Numbers that mean "no value", such as (99.0, -99.0): masked in every column of
            numbers but identifier and position.  An empty one declares that there are none.

        Raises
        ------
        CatalogError
            If there are no rows, no identifier column, missing or repeated identifiers, or a
            column of that name does not exist, or `missing` holds something else.

        Warns
        -----
        CatalogWarning
            If RA and Dec look exchanged or look like radians.

        Examples
        --------
        >>> catalog = Catalog.from_table({"objID": [7, -3], "RA": [10.0, -0.5], "Dec": [0.0, 95.0]})
        >>> catalog.ids.tolist(), catalog.flags.tolist()
        ([7, -3], [0, 1])
        """
        table = _convert_to_native(_convert_to_table(table))
        roles = choose_roles(table.colnames, id=id, ra=ra, dec=dec)
        if not len(table):
            raise CatalogError("The catalogue has no rows.", allowed="at least one object")
        if missing is not None:
            missing = validate_missing(missing)
            mask_missing(table, missing, (roles.id, roles.ra, roles.dec))
        flags = np.zeros(len(table), dtype=np.int32)
        ra_deg = dec_deg = None
        if roles.ra is not None and roles.dec is not None:
            ra_deg, dec_deg, bad = validate_positions(table, roles.ra, roles.dec)
            flags[bad] |= Flag.BAD_COORDINATES
        return cls(
            table, roles, validate_identifiers(table, roles.id), ra_deg, dec_deg, flags, missing
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice | np.ndarray | list[int] | int) -> Catalog:
        """Select rows, in the given order; they are not checked again."""
        index = rows if isinstance(rows, slice) else np.atleast_1d(np.asarray(rows))
        # numpy makes an empty list a float array, which is no index.
        if isinstance(index, np.ndarray) and not index.size:
            index = index.astype(np.int64)
        return Catalog(
            table=self.table[index],
            roles=self.roles,
            ids=self.ids[index],
            ra=None if self.ra is None else self.ra[index],
            dec=None if self.dec is None else self.dec[index],
            flags=self.flags[index],
            missing=self.missing,
        )

    def column(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Get the values of a column and where they are missing.

        Parameters
        ----------
        name : str
            As spelt in the table, in another case, or a quantity of the alias table such as
            ``redshift``.

        Returns
        -------
        values : ndarray of shape (n, ...)
            Without mask; missing places hold any value.
        missing : ndarray of bool, shape (n,)
            True where masked, not a number, or an empty text.  A vector is missing when
            all its elements are.

        Raises
        ------
        CatalogError
            If there is no such column.
        """
        role = getattr(self.roles, name, None) if name in ALIASES else None
        data = self.table[role or resolve_column(name, self.table.colnames)]
        values = np.asarray(np.ma.getdata(data))
        missing = np.array(np.ma.getmaskarray(data))
        if values.dtype.kind in "fc":
            missing |= np.isnan(values)
        elif values.dtype.kind == "U":
            missing |= values == ""
        if missing.ndim > 1:
            missing = np.asarray(np.all(missing, axis=tuple(range(1, missing.ndim))))
        return values, missing

    def numbers(self, name: str) -> np.ndarray:
        """Get a column of numbers, such as a scalar input of a network.

        Parameters
        ----------
        name : str
            As for `column`; or a difference of two columns, such as the color ``"g - r"``.

        Returns
        -------
        ndarray of float64, shape (n,)
            NaN where missing or infinite.

        Raises
        ------
        CatalogError
            If there is no such column, or it does not hold one number per row.
        """
        first, *second = split_difference(name, self.table.colnames)
        if second:
            return self.numbers(first) - self.numbers(*second)
        values, missing = self.column(name)
        if values.dtype.kind == "U" and values.ndim == 1:
            parsed = parse_numbers(values)
            values = values if parsed is None else parsed
        if values.ndim != 1 or values.dtype.kind not in "iufb":
            raise CatalogError(
                f"The column '{name}' does not hold one number per row.",
                received=f"{values.dtype} of shape {values.shape}",
            )
        numbers = values.astype(np.float64)
        # Infinite magnitudes (of zero flux) are as useless to a network as missing ones.
        return np.where(missing | ~np.isfinite(numbers), np.nan, numbers)

    def refuse_sentinels(self, names: Iterable[str]) -> None:
        """Refuse columns with a usual number for "no value" when none was declared.

        Parameters
        ----------
        names : iterable of str
            Columns of numbers that enter a model, as for `column`.

        Raises
        ------
        CatalogError
            Naming columns, values and counts (see `astrocnn.catalog.validation.find_sentinels`).
        """
        if self.missing is not None:
            return
        columns = [term for name in names for term in split_difference(name, self.table.colnames)]
        sentinels = {name: find_sentinels(self.numbers(name)) for name in dict.fromkeys(columns)}
        if any(sentinels.values()):
            values = sorted({value for counts in sentinels.values() for value in counts})
            raise CatalogError(
                "Columns of numbers hold values that usually mean 'not measured'.",
                received="; ".join(
                    f"{name}: " + ", ".join(f"{n} x {value:g}" for value, n in counts.items())
                    for name, counts in sentinels.items()
                    if counts
                ),
                hint=f"declare them, missing = {values} under [catalog] in a run file or in "
                "read_catalog, and those rows are flagged and left out; missing = [] takes them "
                "as numbers",
            )

    def role_columns(self) -> list[tuple[str, Column, str]]:
        """Get identifier and coordinates as given: column name, values and UCD.

        Values keep the type, unit and range of the file (radians, negative RA, NaN ...), for a
        table that must repeat them exactly.  Identifiers are those of `ids`.
        """
        identifier = Column(self.ids, description=self.table[self.roles.id].description)
        columns = [(self.roles.id, identifier, "meta.id;meta.main")]
        if self.roles.ra is not None and self.roles.dec is not None:
            columns += [
                (self.roles.ra, self._angle(self.roles.ra), "pos.eq.ra;meta.main"),
                (self.roles.dec, self._angle(self.roles.dec), "pos.eq.dec;meta.main"),
            ]
        return columns

    def _angle(self, name: str) -> Column:
        column = self.table[name].copy(copy_data=False)
        column.unit = column.unit or "deg"
        return column


def _convert_to_table(data: object) -> Table:
    """Convert any table to an astropy table; columns are not copied without need."""
    if isinstance(data, Table):
        return Table(data, copy=False)
    if isinstance(data, pa.Table):
        return Table({name: convert_arrow_column(data[name], name) for name in data.column_names})
    if type(data).__module__.startswith("pandas"):
        return Table({str(n): _from_pandas(data[n]) for n in data.columns})  # type: ignore[attr-defined, index]
    return Table(data)


def _from_pandas(series: object) -> np.ma.MaskedArray | np.ndarray:
    """Convert a pandas column; integers with missing values do not become floats."""
    missing = series.isna().to_numpy(dtype=bool)  # type: ignore[attr-defined]
    kind = getattr(series.dtype, "kind", "O")  # type: ignore[attr-defined]
    if kind in "iub":
        dtype = getattr(series.dtype, "numpy_dtype", series.dtype)  # type: ignore[attr-defined]
        values = series.to_numpy(dtype=dtype, na_value=0)  # type: ignore[attr-defined]
    elif kind == "f":
        return series.to_numpy(dtype=float, na_value=np.nan)  # type: ignore[attr-defined]
    else:
        values = series.to_numpy(dtype=object, na_value=None)  # type: ignore[attr-defined]
    return np.ma.MaskedArray(values, mask=missing) if missing.any() else values


def _convert_to_native(table: Table) -> Table:
    """Convert a table to native byte order and text to str; nothing is copied without need."""
    for name in table.colnames:
        column = table[name]
        if not isinstance(column, Column):
            continue
        if column.dtype.kind == "O":
            table.replace_column(name, _text_column(column))
        elif column.dtype.kind == "S":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                table.replace_column(name, column.__class__(_decoded(column), **_about(column)))
        elif not column.dtype.isnative:
            values = column.astype(column.dtype.newbyteorder("="))
            table.replace_column(name, values)
    return table


def _about(column: Column) -> dict[str, object]:
    return {
        "name": column.name,
        "unit": column.unit,
        "description": column.description,
        "meta": column.meta,
    }


def _decoded(column: Column) -> np.ndarray:
    data = np.ma.getdata(column)
    try:
        text = np.strings.decode(data, "utf-8")
    except UnicodeDecodeError:
        text = np.strings.decode(data, "latin-1")
    mask = np.ma.getmaskarray(column)
    return np.ma.MaskedArray(text, mask=mask) if mask.any() else text


def _text_column(column: Column) -> Column:
    """Convert objects that are texts or None to a (masked) text column; others stay objects."""
    values = np.ma.getdata(column)
    flat = values.reshape(-1).tolist()
    missing = np.ma.getmaskarray(column).reshape(-1)
    missing = missing | np.array([v is None for v in flat], dtype=bool)
    if not all(gone or isinstance(v, (str, bytes)) for v, gone in zip(flat, missing, strict=True)):
        return column
    text = ["" if gone else v for v, gone in zip(flat, missing, strict=True)]
    text = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in text]
    array = np.array(text, dtype=str).reshape(values.shape) if text else np.empty(0, dtype="U1")
    if missing.any():
        return MaskedColumn(array, mask=missing.reshape(values.shape), **_about(column))
    return Column(array, **_about(column))


def convert_arrow_column(data: pa.ChunkedArray, name: str) -> np.ndarray | MaskedColumn:
    """Convert a column of an arrow table; integers never pass through float.

    Parameters
    ----------
    data : pyarrow.ChunkedArray of n values
    name : str
        For messages.

    Raises
    ------
    CatalogError
        If it holds lists of different lengths.
    """
    if pa.types.is_dictionary(data.type):
        data = data.cast(data.type.value_type)
    missing = data.is_null().to_numpy() if data.null_count else None
    kind = data.type
    if pa.types.is_decimal(kind):
        data = data.cast(pa.string() if kind.scale == 0 else pa.float64())
        kind = data.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return convert_text(data, missing)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        # Filled before numpy sees it: with nulls, arrow would hand over floats.
        values = pc.fill_null(data, False if pa.types.is_boolean(kind) else 0).to_numpy()
    elif pa.types.is_floating(kind):
        values = data.to_numpy()
    elif (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ):
        values = _vectors(data.to_pylist(), name)
    else:
        values = np.array(data.to_pylist(), dtype=object)
    return values if missing is None else MaskedColumn(values, mask=_like(missing, values))


def _vectors(rows: list[list[float] | None], name: str) -> np.ndarray:
    lengths = {len(row) for row in rows if row is not None}
    if len(lengths) > 1:
        raise CatalogError(
            f"The column '{name}' holds lists of different lengths.",
            received=sorted(lengths),
            allowed="vectors of one length",
            hint="leave the column out with columns=[...]",
        )
    length = lengths.pop() if lengths else 0
    return np.array([[np.nan] * length if row is None else row for row in rows])


def _like(missing: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.broadcast_to(missing.reshape(-1, *[1] * (values.ndim - 1)), values.shape)


def convert_text(column: pa.ChunkedArray, missing: np.ndarray | None) -> np.ndarray | MaskedColumn:
    """Convert arrow text to numpy text, block by block; empty means missing.

    Parameters
    ----------
    column : pyarrow.ChunkedArray of string, n values
    missing : ndarray of bool, shape (n,), or None
        Further values to mask.
    """
    width = max(1, pc.max(pc.utf8_length(column)).as_py() or 1)
    out = np.empty(len(column), dtype=f"U{width}")
    start = 0
    for chunk in column.chunks:
        filled = pc.fill_null(chunk, "")
        out[start : start + len(chunk)] = filled.to_numpy(zero_copy_only=False)
        start += len(chunk)
    gone = (out == "") if missing is None else (out == "") | missing
    return MaskedColumn(out, mask=gone) if gone.any() else out
