"""The planes of one small file, FITS or picture, read in one go and closed at once."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from astrocnn.errors import ImageError
from astrocnn.imaging.hdus import unpacked
from astrocnn.imaging.planes import Plane, Scaling, planes_in, stored

__all__ = ["StampFile", "StampPlane", "Wanted"]

_PICTURES = (b"\xff\xd8\xff", b"\x89PNG")


@dataclass(frozen=True)
class Wanted:
    """A plane asked for, under a key of the caller."""

    key: tuple[int, str]
    hdu: int | str | Mapping[str, Any] | None
    plane: int | None


@dataclass(frozen=True)
class StampPlane:
    """Pixels as stored, and how to make values of them."""

    array: np.ndarray
    scaling: Scaling | None
    title: str
    card: Callable[[str], Any]
    is_picture: bool = False


class StampFile:
    """Reading of one file."""

    @staticmethod
    def read(path: str, wanted: list[Wanted]) -> dict[tuple[int, str], StampPlane]:
        """Read the planes asked for.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ImageError
            If it is no image, is damaged, or lacks a plane.
        """
        data = _bytes(path)
        if data.startswith(_PICTURES):
            return _picture(data, path, wanted)
        return _fits(data, Path(path), wanted)

    @staticmethod
    def plane(
        path: str, hdu: int | str | Mapping[str, Any] | None, number: int | None
    ) -> Plane | None:
        """An image plane with its header; None in a picture, which has none.

        Raises
        ------
        FileNotFoundError, ImageError
            As for `read`.
        """
        data = _bytes(path)
        if data.startswith(_PICTURES):
            return None
        plain = unpacked(data, Path(path))
        return planes_in(plain, Path(path), [(hdu, number)], plain is not data)[0]


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except (IsADirectoryError, NotADirectoryError) as error:
        raise FileNotFoundError(path) from error
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise ImageError(f"The file {path} cannot be read ({error}).") from error
    if not data:
        raise ImageError(f"The file {path} is empty.")
    return data


def _fits(data: bytes, path: Path, wanted: list[Wanted]) -> dict[tuple[int, str], StampPlane]:
    plain = unpacked(data, path)
    whole = plain is not data
    found = planes_in(plain, path, [(w.hdu, w.plane) for w in wanted], whole)
    result = {}
    for one, plane in zip(wanted, found, strict=True):
        if plane.unit.kind == "compressed":
            array = plane.load()
        else:
            array = stored(plain, plane.unit, path)[plane.take]
        result[one.key] = StampPlane(array, plane.scaling, plane.title, plane.card)
    return result


def _picture(data: bytes, path: str, wanted: list[Wanted]) -> dict[tuple[int, str], StampPlane]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as opened:
            picture: Image.Image = opened
            if picture.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV", "RGBA", "LA", "1"):
                picture = picture.convert("L" if picture.mode in ("LA", "1") else "RGB")
            pixels = np.asarray(picture)
    except Exception as error:  # the decoders raise a score of different kinds
        raise ImageError(f"The picture {path} is truncated or damaged ({error}).") from error
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    channels = pixels.shape[2]
    images = [w for w in wanted if w.key[1] == "image"]
    result = {}
    for one in wanted:
        plane = one.plane
        if plane is None:
            # Bands that share a picture and name no channel are its channels in order.
            plane = images.index(one) if one in images and len(images) == channels else 0
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
        result[one.key] = StampPlane(pixels[..., plane], None, path, lambda key: None, True)
    return result
