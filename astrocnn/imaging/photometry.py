"""Flux units: from zero points and image units to one unit for all bands.

References
----------
Oke & Gunn 1983, ApJ 266, 713: the AB system, zero magnitude = 3631 Jy (here exactly
10**(-0.4*48.6) erg/s/cm2/Hz, so that 1 nJy is 31.4 mag).
"""

from __future__ import annotations

import math
import warnings
from functools import lru_cache

from astropy import units as u
from astropy.units import photometric

from astrocnn.errors import ConfigError, ImageError

__all__ = [
    "compare_units",
    "compute_factor",
    "is_surface_brightness",
    "parse_unit",
    "validate_zero_point",
]

# As they stand in headers, where case and plural vary.
_ALIASES = {
    "nanomaggies": "nanomaggy",
    "nmgy": "nanomaggy",
    "njy": "nJy",
    "ujy": "uJy",
    "adu": "adu",
    "adu/s": "adu/s",
    "dn/s": "DN/s",
    "counts/s": "count/s",
    "electrons": "electron",
    "electrons/s": "electron/s",
    "e-": "electron",
    "e-/s": "electron/s",
}
# Far beyond any zero point, and far below fluxes and codes for missing values.
MAX_ZERO_POINT = 100
_AB_ZERO = 10 ** (-0.4 * 48.6) * u.erg / u.s / u.cm**2 / u.Hz


def parse_unit(unit: str) -> u.UnitBase:
    """Parse the name of a unit; nanomaggies are known, "counts" and "DN" too.

    Raises
    ------
    ConfigError
        If the name is no unit.
    """
    text = _ALIASES.get(unit.lower(), unit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)
        with u.add_enabled_units([photometric.mgy, photometric.maggy]):
            try:
                # Names inside of compound units, such as nanomaggy/arcsec2, are replaced as well.
                return u.Unit(text.replace("nanomaggy", "nmgy").replace("counts", "count"))
            except ValueError as error:
                raise ConfigError(
                    f"'{unit}' is not a unit.", allowed=["nJy", "nanomaggy", "MJy/sr", "count"]
                ) from error


@lru_cache(maxsize=256)
def compare_units(stated: str, expected: str) -> float | None:
    """Compare the unit that a header states with another.

    Returns
    -------
    float or None
        The factor between them (apart from the area of a pixel): 1 if they are the same, NaN if
        one cannot be converted to the other; None if one of them is no unit that is known.
    """
    if not stated:
        return None
    try:
        parse_unit(stated)
        parse_unit(expected)
    except ConfigError:
        return None
    try:
        scale, needs_area = _conversion(stated, expected)
    except (u.UnitsError, TypeError):
        return math.nan
    # A different unit even if an area of 1 sr makes the factor 1.
    return scale if not needs_area or scale != 1 else 0.0


def compute_factor(
    unit: str | None,
    image_unit: str | None,
    zero_point: float | None = None,
    pixel_area: float | None = None,
) -> float:
    """Compute the factor that brings the pixels of an image to a unit.

    Parameters
    ----------
    unit : str or None
        The common unit; None leaves the values.
    image_unit : str or None
        Unit of the image.
    zero_point : float, optional
        AB magnitude of one image unit, from the survey file or the header; takes precedence over
        `image_unit`.
    pixel_area : float, optional
        Area of a pixel of the image [steradian], for units per solid angle.

    Raises
    ------
    ConfigError
        If the area of a pixel is needed and not known.
    """
    if unit is None or (zero_point is None and image_unit is None):
        return 1.0
    if zero_point is not None:
        scale, _ = _conversion(None, unit)
        return float(scale * 10 ** (-0.4 * zero_point))
    scale, needs_area = _conversion(image_unit, unit)
    if not needs_area:
        return scale
    if pixel_area is None:
        raise ConfigError(
            f"An image in {image_unit} cannot be brought to {unit}: its pixel scale is not known.",
            hint="give the survey a pixel_scale",
        )
    return scale * pixel_area


def validate_zero_point(value: float, where: str) -> None:
    """Refuse a number that is no magnitude, such as a flux.

    Raises
    ------
    ImageError
        If it is beyond 100 mag.
    """
    if not abs(value) <= MAX_ZERO_POINT:
        raise ImageError(
            f"The zero point in {where} is no magnitude.",
            received=value,
            allowed=f"AB magnitudes between -{MAX_ZERO_POINT} and {MAX_ZERO_POINT}",
            hint="a flux of magnitude 0 (FLUXMAG0) is 2.5 log10 of it as a zero point",
        )


@lru_cache(maxsize=64)
def is_surface_brightness(unit: str | None) -> bool:
    """Whether a unit is per solid angle, so that pixels of another size hold the same value."""
    return unit is not None and _per_angle(parse_unit(unit))


@lru_cache(maxsize=64)
def _conversion(source: str | None, target: str) -> tuple[float, bool]:
    """Factor between units, and whether it is per steradian of a pixel; None is AB magnitude 0."""
    target_unit = parse_unit(target)
    unit = None if source is None else parse_unit(source)
    if unit == target_unit:
        return 1.0, False
    # MJy/sr to nJy needs the area of the pixel, MJy/sr to nJy/arcsec2 does not.
    needs_area = unit is not None and _per_angle(unit) and not _per_angle(target_unit)
    value = _AB_ZERO if unit is None else 1 * unit * (u.sr if needs_area else 1)
    # Maggies are relative to the zero of the AB system, which astropy must be told.
    return float(value.to_value(target_unit, u.zero_point_flux(_AB_ZERO))), needs_area


def _per_angle(unit: u.UnitBase) -> bool:
    flat = unit.decompose()
    return any(
        base.is_equivalent(u.rad) and power < 0
        for base, power in zip(flat.bases, flat.powers, strict=True)
    )
