"""A FITS table of any length, written in any order with bounded memory.

The header is astropy's.  The records behind it are put straight into their places in a temporary
file, which becomes the table once every value is there, the checksums are in the headers and
the bytes are on the disk.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from astropy.io import fits

from astrocnn.atomic import replacing
from astrocnn.column import Column, fits_name
from astrocnn.errors import PredictionError
from astrocnn.prediction import checksum
from astrocnn.prediction.record_file import RecordFile
from astrocnn.prediction.table_header import (
    extra_table,
    image_header,
    primary_header,
    seal,
    table_header,
)
from astrocnn.prediction.table_image import TableImage

__all__ = ["TableWriter"]

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass
class _Unit:
    """One extension: where it lies in the file, and how much of it is written."""

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
        self._units = [_Unit(primary_header(cards), [], np.dtype([]))]
        header = table_header(name, declared, self.n_rows, record.itemsize)
        self._units.append(_Unit(header, declared, record))
        for image in images:
            plane = Column(image.name, image.dtype, image.unit, shape=image.shape)
            header = image_header(image, plane, self.n_rows)
            self._units.append(_Unit(header, [plane], np.dtype([(plane.name, plane.stored)])))
        self._tail = [extra_table(key, value) for key, value in (tables or {}).items()]
        self._where = {c.name: unit for unit in self._units for c in unit.columns}
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
        given = {fits_name(name): value for name, value in values.items()}
        unknown = [name for name in given if name not in self._where]
        if unknown:
            raise PredictionError(
                f"There is no such column in the table '{self.path.name}'.",
                received=unknown,
                allowed=list(self._where),
            )
        for unit in self._units:
            names = [c.name for c in unit.columns if c.name in given]
            if names and rows.size:
                encoded = {
                    c.name: c.encode(_array(given[c.name]), rows.size)
                    for c in unit.columns
                    if c.name in given
                }
                with self._clear_errors():
                    self._file.put(unit.record, unit.data_start, self.n_rows, rows, encoded)
                for name in names:
                    unit.written[name] += rows.size

    def set_card(self, name: str, keyword: str, value: Any) -> None:
        """Give a card of an extension its value, when that is known only at the end.

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
                if count != self.n_rows:
                    raise PredictionError(
                        f"The table '{self.path.name}' is not complete: '{name}' has values for "
                        f"{count} of {self.n_rows} rows.",
                        hint="put every column of every row once",
                    )
        self._file.flush()
        stream = self._file.stream
        for unit in self._units:
            header = unit.header
            length = _padded(unit.data_start + unit.size) - unit.data_start
            data = checksum.sum_of_file(stream, unit.data_start, length)
            seal(header, data)
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
            full = error.errno in NO_ROOM
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
