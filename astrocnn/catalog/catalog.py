"""A table whose columns have roles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from astropy.table import Column, Table

from astrocnn.catalog.columns import UNREAD, convert_table
from astrocnn.catalog.roles import ALIASES, Roles, choose_roles, resolve_column, split_difference
from astrocnn.catalog.validation import (
    find_sentinels,
    mask_missing,
    parse_numbers,
    validate_identifiers,
    validate_missing,
    validate_positions,
)
from astrocnn.display import Displayed
from astrocnn.errors import CatalogError
from astrocnn.flags import Flag

__all__ = ["Catalog"]


@dataclass(frozen=True, eq=False, repr=False)
class Catalog(Displayed):
    """A table of objects with their identifiers and positions.

    Build one with `from_table` or `astrocnn.catalog.read_catalog`, which check it.

    Attributes
    ----------
    table : Table of n rows
        All columns that can be used, as given, in native byte order; text as str.
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
    unread : dict of str to str
        Columns that are neither numbers, truth values nor text, and why they were left out.
    """

    table: Table
    roles: Roles
    ids: np.ndarray
    ra: np.ndarray | None
    dec: np.ndarray | None
    flags: np.ndarray
    missing: tuple[float, ...] | None = None
    unread: dict[str, str] = field(default_factory=dict)

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
            An astropy or pyarrow table, a pandas or another data frame, or columns by name.
        id, ra, dec : str, optional
            Column names; by default found through `astrocnn.catalog.roles`.
        missing : iterable of float, optional
            Numbers that mean "no value", such as (99.0, -99.0): masked in every column of
            numbers but identifier and position.  An empty one declares that there are none.

        Notes
        -----
        With ``id="row_number"`` a table without such a column gets it: the numbers of its rows from
        1.  They hold for this table only: rows added anywhere but at its end change them.

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
        table = convert_table(table)
        unread = table.meta.pop(UNREAD)
        roles = choose_roles([*table.colnames, *unread], id=id, ra=ra, dec=dec)
        for name in (roles.id, roles.ra, roles.dec):
            _refuse_unread(name, unread)
        if not len(table):
            raise CatalogError("The catalogue has no rows.", allowed="at least one object")
        if missing is not None:
            missing = validate_missing(missing)
            mask_missing(table, missing, (roles.id, roles.ra, roles.dec))
        if roles.id not in table.colnames:
            table.add_column(np.arange(1, len(table) + 1), name=roles.id, index=0)
        flags = np.zeros(len(table), dtype=np.int32)
        ra_deg = dec_deg = None
        if roles.ra is not None and roles.dec is not None:
            ra_deg, dec_deg, bad = validate_positions(table, roles.ra, roles.dec)
            flags[bad] |= Flag.BAD_COORDINATES
        ids = validate_identifiers(table, roles.id)
        return cls(table, roles, ids, ra_deg, dec_deg, flags, missing, unread)

    def __len__(self) -> int:
        return len(self.ids)

    def _facts(self) -> dict[str, object]:
        position = "" if self.ra is None else f"{self.roles.ra}, {self.roles.dec}"
        return {
            "objects": len(self),
            "columns": self.table.colnames,
            "identifier": self.roles.id,
            "position": position,
            "flagged": int(np.count_nonzero(self.flags)),
        }

    def __getitem__(self, rows: slice | np.ndarray | list[int] | int) -> Catalog:
        """Select rows, in the given order; they are not checked again."""
        index = rows if isinstance(rows, slice) else np.atleast_1d(np.asarray(rows))
        # numpy makes an empty list a float array, which is no index.
        if isinstance(index, np.ndarray) and not index.size:
            index = index.astype(np.int64)
        return replace(
            self,
            table=self.table[index],
            ids=self.ids[index],
            ra=None if self.ra is None else self.ra[index],
            dec=None if self.dec is None else self.dec[index],
            flags=self.flags[index],
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
            If there is no such column, or it was left out.
        """
        role = getattr(self.roles, name, None) if name in ALIASES else None
        found = role or resolve_column(name, [*self.table.colnames, *self.unread])
        _refuse_unread(found, self.unread)
        data = self.table[found]
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
        given = self.table[self.roles.id].description
        identifier = Column(self.ids, description=given or "Identifier in the catalogue")
        main = "meta.main"
        columns = [(self.roles.id, identifier, f"meta.id;{main}")]
        if self.roles.ra is not None and self.roles.dec is not None:
            columns += [
                (
                    self.roles.ra,
                    self._angle(self.roles.ra, "Right ascension"),
                    "pos.eq.ra;meta.main",
                ),
                (
                    self.roles.dec,
                    self._angle(self.roles.dec, "Declination"),
                    "pos.eq.dec;meta.main",
                ),
            ]
        return columns

    @property
    def frame(self) -> tuple[str, float | None] | None:
        """Frame and equinox in which the columns of positions are given, as in RADESYS."""
        if self.roles.ra is None:
            return None
        system, equinox = self.table[self.roles.ra].meta.get("frame") or ("ICRS", None)
        if system == "ICRS":
            return system, None
        standard = {"eq_FK4": 1950.0, "eq_FK5": 2000.0}[system]
        return system[3:], float(str(equinox).lstrip("BJ")) if equinox else standard

    def _angle(self, name: str, description: str) -> Column:
        column = self.table[name].copy(copy_data=False)
        column.unit = column.unit or "deg"
        assert self.frame is not None
        column.description = column.description or f"{description} ({self.frame[0]})"
        return column


def _refuse_unread(name: str | None, unread: dict[str, str]) -> None:
    if name in unread:
        raise CatalogError(
            f"The column '{name}' cannot be used: {unread[name]}.",
            allowed="one number, truth value or text in each row, or vectors of one length",
        )
