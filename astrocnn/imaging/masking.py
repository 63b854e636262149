"""Pixels and planes that say "no data": masks, noise maps, weights, sentinel values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from astrocnn.imaging.planes import Scaling
from astrocnn.imaging.survey import Band

__all__ = ["NO_DATA_RMS", "bad_pixels", "decoder"]

NO_DATA_RMS = 1e15
"""Noise from which on a pixel has no data; Euclid writes about 1e16."""


def bad_pixels(role: str, values: np.ndarray, band: Band) -> np.ndarray:
    """Where the pixels of a weight, noise or mask plane say that there are no data.

    Parameters
    ----------
    role : {"weight", "rms", "mask"}
        What the plane is.
    values : ndarray
        Its pixels.
    band : Band
        Holds the bad bits and bad values of its mask.

    Returns
    -------
    ndarray of bool, of the same shape
    """
    if role == "weight":
        return ~(values > 0)
    if role == "rms":
        return ~((values > 0) & (values < NO_DATA_RMS))
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, nan=-1).astype(np.int64)
    if band.bad_bits is None and not band.bad_values:
        return values != 0
    bad = np.isin(values, band.bad_values)
    if band.bad_bits is not None:
        bad |= (values & values.dtype.type(band.bad_bits)) != 0
    return bad


def decoder(
    scaling: Scaling | None, valid_range: tuple[float, float] | None
) -> Callable[[np.ndarray], np.ndarray] | None:
    """What to do to stored pixels to have values, NaN outside the valid range; None if nothing."""
    if valid_range is None:
        return scaling
    low, high = valid_range

    def decode(stored: np.ndarray) -> np.ndarray:
        values = stored if scaling is None else scaling(stored)
        with np.errstate(invalid="ignore"):
            return np.where((values >= low) & (values <= high), values, np.nan)

    return decode
