"""Cutting: windows of a plane copied into a stack, pixels without data, and flags.

Pixels outside of the image and bad pixels become NaN, never 0: a missing band is not a band
without flux.  Cutouts equal those of `astropy.nddata.Cutout2D(mode="partial")` bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from astrocnn.display import Displayed
from astrocnn.errors import ImageError
from astrocnn.flags import Flag
from astrocnn.imaging.planes import Scaling
from astrocnn.imaging.survey import Band

__all__ = [
    "Cutouts",
    "NO_DATA_RMS",
    "Windows",
    "find_bad_pixels",
    "compute_corners",
    "build_decoder",
    "drop_infinite",
    "allocate_stack",
    "copy_windows",
    "count_overlap",
    "compute_flags",
]


@dataclass(frozen=True, repr=False)
class Cutouts(Displayed):
    """A stack of cutouts with what is known about each row.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_bands)
        float32; NaN means no data.
    flags : ndarray of shape (n,)
        int32 bit mask of `astrocnn.flags.Flag`.
    no_data : ndarray of shape (n, n_bands)
        Fraction of pixels without data.
    """

    images: np.ndarray
    flags: np.ndarray
    no_data: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def _facts(self) -> dict[str, object]:
        _, height, width, n_bands = self.images.shape
        return {
            "objects": len(self),
            "pixels": f"{height} x {width}",
            "bands": n_bands,
            "flagged": int(np.count_nonzero(self.flags)),
        }


def allocate_stack(shape: tuple[int, int, int, int], out: np.ndarray | None = None) -> np.ndarray:
    """Allocate a stack for cutouts, or check that `out` can hold them.

    Raises
    ------
    ImageError
        If `out` is not a contiguous float32 array of the shape.
    """
    if out is None:
        return np.empty(shape, np.float32)
    if out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise ImageError(
            "The array for the cutouts is not a contiguous float32 array of their shape.",
            received=f"{out.dtype} {out.shape}",
            allowed=str(shape),
        )
    return out


def compute_corners(position: np.ndarray, size: int) -> np.ndarray:
    """Compute the first pixel of a window of `size` pixels around a position along one axis.

    The rounding is that of `astropy.nddata.Cutout2D`: ceil(position - size / 2).  NaN gives a
    corner far outside any image.
    """
    # Far outside any image, but small enough that adding a size does not overflow.
    first = np.ceil(np.nan_to_num(position - size / 2, nan=-1e9, posinf=1e9, neginf=-1e9))
    return np.clip(first, -1e9, 1e9).astype(np.int64)


def count_overlap(first: np.ndarray, size: int, length: int) -> np.ndarray:
    """Count how many of `size` pixels from `first` on lie within an axis of `length` pixels."""
    inside = np.minimum(first + size, length) - np.maximum(first, 0)
    # Negative for a window entirely beside the axis.
    return np.maximum(inside, 0)


def copy_windows(
    plane: np.ndarray,
    x0: np.ndarray,
    y0: np.ndarray,
    out: np.ndarray,
    *,
    into: np.ndarray | None = None,
    decode: Callable[[np.ndarray], np.ndarray] | None = None,
    factor: float = 1.0,
    fill: float = np.nan,
) -> None:
    """Copy one window per row out of a plane, converting the type on the way.

    Parameters
    ----------
    plane : ndarray of shape (height, width)
        Of any numeric type and byte order; may be memory-mapped.
    x0, y0 : ndarray of shape (n,)
        First column and row of each window; may lie outside.
    out : ndarray of shape (m, rows, columns)
        Written in place, with any strides.
    into : ndarray of shape (n,), optional
        Which rows of `out` to write; by default all, in order.
    decode : callable, optional
        Applied to the pixels of each window.
    factor : float
        On every pixel.
    fill : float
        Value outside the plane.
    """
    windows = Windows(plane, x0, y0, out.shape[1:], decode, factor, fill)
    with np.errstate(over="ignore", invalid="ignore"):
        for k, i in enumerate(range(len(x0)) if into is None else into.tolist()):
            windows.copy(k, out[i])


class Windows:
    """Windows of one plane, to be copied one by one; see `copy_windows` for the parameters."""

    def __init__(
        self,
        plane: np.ndarray,
        x0: np.ndarray,
        y0: np.ndarray,
        shape: tuple[int, ...],
        decode: Callable[[np.ndarray], np.ndarray] | None = None,
        factor: float = 1.0,
        fill: float = np.nan,
    ) -> None:
        rows, columns = shape
        height, width = plane.shape
        inside = (x0 >= 0) & (y0 >= 0) & (x0 <= width - columns) & (y0 <= height - rows)
        # Python numbers index an array several times faster than numpy scalars.
        self._x0, self._y0, self._inside = x0.tolist(), y0.tolist(), inside.tolist()
        self._plane, self._rows, self._columns = plane, rows, columns
        self._decode, self._factor, self._fill = decode, factor, fill
        self._direct = decode is None and factor == 1
        # Copying to a contiguous window first and converting it in one go is twice as fast as
        # converting row by row into a channel of the stack.
        self._buffer = np.empty((rows, columns), plane.dtype)

    def copy(self, k: int, target: np.ndarray) -> None:
        """Write window number `k` to an array of shape (rows, columns)."""
        x, y = self._x0[k], self._y0[k]
        # Nearly all windows lie inside; only the others are cut to the overlap and filled.
        if self._inside[k]:
            window = self._plane[y : y + self._rows, x : x + self._columns]
            if self._direct:
                self._buffer[...] = window
                target[...] = self._buffer
                return
        else:
            height, width = self._plane.shape
            target[...] = self._fill
            left, right = max(x, 0), min(x + self._columns, width)
            low, high = max(y, 0), min(y + self._rows, height)
            if left >= right or low >= high:
                return
            window = self._plane[low:high, left:right]
            target = target[low - y : high - y, left - x : right - x]
        if self._decode is not None:
            window = self._decode(window)
        if self._factor == 1:
            target[...] = window
        else:
            np.multiply(window, self._factor, out=target, casting="unsafe")


def drop_infinite(images: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Turn infinite pixels into NaN, in place, and count the pixels without data.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_bands)
        A contiguous stack.
    rows : ndarray of shape (m,), optional
        Which rows to look at; by default all.

    Returns
    -------
    ndarray of shape (m, n_bands)
        Number of NaN per row and band.
    """
    chosen = range(len(images)) if rows is None else rows.tolist()
    counts = np.zeros((len(chosen), images.shape[-1]), np.int64)
    finite = np.empty(images.shape[1:], bool)
    for i, row in enumerate(chosen):
        image = images[row]
        # Most cutouts are complete: one pass and no copy for them.
        if np.isfinite(image, out=finite).all():
            continue
        bad = ~finite
        image[bad] = np.nan
        counts[i] = bad.sum(axis=(0, 1))
    return counts


def compute_flags(
    no_data: np.ndarray, outside: np.ndarray, n_pixels: int, covered: np.ndarray | None = None
) -> np.ndarray:
    """Compute the flags that follow from counts of pixels.

    Parameters
    ----------
    no_data, outside : ndarray of shape (n, n_bands)
        Pixels without data, and those of them that lie outside the image.
    n_pixels : int
        Pixels of a cutout.
    covered : ndarray of shape (n, n_bands), optional
        Whether an image overlaps the cutout; by default everywhere.

    Returns
    -------
    ndarray of shape (n,)
        int32.
    """
    if covered is None:
        covered = np.ones(no_data.shape, bool)
    flags = np.zeros(len(no_data), np.int32)
    flags |= np.where(covered.any(axis=1), 0, Flag.NO_COVERAGE).astype(np.int32)
    for flag, affected in (
        (Flag.PARTLY_OUTSIDE, covered & (outside > 0)),
        # Pixels outside the image have no data either; only those beyond their number are holes.
        (Flag.NO_DATA_PIXELS, covered & (no_data > outside)),
        (Flag.BAND_MISSING, no_data >= n_pixels),
        (Flag.BAND_PARTIAL, (2 * no_data > n_pixels) & (no_data < n_pixels)),
    ):
        flags[affected.any(axis=1)] |= flag.value
    return flags


NO_DATA_RMS = 1e15
"""Noise from which on a pixel has no data, and the root of such a variance; Euclid writes 1e16."""


def find_bad_pixels(role: str, values: np.ndarray, band: Band) -> np.ndarray:
    """Find the pixels without data by a weight, noise, variance or mask plane.

    Parameters
    ----------
    role : {"weight", "rms", "variance", "mask"}
        What the plane is.
    values : ndarray
        Its pixels.
    band : Band
        Holds the bad bits and bad values of its mask.

    Returns
    -------
    ndarray of bool, of the same shape
    """
    # Negated, so that NaN in any of these maps is bad as well.
    if role == "weight":
        return ~(values > 0)
    if role == "rms":
        return ~((values > 0) & (values < NO_DATA_RMS))
    if role == "variance":
        return ~((values > 0) & (values < NO_DATA_RMS**2))
    # Some pipelines write masks as floats.
    if values.dtype.kind == "f":
        # NaN becomes -1, which is not 0 and has all bits set: bad by either of these tests.
        values = np.nan_to_num(values, nan=-1).astype(np.int64)
    if band.bad_bits is None and not band.bad_values:
        return values != 0
    bad = np.isin(values, band.bad_values)
    if band.bad_bits is not None:
        # Bit 15 of a 16-bit integer is its sign; bits beyond the type are never set.
        bits = values.view(values.dtype.str.replace("i", "u"))
        bad |= (bits & bits.dtype.type(band.bad_bits & np.iinfo(bits.dtype).max)) != 0
    return bad


def build_decoder(
    scaling: Scaling | None, valid_range: tuple[float, float] | None
) -> Callable[[np.ndarray], np.ndarray] | None:
    """Build the function from stored pixels to values, NaN outside the valid range, or None."""
    if valid_range is None:
        return scaling
    low, high = valid_range

    def decode(stored: np.ndarray) -> np.ndarray:
        values = stored if scaling is None else scaling(stored)
        with np.errstate(invalid="ignore"):
            return np.where((values >= low) & (values <= high), values, np.nan)

    return decode
