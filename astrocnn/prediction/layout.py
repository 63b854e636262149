"""Which columns and extensions a table of predictions has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from astrocnn.column import Column
from astrocnn.errors import PredictionError
from astrocnn.prediction.batch import Extra
from astrocnn.prediction.extras import absent_values
from astrocnn.prediction.pdf import Plane, planes_of

if TYPE_CHECKING:
    from astrocnn.catalog import Catalog
    from astrocnn.estimators import Estimator

__all__ = ["FLAGS", "ROW", "Layout"]

FLAGS = Column("flags", "int32", ucd="meta.code", description="bit mask, see FLAGn cards")
ROW = Column("ROW", "int64", description="row of the catalogue, from 0")


@dataclass(frozen=True)
class Layout:
    """Columns and densities of a table, in order.

    Attributes
    ----------
    own : tuple of Column
        Those of the catalogue.
    predicted : tuple of Column
        Flags, those of the task, those of the extras.
    planes : tuple of Plane
        Densities.
    """

    own: tuple[Column, ...]
    predicted: tuple[Column, ...]
    planes: tuple[Plane, ...]

    @classmethod
    def of(
        cls, estimator: Estimator, catalog: Catalog, extras: Sequence[Extra], pdf: str
    ) -> Layout:
        """The layout of a prediction.

        Raises
        ------
        PredictionError
            If two columns have the same name, an extra has no value for rows without a
            prediction, or the form of the densities makes no sense.
        """
        own = tuple(Column.like(*column) for column in catalog.role_columns())
        told = [("the task", estimator.task.columns())]
        for extra in extras:
            absent_values(extra)
            told.append((type(extra).__name__, extra.columns()))
        taken = {column.name.lower(): "the catalogue" for column in own}
        taken |= dict.fromkeys((FLAGS.name.lower(), ROW.name.lower()), "the table itself")
        predicted = [FLAGS]
        for whose, columns in told:
            for column in columns:
                predicted.append(column)
                other = taken.get(column.name.lower())
                if other is not None:
                    raise PredictionError(
                        f"Two columns would have the name '{column.name}' (FITS ignores case).",
                        received=f"one of {other}, one of {whose}",
                        hint="rename a target, or a column of the catalogue or of the extra",
                    )
                taken[column.name.lower()] = whose
        return cls(own, tuple(predicted), planes_of(estimator.task, pdf))
