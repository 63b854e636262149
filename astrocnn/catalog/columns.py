"""Columns of any table as numpy arrays: native byte order, text as str, integers always exact.

Columns that are neither numbers, truth values nor texts (nested or ragged lists, times, complex
numbers) are left out; `UNREAD` in the metadata of a table tells why, for whoever asks for one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.table import Column, MaskedColumn, Table

from astrocnn.errors import CatalogError

__all__ = [
    "UNREAD",
    "convert_table",
    "convert_text",
    "decode_text",
    "is_readable",
    "validate_memory",
]

UNREAD = "astrocnn_unread"
"""Key in the metadata of a table: names of columns that were left out -> why."""

MAX_COLUMNS = 10_000
MAX_MEMORY = 1 << 29
MAX_EXPANSION = 40
"""A table may take `MAX_MEMORY` bytes, and beyond that this many times those it is made from."""


def validate_memory(needed: int, source: int, what: str) -> None:
    """Refuse what would take far more memory than the bytes that it is made from.

    Raises
    ------
    CatalogError
        If `needed` is above `MAX_MEMORY` + `MAX_EXPANSION` x `source` [byte].
    """
    if needed > MAX_MEMORY + MAX_EXPANSION * source:
        raise CatalogError(
            f"{what} would take {needed / 1e9:.1f} GB of memory.",
            received=f"{source} bytes",
            allowed=f"{MAX_EXPANSION} times as many and {MAX_MEMORY >> 20} MiB",
            hint="leave out what is not needed, or divide the table",
        )


def convert_table(data: object) -> Table:
    """Convert any table to an astropy table; columns are not copied without need.

    Raises
    ------
    CatalogError
        If it is no table.
    """
    try:
        if type(data).__module__.startswith("pandas"):
            columns: dict[str, Any] = {str(n): data[n] for n in data.columns}  # type: ignore[attr-defined, index]
            return _convert_columns(columns, _from_pandas)
        if hasattr(data, "__arrow_c_stream__") or isinstance(data, pa.RecordBatch):
            arrow = pa.table(data)
            names = arrow.column_names
            return _convert_columns({n: arrow.column(i) for i, n in enumerate(names)}, _from_arrow)
        table = Table(data, copy=False)
    except CatalogError:
        raise
    except Exception as error:  # astropy, pandas and pyarrow raise types of their own
        raise CatalogError(
            "This is not a table.",
            received=f"{type(data).__name__}: {error}"[:300],
            allowed="an astropy or pyarrow table, a pandas data frame, or columns by name",
        ) from error
    converted = _convert_columns({name: table[name] for name in table.colnames}, _to_native)
    converted.meta[UNREAD] |= table.meta.get(UNREAD, {})
    return converted


def _convert_columns(columns: dict[str, Any], convert: Callable[[Any], Any]) -> Table:
    converted, unread = {}, {}
    for name, column in columns.items():
        try:
            converted[name] = _to_native(convert(column))
        except CatalogError as error:
            unread[name] = error.what
    return Table(converted, copy=False, meta={UNREAD: unread})


def _to_native(column: Any) -> Column:
    """The column in native byte order, with text as str.

    Raises
    ------
    CatalogError
        If it holds something else than numbers, truth values or text.
    """
    if isinstance(column, np.ndarray) and not isinstance(column, Column):
        masked = isinstance(column, np.ma.MaskedArray)
        column = MaskedColumn(column) if masked else Column(column)
    if not isinstance(column, Column):
        raise CatalogError(f"it holds objects of type {type(column).__name__}")
    kind = column.dtype.kind
    if kind not in "biufUSO" or (kind in "US" and column.ndim > 1):
        raise CatalogError(f"it holds values of type {column.dtype}, {column.ndim - 1} axes a row")
    if kind not in "SO" and column.dtype.isnative:
        return column
    about = {n: getattr(column, n) for n in ("name", "unit", "description", "meta")}
    values, missing = np.ma.getdata(column), np.ma.getmaskarray(column)
    if kind == "O":
        values, missing = _text_of_objects(values, missing)
    elif kind == "S":
        values = decode_text(np.asarray(values))
    else:
        values = values.astype(values.dtype.newbyteorder("="))
    if missing.any():
        return MaskedColumn(values, mask=missing, **about)
    return Column(values, **about)


def decode_text(values: np.ndarray) -> np.ndarray:
    """Bytes as text: UTF-8 or, if one of them is not, all as Latin-1, so that none is lost."""
    try:
        return np.strings.decode(values, "utf-8")
    except UnicodeDecodeError:
        return np.strings.decode(values, "latin-1")


def _text_of_objects(values: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Text of Python objects that are texts or None, and where it is missing."""
    if values.ndim != 1:
        raise CatalogError("it holds nested values")
    objects = values.tolist()
    absent = missing | np.array([v is None or v is np.ma.masked for v in objects], dtype=bool)
    present = [v for v, gone in zip(objects, absent, strict=True) if not gone]
    if present and all(isinstance(v, bytes) for v in present):
        text = iter(decode_text(np.array(present)).tolist())
    elif all(isinstance(v, str) for v in present):
        text = iter(present)
    else:
        other = next(v for v in present if not isinstance(v, str))
        raise CatalogError(f"it holds objects of type {type(other).__name__}")
    longest = max((len(v) for v in present), default=1)
    total = sum(map(len, present)) + 8 * len(objects)
    validate_memory(4 * len(objects) * longest, total, "it")
    return np.array(["" if gone else next(text) for gone in absent], dtype=f"U{longest}"), absent


def _from_pandas(series: Any) -> np.ndarray:
    """Convert a pandas column; integers with missing values do not become floats."""
    missing = series.isna().to_numpy(dtype=bool)
    kind = getattr(series.dtype, "kind", "O")
    if kind in "iub":
        dtype = getattr(series.dtype, "numpy_dtype", series.dtype)
        values = series.to_numpy(dtype=dtype, na_value=0)
    elif kind == "f":
        return series.to_numpy(dtype=float, na_value=np.nan)
    elif kind in "mMc":
        raise CatalogError(f"it holds values of type {series.dtype}")
    else:
        values = series.to_numpy(dtype=object, na_value=None)
    return np.ma.MaskedArray(values, mask=missing) if missing.any() else values


def is_readable(kind: pa.DataType) -> bool:
    """Whether a column of an arrow type becomes numbers, truth values, text, or vectors of them."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return is_number(kind.value_type)
    if types.is_decimal(kind) or types.is_null(kind) or is_number(kind):
        return True
    text = (types.is_string, types.is_large_string, types.is_string_view)
    binary = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    return any(test(kind) for test in (*text, *binary))


def is_number(kind: pa.DataType) -> bool:
    """Whether an arrow type is an integer, a float or a truth value."""
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _from_arrow(data: pa.ChunkedArray) -> np.ndarray:
    """Convert a column of an arrow table; integers never pass through float."""
    kind, types = data.type, pa.types
    if not is_readable(kind):
        raise CatalogError(f"it holds values of type {kind}"[:200])
    missing = data.is_null().to_numpy() if data.null_count else None
    if types.is_decimal(kind):
        # A decimal without fraction may have more digits than 64 bits hold.
        data = data.cast(pa.string() if kind.scale == 0 else pa.float64())
    elif types.is_null(kind):
        data = data.cast(pa.string())
    kind = data.type
    if types.is_dictionary(kind):
        return _from_dictionary(data)
    if types.is_nested(kind):
        return _from_lists(data, missing)
    if not is_number(kind):
        return convert_text(data)
    if types.is_integer(kind) or types.is_boolean(kind):
        # Filled before numpy sees it: with nulls, arrow would hand over floats.
        data = pc.fill_null(data, False if types.is_boolean(kind) else 0)
    values = data.to_numpy()
    return values if missing is None else np.ma.MaskedArray(values, mask=missing)


def _from_dictionary(data: pa.ChunkedArray) -> np.ndarray:
    data = data.unify_dictionaries()
    # Masked where the dictionary, or the index, has no value.
    words = _from_arrow(pa.chunked_array([data.chunk(0).dictionary])) if data.num_chunks else None
    if words is None or not len(words):
        return np.ma.MaskedArray(np.full(len(data), "", "U1"), mask=True)
    indices = pa.chunked_array([chunk.indices for chunk in data.chunks])
    missing = indices.is_null().to_numpy()
    taken = pc.fill_null(indices, 0).to_numpy()
    validate_memory(len(data) * words.itemsize, data.nbytes, "it")
    values = words[taken]
    missing = missing | np.ma.getmaskarray(values)
    return np.ma.MaskedArray(np.ma.getdata(values), mask=missing) if missing.any() else values


def _from_lists(data: pa.ChunkedArray, missing: np.ndarray | None) -> np.ndarray:
    """Convert lists of one length to vectors."""
    lengths = pc.unique(pc.list_value_length(data)).drop_null().to_pylist()
    if len(lengths) != 1:
        raise CatalogError(
            f"it holds lists of different lengths ({min(lengths)} to {max(lengths)})"
            if lengths
            else "it holds no value"
        )
    (length,) = lengths
    flat = pc.list_flatten(data)
    if flat.null_count:
        flat = pc.fill_null(flat.cast(pa.float64()), np.nan)
    rows = flat.to_numpy().reshape(-1, length)
    if missing is None:
        return rows
    values = np.zeros((len(data), length), rows.dtype)
    values[~missing] = rows
    return np.ma.MaskedArray(values, mask=np.broadcast_to(missing[:, None], values.shape))


def convert_text(column: pa.ChunkedArray) -> np.ndarray:
    """Convert arrow text, or bytes, to numpy text, block by block; empty means missing.

    Parameters
    ----------
    column : pyarrow.ChunkedArray of n values

    Raises
    ------
    CatalogError
        If one long text would make the array, in which all have the same width, too large.
    """
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        column = _decode_binary(column)
    width = max(1, pc.max(pc.utf8_length(column)).as_py() or 1)
    validate_memory(4 * width * len(column), column.nbytes, "it")
    out = np.empty(len(column), dtype=f"U{width}")
    start = 0
    for chunk in column.chunks:
        filled = pc.fill_null(chunk, "")
        out[start : start + len(chunk)] = filled.to_numpy(zero_copy_only=False)
        start += len(chunk)
    empty = out == ""
    return np.ma.MaskedArray(out, mask=empty) if empty.any() else out


def _decode_binary(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bytes as UTF-8 or, if one of them is not, all as Latin-1."""
    try:
        return column.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        texts = [None if v is None else v.decode("latin-1") for v in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.large_string())])
