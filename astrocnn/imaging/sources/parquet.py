"""Images in columns of Parquet files, such as data sets of Hugging Face.

A column holds nested lists of numbers, tensors, or pictures (PNG, JPEG) as bytes or in a field
``bytes``; a field of a structure is named with a dot, ``image.flux``.

References
----------
The Multimodal Universe Collaboration 2024, arXiv:2412.02527: ``image`` is a structure of lists, of
which ``image.flux`` has the axes (band, y, x).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from astrocnn.errors import AstrocnnError, ImageError
from astrocnn.fits_file import MAX_MEMORY, open_regular
from astrocnn.imaging.array_files import build_source
from astrocnn.imaging.stamp_file import decode_picture
from astrocnn.remote import Url

__all__ = ["source"]

BATCH = 16
"""Rows that are decoded before their size is looked at."""
MAX_AXES = 5
SAMPLE = 100
"""Rows among which the first image is looked for."""


def open_array(path: Path | Url, name: str | None) -> _Column:
    """Open a column, or a field of one.

    Raises
    ------
    ImageError
        If the file is damaged, has no such column, or no image in its first rows.
    """
    if name is None:
        raise ImageError(
            f"The file {path} holds columns, of which 'hdu' names one.", received="no hdu"
        )
    return _Column(path, name)


class _Column:
    """A column of a file; its row groups are read one at a time, and the last one is kept."""

    def __init__(self, path: Path | Url, name: str) -> None:
        self._path, self._name = path, name
        self._last: tuple[int, pa.Array] | None = None
        with self._open() as file:
            schema = file.schema_arrow
            counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        self._column, *self._fields = name.split(".") if name not in schema.names else [name]
        if self._column not in schema.names:
            raise ImageError(
                f"The file {path} has no column '{name}'.", received=name, allowed=schema.names
            )
        if min(counts, default=0) < 0:
            raise ImageError(f"The file {path} is damaged.", received=f"{counts} rows")
        self._ends = np.cumsum(counts, dtype=np.int64)
        first = self._find_first()
        self.dtype = first.dtype
        self.shape = (sum(counts), *first.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        chosen = np.arange(len(self))[rows] if isinstance(rows, slice) else rows
        groups = np.searchsorted(self._ends, chosen, side="right")
        out: np.ndarray | None = None
        for k, (row, group) in enumerate(zip(chosen.tolist(), groups.tolist(), strict=True)):
            values = self._load(group)
            start = int(self._ends[group]) - len(values)
            one = self._decode(values, row - start, row)
            if out is None:
                text = self.dtype.kind in "OSU"
                out = np.empty((len(chosen), *self.shape[1:]), object if text else self.dtype)
            if not self._fits(one.shape):
                raise self._damaged(row, f"shape {one.shape}", f"{self.shape[1:]}")
            out[k] = one
        return np.empty((0, *self.shape[1:]), self.dtype) if out is None else out

    def _fits(self, shape: tuple[int, ...]) -> bool:
        # A picture among color ones may be gray.
        is_gray = len(shape) == 3 and shape[2] == 1
        return shape == self.shape[1:] or (is_gray and shape[:2] == self.shape[1:3])

    @contextmanager
    def _open(self) -> Iterator[pq.ParquetFile]:
        try:
            with open_regular(self._path) as stream, pq.ParquetFile(stream) as file:
                yield file
        except AstrocnnError:
            raise
        except Exception as error:  # damaged bytes raise errors of many kinds
            raise ImageError(
                f"The column '{self._name}' of {self._path} cannot be read.",
                received=f"{type(error).__name__}: {error}"[:200],
            ) from error

    def _find_first(self) -> np.ndarray:
        """The first value that is not missing."""
        values = self._read(0, SAMPLE) if len(self._ends) else pa.nulls(0)
        for row in range(len(values)):
            if values[row].is_valid:
                first = self._decode(values, row, row)
                # Among pictures there may be some with transparent, missing pixels.
                return first.astype(np.float32) if _is_bytes(values.type) else first
        raise ImageError(f"The column '{self._name}' of {self._path} holds no values.")

    def _load(self, group: int) -> pa.Array:
        """The values of a row group."""
        last = self._last
        if last is None or last[0] != group:
            rows = int(np.diff(self._ends, prepend=0)[group])
            values = self._read(group, rows)
            if len(values) != rows:
                raise ImageError(f"The file {self._path} is damaged.", received=f"{rows} rows")
            self._last = last = (group, values)
        return last[1]

    def _read(self, group: int, rows: int) -> pa.Array:
        """The first rows of a row group, which may expand beyond all measure."""
        parts: list[pa.Array] = []
        size = 0
        with self._open() as file:
            batches = file.iter_batches(BATCH, row_groups=[group], columns=[self._column])
            for batch in batches:
                values = batch.column(0)
                for field in self._fields:
                    values = pc.struct_field(values, field)
                # Names and values of tensors and of other extensions.
                while isinstance(values.type, pa.ExtensionType) and not _is_tensor(values.type):
                    values = values.storage
                if pa.types.is_struct(values.type) and values.type.get_field_index("bytes") >= 0:
                    values = pc.struct_field(values, "bytes")
                parts.append(values)
                size += values.nbytes
                if size > MAX_MEMORY:
                    raise ImageError(
                        f"A row group of {self._path} is too large.",
                        received=f"more than {MAX_MEMORY} bytes in '{self._name}'",
                        hint="write the file with fewer rows in each row group",
                    )
                if sum(map(len, parts)) >= rows:
                    break
        return pa.concat_arrays(parts) if parts else pa.nulls(0)

    def _decode(self, values: pa.Array, at: int, row: int) -> np.ndarray:
        """One value as an array."""
        value = values[at]
        if not value.is_valid:
            raise self._damaged(row, "a missing value", "an image")
        if _is_bytes(values.type):
            return decode_picture(value.as_py(), f"{self._path}, row {row} of '{self._name}'")
        if _is_tensor(values.type):
            return np.asarray(value.to_numpy())
        shape: list[int] = []
        kind, content = values.type, value
        while _is_list(kind) and len(shape) < MAX_AXES:
            content = content.values if not shape else content
            if shape:
                lengths = pc.unique(pc.list_value_length(content))
                if len(lengths) != 1 or not lengths[0].is_valid:
                    raise self._damaged(row, "lists of different lengths", "an image")
                shape.append(lengths[0].as_py())
                content = content.flatten()
            else:
                shape.append(len(content))
            kind = kind.value_type
        if not shape:
            return np.asarray(value.as_py())
        if not (
            pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        ):
            raise self._damaged(row, f"values of type {values.type}"[:200], "numbers")
        if len(content) != math.prod(shape):
            raise self._damaged(row, f"{len(content)} values", f"{shape}")
        return np.asarray(content.to_numpy(zero_copy_only=False)).reshape(shape)

    def _damaged(self, row: int, received: str, allowed: str) -> ImageError:
        return ImageError(
            f"Row {row} of the column '{self._name}' of {self._path} is no image.",
            received=received,
            allowed=allowed,
        )


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _is_tensor(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.FixedShapeTensorType)


source = build_source(open_array, remote=True)
