"""Checks of a table: identifiers, positions, and sentinel numbers that mean "no value"."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.table import Column, MaskedColumn, Table

from astrocnn.errors import AstrocnnWarning, CatalogError

__all__ = [
    "CatalogWarning",
    "SENTINELS",
    "find_sentinels",
    "mask_missing",
    "parse_numbers",
    "validate_identifiers",
    "validate_missing",
    "validate_positions",
]

# Largest run of integers that a float of so many bytes holds without gaps.
EXACT_BELOW = {2: 2**11, 4: 2**24, 8: 2**53}
SHOWN_GROUPS = 5


def validate_identifiers(table: Table, name: str) -> np.ndarray:
    """Validate the identifiers of a table.

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
        If an identifier is missing, repeated, or may have been rounded by a float type.
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
        present = values[~np.ma.getmaskarray(column)]
        if np.all(np.isfinite(present)) and np.all((np.abs(present) < limit) & (present % 1 == 0)):
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
    # Sorting twice is slower than a dict for few rows and fits in memory for 10^9.
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


class CatalogWarning(AstrocnnWarning):
    """A catalogue can be read but something in it is probably not as intended."""


def validate_positions(
    table: Table, ra: str, dec: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Validate positions and convert them to degrees.

    A unit stored with the column (radian, hour angle ...) is applied.  A right ascension between
    -180 and 360 is wrapped into [0, 360).

    Parameters
    ----------
    table : Table
    ra, dec : str
        Column names.

    Returns
    -------
    ra, dec : ndarray of shape (n,)
        ICRS [deg]; both NaN in a bad row.
    bad : ndarray of bool, shape (n,)
        Rows whose coordinates are missing, not finite, or out of range.

    Warns
    -----
    CatalogWarning
        If the two look exchanged or look like radians without saying so.
    """
    ra_deg, ra_unit = _degrees(table[ra], ra)
    dec_deg, dec_unit = _degrees(table[dec], dec)
    if not ra_unit and not dec_unit:
        _warn_radians(ra_deg, dec_deg, ra, dec)
    _warn_swapped(ra_deg, dec_deg, ra, dec)
    ra_deg, dec_deg = _convert_to_icrs(ra_deg, dec_deg, table[ra].meta.get("frame"))
    bad = ~(np.isfinite(ra_deg) & np.isfinite(dec_deg))
    with np.errstate(invalid="ignore"):
        bad |= (np.abs(dec_deg) > 90.0) | (ra_deg < -180.0) | (ra_deg > 360.0)
        wrapped = np.where(ra_deg < 0.0, ra_deg + 360.0, ra_deg)
        # A tiny negative angle plus 360 rounds to 360 itself.
        wrapped = np.where(wrapped >= 360.0, 0.0, wrapped)
    return np.where(bad, np.nan, wrapped), np.where(bad, np.nan, dec_deg), bad


def _convert_to_icrs(
    ra: np.ndarray, dec: np.ndarray, frame: tuple[str, str | None] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Positions in ICRS from those in the system that a VOTable states for its columns."""
    system, equinox = frame or ("ICRS", None)
    if system == "ICRS" or (system, equinox) == ("eq_FK5", "J2000"):
        return ra, dec
    frames = {"eq_FK4": ("fk4", "B1950"), "eq_FK5": ("fk5", "J2000")}
    if system not in frames:
        raise CatalogError(
            "The coordinates of the VOTable are in a system that is not equatorial.",
            received=system,
            allowed=["ICRS", *frames],
        )
    name, standard = frames[system]
    good = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90)
    coordinates = SkyCoord(ra[good], dec[good], unit="deg", frame=name, equinox=equinox or standard)
    ra, dec = ra.copy(), dec.copy()
    ra[good], dec[good] = coordinates.icrs.ra.deg, coordinates.icrs.dec.deg
    return ra, dec


def parse_numbers(text: np.ndarray) -> np.ndarray | None:
    """Parse numbers that a table holds as text, such as ``+02`` or ``1.5D+02``.

    Parameters
    ----------
    text : ndarray of str, shape (n,)

    Returns
    -------
    ndarray of float64, shape (n,), or None
        NaN where empty; None if one text is no number.
    """
    plain = pc.utf8_trim_whitespace(pa.array(text.tolist(), pa.string()))
    plain = pc.replace_substring_regex(plain, r"^\+", "")
    plain = pc.replace_substring_regex(plain, r"^([^dD]*[0-9.])[dD]([+-]?[0-9]+)$", r"\1E\2")
    try:
        return np.array(pc.if_else(pc.equal(plain, ""), "nan", plain).cast(pa.float64()))
    except pa.ArrowInvalid:
        return None


def _degrees(column: Column, name: str) -> tuple[np.ndarray, bool]:
    """Values in degrees with NaN where masked, and whether the column states its unit."""
    numbers: np.ndarray | None = np.ma.getdata(column)
    if column.dtype.kind == "U" and column.ndim == 1:
        numbers = parse_numbers(np.asarray(numbers))
    if numbers is None or numbers.dtype.kind not in "fiu" or column.ndim != 1:
        raise CatalogError(
            f"The coordinate column '{name}' does not hold one number per row.",
            received=f"type {column.dtype}, first value {column[0]!r}" if len(column) else None,
            allowed="degrees as decimal numbers, or any angle with its unit",
            hint="convert sexagesimal text to decimal degrees before reading",
        )
    values = np.array(numbers, dtype=np.float64)
    mask = np.ma.getmaskarray(column)
    if mask.any():
        values[mask] = np.nan
    unit = _angle(getattr(column, "unit", None), name)
    if unit is None:
        return values, False
    if unit is not units.deg:
        values *= float(unit.to(units.deg))
    return values, True


def _angle(unit: object, name: str) -> units.UnitBase | None:
    if unit is None or str(unit).strip() == "":
        return None
    text = str(unit).strip().lower()
    # Surveys write "degrees", "deg(J2000)", "Radian", which astropy does not parse.
    for prefix, angle_unit in (("deg", units.deg), ("rad", units.rad), ("hour", units.hourangle)):
        if text.startswith(prefix):
            return angle_unit
    try:
        parsed = units.Unit(str(unit))
        parsed.to(units.deg)
    except (ValueError, TypeError, units.UnitConversionError):
        raise CatalogError(
            f"The coordinate column '{name}' has a unit that is not an angle.",
            received=str(unit),
            allowed=("deg", "rad", "hourangle", "arcmin", "arcsec"),
        ) from None
    return parsed


def _warn_radians(ra: np.ndarray, dec: np.ndarray, ra_name: str, dec_name: str) -> None:
    good = np.isfinite(ra) & np.isfinite(dec)
    if not good.any():
        return
    low, high = ra[good].min(), ra[good].max()
    south, north = dec[good].min(), dec[good].max()
    if max(abs(low), abs(high)) > 2 * np.pi or max(abs(south), abs(north)) > np.pi / 2:
        return
    has_radian_name = any(
        n.lower().startswith("coord_") or n.lower().endswith("_rad") for n in (ra_name, dec_name)
    )
    # A small field near RA 0, Dec 0 is innocent; one that fills the range of radians is not.
    fills = high - low > 4.0 and north - south > 1.0
    if has_radian_name or fills:
        warnings.warn(
            f"The columns '{ra_name}' and '{dec_name}' look like radians but have no unit: "
            f"RA from {low:.4g} to {high:.4g}, Dec from {south:.4g} to {north:.4g}. "
            "They are taken as degrees; give the columns a unit to have them converted.",
            CatalogWarning,
            stacklevel=4,
        )


def _warn_swapped(ra: np.ndarray, dec: np.ndarray, ra_name: str, dec_name: str) -> None:
    good = np.isfinite(ra) & np.isfinite(dec)
    if not good.any():
        return
    beyond = (np.abs(dec[good]) > 90.0) & (np.abs(dec[good]) <= 360.0)
    # A few sentinel values are bad rows; more than half of the table is an exchange of columns.
    if beyond.mean() > 0.5 and np.abs(ra[good]).max() <= 90.0:
        warnings.warn(
            f"RA and Dec look exchanged: '{dec_name}' is beyond 90 degrees in {beyond.sum()} of "
            f"{good.sum()} rows (from {dec[good].min():.4g} to {dec[good].max():.4g}) while "
            f"'{ra_name}' stays between {ra[good].min():.4g} and {ra[good].max():.4g}.",
            CatalogWarning,
            stacklevel=4,
        )


SENTINELS: tuple[float, ...] = (99.0, -99.0, 999.0, -999.0, 9999.0, -9999.0)
"""What surveys usually write for "not measured" and "not detected"."""

_GAP = 0.1
"""A sentinel stands alone: no other value within this fraction of it."""


def validate_missing(missing: Iterable[float]) -> tuple[float, ...]:
    """Validate declared values and convert them to floats.

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


def mask_missing(table: Table, missing: tuple[float, ...], keep: Iterable[str | None]) -> None:
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
        is_missing = _equal_any(np.asarray(values), missing)
        if is_missing.any():
            mask = is_missing | np.ma.getmaskarray(column)
            about = {"unit": column.unit, "description": column.description, "meta": column.meta}
            table.replace_column(name, MaskedColumn(values, name=name, mask=mask, **about))


def find_sentinels(values: np.ndarray) -> dict[float, int]:
    """Find usual sentinels among numbers, with their counts.

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
    finite = values[np.isfinite(values)]
    is_sentinel = _equal_any(finite, SENTINELS)
    if not is_sentinel.any():
        return {}
    sentinels, counts = np.unique(finite[is_sentinel], return_counts=True)
    others = finite[~is_sentinel]
    return {
        float(s): int(n)
        for s, n in zip(sentinels, counts, strict=True)
        if not (np.abs(others - s) < _GAP * abs(s)).any()
    }


def _equal_any(values: np.ndarray, sentinels: tuple[float, ...]) -> np.ndarray:
    result = np.zeros(values.shape, bool)
    for value in sentinels:
        if values.dtype.kind == "f":
            with np.errstate(over="ignore"):
                # In the precision of the column: 99.99 in float32 differs from 99.99 in float64.
                result |= values == values.dtype.type(value)
        elif value.is_integer() and (value >= 0 or values.dtype.kind == "i"):
            result |= values == int(value)
    return result
