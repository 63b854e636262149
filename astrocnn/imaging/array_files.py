"""Images of all objects in arrays of files: one object after another along the first axis.

What differs between formats is how an array of a file is opened; see the files of the kinds
``"npy"``, ``"hdf5"``, ``"zarr"`` and ``"parquet"`` in `astrocnn.imaging.sources`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from astrocnn.errors import CatalogError, ConfigError, ImageError, MissingFileError
from astrocnn.fits_file import MAX_MEMORY
from astrocnn.flags import Flag
from astrocnn.imaging import photometry
from astrocnn.imaging.cutouts import (
    Cutouts,
    allocate_stack,
    build_decoder,
    compute_flags,
    copy_windows,
    count_overlap,
    drop_infinite,
    find_bad_pixels,
)
from astrocnn.imaging.files import compute_digest, compute_state, find_files
from astrocnn.imaging.source import DisplayedSource, Source
from astrocnn.imaging.survey import Band, Survey
from astrocnn.remote import Url

__all__ = ["ArrayFileSource", "OpenArray", "build_source"]

OpenArray = Callable[[Path | Url, str | None], Any]
"""File and name of an array in it -> what has a shape and a dtype, and takes sorted rows.

What the array is read from is the file, or what the array calls its `files`.
"""
BLOCK_BYTES = 1 << 26
MAX_BYTES = 256 << 20
"""Largest image of an object, with all its channels [byte]."""
MAX_PROBLEMS = 20
_OPTIONS = ("row", "match")


def build_source(open_array: OpenArray, remote: bool = False) -> Callable[..., Source]:
    """Build what `astrocnn.imaging.open_source` calls for the files of a format.

    Parameters
    ----------
    open_array : callable
        Opens an array of a file; raises `ImageError` where that or reading it later fails.
    remote : bool
        Whether it opens addresses, too.
    """

    def source(
        survey: Survey,
        *,
        ra: npt.ArrayLike | None,
        dec: npt.ArrayLike | None,
        columns: Mapping[str, npt.ArrayLike],
        size: int,
        **options: int,
    ) -> ArrayFileSource:
        """Open the arrays of a survey; see `ArrayFileSource`."""
        return ArrayFileSource(survey, columns, size, open_array, remote)

    # The name of the format is that of the file whose arrays are opened.
    source.__module__, source.__qualname__ = open_array.__module__, "source"
    return source


@dataclass(frozen=True)
class _Plane:
    """The images of one band: arrays that follow each other, and the channel in them."""

    key: tuple[str, ...]
    arrays: list[Any]
    channel: tuple[int, int] | None
    """Axis of an image, and place along it."""
    shape: tuple[int, int]

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Images of sorted, different rows, with all their channels."""
        ends = np.cumsum([len(array) for array in self.arrays])
        parts = []
        for array, end in zip(self.arrays, ends, strict=True):
            own = rows[(rows >= end - len(array)) & (rows < end)] - (end - len(array))
            if len(own):
                parts.append(np.asarray(array[own]))
        return np.concatenate(parts)

    def select(self, images: np.ndarray) -> np.ndarray:
        """Of images with all channels the one of this plane: shape (n, height, width)."""
        if self.channel is None:
            return images
        axis, place = self.channel
        return np.take(images, place, axis=axis + 1)


class ArrayFileSource(DisplayedSource):
    """Cutouts of objects whose images are in arrays of one or several files.

    The arrays have the axes (object, y, x), or one more of a few channels, of which ``plane`` of a
    band names one; without it, bands of one array are its channels in order.  Several files follow
    each other.  An image of another size is cropped or padded about its center, and flagged.

    Parameters
    ----------
    survey : Survey
        ``hdu`` of a band (and of its masks) names the array in the file.  Of its options ``row`` is
        a column of the catalogue with the places in the array, counted from 0, and ``match`` a
        column by which objects are looked up in an array of the same name; without either, the
        rows of the catalogue are those of the array.
    columns : mapping of str to array of shape (n,)
        Columns of the catalogue.
    size : int
        Side of the cutouts [pixel].
    open_array : callable
        Opens an array of a file.
    remote : bool
        Whether it opens addresses, too.

    Attributes
    ----------
    problems : list of str
        Messages on the first images that could not be read, at most 20.

    Raises
    ------
    ConfigError
        If the survey asks for what arrays do not have, or the catalogue has not as many rows.
    ImageError
        If a file is missing, damaged, or has no such array.
    """

    def __init__(
        self,
        survey: Survey,
        columns: Mapping[str, npt.ArrayLike],
        size: int,
        open_array: OpenArray,
        remote: bool = False,
    ) -> None:
        _validate_survey(survey)
        self.survey, self.size = survey, size
        self.bands, self.unit = survey.band_names, survey.common_unit
        self.pixel_scale = survey.pixel_scale
        self.problems: list[str] = []
        self._files: dict[Path | Url, None] = {}
        self._image_files: list[Path | Url] = []
        self._open, self._remote = open_array, remote
        opened: dict[tuple[str, ...], list[Any]] = {}
        self._planes = [
            {role: self._open_plane(band, role, opened) for role in band.planes()}
            for band in survey.bands
        ]
        lengths = {
            sum(len(array) for array in plane.arrays)
            for planes in self._planes
            for plane in planes.values()
        }
        if len(lengths) != 1:
            raise ImageError(
                f"The arrays of the survey '{survey.name}' hold different numbers of objects.",
                received=sorted(lengths),
            )
        row_bytes = max(_count_bytes(one[0]) for one in opened.values())
        self._block = max(1, BLOCK_BYTES // row_bytes)
        self._index = self._find_rows(columns, lengths.pop())
        area = None if survey.pixel_scale is None else np.radians(survey.pixel_scale / 3600) ** 2
        self._factors = [
            photometry.compute_factor(survey.unit, b.unit, _zero_point(b), area) * b.flux_scale
            for b in survey.bands
        ]

    def __len__(self) -> int:
        return len(self._index)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the survey, of the places of the objects, and of samples of the files."""
        return compute_digest((self.survey, self._index.tolist()), self._files)

    def state(self, rows: npt.ArrayLike) -> str:
        """Digest of the lengths and times of the files."""
        return compute_state(self._files)

    def order(self) -> np.ndarray:
        """Rows by their place in the arrays."""
        return np.argsort(self._index, kind="stable").astype(np.int64)

    def read(self, rows: npt.ArrayLike, out: np.ndarray | None = None) -> Cutouts:
        """Read the given rows, in their order."""
        rows = np.asarray(rows, np.int64)
        shape = (len(rows), self.size, self.size, len(self.bands))
        images = allocate_stack(shape, out)
        images[...] = np.nan
        places = self._index[rows]
        outside = np.zeros((len(rows), len(self.bands)), np.int64)
        unreadable = np.zeros(len(rows), bool)
        found = np.flatnonzero(places >= 0)
        found = found[np.argsort(places[found], kind="stable")]
        for start in range(0, len(found), self._block):
            block = found[start : start + self._block]
            unreadable[self._try_fill(images, outside, block, places)] = True
        counts = drop_infinite(images)
        covered = np.repeat((places >= 0)[:, None], len(self.bands), axis=1)
        flags = compute_flags(counts, np.minimum(outside, counts), self.size**2, covered)
        flags[places < 0] &= ~np.int32(Flag.NO_COVERAGE.value)
        flags[places < 0] |= Flag.FILE_MISSING.value
        flags[unreadable] = Flag.FILE_UNREADABLE.value | Flag.BAND_MISSING.value
        if any(p["image"].shape != (self.size, self.size) for p in self._planes):
            flags[(places >= 0) & ~unreadable] |= Flag.SIZE_MISMATCH.value
        return Cutouts(images, flags, (counts / self.size**2).astype(np.float32))

    def _try_fill(
        self, images: np.ndarray, outside: np.ndarray, into: np.ndarray, places: np.ndarray
    ) -> list[int]:
        """As `_fill`; the rows of a stack whose images are damaged."""
        try:
            self._fill(images, outside, into, places)
        except MissingFileError:
            raise
        except ImageError as error:
            if len(into) > 1:
                # The damage is in one of the objects: all others have their images.
                ones = np.split(into, len(into))
                return [i for one in ones for i in self._try_fill(images, outside, one, places)]
            images[into] = np.nan
            if len(self.problems) < MAX_PROBLEMS:
                self.problems.append(str(error))
            return [int(i) for i in into]
        return []

    def _fill(
        self, images: np.ndarray, outside: np.ndarray, into: np.ndarray, places: np.ndarray
    ) -> None:
        """Fill some rows of a stack, whose places are ascending."""
        unique, back = np.unique(places[into], return_inverse=True)
        # Bands and masks in one array are read together.
        read: dict[tuple[str, ...], np.ndarray] = {}
        for b, (band, planes) in enumerate(zip(self.survey.bands, self._planes, strict=True)):
            decode = build_decoder(None, band.valid_range)
            height, width = planes["image"].shape
            x, y = (np.array([(n - self.size) // 2]) for n in (width, height))
            inside = count_overlap(x, self.size, width) * count_overlap(y, self.size, height)
            outside[into, b] = self.size**2 - inside
            selected = {}
            for role, plane in planes.items():
                if plane.key not in read:
                    read[plane.key] = plane.read(unique)
                selected[role] = plane.select(read[plane.key])
            for k, row in zip(back.tolist(), into.tolist(), strict=True):
                values = selected["image"][k]
                bad = np.zeros(values.shape, bool)
                for role in planes.keys() - {"image"}:
                    bad |= find_bad_pixels(role, selected[role][k], band)
                if bad.any():
                    values = np.where(bad, np.nan, values)
                target = images[row : row + 1, :, :, b]
                copy_windows(values, x, y, target, decode=decode, factor=self._factors[b])

    def _open_plane(
        self, band: Band, role: str, opened: dict[tuple[str, ...], list[Any]]
    ) -> _Plane:
        patterns, name = band.planes()[role]
        found = find_files(patterns, f"the {role} of band '{band.name}'")
        arrays: list[Any] = []
        key: list[str] = []
        for path, own in found:
            chosen = own if name is None else name
            is_away = isinstance(path, Url) and not self._remote
            if is_away or not (chosen is None or isinstance(chosen, str)):
                raise ConfigError(
                    f"The {role} of band '{band.name}' cannot be read.",
                    received=f"{path}, hdu = {chosen!r}",
                    allowed="a file on this machine, and the name of an array in it as 'hdu'"
                    if is_away
                    else "the name of an array in the file as 'hdu'",
                )
            one = (str(path), chosen or "")
            key += one
            if one not in opened:
                opened[one] = [_validate_array(self._open(path, chosen), path)]
            arrays += opened[one]
            self._files.update(dict.fromkeys(getattr(opened[one][0], "files", [path])))
            if band is self.survey.bands[0] and role == "image":
                self._image_files.append(path)
        shapes = {array.shape[1:] for array in arrays}
        if len(shapes) != 1:
            raise ImageError(
                f"The images of the arrays of band '{band.name}' ({role}) differ in size.",
                received=sorted(map(str, shapes)),
            )
        channel, shape = self._choose_channel(band, role, shapes.pop(), tuple(key))
        return _Plane(tuple(key), arrays, channel, shape)

    def _choose_channel(
        self, band: Band, role: str, shape: tuple[int, ...], key: tuple[str, ...]
    ) -> tuple[tuple[int, int] | None, tuple[int, int]]:
        if len(shape) == 2:
            return None, (shape[0], shape[1])
        # There are fewer channels than pixels a side, wherever their axis stands.
        axis = int(np.argmin(shape))
        rest = tuple(n for k, n in enumerate(shape) if k != axis)
        place = band.plane
        if place is None:
            alike = [
                b.name for b in self.survey.bands if b.planes().get(role) == band.planes()[role]
            ]
            place = alike.index(band.name) if len(alike) == shape[axis] else None
        if place is None or not 0 <= place < shape[axis]:
            raise ConfigError(
                f"The {role} of band '{band.name}' is in an array of {shape[axis]} channels.",
                received=f"plane = {place}",
                allowed=f"'plane' from 0 to {shape[axis] - 1}",
            )
        return (axis, place), (rest[0], rest[1])

    def _find_rows(self, columns: Mapping[str, npt.ArrayLike], length: int) -> np.ndarray:
        """Place of each object in the arrays; -1 without one."""
        sizes = {len(np.asarray(values)) for values in columns.values()}
        if len(sizes) > 1:
            raise CatalogError("The columns of the catalogue have different lengths.")
        n = sizes.pop() if sizes else length
        for option in _OPTIONS:
            name = self.survey.options.get(option)
            if name is not None and name not in columns:
                raise ConfigError(
                    f"The survey '{self.survey.name}' names a column that the catalogue lacks.",
                    received=f"{option} = {name!r}",
                    allowed=list(columns),
                )
        if (name := self.survey.options.get("row")) is not None:
            places: np.ndarray = np.ma.filled(np.ma.asarray(columns[name]), -1)
            if places.dtype.kind not in "iu":
                raise ConfigError(f"The column '{name}' holds no integers.", received=places.dtype)
            return np.where((places >= 0) & (places < length), places, -1).astype(np.int64)
        if (name := self.survey.options.get("match")) is not None:
            return self._match(np.asarray(columns[name]), name)
        if n != length:
            raise ConfigError(
                f"The arrays of the survey '{self.survey.name}' hold {length} objects and the "
                f"catalogue {n}.",
                hint="options = {row = 'COLUMN'} names the column with the place of each object",
            )
        return np.arange(n, dtype=np.int64)

    def _match(self, wanted: np.ndarray, name: str) -> np.ndarray:
        """Places of objects by their identifiers."""
        arrays = [self._open(path, name) for path in self._image_files]
        for array, path in zip(arrays, self._image_files, strict=True):
            if len(array.shape) not in (1, 2) or _count_bytes(array) * len(array) > MAX_MEMORY:
                raise ImageError(
                    f"The array '{name}' of {path} holds no identifiers.",
                    received=f"{array.dtype} of shape {tuple(array.shape)}",
                )
        parts = [np.asarray(array[:]) for array in arrays]
        stored = _as_text(np.concatenate([part.ravel() for part in parts]))
        order = np.argsort(stored, kind="stable")
        ascending = stored[order]
        if (ascending[1:] == ascending[:-1]).any():
            raise ImageError(f"Identifiers occur twice in the array '{name}'.")
        wanted = _as_text(wanted)
        at = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
        return np.where(ascending[at] == wanted, order[at], -1).astype(np.int64)


def _as_text(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "SO":
        return values.astype(str)
    texts = (v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values.tolist())
    return np.array([str(text) for text in texts], dtype=np.str_)


def _zero_point(band: Band) -> float | None:
    if isinstance(band.zero_point, str):
        raise ConfigError(
            f"Arrays have no header, so the zero point of band '{band.name}' must be a number.",
            received=band.zero_point,
        )
    return band.zero_point


def _validate_survey(survey: Survey) -> None:
    if survey.crop is not None:
        raise ConfigError(
            f"The survey '{survey.name}' is not usable: crop applies to stamps only.",
            received=f"crop = {survey.crop} with kind = '{survey.kind}'",
        )
    unknown = sorted(set(survey.options) - set(_OPTIONS))
    if unknown:
        raise ConfigError(
            f"The survey '{survey.name}' has unknown options.", received=unknown, allowed=_OPTIONS
        )


def _count_bytes(array: Any) -> int:
    """Bytes of the image of one object."""
    return math.prod(array.shape[1:]) * int(array.dtype.itemsize)


def _validate_array(array: Any, path: Path | Url) -> Any:
    if len(array.shape) not in (3, 4) or array.dtype.kind not in "fiub" or 0 in array.shape:
        raise ImageError(
            f"An array in {path} holds no images.",
            received=f"{array.dtype} of shape {tuple(array.shape)}",
            allowed="numbers with the axes (object, y, x), and perhaps one of channels",
        )
    if _count_bytes(array) > MAX_BYTES:
        raise ImageError(
            f"The images of an array in {path} are too large.",
            received=f"{_count_bytes(array)} bytes each",
            allowed=f"{MAX_BYTES} bytes",
        )
    return array
