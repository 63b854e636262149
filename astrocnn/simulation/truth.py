"""The truth catalogue: one row per object, each column declared once."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from astropy.io import fits
from astropy.table import Table

from astrocnn.atomic import replacing
from astrocnn.simulation.population import SkyObject
from astrocnn.simulation.presets import Preset

__all__ = ["truth_table", "write_table"]

COLUMNS: dict[str, tuple[str, type | str, str | None]] = {
    "label": ("morphology", "U16", None),
    "r_e": ("r_e", np.float32, "arcsec"),
    "b_over_t": ("b_over_t", np.float32, None),
    "sersic_n": ("sersic_n", np.float32, None),
    "axis_ratio": ("axis_ratio", np.float32, None),
    "inclination": ("inclination", np.float32, "deg"),
    "position_angle": ("position_angle", np.float32, "deg"),
    "n_arms": ("n_arms", np.int16, None),
    "pitch": ("pitch", np.float32, "deg"),
    "handedness": ("handedness", np.int16, None),
    "bar": ("bar", np.int16, None),
    "dust_lane": ("dust_lane", np.int16, None),
    "separation": ("separation", np.float32, "arcsec"),
}
"""Attribute of `Shape` -> name, type and unit of its column."""

DESCRIPTIONS = {
    "morphology": "true class",
    "r_e": "half-light radius along the major axis",
    "b_over_t": "share of the bulge in the light at 0.62 micron",
    "sersic_n": "Sersic index of the bulge",
    "axis_ratio": "axis ratio of the bulge",
    "inclination": "inclination of the disk, 90 seen from the edge",
    "position_angle": "major axis from north through east",
    "n_arms": "number of spiral arms",
    "pitch": "pitch angle of the arms",
    "handedness": "1: arms turn counterclockwise outwards, -1: clockwise",
    "bar": "1 with a bar",
    "dust_lane": "1 with a dust lane",
    "separation": "distance between the nuclei of a merger",
    "ebv": "Galactic reddening E(B-V)",
}


def truth_table(
    objects: Sequence[SkyObject], preset: Preset, ra: np.ndarray | None, dec: np.ndarray | None
) -> Table:
    """Table of the truth.

    Parameters
    ----------
    objects : sequence of SkyObject
        Objects.
    preset : Preset
        Survey; there is a column ``mag_<band>`` for each band, as observed.
    ra, dec : ndarray of shape (n,) or None
        Positions [deg]; without them the table has no such columns.

    Returns
    -------
    Table
        ``id`` (int64), ``ra``, ``dec``, ``morphology``, magnitudes and the truth of the form.
    """
    table = Table()
    table["id"] = np.array([item.id for item in objects], dtype=np.int64)
    if ra is not None and dec is not None:
        table["ra"], table["dec"] = np.asarray(ra, float), np.asarray(dec, float)
        table["ra"].unit = table["dec"].unit = "deg"
    magnitudes = np.array([item.magnitudes(preset) for item in objects], dtype=np.float32)
    for attribute, (name, dtype, unit) in COLUMNS.items():
        table[name] = np.array([getattr(item.shape, attribute) for item in objects], dtype=dtype)
        table[name].unit = unit
        if name == "morphology":
            for band, column in zip(preset.bands, magnitudes.T, strict=True):
                table[f"mag_{band.name}"] = column
                table[f"mag_{band.name}"].unit = "mag"
    table["ebv"] = np.array([item.ebv for item in objects], dtype=np.float32)
    table["ebv"].unit = "mag"
    for name, text in DESCRIPTIONS.items():
        table[name].description = text
    return table


def write_table(table: Table, path: str | os.PathLike[str], comments: Sequence[str]) -> None:
    """Write a FITS table whole or not at all, with the descriptions of its columns."""
    units = {name: table[name].unit for name in table.colnames}
    columns = [
        fits.Column(
            name=name,
            array=np.char.encode(column.data, "ascii") if column.dtype.kind == "U" else column.data,
            format=_format(column.dtype),
            unit=str(units[name]) if units[name] is not None else None,
        )
        for name, column in table.columns.items()
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="CATALOG")
    for number, name in enumerate(table.colnames, 1):
        if table[name].description:
            hdu.header[f"TCOMM{number}"] = table[name].description
    for comment in comments:
        hdu.header["COMMENT"] = comment
    with replacing(path) as temporary:
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(temporary, overwrite=True, checksum=True)


def _format(dtype: np.dtype) -> str:
    if dtype.kind == "U":
        return f"{dtype.itemsize // 4}A"
    return {"i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D"}[dtype.str[1:]]
