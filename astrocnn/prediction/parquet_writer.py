"""A table of predictions as Parquet, written block by block in the order of its rows."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astrocnn.atomic import replacing
from astrocnn.column import Column, fits_name
from astrocnn.prediction.pdf import DensityPlane

__all__ = ["CARDS", "GROUP_ROWS", "ParquetWriter", "build_field", "build_lists"]

CARDS = "astrocnn"
"""Key of the metadata of a file with the cards of the primary header of the FITS table."""

GROUP_ROWS = 65536
"""Rows of a row group, which are in memory."""


class ParquetWriter:
    """Write a table as Parquet; it appears under its name after the ``with`` block, complete.

    The file is what `to_parquet` makes of the FITS table with the same columns.

    Parameters
    ----------
    path : path
    columns : sequence of Column
    cards : sequence of (keyword, value, comment)
        Cards of the primary header.
    planes : sequence of DensityPlane
        Densities, as list columns of single precision.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: Sequence[Column],
        cards: Sequence[tuple[str, Any, str]],
        planes: Sequence[DensityPlane] = (),
    ) -> None:
        self._path, self._columns, self._planes = path, list(columns), list(planes)
        self._cards = {key: value for key, value, _ in cards}
        self._writer: pq.ParquetWriter | None = None
        self._blocks: list[list[pa.Array]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._temporary = self._stack.enter_context(replacing(self._path))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._flush()
            if self._writer is not None:
                self._writer.close()
        except BaseException as failure:
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._stack.__exit__(kind, error, trace)

    def put(self, rows: NDArray[np.integer], values: Mapping[str, Any]) -> None:
        """Append rows.

        Parameters
        ----------
        rows : ndarray of int, shape (n,)
            Those that follow the rows before.
        values : mapping of str to array of shape (n, ...)
            All columns, and stored densities.
        """
        by_name = {fits_name(name): value for name, value in values.items()}
        n = len(rows)
        arrays = [_build_array(column, by_name[column.name], n) for column in self._columns]
        arrays += [
            build_lists(plane.decode(by_name[plane.name]).astype(np.float32))
            for plane in self._planes
        ]
        self._blocks.append(arrays)
        if sum(len(block[0]) for block in self._blocks) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._blocks:
            return
        if self._writer is None:
            first = self._blocks[0]
            fields = [
                build_field(column.name, array, column.unit, column.ucd, column.description)
                for column, array in zip(self._columns, first, strict=False)
            ]
            fields += [
                pa.field(plane.name, array.type, metadata=plane.describe_bins())
                for plane, array in zip(self._planes, first[len(fields) :], strict=True)
            ]
            schema = pa.schema(fields, {CARDS: json.dumps(self._cards)})
            self._writer = pq.ParquetWriter(self._temporary, schema, write_page_checksum=True)
        columns = [pa.chunked_array(parts) for parts in zip(*self._blocks, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._writer.schema))
        self._blocks = []


def build_field(name: str, array: Any, unit: str, ucd: str, description: str) -> pa.Field:
    """A field with unit, UCD and description in its metadata."""
    about = {"unit": unit, "ucd": ucd, "description": description}
    return pa.field(name, array.type, metadata={k: v for k, v in about.items() if v})


def build_lists(values: NDArray[np.floating]) -> Any:
    """Rows as lists of one length; rows of NaN are missing."""
    return pa.FixedSizeListArray.from_arrays(
        pa.array(values.reshape(-1)), values.shape[1], mask=pa.array(np.isnan(values[:, 0]))
    )


def _build_array(column: Column, values: Any, n: int) -> Any:
    """Values as FITS would store them: what it refuses, or cannot tell apart, is the same here."""
    stored = column.encode(values, n)
    base = column.stored.base
    if base.kind == "S":
        return pa.array(np.ma.getdata(column.decode(stored)).tolist(), pa.string())
    if np.dtype(column.dtype) == np.uint64:
        native = np.ma.getdata(column.decode(stored))
    else:
        native = np.ascontiguousarray(stored, dtype=base.newbyteorder("="))
    missing = None
    if column.null is not None and base.kind in "iu":
        missing = stored == column.null
        missing = missing if missing.any() else None
    if not column.shape:
        return pa.array(native, mask=missing)
    flat = pa.array(native.reshape(-1), mask=None if missing is None else missing.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(column.shape)))
