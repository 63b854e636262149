"""One stamp: planes of a FITS file, or channels of a picture (PNG, JPEG)."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from astrocnn.errors import ImageError
from astrocnn.fits_file import decompress, read_bytes
from astrocnn.header_units import Cards, HeaderUnit
from astrocnn.imaging.planes import (
    DTYPES,
    Plane,
    Scaling,
    find_planes,
    scan_planes,
    view_stored,
)
from astrocnn.remote import Url, keep_url, read_url

__all__ = [
    "MAX_BYTES",
    "PlaneRequest",
    "StampPlane",
    "StampReader",
    "decode_picture",
    "find_stamp_plane",
]

MAX_BYTES = 256 << 20
"""Largest stamp, decompressed [byte]: threads read several at once, and each as a whole."""
_PNG = b"\x89PNG"
_PICTURES = (b"\xff\xd8\xff", _PNG)


@dataclass(frozen=True)
class PlaneRequest:
    """A plane to read, and the key (channel, role) under which it is returned."""

    key: tuple[int, str]
    hdu: int | str | Mapping[str, Any] | None
    plane: int | None


@dataclass(frozen=True)
class StampPlane:
    """One plane of a file.

    Parameters
    ----------
    array : ndarray of shape (height, width)
        Pixels as stored.
    scaling : Scaling, optional
        How they become values.
    title : str
        For messages.
    card : callable
        Gives the value of a header card, None when absent.
    is_picture : bool
        Whether the file is a PNG or JPEG.
    derived : dict, optional
        What was computed from the headers: the same one for all files with the same headers.
    """

    array: np.ndarray
    scaling: Scaling | None
    title: str
    card: Callable[[str], Any]
    is_picture: bool = False
    derived: dict[int, Any] | None = None


class StampReader:
    """Reads planes of files that are mostly alike: the headers of one are those of the next.

    Headers are compared with those of the file before, and parsed anew where more than the values
    of some cards differs.

    Parameters
    ----------
    requests : list of PlaneRequest
    """

    def __init__(self, requests: list[PlaneRequest]) -> None:
        self.requests = requests
        self._layout: _Layout | None = None

    def read(self, path: str) -> dict[tuple[int, str], StampPlane]:
        """Read the planes of one file.

        Raises
        ------
        MissingFileError
            If there is no such file.
        ImageError
            If it is no image, is too large, is damaged, or lacks a plane.
        """
        data = _bytes(path)
        layout = self._layout
        if layout is not None and (alike := layout.read(data, path)) is not None:
            return alike
        if data.startswith(_PICTURES):
            return _read_picture(data, path, self.requests)
        place = keep_url(path)
        plain = decompress(data, place, MAX_BYTES)
        is_compressed = plain is not data
        wanted = [(w.hdu, w.plane) for w in self.requests]
        planes, units = scan_planes(plain, place, wanted, is_compressed)
        # Header cards may fit to an HDU behind those that were looked at.
        by_cards = any(isinstance(hdu, Mapping) for hdu, _ in wanted)
        if not (is_compressed or by_cards or any(p.unit.kind != "image" for p in planes)):
            self._layout = _Layout(data, self.requests, planes, units)
        result = {}
        for request, plane in zip(self.requests, planes, strict=True):
            if plane.unit.kind == "compressed":
                _validate_size(plane.decoded_bytes, plane.title)
                array = plane.load(plain)
            else:
                array = view_stored(plain, plane.unit, place)[plane.take]
            result[request.key] = StampPlane(array, plane.scaling, plane.title, plane.card)
        return result


class _Layout:
    """Where the planes of a file lie, for files with the same HDUs."""

    def __init__(
        self,
        data: bytes,
        requests: list[PlaneRequest],
        planes: list[Plane],
        units: list[HeaderUnit],
    ) -> None:
        self._headers = [(u.start - len(u.cards.text), u.start, u.cards) for u in units]
        self._stop = max([plane.unit.stop for plane in planes] + [u.start for u in units])
        self._planes = [
            (r.key, np.dtype(DTYPES[p.unit.bitpix]), math.prod(p.unit.shape), p, p.take == _FULL)
            for r, p in zip(requests, planes, strict=True)
        ]
        self._derived: dict[int, Any] = {}

    def read(self, data: bytes, path: str) -> dict[tuple[int, str], StampPlane] | None:
        """The planes of a file; None where its HDUs are others."""
        if len(data) < self._stop:
            return None
        derived: dict[int, Any] | None = self._derived
        found: list[Cards] = []
        for start, stop, cards in self._headers:
            text = data[start:stop]
            if text != cards.text:
                if not _has_same_layout(cards.text, text):
                    return None
                derived, cards = None, cards.replace(text)
            found.append(cards)
        result = {}
        for key, dtype, count, plane, is_full in self._planes:
            unit = plane.unit
            array = np.frombuffer(data, dtype, count, unit.start).reshape(unit.shape)
            card = partial(_get_card, found[unit.index], found[0])
            result[key] = StampPlane(
                array if is_full else array[plane.take],
                plane.scaling, f"{path}, {unit.title}", card, False, derived,
            )  # fmt: skip
        return result


_FULL = (slice(None), slice(None))
# What a header says of the place and form of data, and of the HDU itself.
_FORM = re.compile(
    rb"SIMPLE|XTENSION|BITPIX|NAXIS|PCOUNT|GCOUNT|GROUPS|TFIELDS|TFORM|THEAP|EXTNAME|EXTVER|EXTLEVEL"
    rb"|BSCALE|BZERO|BLANK|Z|END|CONTINUE"
)


def _has_same_layout(first: bytes, second: bytes) -> bool:
    """Whether two headers of one length differ in the values of cards without effect on data."""
    cards = [np.frombuffer(text, np.uint8).reshape(-1, 80) for text in (first, second)]
    # A keyword, or the sign behind it, that differs makes another header.
    if (cards[0][:, :10] != cards[1][:, :10]).any():
        return False
    changed = np.flatnonzero((cards[0] != cards[1]).any(axis=1)).tolist()
    return not any(_FORM.match(second, 80 * k) for k in changed)


def _get_card(cards: Cards, primary: Cards, key: str) -> Any:
    value = cards.value(key)
    return primary.value(key) if value is None else value


def find_stamp_plane(
    path: str, hdu: int | str | Mapping[str, Any] | None, number: int | None
) -> Plane | None:
    """Find an image plane with its header; None in a picture, which has none.

    Raises
    ------
    ImageError
        As for `StampReader.read`.
    """
    data = _bytes(path)
    if data.startswith(_PICTURES):
        return None
    place = keep_url(path)
    plain = decompress(data, place, MAX_BYTES)
    return find_planes(plain, place, [(hdu, number)], plain is not data)[0]


def _bytes(path: str) -> bytes:
    data = read_url(path, MAX_BYTES) if isinstance(path, Url) else read_bytes(path, MAX_BYTES)
    if not data:
        raise ImageError(f"The file {path} is empty.")
    return data


def _validate_size(n_bytes: int, title: str) -> None:
    if n_bytes > MAX_BYTES:
        raise ImageError(
            f"The image in {title} is too large for a stamp.",
            received=f"{n_bytes} bytes",
            allowed=f"{MAX_BYTES} bytes",
        )


def _pixels(picture: Image.Image) -> np.ndarray:
    """Pixels of shape (height, width, channels); NaN where the picture is transparent."""
    transparent = None
    if "A" in picture.getbands() or "transparency" in picture.info:
        transparent = np.asarray(picture.convert("RGBA"))[..., 3] == 0
    # Palettes and other color spaces become RGB; gray images keep their type, 16 bits included.
    if picture.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV", "RGBA", "LA", "1"):
        pixels = np.asarray(picture.convert("L" if picture.mode in ("LA", "1") else "RGB"))
    else:
        pixels = np.asarray(picture)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if transparent is not None and transparent.any():
        pixels = pixels.astype(np.float32)
        pixels[transparent] = np.nan
    return pixels


def decode_picture(data: bytes, path: str | Path | Url) -> np.ndarray:
    """Decode a PNG or JPEG picture.

    Parameters
    ----------
    data : bytes
    path : path
        For messages.

    Returns
    -------
    ndarray of shape (height, width, channels)
        NaN where it is transparent.

    Raises
    ------
    ImageError
        If it is no such picture, is too large, is damaged, or would lose bits.
    """
    # Bytes 24 and 25 of a PNG are the bit depth and the color type: color, or with transparency.
    if (
        data.startswith(_PNG)
        and data[24:25] == b"\x10"
        and data[25:26] in (b"\x02", b"\x04", b"\x06")
    ):
        # Pillow keeps only the upper 8 of the 16 bits and gives no warning.
        raise ImageError(
            f"The picture {path} has 16 bits a color, of which 8 would be lost.",
            allowed="PNG of 8 bits a color, gray PNG of 16 bits, or FITS",
        )
    try:
        # Only the two decoders by whose first bytes the file was recognized; the others are many.
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture,
        ):
            # The size that the header states, before memory is taken for it.
            _validate_size(4 * picture.width * picture.height, str(path))
            pixels = _pixels(picture)
    except ImageError:
        raise
    except Exception as error:  # every decoder raises its own types
        raise ImageError(f"The picture {path} is truncated or damaged ({error}).") from error
    return pixels


def _read_picture(
    data: bytes, path: str, requests: list[PlaneRequest]
) -> dict[tuple[int, str], StampPlane]:
    pixels = decode_picture(data, path)
    channels = pixels.shape[2]
    images = [w for w in requests if w.key[1] == "image"]
    result = {}
    for request in requests:
        plane = request.plane
        if plane is None:
            # Bands that share a picture and name no channel are its channels in order.
            plane = images.index(request) if request in images and len(images) == channels else 0
            if channels > 1 and len(images) != channels:
                raise ImageError(
                    f"The picture {path} has {channels} color channels.",
                    allowed="'plane' 0 (red), 1 (green) or 2 (blue) for each band",
                )
        if channels == 1 and 0 <= plane < 3:
            plane = 0  # a gray picture among color ones
        if not 0 <= plane < channels:
            raise ImageError(
                f"The picture {path} has no channel {plane}.", allowed=f"0 to {channels - 1}"
            )
        result[request.key] = StampPlane(pixels[..., plane], None, path, lambda key: None, True)
    return result
