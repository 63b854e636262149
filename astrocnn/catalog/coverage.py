"""The part of the sky that a catalogue covers, as a multi-order coverage map (MOC)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from astrocnn.atomic import replacing
from astrocnn.errors import CatalogError, MissingDependency

__all__ = ["COVERAGE_ORDER", "write_coverage"]

COVERAGE_ORDER = 10
"""HEALPix order of the cells: 3.4 arcmin, about the field of a single large galaxy."""
_SKY = 4 * np.pi * np.degrees(1.0) ** 2


def write_coverage(out: str | os.PathLike[str], ra: ArrayLike, dec: ArrayLike) -> float:
    """Write the cells of the sky that hold objects as a MOC, which Aladin and TOPCAT open.

    Parameters
    ----------
    out : path
        FITS file to write.
    ra, dec : array_like of shape (n,)
        Positions [deg, ICRS]; those that are not finite are left out.

    Returns
    -------
    float
        Area of the cells [square degree].

    Raises
    ------
    CatalogError
        If there is no position.
    MissingDependency
        If mocpy is not installed.

    References
    ----------
    Fernique et al. 2022, MOC: Multi-Order Coverage map, IVOA Recommendation 2.0.
    """
    try:
        from mocpy import MOC
    except ImportError as error:
        raise MissingDependency("mocpy", "survey", "write a map of the coverage") from error
    from astropy.coordinates import Latitude, Longitude

    lon, lat = (np.asarray(values, np.float64) for values in (ra, dec))
    good = np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) <= 90)
    if not good.any():
        raise CatalogError("There is no position, so no part of the sky is covered.")
    moc = MOC.from_lonlat(
        Longitude(lon[good], "deg"), Latitude(lat[good], "deg"), max_norder=COVERAGE_ORDER
    )
    with replacing(Path(out)) as temporary:
        moc.save(temporary, format="fits", overwrite=True)
    return float(moc.sky_fraction * _SKY)
