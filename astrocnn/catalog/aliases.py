"""Names under which surveys store the same quantity: data, not code.

All comparisons ignore case.  Within a quantity the order is the preference: a name that can mean
only one thing stands before a short name that can mean several.
"""

from __future__ import annotations

from collections.abc import Sequence

from astrocnn.errors import CatalogError
from astrocnn.plugins import nearest

__all__ = ["ALIASES", "POSITIONS", "find", "resolve"]

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


def find(quantity: str, names: Sequence[str]) -> str | None:
    """The column that holds a quantity, or None.

    A column ``z`` beside ``g``, ``r`` and ``i`` is a magnitude and never taken for a redshift.

    >>> find("id", ["RA", "OBJECT_ID", "id"])
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


def resolve(name: str, names: Sequence[str], what: str = "column") -> str:
    """The column meant by `name`: as spelt, else in another case, else by the alias table.

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
    known = find(name.lower(), names)
    if known is not None:
        return known
    raise CatalogError(
        f"The catalogue has no {what} '{name}'.",
        allowed=names,
        hint=nearest(name, names),
    )
