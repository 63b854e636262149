"""Right ascension and declination of a table, in degrees, with the doubtful rows marked."""

from __future__ import annotations

import warnings

import numpy as np
from astropy import units
from astropy.table import Column, Table

from astrocnn.errors import AstrocnnWarning, CatalogError

__all__ = ["CatalogWarning", "positions"]


class CatalogWarning(AstrocnnWarning):
    """A catalogue can be read but something in it is probably not what its owner means."""


def positions(table: Table, ra: str, dec: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of all rows in degrees.

    A unit stored with the column (radian, hour angle ...) is obeyed.  A right ascension between
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
    bad = ~(np.isfinite(ra_deg) & np.isfinite(dec_deg))
    with np.errstate(invalid="ignore"):
        bad |= (np.abs(dec_deg) > 90.0) | (ra_deg < -180.0) | (ra_deg > 360.0)
        wrapped = np.where(ra_deg < 0.0, ra_deg + 360.0, ra_deg)
        # A tiny negative angle plus 360 rounds to 360 itself.
        wrapped = np.where(wrapped >= 360.0, 0.0, wrapped)
    return np.where(bad, np.nan, wrapped), np.where(bad, np.nan, dec_deg), bad


def _degrees(column: Column, name: str) -> tuple[np.ndarray, bool]:
    """Values in degrees with NaN where masked, and whether the column states its unit."""
    if column.dtype.kind not in "fiu" or column.ndim != 1:
        raise CatalogError(
            f"The coordinate column '{name}' does not hold one number per row.",
            received=f"type {column.dtype}, first value {column[0]!r}" if len(column) else None,
            allowed="degrees as decimal numbers, or any angle with its unit",
            hint="convert sexagesimal text to decimal degrees before reading",
        )
    values = np.array(np.ma.getdata(column), dtype=np.float64)
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
    for prefix, known in (("deg", units.deg), ("rad", units.rad), ("hour", units.hourangle)):
        if text.startswith(prefix):
            return known
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
    named = any(
        n.lower().startswith("coord_") or n.lower().endswith("_rad") for n in (ra_name, dec_name)
    )
    # A small field near RA 0, Dec 0 is innocent; one that fills the range of radians is not.
    fills = high - low > 4.0 and north - south > 1.0
    if named or fills:
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
