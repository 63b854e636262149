"""One image plane of a FITS file: found by its header, read on demand, decoded where cut.

A plain file is memory-mapped and only the pixels that are cut are brought to native byte
order and scaled.  Compressed files (tile-compressed, gzip, bzip2, xz) are decoded whole.
"""

from __future__ import annotations

import contextlib
import fnmatch
import math
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from astrocnn.errors import ImageError
from astrocnn.fits_file import (
    decompress,
    is_compressed,
    lock_decoder,
    open_fits,
    open_regular,
    read_bytes,
    truncation_error,
    validate_compression,
    validate_streams,
)
from astrocnn.header_units import Cards, HeaderUnit, scan_bytes, scan_file, select_unit
from astrocnn.remote import Url, keep_url

__all__ = [
    "DTYPES",
    "Plane",
    "Scaling",
    "find_extensions",
    "find_images",
    "find_mosaic",
    "find_plane",
    "find_planes",
    "scan_planes",
    "view_stored",
]

_FIRST = "name another hdu, or none to take the first image of the file"
_CELESTIAL = ("RA--", "DEC-", "GLON", "GLAT", "ELON", "ELAT", "SLON", "SLAT")
_ALL = (slice(None), slice(None))
# FITS is big-endian, and bytes are its only unsigned integers.
DTYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


@dataclass(frozen=True, slots=True)
class Scaling:
    """The scaling of stored numbers to pixel values: value = zero + scale x stored; blank is NaN.

    Parameters
    ----------
    bitpix : int
        FITS code of the stored type.
    scale, zero : float
        BSCALE and BZERO.
    blank : int, optional
        Stored number of pixels without data.
    """

    bitpix: int
    scale: float = 1.0
    zero: float = 0.0
    blank: int | None = None

    def __call__(self, stored: np.ndarray) -> np.ndarray:
        """Decode numbers as stored; the precision is that of astropy."""
        # FITS has no unsigned integers but shifts signed ones by half of their range: turning over
        # the sign bit is that shift, exact and without a float.
        if self.scale == 1 and self.zero == _UNSIGNED.get(self.bitpix):
            values = stored.astype(stored.dtype.newbyteorder("="))
            sign = np.array(1 << (self.bitpix - 1), f"u{self.bitpix // 8}").view(values.dtype)
            values = np.bitwise_xor(values, sign).view(f"u{self.bitpix // 8}")
            if self.blank is None:
                return values
            values = values.astype(np.float64)
        else:
            # float32 holds 8 and 16 bits exactly and half of the memory; as astropy decides.
            kind = (
                "f8" if self.bitpix > 16 else "f4" if self.bitpix > 0 else f"f{-self.bitpix // 8}"
            )
            values = stored.astype(kind)
            if self.scale != 1:
                np.multiply(values, self.scale, out=values)
            if self.zero != 0:
                values += self.zero
        # BLANK means the number as it is stored, before the scaling (FITS 4.0, section 4.4.2.4).
        if self.blank is not None and self.bitpix > 0:
            values[stored == self.blank] = np.nan
        return values


_UNSIGNED = {16: float(1 << 15), 32: float(1 << 31), 64: float(1 << 63)}


@dataclass(frozen=True)
class Plane:
    """A two-dimensional image inside a file; opening one reads headers only.

    Parameters
    ----------
    path : Path or Url
        The file.
    unit : HeaderUnit
        Its header unit.
    take : tuple
        What to index the array of the header unit with, to have two axes.
    axes : tuple of int
        The FITS axes (from 1) that are x and y.
    whole : bool
        The file must be decompressed as a whole.
    primary : Cards
        The primary header, which many surveys leave their zero point in.
    """

    path: Path | Url
    unit: HeaderUnit
    take: tuple[int | slice, ...]
    axes: tuple[int, int]
    whole: bool
    primary: Cards

    @property
    def title(self) -> str:
        """File and HDU, for messages."""
        return f"{self.path}, {self.unit.title}"

    @property
    def label(self) -> str:
        """Name of the file without its folder, and HDU."""
        return f"{self.path.name}[{self.unit.name or self.unit.index}]"

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        lengths = [
            n for n, t in zip(self.unit.shape, self.take, strict=True) if isinstance(t, slice)
        ]
        return lengths[0], lengths[1]

    @cached_property
    def scaling(self) -> Scaling | None:
        """The scaling of the pixels of `load`; None when they are values already."""
        return None if self.unit.kind == "compressed" else read_scaling(self.unit)

    @property
    def decoded_bytes(self) -> int:
        """Memory that the loaded plane occupies at most; 0 when it is mapped."""
        if not self.whole and self.unit.kind == "image" and not isinstance(self.path, Url):
            return 0
        # At least 4 bytes: scaled integers of 8 and 16 bits are decoded to float32.
        return self.shape[0] * self.shape[1] * max(abs(self.unit.bitpix) // 8, 4)

    @cached_property
    def header(self) -> Any:
        """The astropy header of the image."""
        if self.unit.kind == "compressed":
            with open_fits(self.path) as hdus:
                return hdus[self.unit.index].header
        # Like astropy: a byte beyond ASCII (the name of an observer) spoils its own card only.
        text = self.unit.cards.text.decode("ascii", "replace").replace("\ufffd", "?")
        return fits.Header.fromstring(text)

    def card(self, key: str) -> Any:
        """Value of a header card of the image, else of the primary header; None if absent."""
        value = self.unit.value(key)
        return self.primary.value(key) if value is None else value

    def load(self, data: bytes | bytearray | None = None) -> np.ndarray:
        """The stored numbers of the plane: mapped, or in memory for compressed files.

        Parameters
        ----------
        data : bytes, optional
            Content of the file, decompressed, where it has been read already.

        Raises
        ------
        ImageError
            If the file ends before its data do, or cannot be decoded.
        """
        if self.unit.kind == "compressed":
            source = self.path if data is None else data
            validate_streams(self.unit, self.path, source)
            with open_fits(source, path=self.path) as hdus, lock_decoder(self.unit):
                values = np.asarray(hdus[self.unit.index].section[self.take])
            if values.shape != self.shape:
                raise ImageError(f"The compressed image in {self.title} is damaged.")
            return values.astype(values.dtype.newbyteorder("="), copy=False)
        if data is not None:
            buffer: Any = data
        elif self.whole:
            buffer = decompress(read_bytes(self.path), self.path)
        else:
            self.validate_length()
            # The map outlives the file handle, of which a process has about a thousand; pages that
            # are not cut are never read.
            with open_regular(self.path) as stream:
                buffer = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        return view_stored(buffer, self.unit, self.path)[self.take]

    def validate_length(self) -> None:
        """Refuse a mapped file that has become shorter: reading beyond its end kills the process.

        Raises
        ------
        ImageError
            If its data end early, or the file cannot be found.
        """
        if self.decoded_bytes or isinstance(self.path, Url):
            return
        try:
            size = os.stat(self.path).st_size
        except OSError as error:
            raise ImageError(f"The file {self.path} cannot be read: {error.strerror}.") from error
        if size < self.unit.stop:
            raise truncation_error(self.unit, self.path, size)


def view_stored(buffer: Any, unit: HeaderUnit, path: Path | Url) -> np.ndarray:
    """View the numbers of an image inside a buffer, as they are stored.

    Raises
    ------
    ImageError
        If the buffer ends before the data.
    """
    if unit.stop > len(buffer):
        raise truncation_error(unit, path, len(buffer))
    # A view: nothing is copied, and of a mapped file nothing is read before pixels are cut.
    dtype = np.dtype(DTYPES[unit.bitpix])
    return np.frombuffer(buffer, dtype, math.prod(unit.shape), unit.start).reshape(unit.shape)


def find_plane(
    path: str | Path | Url,
    hdu: int | str | Mapping[str, Any] | None = None,
    plane: int | None = None,
) -> Plane:
    """Find an image plane, reading headers only.

    Parameters
    ----------
    path : str, Path or Url
        FITS file, plain, tile-compressed, gzip, bzip2 or xz.
    hdu : int, str or mapping, optional
        HDU number, EXTNAME or header cards; by default the first image with data.
    plane : int, optional
        Which plane of a cube.

    Raises
    ------
    ImageError
        Saying why the file holds no such image.
    """
    with _open_headers(keep_url(path)) as file:
        return file.select(hdu, plane)


def find_extensions(path: str | Path | Url, pattern: str, plane: int | None = None) -> list[Plane]:
    """Find the images of a file whose EXTNAME fits a pattern, such as all CCDs of a mosaic.

    Parameters
    ----------
    path : str, Path or Url
        FITS file.
    pattern : str
        ``"*"`` for all images, or ``"CCD*"``; not sensitive to case.
    plane : int, optional
        Which plane of each, if they are cubes.

    Raises
    ------
    ImageError
        If no image fits, or one cannot be used.
    """
    with _open_headers(keep_url(path)) as file:
        found = [u for u in file if u.is_image and fnmatch.fnmatch(u.name, pattern.upper())]
        if not found:
            raise ImageError(f"The file {path} has no image with a name like '{pattern}'.")
        return [file.select(unit.index, plane) for unit in found]


def find_mosaic(path: str | Path | Url, plane: int | None = None) -> list[Plane]:
    """Find the first image of a file, and all others that have celestial coordinates of their own.

    Parameters
    ----------
    path : str, Path or Url
        FITS file.
    plane : int, optional
        Which plane of each, if they are cubes.

    Raises
    ------
    ImageError
        If there is no image, or the first one cannot be used.
    """
    with _open_headers(keep_url(path)) as file:
        first = file.select(None, plane)
        others = [
            unit.index
            for unit in file
            if unit.index > first.unit.index
            and unit.is_image
            and len(unit.shape) == len(first.unit.shape)
            and str(unit.value("CTYPE1") or "").startswith(_CELESTIAL)
        ]
        return [first, *(file.select(number, plane) for number in others)]


def find_images(path: str | Path | Url) -> tuple[HeaderUnit, list[HeaderUnit]]:
    """Find all images of a file, reading headers only.

    Returns
    -------
    primary : HeaderUnit
        The first header.
    images : list of HeaderUnit
        Those with an image of two or more axes.

    Raises
    ------
    ImageError
        If the file is not FITS.
    """
    with _open_headers(keep_url(path)) as file:
        units = list(file)
    return units[0], [unit for unit in units if unit.is_image]


def find_planes(
    data: bytes | bytearray,
    path: Path | Url,
    requests: list[tuple[int | str | Mapping[str, Any] | None, int | None]],
    whole: bool = False,
) -> list[Plane]:
    """Find several planes, each an (hdu, plane) pair, in the decompressed bytes of one file."""
    return scan_planes(data, path, requests, whole)[0]


def scan_planes(
    data: bytes | bytearray,
    path: Path | Url,
    requests: list[tuple[int | str | Mapping[str, Any] | None, int | None]],
    whole: bool = False,
) -> tuple[list[Plane], list[HeaderUnit]]:
    """As `find_planes`, with all header units that were looked at to find them."""
    file = _Headers(scan_bytes(data, path), len(data), path, whole)
    return [file.select(hdu, plane) for hdu, plane in requests], file.scanned


@contextlib.contextmanager
def _open_headers(path: Path | Url) -> Iterator[_Headers]:
    with open_regular(path) as stream:
        if not is_compressed(stream):
            units, size = scan_file(stream, path)
            yield _Headers(units, size, path, False)
            return
    data = decompress(read_bytes(path), path)
    yield _Headers(scan_bytes(data, path), len(data), path, True)


def read_scaling(unit: HeaderUnit) -> Scaling | None:
    """Read the scaling of an image; None when the stored numbers are the values.

    Raises
    ------
    ImageError
        If BSCALE or BZERO is not a number.
    """
    scale, zero, blank = unit.value("BSCALE"), unit.value("BZERO"), unit.value("BLANK")
    try:
        scale = 1.0 if scale is None else float(scale)
        zero = 0.0 if zero is None else float(zero)
    except ValueError as error:
        raise ImageError(f"BSCALE or BZERO of {unit.title} is not a number.") from error
    if not isinstance(blank, int) or unit.bitpix < 0:
        blank = None
    if scale == 1 and zero == 0 and blank is None:
        return None
    return Scaling(unit.bitpix, scale, zero, blank)


class _Headers:
    """Header units of a file, which are scanned once, and only as far as they are needed."""

    def __init__(
        self, units: Iterator[HeaderUnit], size: int, path: Path | Url, whole: bool
    ) -> None:
        self._units = units
        self.scanned: list[HeaderUnit] = []
        self.size, self.path, self.whole = size, path, whole

    def __iter__(self) -> Iterator[HeaderUnit]:
        at = 0
        while True:
            if at == len(self.scanned):
                unit = next(self._units, None)
                if unit is None:
                    return
                self.scanned.append(unit)
            yield self.scanned[at]
            at += 1

    def select(self, hdu: int | str | Mapping[str, Any] | None, plane: int | None) -> Plane:
        """The image plane of an HDU; by default of the first image."""
        unit = select_unit(iter(self), hdu, self.path)
        if unit.stop > self.size:
            raise truncation_error(unit, self.path, self.size)
        validate_compression(unit, self.path)
        return _plane(self.path, unit, plane, self.whole, self.scanned[0].cards)


def _plane(
    path: Path | Url, unit: HeaderUnit, plane: int | None, whole: bool, first: Cards
) -> Plane:
    shape = unit.shape
    # Almost all images pass here; the checks below only explain why the others cannot be used.
    if len(shape) == 2 and plane in (None, 0) and 0 not in shape and unit.bitpix in DTYPES:
        return Plane(path, unit, _ALL, (1, 2), whole, first)
    location = f"{path}, {unit.title}"
    if unit.kind not in ("image", "compressed"):
        raise ImageError(f"There is a {unit.kind} and no image in {location}.", hint=_FIRST)
    if not shape or 0 in shape:
        raise ImageError(f"There are no data in {location}.", hint=_FIRST)
    if unit.bitpix not in DTYPES:
        raise ImageError(f"The pixel type BITPIX = {unit.bitpix} of {location} is not FITS.")
    if len(shape) < 2:
        raise ImageError(f"The data in {location} have one axis: a spectrum or list, not an image.")
    image_axes, fixed = _image_axes(shape, plane, location)
    take = tuple(slice(None) if a in image_axes else fixed.get(a, 0) for a in range(len(shape)))
    return Plane(
        path, unit, take, (len(shape) - image_axes[1], len(shape) - image_axes[0]), whole, first
    )


def _image_axes(
    shape: tuple[int, ...], plane: int | None, location: str
) -> tuple[list[int], dict[int, int]]:
    """The two axes of the image, and where to cut the axis of the bands."""
    # Axes of length 1 (frequency, Stokes) are common in radio images and mean nothing here.
    long = [axis for axis, n in enumerate(shape) if n > 1]
    if len(long) > 3:
        raise ImageError(f"The image in {location} has {len(long)} axes longer than one.")
    if len(long) < 3:
        if plane not in (None, 0):
            raise ImageError(f"The image in {location} has no plane {plane}.", allowed="0")
        # An image of one row or column has fewer long axes; x and y are then the last two.
        return long if len(long) == 2 else list(range(len(shape)))[-2:], {}
    # There are fewer bands than pixels a side, wherever the axis stands.
    bands = min(long, key=lambda axis: shape[axis])
    if plane is None:
        raise ImageError(
            f"The image in {location} is a cube of {shape[bands]} planes.",
            allowed=f"'plane' from 0 to {shape[bands] - 1} for the band",
        )
    if not 0 <= plane < shape[bands]:
        raise ImageError(
            f"The image in {location} has no plane {plane}.", allowed=f"0 to {shape[bands] - 1}"
        )
    return [axis for axis in long if axis != bands], {bands: plane}
