"""A FITS table of any length, written in any order with bounded memory.

The header is astropy's.  The records behind it are put straight into their places in a temporary
file, which becomes the table once every value is there, the checksums are in the headers and
the bytes are on the disk.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from astropy.io import fits

from astrocnn.atomic import replacing
from astrocnn.column import Column, fits_name
from astrocnn.errors import PredictionError
from astrocnn.prediction.fits_headers import (
    TableImage,
    build_extra_table,
    build_image_header,
    build_primary_header,
    build_table_header,
    write_checksums,
)
from astrocnn.prediction.pdf import ERROR
from astrocnn.stored_files import compute_file_sum

__all__ = ["RecordFile", "TableWriter"]

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BLOCK_BYTES = 1 << 22
RELEASE_BYTES = 1 << 27


class RecordFile:
    """Write records of any numpy type at any position of one file.

    Records that follow one another are written; scattered ones go through a memory map, whose
    pages are given back as they grow.

    Parameters
    ----------
    path : Path
        An existing file, which is overwritten.
    length : int
        Reserved on entering [bytes], so that a full disk is an error at once.
    """

    def __init__(self, path: Path, length: int) -> None:
        self._path, self._length = path, length
        self._touched, self._mapped = 0, False

    def __enter__(self) -> Self:
        # Unbuffered, since the map is another view of the same bytes.
        self.stream = self._path.open("r+b", buffering=0)
        try:
            # A memory map of a file with holes would kill the process on a full disk.
            _reserve(self.stream.fileno(), self._length)
            self._map = mmap.mmap(self.stream.fileno(), self._length)
        except BaseException:
            self.stream.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # An error on its way up still holds a view of the map; it is unmapped with that error.
        with suppress(BufferError):
            self._map.close()
        self.stream.close()

    def put(
        self,
        record: np.dtype,
        start: int,
        count: int,
        rows: np.ndarray,
        values: Mapping[str, np.ndarray],
    ) -> None:
        """Put values into some fields of some records.

        Parameters
        ----------
        record : dtype
            Type of one record, with named fields.
        start, count : int
            Position of the first record [bytes], and how many there are.
        rows : ndarray of int, shape (n,)
            Records to fill, in any order.
        values : mapping of str to ndarray of shape (n, ...)
            By field.
        """
        size = record.itemsize
        step = max(1, BLOCK_BYTES // size)
        # Otherwise the records hold other fields, which must be kept.
        whole = len(values) == len(record.names or ())
        for begin in range(0, rows.size, step):
            part = slice(begin, min(begin + step, rows.size))
            positions = rows[part]
            # The ends are compared first: it is cheap, and rules out most scattered rows.
            contiguous = positions[-1] - positions[0] == positions.size - 1 and bool(
                np.all(np.diff(positions) == 1)
            )
            if whole:
                records = np.empty(positions.size, dtype=record)
                for name, column_values in values.items():
                    records[name] = column_values[part]
            if contiguous and whole:
                self.write_at(start + int(positions[0]) * size, records)
                continue
            # Scattered records would each be a system call.
            target = np.frombuffer(self._map, dtype=record, count=count, offset=start)
            # In the order of the file each page is touched once, whatever the order of the rows.
            order = np.argsort(positions, kind="stable")
            positions = positions[order]
            if whole:
                # As plain bytes: numpy would copy the fields of a record one by one.
                plain = np.dtype((np.void, size))
                target.view(plain)[positions] = records.view(plain)[order]
            else:
                for name, column_values in values.items():
                    target[name][positions] = column_values[part][order]
            span = (int(positions[-1]) - int(positions[0]) + 1) * size + mmap.PAGESIZE
            self._release(min(span, positions.size * (size + mmap.PAGESIZE)))

    def flush(self) -> None:
        """Flush the memory map, so that `stream` reads what it wrote."""
        if self._mapped:
            self._map.flush()

    def write_at(self, position: int, records: np.ndarray) -> None:
        """Write bytes, or records, at a position of the file."""
        # The system may write less than it was given.
        left = records.view(np.uint8).data
        while left:
            done = os.pwrite(self.stream.fileno(), left, position)
            left, position = left[done:], position + done

    def _release(self, touched: int) -> None:
        """Release mapped pages to the page cache, so that the map uses no memory of its own."""
        self._touched, self._mapped = self._touched + touched, True
        if self._touched > RELEASE_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._touched = 0


@dataclass
class _Unit:
    """One extension: its position in the file, and the progress of writing."""

    header: fits.Header
    columns: list[Column]
    record: np.dtype
    start: int = 0
    data_start: int = 0
    size: int = 0
    written: dict[str, int] = field(default_factory=dict)


class TableWriter:
    """Write a FITS table record by record, at any rows.

    The file holds a primary header with provenance, the table ``PREDICTIONS``, and whatever
    `images` and `tables` ask for.  It appears under its name only after the ``with`` block has
    ended without an error and every value of every row was put; otherwise nothing is left.

    Parameters
    ----------
    path : path
    columns : sequence of Column
    n_rows : int
    cards : sequence of (keyword, value, comment), optional
        Cards of the primary header.
    images : sequence of TableImage, optional
        Extensions with one row per object.
    tables : mapping of str to mapping of str to array, optional
        Small tables, given whole: extension name -> column name -> values.
    name : str
        EXTNAME of the table.

    Raises
    ------
    PredictionError
        If a name occurs twice, a value cannot be stored as declared, a value was never put, or
        the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> columns = [Column("ID", "int64", ucd="meta.id"), Column("p", "float32")]
    >>> with TableWriter(folder / "p.fits", columns, 3, [("SEED", 0, "seed of the draws")]) as w:
    ...     w.put(np.array([2, 0]), {"ID": np.array([9, -7]), "p": np.array([0.5, np.nan])})
    ...     w.put(np.array([1]), {"ID": np.array([8]), "p": np.array([0.25])})
    >>> fits.getdata(folder / "p.fits", "PREDICTIONS")["ID"].tolist()
    [-7, 8, 9]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: Sequence[Column],
        n_rows: int,
        cards: Sequence[tuple[str, Any, str]] = (),
        *,
        images: Sequence[TableImage] = (),
        tables: Mapping[str, Mapping[str, Any]] | None = None,
        name: str = "PREDICTIONS",
    ) -> None:
        self.path = Path(path)
        self.n_rows = int(n_rows)
        declared = list(columns)
        _refuse_repeated([c.name for c in declared] + [fits_name(i.name) for i in images])
        _refuse_repeated([name, *(i.name for i in images), *(tables or ())])
        record = np.dtype([(c.name, c.stored) for c in declared])
        # By this card `is_intact` notices that extensions were cut off.
        n_extensions = ("NEXTEND", 1 + len(images) + len(tables or ()), "number of extensions")
        self._units = [_Unit(build_primary_header([*cards, n_extensions]), [], np.dtype([]))]
        header = build_table_header(name, declared, self.n_rows, record.itemsize)
        self._units.append(_Unit(header, declared, record))
        for image in images:
            plane = Column(image.name, image.dtype, image.unit, shape=image.shape)
            header = build_image_header(image, plane, self.n_rows)
            self._units.append(_Unit(header, [plane], np.dtype([(plane.name, plane.stored)])))
        # Small tables are complete already, and come after all that is filled later.
        self._tail = [build_extra_table(key, value) for key, value in (tables or {}).items()]
        self._where = {c.name: unit for unit in self._units for c in unit.columns}
        # All headers have their final length here, so that every place in the file is known.
        position = 0
        for unit in self._units:
            unit.start, unit.size = position, self.n_rows * unit.record.itemsize
            unit.data_start = position + len(unit.header.tostring())
            unit.written = dict.fromkeys((c.name for c in unit.columns), 0)
            position = _padded(unit.data_start + unit.size)
        self._length = position
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._clear_errors():
            temporary = self._stack.enter_context(replacing(self.path))
            try:
                self._file = self._stack.enter_context(RecordFile(temporary, self._length))
            except BaseException as error:
                # Python does not call __exit__ after a failed __enter__, and the file would stay.
                self._stack.__exit__(type(error), error, error.__traceback__)
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._clear_errors():
            try:
                self._finish()
            except BaseException as failure:
                self._stack.__exit__(type(failure), failure, failure.__traceback__)
                raise
            self._stack.__exit__(None, None, None)

    def put(self, rows: np.ndarray, values: Mapping[str, Any]) -> None:
        """Put values into rows.

        Parameters
        ----------
        rows : ndarray of int, shape (n,)
            Row numbers from 0, in any order; each row gets each value once.
        values : mapping of str to array of shape (n, ...)
            All columns and images, or some; the others can follow in another call.

        Raises
        ------
        PredictionError
            If a row or column does not exist, or a value cannot be stored as declared.
        """
        rows = np.asarray(rows, dtype=np.int64).reshape(-1)
        if rows.size and (rows.min() < 0 or rows.max() >= self.n_rows):
            raise PredictionError(
                f"There is no such row in the table '{self.path.name}'.",
                received=f"rows from {rows.min()} to {rows.max()}",
                allowed=f"0 to {self.n_rows - 1}",
            )
        by_fits_name = {fits_name(name): value for name, value in values.items()}
        unknown = [name for name in by_fits_name if name not in self._where]
        if unknown:
            raise PredictionError(
                f"There is no such column in the table '{self.path.name}'.",
                received=unknown,
                allowed=list(self._where),
            )
        for unit in self._units:
            names = [c.name for c in unit.columns if c.name in by_fits_name]
            if names and rows.size:
                encoded = {
                    c.name: c.encode(_array(by_fits_name[c.name]), rows.size)
                    for c in unit.columns
                    if c.name in by_fits_name
                }
                with self._clear_errors():
                    self._file.put(unit.record, unit.data_start, self.n_rows, rows, encoded)
                for name in names:
                    unit.written[name] += rows.size

    def copy(self, path: Path, start: int, count: int) -> dict[str, float]:
        """Copy all rows of a table that was written with the same columns and images.

        Parameters
        ----------
        path : Path
            Its file.
        start, count : int
            Where its rows go, and how many there must be.

        Returns
        -------
        dict of str to float
            Largest errors of its stored densities, by extension.

        Raises
        ------
        PredictionError
            If it has other columns, or another number of rows.
        """
        errors: dict[str, float] = {}
        with self._clear_errors(), fits.open(path, memmap=True) as hdus, path.open("rb") as stream:
            for unit in self._units[1:]:
                name = unit.header["EXTNAME"]
                header, place = hdus[name].header, hdus[name].fileinfo()["datLoc"]
                size = count * unit.record.itemsize
                columns = ("TTYPE", "TFORM", "BITPIX", "NAXIS1", "PDFFORM")
                own, other = (
                    {k: v for k, v in cards.items() if k.rstrip("0123456789") in columns}
                    for cards in (unit.header, header)
                )
                if own != other or header[f"NAXIS{header['NAXIS']}"] != count:
                    raise PredictionError(
                        "A part of the table does not have its columns or rows.",
                        received=str(path),
                        hint="remove it and run the same command again",
                    )
                stream.seek(place)
                position = unit.data_start + start * unit.record.itemsize
                for begin in range(0, size, BLOCK_BYTES):
                    block = stream.read(min(BLOCK_BYTES, size - begin))
                    self._file.write_at(position + begin, np.frombuffer(block, np.uint8))
                for key in unit.written:
                    unit.written[key] += count
                if ERROR in header:
                    errors[name] = header[ERROR]
        return errors

    def set_card(self, name: str, keyword: str, value: Any) -> None:
        """Set the value of a card of an extension that is known only at the end.

        Parameters
        ----------
        name : str
            EXTNAME of the table or of an image.
        keyword : str
            A card that was declared with it.
        value : number or bool
        """
        unit = next(u for u in self._units if u.header.get("EXTNAME") == name)
        unit.header[keyword] = value

    def _finish(self) -> None:
        for unit in self._units:
            for name, count in unit.written.items():
                # Bytes that were never written are zeros, and would pass for values.
                if count != self.n_rows:
                    raise PredictionError(
                        f"The table '{self.path.name}' is not complete: '{name}' has values for "
                        f"{count} of {self.n_rows} rows.",
                        hint="put every column of every row once",
                    )
        # The sums are read from the file, which must have what the map holds.
        self._file.flush()
        stream = self._file.stream
        for unit in self._units:
            header = unit.header
            length = _padded(unit.data_start + unit.size) - unit.data_start
            data = compute_file_sum(stream, unit.data_start, length)
            write_checksums(header, data)
            stream.seek(unit.start)
            stream.write(header.tostring().encode("ascii"))
        stream.seek(self._length)
        for block in self._tail:
            stream.write(block)

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in DISK_FULL
            raise PredictionError(
                f"'{self.path}' cannot be written: {error.strerror or error}.",
                received=f"a table of {self._length / 1e6:.1f} MB" if full else None,
                hint="free disk space and run the same command again; nothing half-written is left"
                if full
                else None,
            ) from error


def _array(values: Any) -> np.ndarray:
    return values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)


def _refuse_repeated(names: list[str]) -> None:
    lower = [name.lower() for name in names]
    repeated = sorted({name for name in names if lower.count(name.lower()) > 1})
    if repeated:
        raise PredictionError(
            "Columns or extensions have the same name (FITS does not tell cases apart).",
            received=repeated,
        )


def _padded(length: int) -> int:
    return -(-length // 2880) * 2880


def _reserve(descriptor: int, length: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, length)
        return
    # Slower than to reserve, and as certain: the space is taken or refused now.
    zeros = bytes(BLOCK_BYTES)
    for start in range(0, length, BLOCK_BYTES):
        os.pwrite(descriptor, zeros[: length - start], start)
