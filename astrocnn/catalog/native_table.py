"""Any table as an astropy table in native byte order, with text as str."""

from __future__ import annotations

import warnings

import numpy as np
from astropy.table import Column, MaskedColumn, Table

__all__ = ["as_table", "native"]


def as_table(data: object) -> Table:
    """An astropy table from whatever is one; columns are not copied without need."""
    if isinstance(data, Table):
        return Table(data, copy=False)
    if type(data).__module__.startswith("pandas"):
        return Table({str(n): _from_pandas(data[n]) for n in data.columns})  # type: ignore[attr-defined, index]
    return Table(data)


def _from_pandas(series: object) -> np.ma.MaskedArray | np.ndarray:
    """A pandas column without the float that pandas would use for missing integers."""
    missing = series.isna().to_numpy(dtype=bool)  # type: ignore[attr-defined]
    kind = getattr(series.dtype, "kind", "O")  # type: ignore[attr-defined]
    if kind in "iub":
        dtype = getattr(series.dtype, "numpy_dtype", series.dtype)  # type: ignore[attr-defined]
        values = series.to_numpy(dtype=dtype, na_value=0)  # type: ignore[attr-defined]
    elif kind == "f":
        return series.to_numpy(dtype=float, na_value=np.nan)  # type: ignore[attr-defined]
    else:
        values = series.to_numpy(dtype=object, na_value=None)  # type: ignore[attr-defined]
    return np.ma.MaskedArray(values, mask=missing) if missing.any() else values


def native(table: Table) -> Table:
    """The same table in native byte order, with text as str; nothing copied without need."""
    for name in table.colnames:
        column = table[name]
        if not isinstance(column, Column):
            continue
        if column.dtype.kind == "O":
            table.replace_column(name, _text_column(column))
        elif column.dtype.kind == "S":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                table.replace_column(name, column.__class__(_decoded(column), **_about(column)))
        elif not column.dtype.isnative:
            values = column.astype(column.dtype.newbyteorder("="))
            table.replace_column(name, values)
    return table


def _about(column: Column) -> dict[str, object]:
    return {
        "name": column.name,
        "unit": column.unit,
        "description": column.description,
        "meta": column.meta,
    }


def _decoded(column: Column) -> np.ndarray:
    data = np.ma.getdata(column)
    try:
        text = np.strings.decode(data, "utf-8")
    except UnicodeDecodeError:
        text = np.strings.decode(data, "latin-1")
    mask = np.ma.getmaskarray(column)
    return np.ma.MaskedArray(text, mask=mask) if mask.any() else text


def _text_column(column: Column) -> Column:
    """Objects that are texts or None become a (masked) text column; others stay objects."""
    values = np.ma.getdata(column)
    flat = values.reshape(-1).tolist()
    missing = np.ma.getmaskarray(column).reshape(-1)
    missing = missing | np.array([v is None for v in flat], dtype=bool)
    if not all(gone or isinstance(v, (str, bytes)) for v, gone in zip(flat, missing, strict=True)):
        return column
    text = ["" if gone else v for v, gone in zip(flat, missing, strict=True)]
    text = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in text]
    array = np.array(text, dtype=str).reshape(values.shape) if text else np.empty(0, dtype="U1")
    if missing.any():
        return MaskedColumn(array, mask=missing.reshape(values.shape), **_about(column))
    return Column(array, **_about(column))
