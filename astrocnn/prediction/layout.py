"""Columns and extensions of a table of predictions, including those of extras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrocnn.calibration import Batch, Extra
from astrocnn.catalog import Catalog
from astrocnn.column import Column
from astrocnn.errors import PredictionError
from astrocnn.estimators.base import Estimator
from astrocnn.flags import Flag
from astrocnn.prediction.fits_headers import validate_ucds
from astrocnn.prediction.pdf import DensityPlane, build_planes

__all__ = ["FLAGS", "ROW", "Layout", "compute_extra", "get_absent_values"]

FLAGS = Column("flags", "int32", ucd="meta.code.qual", description="bit mask, see FLAGn cards")
ROW = Column("ROW", "int64", description="row of the catalogue, from 0")

_KINDS = {"f": "fiu", "i": "iu", "u": "iu", "b": "b", "U": "U"}
"""Kinds of numpy types: what a column of each kind can be computed as."""


@dataclass(frozen=True)
class Layout:
    """Columns and densities of a table, in order.

    Attributes
    ----------
    own : tuple of Column
        Those of the catalogue.
    predicted : tuple of Column
        Flags, those of the task, those of the extras.
    planes : tuple of DensityPlane
        Densities.
    name : str
        EXTNAME of the table.
    """

    own: tuple[Column, ...]
    predicted: tuple[Column, ...]
    planes: tuple[DensityPlane, ...] = ()
    name: str = "PREDICTIONS"

    @classmethod
    def build(
        cls, estimator: Estimator, catalog: Catalog, extras: Sequence[Extra], pdf: str
    ) -> Layout:
        """The layout of a prediction.

        Raises
        ------
        PredictionError
            If two columns have the same name, an extra has no value for rows without a
            prediction, or the form of the densities is invalid.
        """
        declared = [("the task", estimator.task.columns())]
        for extra in extras:
            # For its errors: that a placeholder is lacking shows before any prediction.
            get_absent_values(extra)
            declared.append((type(extra).__name__, extra.columns()))
        return cls.join(catalog, declared, build_planes(estimator.task, pdf))

    @classmethod
    def join(
        cls,
        catalog: Catalog,
        declared: Sequence[tuple[str, Sequence[Column]]],
        planes: tuple[DensityPlane, ...] = (),
        name: str = "PREDICTIONS",
    ) -> Layout:
        """Join the columns of the catalogue, the flags, and columns by what declares them.

        Raises
        ------
        PredictionError
            If two columns have the same name.
        """
        own = tuple(Column.like(*column) for column in catalog.role_columns())
        taken = {column.name.lower(): "the catalogue" for column in own}
        taken |= dict.fromkeys((FLAGS.name.lower(), ROW.name.lower()), "the table itself")
        predicted = [FLAGS]
        for owner, columns in declared:
            for column in columns:
                predicted.append(column)
                other = taken.get(column.name.lower())
                if other is not None:
                    raise PredictionError(
                        f"Two columns would have the name '{column.name}' (FITS ignores case).",
                        received=f"one of {other}, one of {owner}",
                        hint="rename a target, or a column of the catalogue or of the extra",
                    )
                taken[column.name.lower()] = owner
        validate_ucds(predicted)
        return cls(own, tuple(predicted), planes, name)


def get_absent_values(extra: Extra) -> dict[str, np.ndarray]:
    """Placeholders of the columns of an extra, as arrays of one value.

    Raises
    ------
    PredictionError
        If a column has a type without a natural absent value, or one that cannot hold it.
    """
    stated = dict(getattr(extra, "absent", {}))
    absent = {}
    for column in extra.columns():
        kind = np.dtype(column.dtype)
        if kind.kind not in _KINDS:
            raise _invalid(extra, column.name, column.dtype, "floats, integers, bool, U<length>")
        # Integers have no NaN: -1 serves counts and codes, others state their own.
        value: Any = {"f": np.nan, "U": "", "b": False}.get(kind.kind, -1)
        if kind.kind in "iu":
            value = stated.get(column.name, value)
            limits = np.iinfo(kind)
            if not limits.min <= value <= limits.max:
                name = type(extra).__name__
                raise PredictionError(
                    f"The column '{column.name}' of {name} cannot hold its absent value.",
                    received=f"{value} in {column.dtype}",
                    hint=f"give {name} an attribute absent = {{'{column.name}': ...}}",
                )
        absent[column.name] = np.array([value], dtype=kind)
    return absent


def compute_extra(extra: Extra, batch: Batch) -> dict[str, np.ndarray]:
    """Compute the columns of an extra, and the bits of ``flags`` that it sets, if it sets any.

    Raises
    ------
    PredictionError
        If a column is missing, not declared, or has values that its type cannot hold, or a bit
        is set that was not declared.
    """
    computed = extra.compute(batch)
    declared = {column.name: np.dtype(column.dtype) for column in extra.columns()}
    allowed = int(getattr(extra, "flags", 0))
    if allowed:
        declared[FLAGS.name] = np.dtype(FLAGS.dtype)
    # The table is laid out by the declaration, before any value is computed.
    if set(computed) != set(declared):
        raise PredictionError(
            f"{type(extra).__name__} computes other columns than it declares.",
            received=sorted(computed),
            allowed=sorted(declared),
        )
    values = {
        name: _cast_exactly(extra, name, computed[name], kind, len(batch))
        for name, kind in declared.items()
    }
    if allowed and np.any(values[FLAGS.name] & ~allowed):
        raise _invalid(extra, FLAGS.name, "other bits than it declares", repr(Flag(allowed)))
    return values


def _cast_exactly(extra: Extra, name: str, raw: Any, kind: np.dtype, count: int) -> np.ndarray:
    values = np.asarray(raw)
    if values.shape != (count,):
        raise _invalid(extra, name, f"shape {values.shape}", f"({count},)")
    # A float in a column of integers is a mistake even where it is whole.
    if values.dtype.kind not in _KINDS[kind.kind]:
        raise _invalid(extra, name, f"values of type {values.dtype}", str(kind))
    # Rounding to single precision is meant, and NaN would not equal itself below.
    if kind.kind == "f":
        return values.astype(kind)
    cast = values.astype(kind)
    # numpy truncates text and wraps integers without an error.
    if not np.array_equal(cast, values):
        raise _invalid(extra, name, f"values of type {values.dtype} that do not fit", str(kind))
    return cast


def _invalid(extra: Extra, column: str, received: str, allowed: str) -> PredictionError:
    return PredictionError(
        f"The column '{column}' of {type(extra).__name__} has invalid values.",
        received=received,
        allowed=allowed,
    )
