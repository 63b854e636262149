"""A table whose columns have roles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from astropy.table import Column, Table

from astrocnn.catalog.aliases import ALIASES, POSITIONS, find, resolve
from astrocnn.catalog.coordinates import CatalogWarning, positions
from astrocnn.catalog.identifiers import identifiers
from astrocnn.catalog.missing import check_missing, mask_declared, suspects
from astrocnn.catalog.native_table import as_table, native
from astrocnn.errors import CatalogError
from astrocnn.flags import Flag

__all__ = ["Catalog", "CatalogWarning", "Roles", "choose_roles", "terms"]


@dataclass(frozen=True)
class Roles:
    """Which column is the identifier and which, if any, are the coordinates."""

    id: str
    ra: str | None = None
    dec: str | None = None


@dataclass(frozen=True, eq=False)
class Catalog:
    """Objects: a table, who they are and where they are.

    Make one with `from_table` or `astrocnn.catalog.read_catalog`, which check it.

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
            An astropy table, a pandas data frame, or columns by name.
        id, ra, dec : str, optional
            Column names; by default found through `astrocnn.catalog.aliases`.
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
        table = native(as_table(table))
        roles = choose_roles(table.colnames, id=id, ra=ra, dec=dec)
        if not len(table):
            raise CatalogError("The catalogue has no rows.", allowed="at least one object")
        if missing is not None:
            missing = check_missing(missing)
            mask_declared(table, missing, (roles.id, roles.ra, roles.dec))
        flags = np.zeros(len(table), dtype=np.int32)
        ra_deg = dec_deg = None
        if roles.ra is not None and roles.dec is not None:
            ra_deg, dec_deg, bad = positions(table, roles.ra, roles.dec)
            flags[bad] |= Flag.BAD_COORDINATES
        return cls(table, roles, identifiers(table, roles.id), ra_deg, dec_deg, flags, missing)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice | np.ndarray | list[int] | int) -> Catalog:
        """The chosen rows, in the order asked for; they are not checked again."""
        where = rows if isinstance(rows, slice) else np.atleast_1d(np.asarray(rows))
        if isinstance(where, np.ndarray) and not where.size:
            where = where.astype(np.int64)
        return Catalog(
            table=self.table[where],
            roles=self.roles,
            ids=self.ids[where],
            ra=None if self.ra is None else self.ra[where],
            dec=None if self.dec is None else self.dec[where],
            flags=self.flags[where],
            missing=self.missing,
        )

    def column(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Values of a column and where they are missing.

        Parameters
        ----------
        name : str
            As spelt in the table, in another case, or a quantity of the alias table such as
            ``redshift``.

        Returns
        -------
        values : ndarray of shape (n, ...)
            Without mask; what stands in a missing place is not to be used.
        missing : ndarray of bool, shape (n,)
            True where masked, not a number, or an empty text.  A vector is missing when
            all its elements are.

        Raises
        ------
        CatalogError
            If there is no such column.
        """
        role = getattr(self.roles, name, None) if name in ALIASES else None
        data = self.table[role or resolve(name, self.table.colnames)]
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
        """A column of numbers, as one that enters a network beside the image.

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
        first, *second = terms(name, self.table.colnames)
        if second:
            return self.numbers(first) - self.numbers(*second)
        values, missing = self.column(name)
        if values.ndim != 1 or values.dtype.kind not in "iufb":
            raise CatalogError(
                f"The column '{name}' does not hold one number per row.",
                received=f"{values.dtype} of shape {values.shape}",
            )
        numbers = values.astype(np.float64)
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
            Naming columns, values and counts (see `astrocnn.catalog.missing.suspects`).
        """
        if self.missing is not None:
            return
        columns = [term for name in names for term in terms(name, self.table.colnames)]
        found = {name: suspects(self.numbers(name)) for name in dict.fromkeys(columns)}
        if any(found.values()):
            values = sorted({value for counts in found.values() for value in counts})
            raise CatalogError(
                "Columns of numbers hold values that usually mean 'not measured'.",
                received="; ".join(
                    f"{name}: " + ", ".join(f"{n} x {value:g}" for value, n in counts.items())
                    for name, counts in found.items()
                    if counts
                ),
                hint=f"declare them, missing = {values} under [catalog] in a run file or in "
                "read_catalog, and those rows are flagged and left out; missing = [] takes them "
                "as numbers",
            )

    def role_columns(self) -> list[tuple[str, Column, str]]:
        """Identifier and coordinates as given: column name, values and UCD.

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


def choose_roles(
    names: list[str], *, id: str | None = None, ra: str | None = None, dec: str | None = None
) -> Roles:
    """Roles of the columns of a table, given or found by the alias table.

    Raises
    ------
    CatalogError
        If a name does not exist, no identifier is found, or only one coordinate is.
    """
    chosen = resolve(id, names, "identifier column") if id is not None else find("id", names)
    if chosen is None:
        raise CatalogError(
            "No column of the catalogue is known as an identifier.",
            received=names,
            allowed=[a.upper() for a in ALIASES["id"]],
            hint="name it: id='column' in Python, id = \"column\" under [catalog] in a run file",
        )
    if ra is None and dec is None:
        for pair in POSITIONS:
            found = [next((n for n in names if n.lower() == alias), None) for alias in pair]
            if None not in found:
                return Roles(chosen, *found)
        if find("ra", names) is None and find("dec", names) is None:
            return Roles(chosen)
        if find("ra", names) is not None and find("dec", names) is not None:
            return Roles(chosen, find("ra", names), find("dec", names))
    found_ra = resolve(ra or "ra", names, "right ascension column")
    found_dec = resolve(dec or "dec", names, "declination column")
    return Roles(chosen, found_ra, found_dec)


def terms(name: str, columns: Sequence[str]) -> list[str]:
    """The column, or the two columns of a difference, that a scalar is made from.

    Parameters
    ----------
    name : str
        Name of a column, or two of them around a minus sign between blanks.
    columns : sequence of str
        Names that exist: a column whose own name holds a minus sign is that column.

    Examples
    --------
    >>> terms("g - r", ["g", "r"]), terms("g-r", ["g-r"])
    (['g', 'r'], ['g-r'])
    """
    return [name] if name in columns else name.split(" - ", 1)
