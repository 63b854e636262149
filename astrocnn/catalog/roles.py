"""Which columns hold what: roles, and the names under which surveys store the same quantity.

All comparisons ignore case.  Within a quantity the order is the preference: a name that can mean
only one thing stands before a short name that can mean several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from astrocnn.errors import CatalogError
from astrocnn.plugins import nearest

__all__ = [
    "ALIASES",
    "POSITIONS",
    "ROW_NUMBER",
    "Roles",
    "choose_roles",
    "find_column",
    "resolve_column",
    "split_difference",
]

POSITIONS: tuple[tuple[str, str], ...] = (
    ("ra", "dec"),
    ("right_ascension", "declination"),
    ("coord_ra", "coord_dec"),
    ("ra_deg", "dec_deg"),
    ("radeg", "decdeg"),
    ("radeg", "dedeg"),
    ("raj2000", "dej2000"),
    ("_raj2000", "_dej2000"),
    ("raj2000", "decj2000"),
    ("ra_j2000", "dec_j2000"),
    ("alpha_j2000", "delta_j2000"),
    ("alphawin_j2000", "deltawin_j2000"),
    ("ra_icrs", "de_icrs"),
    ("ra_icrs", "dec_icrs"),
    ("ramean", "decmean"),
    ("meanra", "meandec"),
    ("ra", "de"),
    ("ra", "decl"),
    ("_ra", "_dec"),
    ("_ra", "_de"),
    ("ra_rad", "dec_rad"),
    ("alpha", "delta"),
)
"""Columns of right ascension and declination, found together or not at all."""

ALIASES: dict[str, tuple[str, ...]] = {
    "id": (
        "object_id",
        "objectid",
        "objid",
        "coadd_object_id",
        "coadd_objects_id",
        "source_id",
        "sourceid",
        "diaobjectid",
        "dr8objid",
        "dr7objid",
        "dr7_objid",
        "bestobjid",
        "specobjid",
        "targetid",
        "iauname",
        "id_str",
        "galaxy_id",
        "galaxyid",
        "fullid",
        "asset_id",
        "candid",
        "number",
        "id",
    ),
    "ra": tuple(dict.fromkeys(ra for ra, _ in POSITIONS)),
    "dec": tuple(dict.fromkeys(dec for _, dec in POSITIONS)),
    "redshift": (
        "redshift",
        "z_spec",
        "zspec",
        "spec_z",
        "specz",
        "redshift_spec",
        "z_true",
        "redshift_true",
        "z_best",
        "zbest",
        "zs",
        "z",
    ),
    "ebv": (
        "ebv",
        "e_bv",
        "e(b-v)",
        "ebv_sfd98",
        "ebv_sfd",
        "ebv_planck13",
        "extinction_ebv",
        "galactic_ebv",
    ),
}
"""Quantity -> column names, lower case, best first."""


ROW_NUMBER = "row_number"
"""Identifier of catalogues that have none: the number of the row, from 1."""


def find_column(quantity: str, names: Sequence[str]) -> str | None:
    """Find the column that holds a quantity; None when there is none.

    A column ``z`` beside ``g``, ``r`` and ``i`` is a magnitude and never taken for a redshift.

    >>> find_column("id", ["RA", "OBJECT_ID", "id"])
    'OBJECT_ID'
    """
    by_lower: dict[str, str] = {}
    for name in names:
        by_lower.setdefault(name.lower(), name)
    for alias in ALIASES.get(quantity, ()):
        if alias == "z" and {"g", "r", "i"} <= by_lower.keys():
            continue
        if alias in by_lower:
            return by_lower[alias]
    return None


def resolve_column(name: str, names: Sequence[str], what: str = "column") -> str:
    """Find the column that a name means: as spelt, else in another case, else by the aliases.

    Raises
    ------
    CatalogError
        If there is none; the message lists the columns and the nearest name.
    """
    if name in names:
        return name
    same = [n for n in names if n.lower() == name.lower()]
    if len(same) == 1:
        return same[0]
    match = find_column(name.lower(), names)
    if match is not None:
        return match
    hint = nearest(name, names)
    first, minus, second = name.partition("-")
    if minus and {first.strip(), second.strip()} <= set(names):
        hint = f"a difference of columns has blanks around the sign: '{first} - {second}'"
    if hint is None and what == "identifier column":
        hint = f"'{ROW_NUMBER}' numbers the rows of a catalogue without identifiers"
    raise CatalogError(f"The catalogue has no {what} '{name}'.", allowed=names, hint=hint)


@dataclass(frozen=True)
class Roles:
    """Which column is the identifier and which, if any, are the coordinates."""

    id: str
    ra: str | None = None
    dec: str | None = None


def choose_roles(
    names: list[str], *, id: str | None = None, ra: str | None = None, dec: str | None = None
) -> Roles:
    """Choose the columns of identifier and position, given or found by the alias table.

    `ROW_NUMBER` may be the identifier of a table that has no such column.

    Raises
    ------
    CatalogError
        If a name does not exist, no identifier is found, or only one coordinate is.
    """
    if id == ROW_NUMBER and id not in names:
        chosen: str | None = ROW_NUMBER
    elif id is not None:
        chosen = resolve_column(id, names, "identifier column")
    else:
        chosen = find_column("id", names)
    if chosen is None:
        raise CatalogError(
            "No column of the catalogue is known as an identifier.",
            received=names,
            allowed=[a.upper() for a in ALIASES["id"]],
            hint='name it: id = "column" under [catalog] in a run file, id="column" in Python, or '
            f'--id column where a command has it; if there is none, id = "{ROW_NUMBER}" numbers '
            "the rows",
        )
    if ra is None and dec is None:
        for pair in POSITIONS:
            matches = [next((n for n in names if n.lower() == alias), None) for alias in pair]
            if None not in matches:
                return Roles(chosen, *matches)
        if find_column("ra", names) is None and find_column("dec", names) is None:
            return Roles(chosen)
        if find_column("ra", names) is not None and find_column("dec", names) is not None:
            return Roles(chosen, find_column("ra", names), find_column("dec", names))
    found_ra = resolve_column(ra or "ra", names, "right ascension column")
    found_dec = resolve_column(dec or "dec", names, "declination column")
    return Roles(chosen, found_ra, found_dec)


def split_difference(name: str, columns: Sequence[str]) -> list[str]:
    """Split the name of a scalar into its column, or the two columns of a difference.

    Parameters
    ----------
    name : str
        Name of a column, or two of them around a minus sign between blanks.
    columns : sequence of str
        Names that exist: a column whose own name holds a minus sign is that column.

    Examples
    --------
    >>> split_difference("g - r", ["g", "r"]), split_difference("g-r", ["g-r"])
    (['g', 'r'], ['g-r'])
    """
    return [name] if name in columns else name.split(" - ", 1)
