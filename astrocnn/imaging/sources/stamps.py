"""Cutouts from small files, one per object or per object and band."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from astrocnn.errors import CatalogError, ConfigError, ImageError, MissingFileError
from astrocnn.flags import Flag
from astrocnn.imaging import photometry
from astrocnn.imaging.cutout_wcs import build_window_wcs
from astrocnn.imaging.cutouts import (
    Cutouts,
    allocate_stack,
    build_decoder,
    compute_flags,
    copy_windows,
    drop_infinite,
    find_bad_pixels,
)
from astrocnn.imaging.files import (
    FileTemplate,
    compute_digest,
    compute_state,
    sample_rows,
    split_hdu,
)
from astrocnn.imaging.resampling import resize
from astrocnn.imaging.sky_grid import SkyGrid, read_pixel_scale
from astrocnn.imaging.source import DisplayedSource
from astrocnn.imaging.stamp_file import PlaneRequest, StampPlane, StampReader, find_stamp_plane
from astrocnn.imaging.survey import Hdu, Survey
from astrocnn.plugins import nearest
from astrocnn.remote import CONNECTIONS, Url, keep_url
from astrocnn.scheduling import count_threads
from astrocnn.stored_files import compute_array_digest

__all__ = ["StampSource", "source"]

BLOCK = 32
# The first ones show what is wrong; a survey without its files has a million.
MAX_PROBLEMS = 20


def source(
    survey: Survey,
    *,
    ra: npt.ArrayLike | None,
    dec: npt.ArrayLike | None,
    columns: Mapping[str, npt.ArrayLike],
    size: int,
    **options: int,
) -> StampSource:
    """Open the stamps of a survey; see `StampSource` for the options."""
    return StampSource(survey, columns, size, **options)


class StampSource(DisplayedSource):
    """Cutouts of objects that have files of their own.

    The central `Survey.crop` pixels are taken (all of it without `crop`), padded with NaN when
    the file is smaller, and brought to the size of the cutouts by averaging over the area of
    the new pixels.  Without `crop` a file of another size is cropped or padded, and flagged.
    Fluxes of FITS files are conserved; color pictures keep their values.

    Parameters
    ----------
    survey : Survey
        With ``kind = "stamps"``.
    columns : mapping of str to array of shape (n,)
        Catalogue columns that the file names are made of.
    size : int
        Side of the cutouts [pixel].

    workers : int, optional
        Threads; by default one per CPU core of this process, at most 8.

    Attributes
    ----------
    problems : list of str
        Messages on the first files that could not be read, at most 20.

    Raises
    ------
    ConfigError
        If a file name needs a column that is not there.
    """

    def __init__(
        self,
        survey: Survey,
        columns: Mapping[str, npt.ArrayLike],
        size: int = 64,
        *,
        workers: int | None = None,
    ) -> None:
        self.survey = survey
        self.size = size
        self.bands = survey.band_names
        self.unit = survey.common_unit
        self._files = _build_readers(survey)
        self._roles = [tuple(band.planes()) for band in survey.bands]
        # A server takes long for each answer, but gives many at a time.
        self._is_remote = any(template.is_remote for template in self._files)
        usual = CONNECTIONS if self._is_remote else min(8, count_threads())
        self.workers = workers or usual
        self.problems: list[str] = []
        # Rows are read by several threads, which note problems in one list.
        self._lock = threading.Lock()
        # Side of the part of the file that is used, in pixels of the file.
        self._side = survey.crop or size
        self.pixel_scale = (
            None if survey.pixel_scale is None else survey.pixel_scale * self._side / size
        )
        self._columns = _used_columns(self._files, columns, survey.name)
        lengths = {len(np.asarray(values)) for values in columns.values()}
        if len(lengths) != 1:
            raise CatalogError("The columns of the catalogue have different lengths.")
        self._length = lengths.pop()
        self._units = self._find_units()
        if self.unit is None:
            self.unit = survey.combine_units(
                (band, unit, f"band '{band.name}'")
                for band, unit in zip(survey.bands, self._units, strict=True)
            )
        self._area = None
        if survey.pixel_scale is not None:
            self._area = float(np.radians(survey.pixel_scale / 3600) ** 2)
        # Where the zero point is in the headers, this is the factor for zero point 0.
        self._factors = [
            photometry.compute_factor(
                survey.unit,
                b.unit,
                0.0 if isinstance(b.zero_point, str) else b.zero_point,
                self._area,
            )
            * b.flux_scale
            for b in survey.bands
        ]

    def __len__(self) -> int:
        return self._length

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the survey, of the columns that name the files, and of samples of some."""
        names = compute_array_digest(self._columns.values(), repr(list(self._columns)))
        rows = sample_rows(self._length)
        files = [t.fill(self._values(int(row))) for row in rows for t in self._files]
        return compute_digest((self.survey, names), files)

    def state(self, rows: npt.ArrayLike) -> str:
        """Digest of the lengths and times of the files of some rows."""
        values = [self._values(int(row)) for row in np.asarray(rows, np.int64)]
        return compute_state(template.fill(v) for v in values for template in self._files)

    def order(self) -> np.ndarray:
        """Rows as they are, or rows of the same file together when files are shared."""
        # A column without repetition names a file for each row.
        keys = [np.unique(v, return_inverse=True)[1] for v in self._columns.values()]
        if not keys or any(len(k) and k.max() == len(k) - 1 for k in keys):
            return np.arange(self._length, dtype=np.int64)
        return np.lexsort(keys).astype(np.int64)

    def read(self, rows: npt.ArrayLike, out: np.ndarray | None = None) -> Cutouts:
        """Read the given rows, in their order.

        Parameters
        ----------
        rows : array of shape (n,)
            Row numbers.
        out : ndarray of shape (n, size, size, n_bands), optional
            Contiguous float32 array to write to, which saves allocating one for each chunk.
        """
        rows = np.asarray(rows, np.int64)
        size = self.size
        images = allocate_stack((len(rows), size, size, len(self.bands)), out)
        flags = np.zeros(len(rows), np.int32)
        outside = np.zeros((len(rows), len(self.bands)), np.int64)
        covered = np.ones(outside.shape, bool)

        step = 1 if self._is_remote else BLOCK

        def block(start: int) -> None:
            for i in range(start, min(start + step, len(rows))):
                flags[i], covered[i] = self._row(int(rows[i]), images[i], outside[i])

        # Threads are faster here: opening files waits for the disk, and decoders release the GIL.
        starts = range(0, len(rows), step)
        if self.workers == 1 or len(rows) <= step:
            for start in starts:
                block(start)
        else:
            with ThreadPoolExecutor(self.workers) as pool:
                list(pool.map(block, starts))
        counts = drop_infinite(images)
        # A pixel that has no data and is not a hole lies outside the file.
        outside = np.where(outside < 0, counts, np.minimum(outside, counts))
        # Images that are absent altogether were flagged as missing or unreadable files in `_row`.
        derived = compute_flags(counts, outside, size * size, covered)
        flags |= derived & ~np.int32(Flag.NO_COVERAGE.value)
        return Cutouts(images, flags, (counts / size**2).astype(np.float32))

    def path(self, row: int) -> Path | Url:
        """The first file of a row."""
        return keep_url(next(iter(self._files)).fill(self._values(row)))

    def wcs(self, row: int) -> WCS | None:
        """Celestial WCS of the cutout of a row, by its file; None where the file has none."""
        key = (self.survey.reference_index, "image")
        template, request = next(
            (template, request)
            for template, reader in self._files.items()
            for request in reader.requests
            if request.key == key
        )
        try:
            path = template.fill(self._values(row))
            plane = find_stamp_plane(path, request.hdu, request.plane)
            if plane is None:
                return None
            grid = SkyGrid.from_plane(plane)
        except ImageError:
            return None
        height, width = grid.shape
        side = self._side
        # The same rounding as in `_band`, or coordinates would be off by a pixel.
        corner = ((width - side) // 2, (height - side) // 2)
        return build_window_wcs(grid, *corner, self.size, side / self.size)

    def _find_units(self) -> list[str | None]:
        """The unit of each band, where the survey names none that of the first files found."""
        bands = self.survey.bands
        units = [self.survey.unit or band.unit for band in bands]
        if None not in units:
            return units
        for row in sample_rows(self._length):
            values = self._values(int(row))
            planes: dict[tuple[int, str], StampPlane] = {}
            try:
                for template, reader in self._files.items():
                    planes.update(reader.read(template.fill(values)))
            except ImageError:
                continue
            main = [planes[b, "image"] for b in range(len(bands))]
            return [
                unit if file.is_picture else band.choose_unit(file.card("BUNIT"), None, file.title)
                for unit, file, band in zip(units, main, bands, strict=True)
            ]
        return units

    def _values(self, row: int) -> dict[str, object]:
        return {name: _plain(values[row]) for name, values in self._columns.items()}

    def _row(self, row: int, image: np.ndarray, outside: np.ndarray) -> tuple[int, np.ndarray]:
        """Fill one image; -1 in `outside` means that all missing pixels are padding."""
        values = self._values(row)
        flags = 0
        planes: dict[tuple[int, str], StampPlane] = {}
        missing = unreadable = 0
        for template, reader in self._files.items():
            path = template.fill(values)
            try:
                planes.update(reader.read(path))
            # One missing file is a flag of its row and no end of the run.
            except MissingFileError as error:
                missing += 1
                self._note(str(error))
            except ImageError as error:
                unreadable += 1
                self._note(str(error))
        covered = np.zeros(len(self.bands), bool)
        for b in range(len(self.bands)):
            planned = self._roles[b]
            # An image without its mask is not used: bad pixels would pass for good ones.
            if any((b, role) not in planes for role in planned):
                image[:, :, b] = np.nan
                continue
            try:
                flags |= self._band(b, {r: planes[b, r] for r in planned}, image[:, :, b], outside)
                covered[b] = True
            except ImageError as error:
                unreadable += 1
                self._note(str(error))
                image[:, :, b] = np.nan
        # With a band left the row is usable, and BAND_MISSING says what is absent.
        if not covered.any():
            flags |= Flag.FILE_UNREADABLE.value if unreadable else Flag.FILE_MISSING.value
        return flags, covered

    def _band(
        self, b: int, files: dict[str, StampPlane], out: np.ndarray, outside: np.ndarray
    ) -> int:
        band = self.survey.bands[b]
        main = files["image"]
        height, width = main.array.shape
        side, size = self._side, self.size
        # The central pixels; negative where the file is smaller, which pads it with NaN.
        x0, y0 = (width - side) // 2, (height - side) // 2
        first = (np.array([x0]), np.array([y0]))
        # Of files with the same headers this is done once.
        derived = None if main.derived is None else main.derived.get(b)
        if derived is None:
            derived = self._derive(b, main)
            if main.derived is not None:
                main.derived[b] = derived
        unit, factor, decode = derived
        direct = side == size
        window = out[None] if direct else np.empty((1, side, side))
        # The usual case, a file of the right size, is one copy.
        if direct and main.array.shape == out.shape and decode is None and factor == 1:
            with np.errstate(over="ignore", invalid="ignore"):
                out[...] = main.array
        else:
            copy_windows(main.array, *first, window, decode=decode, factor=factor)
        for role, file in files.items():
            if role == "image":
                continue
            if file.array.shape != (height, width):
                raise ImageError(
                    f"The {role} plane has another size than the image in {file.title}.",
                    received=file.array.shape,
                    allowed=(height, width),
                )
            values = file.array if file.scaling is None else file.scaling(file.array)
            bad = np.zeros((1, side, side), bool)
            # Nothing is marked outside the file, where pixels are NaN already.
            copy_windows(find_bad_pixels(role, values, band), *first, bad, fill=0)
            window[bad] = np.nan
        padded = x0 < 0 or y0 < 0
        if padded:
            low, left = max(0, -y0), max(0, -x0)
            part = window[0, low : low + height, left : left + width]
            # Flags ask only whether there are padding and holes, and not for their numbers.
            outside[b] = -1 if np.isfinite(part).all() else 1
        if not direct:
            values = resize(np.where(np.isfinite(window[0]), window[0], np.nan), size)
            # Pictures hold brightness for the eye, FITS pixels hold flux.
            surface = photometry.is_surface_brightness(self.survey.unit or unit)
            conserve = not (surface or main.is_picture)
            # `resize` averages, so the sum needs the number of old pixels in a new one.
            out[...] = values * (side / size) ** 2 if conserve else values
        # With `crop` all files are larger than what is used; without it another size is a surprise.
        other_size = (height, width) != (side, side) if self.survey.crop is None else padded
        return Flag.SIZE_MISMATCH.value if other_size else 0

    def _derive(
        self, b: int, file: StampPlane
    ) -> tuple[str | None, float, Callable[[np.ndarray], np.ndarray] | None]:
        """Unit, factor and decoder of the pixels, by the header."""
        self._validate_scale(file)
        band = self.survey.bands[b]
        unit = band.unit
        if not file.is_picture:
            unit = band.choose_unit(file.card("BUNIT"), self.survey.unit, file.title)
            self._validate_unit(b, file, unit)
        return unit, self._factor(b, file, unit), build_decoder(file.scaling, band.valid_range)

    def _factor(self, b: int, file: StampPlane, unit: str | None) -> float:
        band = self.survey.bands[b]
        zero_point = band.zero_point
        if not isinstance(zero_point, str):
            # Only a file whose header states another unit needs a factor of its own.
            if self.survey.unit is None or unit == band.unit:
                return self._factors[b]
            return photometry.compute_factor(self.survey.unit, unit, None, self._area)
        value = file.card(zero_point)
        # T and F are numbers to Python.
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ImageError(
                f"There is no number in card {zero_point} of {file.title}, which should hold the"
                f" zero point of band '{self.bands[b]}'."
            )
        photometry.validate_zero_point(value, f"card {zero_point} of {file.title}")
        return float(self._factors[b] * 10 ** (-0.4 * value))

    def _validate_unit(self, b: int, file: StampPlane, unit: str | None) -> None:
        """Refuse a file in another unit than the first ones where the survey names none."""
        first = self._units[b]
        if self.survey.unit is not None or unit is None or first is None or unit == first:
            return
        if photometry.compare_units(unit, first) != 1:
            raise ImageError(
                f"The header of {file.title} states another unit than those of other objects.",
                received=f"BUNIT = '{unit}'",
                allowed=f"'{first}', as in the first files of '{self.survey.name}'",
                hint="give the survey a unit, to which all are brought",
            )

    def _validate_scale(self, file: StampPlane) -> None:
        """Refuse a file whose header states another pixel scale than the survey."""
        expected, stated = self.survey.pixel_scale, None
        if expected is not None and not file.is_picture:
            stated = read_pixel_scale(file.card)
        if expected is not None and stated is not None and abs(stated / expected - 1) > 0.02:
            raise ImageError(
                f"The pixels of {file.title} have another size than those of the survey.",
                received=f"{stated:.4g} arcsec",
                allowed=f"{expected:.4g} arcsec, the pixel_scale of '{self.survey.name}'",
            )

    def _note(self, sentence: str) -> None:
        with self._lock:
            if len(self.problems) < MAX_PROBLEMS:
                self.problems.append(sentence)


def _build_readers(survey: Survey) -> dict[FileTemplate, StampReader]:
    """The planes to take from each file of a row."""
    files: dict[str, list[PlaneRequest]] = {}
    for b, band in enumerate(survey.bands):
        for role, (template, hdu) in band.planes().items():
            if not isinstance(template, str):
                raise ConfigError(
                    f"Band '{band.name}' of stamps needs one file template for its {role}.",
                    received=template,
                )
            path, file_hdu = split_hdu(template)
            plane = band.plane if role == "image" else None
            chosen = _one_hdu(file_hdu if hdu is None else hdu, band.name)
            files.setdefault(path, []).append(PlaneRequest((b, role), chosen, plane))
    return {FileTemplate(path): StampReader(requests) for path, requests in files.items()}


def _one_hdu(hdu: Hdu, band: str) -> int | str | Mapping[str, Any] | None:
    if isinstance(hdu, Sequence) and not isinstance(hdu, str):
        raise ConfigError(f"Band '{band}' of stamps needs one HDU.", received=hdu)
    return hdu


def _used_columns(
    templates: Iterable[FileTemplate], columns: Mapping[str, npt.ArrayLike], survey: str
) -> dict[str, np.ndarray]:
    if not columns:
        raise ConfigError(f"The files of the survey '{survey}' need columns of the catalogue.")
    used: dict[str, np.ndarray] = {}
    for template in templates:
        if not template.names and len(np.asarray(next(iter(columns.values())))) > 1:
            raise ConfigError(
                f"The files of the survey '{survey}' are the same for all objects.",
                received=template.text,
                allowed='the name of a column in braces, as in "stamps/{id}.fits"',
                hint='large images that hold many objects are of kind = "tiles"',
            )
        for name in template.names:
            if name not in columns:
                raise ConfigError(
                    f"The files of the survey '{survey}' are named after a column '{name}', which"
                    " the catalogue does not have.",
                    received=template.text,
                    allowed=list(columns),
                    hint=nearest(name, columns)
                    or "add this column to the catalogue, or name another survey file",
                )
            used[name] = np.asarray(columns[name])
    return used


def _plain(value: np.generic | object) -> object:
    """Convert a numpy scalar to a Python object, which accepts formats like ``05d``."""
    value = value.item() if isinstance(value, np.generic) else value
    return value.decode() if isinstance(value, bytes) else value
