"""Flux units: from zero points and image units to one unit for all bands.

References
----------
Oke & Gunn 1983, ApJ 266, 713: the AB system, zero magnitude = 3631 Jy (here exactly
10**(-0.4*48.6) erg/s/cm2/Hz, so that 1 nJy is 31.4 mag).
"""

from __future__ import annotations

import warnings
from functools import lru_cache
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
    if unit is None or (zero_point is None and band.unit is None):
        return band.flux_scale
    if zero_point is not None:
        scale, _ = _conversion(None, unit)
        return float(scale * 10 ** (-0.4 * zero_point)) * band.flux_scale
    scale, needs_area = _conversion(band.unit, unit)
    if not needs_area:
        return scale * band.flux_scale
    if pixel_area is None:
        raise ConfigError(
            f"Band '{band.name}' is in {band.unit}, and its pixel scale is not known.",
            hint="give the survey a pixel_scale",
        )
    return scale * pixel_area * band.flux_scale


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


@lru_cache(maxsize=64)
def _conversion(source: str | None, target: str) -> tuple[float, bool]:
    """Factor between units, and whether it is per steradian of a pixel; None is AB magnitude 0."""
    from astropy import units as u

    ab = 10 ** (-0.4 * 48.6) * u.erg / u.s / u.cm**2 / u.Hz
    wanted = parse(target)
    unit = None if source is None else parse(source)
    if unit == wanted:
        return 1.0, False
    needs_area = unit is not None and _per_angle(unit) and not _per_angle(wanted)
    value = ab if unit is None else 1 * unit * (u.sr if needs_area else 1)
    return float(value.to_value(wanted, u.zero_point_flux(ab))), needs_area


def _per_angle(unit: Any) -> bool:
    from astropy import units as u

    flat = unit.decompose()
    return any(
        base.is_equivalent(u.rad) and power < 0
        for base, power in zip(flat.bases, flat.powers, strict=True)
    )
