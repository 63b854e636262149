"""In what the images of a source differ from those that a model takes."""

from __future__ import annotations

from typing import Any

__all__ = ["SCALE_TOLERANCE", "image_differences"]

SCALE_TOLERANCE = 0.01
"""Largest relative difference of two pixel scales that count as the same."""


def image_differences(expected: Any, got: Any) -> list[str]:
    """Every difference, a sentence each; what one side does not know is not compared.

    Parameters
    ----------
    expected : Inputs
        Has bands.
    got : Source, Shards or Inputs
        Anything with ``bands``.
    """
    found = _band_differences(expected.bands, tuple(got.bands))
    size = getattr(got, "size", None)
    if size is not None and int(size) != expected.size:
        found.append(f"size: the images have {size} pixels a side, expected {expected.size}")
    scale = getattr(got, "pixel_scale", None)
    known = scale is not None and expected.pixel_scale is not None
    ratio = float(scale) / expected.pixel_scale if known else 1.0  # type: ignore[arg-type]
    if abs(ratio - 1) > SCALE_TOLERANCE:
        found.append(
            f"pixel scale: {scale:.6g} arcsec/pixel, expected {expected.pixel_scale:.6g} "
            f"(within {SCALE_TOLERANCE:.0%})"
        )
    unit = getattr(got, "unit", None)
    if expected.unit is not None and unit is not None and not _same_unit(expected.unit, str(unit)):
        found.append(f"unit: the images are in '{unit}', expected '{expected.unit}'")
    return found


def _band_differences(expected: tuple[str, ...], got: tuple[str, ...]) -> list[str]:
    if got == expected:
        return []
    if sorted(got) == sorted(expected):
        return [f"bands: in the order {', '.join(got)}, expected {', '.join(expected)}"]
    parts = [f"bands: got {', '.join(got)}, expected {', '.join(expected)}"]
    if missing := [band for band in expected if band not in got]:
        parts.append(f"missing {', '.join(missing)}")
    if extra := [band for band in got if band not in expected]:
        parts.append(f"not expected {', '.join(extra)}")
    return ["; ".join(parts)]


def _same_unit(first: str, second: str) -> bool:
    if first == second:
        return True
    from astropy import units

    try:
        return bool(units.Unit(first) == units.Unit(second))
    except (ValueError, TypeError):
        return False
