"""Prediction of some objects in memory: flags, samples, columns, extras, densities.

The samples are the largest thing here (draws x rows x units), so they are made and told for a
few rows at a time.  Every column tells each object by itself: how many rows that are changes no
number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from astrocnn.errors import PredictionError
from astrocnn.flags import Flag
from astrocnn.prediction import extras as extra_columns
from astrocnn.prediction.batch import Batch, Extra
from astrocnn.prediction.pdf import Plane
from astrocnn.targets import QuantityFamily

if TYPE_CHECKING:
    from astrocnn.catalog import Catalog
    from astrocnn.estimators import Estimator
    from astrocnn.imaging import Cutouts
    from astrocnn.targets import Task

__all__ = ["SAMPLE_BYTES", "Predicted", "predict_part", "predict_rows", "scalars_of"]

SAMPLE_BYTES = 64 * 1024**2
"""Samples in memory at a time [bytes]; what tells them takes a few times as much."""

# Until the first samples are there, this many members of an ensemble are allowed for.
_MEMBERS = 16


@dataclass(frozen=True)
class Predicted:
    """What was predicted of n objects.

    Attributes
    ----------
    columns : dict of str to ndarray of shape (n,)
        ``flags``, columns of the task and of the extras.
    densities : dict of str to ndarray of shape (n, width)
        Stored densities by plane.
    errors : dict of str to float
        Largest error of their cumulative probability by plane.
    """

    columns: dict[str, np.ndarray]
    densities: dict[str, np.ndarray]
    errors: dict[str, float]


def predict_rows(
    estimator: Estimator,
    catalog: Catalog,
    cutouts: Cutouts,
    *,
    draws: int = 0,
    seed: int = 0,
    views: str = "one",
    extras: Sequence[Extra] = (),
) -> dict[str, np.ndarray]:
    """Predict a few objects in memory.

    Parameters
    ----------
    estimator : Estimator
        A trained estimator.
    catalog : Catalog
        The objects.
    cutouts : Cutouts
        Their images and flags, row for row.
    draws, seed, views, extras
        As in `predict`.

    Returns
    -------
    dict of str to ndarray of shape (n_objects,)
        ``flags`` and the columns of every target and extra. Rows that cannot be predicted are
        NaN (text columns: empty) and carry `Flag.NOT_PREDICTED`.
    """
    return predict_part(
        estimator, catalog, cutouts, draws=draws, seed=seed, views=views, extras=extras
    ).columns


def predict_part(
    estimator: Estimator,
    catalog: Catalog,
    cutouts: Cutouts,
    *,
    draws: int,
    seed: int,
    views: str,
    extras: Sequence[Extra] = (),
    planes: Sequence[Plane] = (),
) -> Predicted:
    """Predict the objects of one part, with their densities; see `predict_rows`."""
    n = len(catalog)
    flags = cutouts.flags.astype(np.int32) | catalog.flags.astype(np.int32)
    scalars = scalars_of(catalog, estimator)
    if scalars is not None:
        flags[~np.isfinite(scalars).all(axis=-1)] |= Flag.SCALAR_MISSING
    usable = (flags & int(estimator.inputs.refused)) == 0
    flags[~usable] |= Flag.NOT_PREDICTED

    absent = _absent(estimator.task, extras)
    columns = {name: np.repeat(value, n) for name, value in absent.items()}
    densities = {plane.name: plane.nothing(n) for plane in planes}
    errors = dict.fromkeys(densities, 0.0)
    for batch, rows in _batches(
        estimator, catalog, cutouts, scalars, np.flatnonzero(usable), draws, seed, views
    ):
        told = dict(batch.columns)
        for extra in extras:
            told.update(extra_columns.compute(extra, batch))
        for name, values in told.items():
            # Text may be longer than what stands for none.
            kind = np.promote_types(columns[name].dtype, values.dtype)
            columns[name] = columns[name].astype(kind, copy=False)
            columns[name][rows] = values
        for plane in planes:
            stored, error = plane.store(batch.samples[plane.target.name])
            densities[plane.name][rows] = stored
            errors[plane.name] = max(errors[plane.name], error)
    return Predicted({"flags": flags, **columns}, densities, errors)


def scalars_of(catalog: Catalog, estimator: Estimator) -> np.ndarray | None:
    """Scalar inputs, float32 of shape (n, n_scalars), NaN where missing."""
    names = estimator.inputs.scalars
    if not names:
        return None
    with np.errstate(over="ignore"):
        return np.stack([catalog.numbers(name) for name in names], axis=-1).astype(np.float32)


def _batches(
    estimator: Estimator,
    catalog: Catalog,
    cutouts: Cutouts,
    scalars: np.ndarray | None,
    good: np.ndarray,
    draws: int,
    seed: int,
    views: str,
) -> Iterator[tuple[Batch, np.ndarray]]:
    """Predicted objects and their rows, few enough at a time."""
    width = 4 * sum(_width(target.family) for target in estimator.task.targets)
    count = max(1, SAMPLE_BYTES // (_MEMBERS * max(draws, 1) * width))
    while good.size:
        rows, good = good[:count], good[count:]
        images = cutouts.images[rows]
        numbers = None if scalars is None else scalars[rows]
        samples = estimator.sample(images, numbers, draws=draws, seed=seed, views=views)
        made = _checked(samples, estimator.task, rows.size)
        yield (
            Batch(
                catalog=catalog[rows],
                images=images,
                scalars=numbers,
                samples=samples,
                columns=estimator.task.summarize(samples),
                estimator=estimator,
            ),
            rows,
        )
        count = max(1, SAMPLE_BYTES // (made * width))


def _width(family: object) -> int:
    """Numbers that one sample of one object takes while it is told."""
    bins = len(family.edges) - 1 if isinstance(family, QuantityFamily) else 0
    return max(family.units, bins)  # type: ignore[attr-defined]


def _checked(samples: dict[str, np.ndarray], task: Task, n: int) -> int:
    """How many samples there are of each object."""
    made = {name: np.shape(values) for name, values in samples.items()}
    count = next(iter(made.values()), (0,))[0]
    wanted = {t.name: (count, n, t.family.units) for t in task.targets}
    if made != wanted or count < 1:
        raise PredictionError(
            "The estimator's samples do not have the shape of its task.",
            received=made,
            allowed={name: ("n_draws", *shape[1:]) for name, shape in wanted.items()},
        )
    return count


def _absent(task: Task, extras: Sequence[Extra]) -> dict[str, np.ndarray]:
    """What each column holds in a row without a prediction, as arrays of one value."""
    # Two draws: the spread of a single one is zero, also of a missing one.
    nothing = {
        t.name: np.full((2, 1, t.family.units), np.nan, dtype=np.float32) for t in task.targets
    }
    values = task.summarize(nothing)
    for extra in extras:
        values.update(extra_columns.absent_values(extra))
    return values
