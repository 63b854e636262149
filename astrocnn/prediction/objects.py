"""Prediction of objects in memory: flags, samples, columns, extras, densities.

The samples are the largest thing here (draws x rows x units), so they are made and summarized for
a few rows at a time.  Every column is computed for each object by itself: the number of rows that
are processed together changes no value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrocnn.calibration import Batch, Extra
from astrocnn.catalog import Catalog
from astrocnn.errors import PredictionError
from astrocnn.estimators.base import Estimator, sample_with_features
from astrocnn.flags import Flag
from astrocnn.imaging import Cutouts
from astrocnn.prediction.layout import compute_extra, get_absent_values
from astrocnn.prediction.pdf import DensityPlane
from astrocnn.targets import Family, QuantityFamily, Task

__all__ = ["ChunkPrediction", "find_usable", "predict_chunk", "predict_objects", "stack_scalars"]

SAMPLE_BYTES = 64 * 1024**2
"""Samples in memory at a time [bytes]; their summaries take a few times as much."""

# Number of ensemble members assumed until the first samples exist.
_MEMBERS = 16


@dataclass(frozen=True)
class ChunkPrediction:
    """The predictions of n objects.

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


def predict_objects(
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
    return predict_chunk(
        estimator, catalog, cutouts, draws=draws, seed=seed, views=views, extras=extras
    ).columns


def predict_chunk(
    estimator: Estimator,
    catalog: Catalog,
    cutouts: Cutouts,
    *,
    draws: int,
    seed: int,
    views: str,
    extras: Sequence[Extra] = (),
    planes: Sequence[DensityPlane] = (),
) -> ChunkPrediction:
    """Predict the objects of one chunk, with their densities; see `predict_objects`."""
    n = len(catalog)
    flags, usable, scalars = find_usable(estimator, catalog, cutouts)
    absent = _compute_absent(estimator.task, extras)
    # All rows begin as missing, and only predicted ones are filled.
    columns = {name: np.repeat(value, n) for name, value in absent.items()}
    densities = {plane.name: plane.empty(n) for plane in planes}
    errors = dict.fromkeys(densities, 0.0)
    options = {"draws": draws, "seed": seed, "views": views}
    with_features = any(getattr(extra, "needs_features", False) for extra in extras)
    for batch, rows in _iterate_batches(
        estimator, catalog, cutouts, scalars, usable, options, with_features
    ):
        # A classical method cannot predict an object that lacks a feature.
        predicted = [~np.isnan(values).any(axis=(0, 2)) for values in batch.samples.values()]
        known = np.any(predicted, axis=0)
        flags[rows[~known]] |= Flag.NOT_PREDICTED
        computed = dict(batch.columns)
        for extra in extras:
            own = compute_extra(extra, batch)
            flags[rows] |= own.pop("flags", 0)
            computed.update(own)
        for name, values in computed.items():
            # Text may be longer than its placeholder.
            kind = np.promote_types(columns[name].dtype, values.dtype)
            columns[name] = columns[name].astype(kind, copy=False)
            columns[name][rows[known]] = values[known]
        for plane in planes:
            stored, error = plane.store(batch.samples[plane.target.name])
            densities[plane.name][rows] = stored
            errors[plane.name] = max(errors[plane.name], error)
    return ChunkPrediction({"flags": flags, **columns}, densities, errors)


def find_usable(
    estimator: Estimator, catalog: Catalog, cutouts: Cutouts
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Flags of all rows, the rows that can be predicted, and the scalars of all rows."""
    flags = cutouts.flags.astype(np.int32) | catalog.flags.astype(np.int32)
    scalars = stack_scalars(catalog, estimator.inputs.scalars)
    if scalars is not None:
        flags[~np.isfinite(scalars).all(axis=-1)] |= Flag.SCALAR_MISSING
    # Which flags exclude a row depends on the inputs: without bands no image is needed.
    usable = (flags & int(estimator.inputs.refused)) == 0
    flags[~usable] |= Flag.NOT_PREDICTED
    return flags, np.flatnonzero(usable), scalars


def stack_scalars(catalog: Catalog, names: Sequence[str]) -> np.ndarray | None:
    """Scalar inputs, float32 of shape (n, n_scalars), NaN where missing; None without names."""
    if not names:
        return None
    # What exceeds float32 becomes infinite, and is flagged as missing.
    with np.errstate(over="ignore"):
        return np.stack([catalog.numbers(name) for name in names], axis=-1).astype(np.float32)


def _iterate_batches(
    estimator: Estimator,
    catalog: Catalog,
    cutouts: Cutouts,
    scalars: np.ndarray | None,
    usable: np.ndarray,
    options: Mapping[str, Any],
    with_features: bool,
) -> Iterator[tuple[Batch, np.ndarray]]:
    """Iterate over predicted objects and their rows in blocks of bounded memory."""
    width = 4 * sum(_sample_width(target.family) for target in estimator.task.targets)
    count = max(1, SAMPLE_BYTES // (_MEMBERS * max(options["draws"], 1) * width))
    while usable.size:
        rows, usable = usable[:count], usable[count:]
        images = cutouts.images[rows]
        numbers = None if scalars is None else scalars[rows]
        features = None
        if with_features:
            samples, features = sample_with_features(estimator, images, numbers, **options)
        else:
            samples = estimator.sample(images, numbers, **options)
        n_samples = _validate_samples(samples, estimator.task, rows.size)
        columns = estimator.task.summarize(samples)
        yield Batch(catalog[rows], images, numbers, samples, columns, estimator, features), rows
        # From here on the number of samples is known, and the guess is replaced.
        count = max(1, SAMPLE_BYTES // (n_samples * width))


def _sample_width(family: Family) -> int:
    """Number of values held per sample and object while it is summarized."""
    # The summary of a number holds its density, which is longer than its parameters.
    bins = len(family.edges) - 1 if isinstance(family, QuantityFamily) else 0
    return max(family.units, bins)


def _validate_samples(samples: dict[str, np.ndarray], task: Task, n: int) -> int:
    """Number of samples per object."""
    shapes = {name: np.shape(values) for name, values in samples.items()}
    count = next(iter(shapes.values()), (0,))[0]
    expected = {t.name: (count, n, t.family.units) for t in task.targets}
    if shapes != expected or count < 1:
        raise PredictionError(
            "The estimator's samples do not have the shape of its task.",
            received=shapes,
            allowed={name: ("n_draws", *shape[1:]) for name, shape in expected.items()},
        )
    return count


def _compute_absent(task: Task, extras: Sequence[Extra]) -> dict[str, np.ndarray]:
    """Placeholder of each column for rows without a prediction, as arrays of one value."""
    # Two draws: the spread of a single one is zero, even where it is missing.
    missing = {
        t.name: np.full((2, 1, t.family.units), np.nan, dtype=np.float32) for t in task.targets
    }
    values = task.summarize(missing)
    for extra in extras:
        values.update(get_absent_values(extra))
    return values
