"""Flux units: from zero points and image units to one unit for all bands.

References
----------
Oke & Gunn 1983, ApJ 266, 713: the AB system, zero magnitude = 3631 Jy (here exactly
10**(-0.4*48.6) erg/s/cm2/Hz, so that 1 nJy is 31.4 mag).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from astrocnn.errors import ConfigError

if TYPE_CHECKING:
    from astrocnn.imaging.survey import Band

__all__ = ["factor", "is_surface_brightness", "parse", "trouble"]

_ALIASES = {"nanomaggies": "nanomaggy", "nmgy": "nanomaggy", "njy": "nJy", "ujy": "uJy"}


def parse(unit: str) -> Any:
    """The astropy unit of a name; nanomaggies are known, "counts" and "DN" too.

    Raises
    ------
    ConfigError
        If the name is no unit.
    """
    from astropy import units as u
    from astropy.units import photometric

    text = _ALIASES.get(unit.lower(), unit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)
        with u.add_enabled_units([photometric.mgy, photometric.maggy]):
            try:
                return u.Unit(text.replace("nanomaggy", "nmgy").replace("counts", "count"))
            except ValueError as error:
                raise ConfigError(
                    f"'{unit}' is not a unit.", allowed=["nJy", "nanomaggy", "MJy/sr", "count"]
                ) from error


def factor(
    unit: str | None,
    band: Band,
    zero_point: float | None = None,
    pixel_area: float | None = None,
) -> float:
    """What to multiply the pixels of a band with, to have them in `unit`.

    Parameters
    ----------
    unit : str or None
        The common unit; None leaves the values (but `Band.flux_scale` applies).
    band : Band
        Its unit and scale.
    zero_point : float, optional
        AB magnitude of one image unit, from the band or its header.
    pixel_area : float, optional
        Area of a pixel of the image [steradian], for units per solid angle.
    """
    from astropy import units as u

    if unit is None:
        return band.flux_scale
    target = parse(unit)
    if zero_point is not None:
        per_unit = 10 ** (-0.4 * (zero_point + 48.6)) * u.erg / u.s / u.cm**2 / u.Hz
        return float(_in(per_unit, target)) * band.flux_scale
    if band.unit is None:
        return band.flux_scale
    source = parse(band.unit)
    if source == target:
        return band.flux_scale
    one = 1 * source
    if _per_angle(source) and not _per_angle(target):
        if pixel_area is None:
            raise ConfigError(
                f"Band '{band.name}' is in {band.unit}, and its pixel scale is not known.",
                hint="give the survey a pixel_scale",
            )
        one = one * pixel_area * u.sr
    return float(_in(one, target)) * band.flux_scale


def is_surface_brightness(unit: str | None) -> bool:
    """Whether a unit is per solid angle, so that pixels of another size hold the same value."""
    return unit is not None and _per_angle(parse(unit))


def trouble(band: Band, unit: str) -> str | None:
    """Why a band cannot be brought to a unit, as a clause; None if it can."""
    if band.flux_scale == 0:
        return f"band '{band.name}' has flux_scale 0"
    if band.zero_point is None and band.unit is None and band.flux_scale == 1.0:
        return (
            f"band '{band.name}' needs a zero_point, a unit or a flux_scale to be brought to {unit}"
        )
    if band.zero_point is None and band.unit is None:
        return None
    try:
        probe = 25.0 if band.zero_point is not None else None
        factor(unit, band, zero_point=probe, pixel_area=1e-12)
    except (ValueError, ConfigError) as error:
        return f"band '{band.name}' cannot be brought to {unit} ({error})"
    return None


def _in(value: Any, target: Any) -> float:
    from astropy import units as u

    return value.to_value(target, equivalencies=u.zero_point_flux(_ab()))


def _ab() -> Any:
    from astropy import units as u

    return 10 ** (-0.4 * 48.6) * u.erg / u.s / u.cm**2 / u.Hz


def _per_angle(unit: Any) -> bool:
    from astropy import units as u

    flat = unit.decompose()
    return any(
        base.is_equivalent(u.rad) and power < 0
        for base, power in zip(flat.bases, flat.powers, strict=True)
    )
