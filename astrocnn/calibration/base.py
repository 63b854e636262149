"""Interfaces of calibration: remaps change samples, extras add columns to a table.

A module of this folder is a kind of remap or of extra.  It holds frozen dataclasses with a
classmethod ``fit``, and ``examples()``, fitted small ones for the contract tests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from astrocnn.catalog import Catalog
from astrocnn.column import Column
from astrocnn.errors import PredictionError
from astrocnn.metrics import mean_over_draws
from astrocnn.targets import ClassFamily, Family, QuantityFamily, Task, density_grid

__all__ = [
    "Batch",
    "Extra",
    "PlainExtra",
    "Predictor",
    "Remap",
    "StoredExtra",
    "compute_mean_masses",
    "compute_mean_probabilities",
    "compute_quantiles",
    "find_labelled",
    "take_labelled",
    "too_few_objects",
]


@runtime_checkable
class Remap(Protocol):
    """A map of the samples of one target to calibrated ones.

    It acts on each object and each draw by itself, so that nothing depends on what else is
    predicted, and leaves rows without a prediction (NaN) without one.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    least_rows: ClassVar[int]
    """Labelled objects that `fit` needs at least."""

    @classmethod
    def suits(cls, family: Family) -> bool:
        """Whether the remap applies to samples of a family."""

    @classmethod
    def fit(cls, family: Family, encoded: Any, weight: Any, samples: Any) -> Remap:
        """Fit on labelled objects outside the training set.

        Parameters
        ----------
        family : Family
            Of the target.
        encoded, weight : array_like of shape (n, k) and (n,)
            Labels as `Target.encode` gives them.
        samples : array_like of shape (n_draws, n, units)
            Activated samples.

        Raises
        ------
        PredictionError
            If fewer than `least_rows` objects have a label and a prediction.
        """

    def family(self, family: Family) -> Family:
        """The family of the remapped samples."""

    def apply(self, family: Family, samples: NDArray[np.floating]) -> NDArray[np.float32]:
        """Remapped samples, of shape (n_draws, n, units of the family that `family` gives)."""


class Predictor(Protocol):
    """The part of an estimator that calibration reads."""

    @property
    def task(self) -> Task:
        """The task."""

    @property
    def fingerprint(self) -> str:
        """Digest of the fitted parameters."""


@dataclass(frozen=True)
class Batch:
    """A batch of predicted objects, row for row, without rows that cannot be predicted.

    Attributes
    ----------
    catalog : Catalog
        Their rows of the catalogue.
    images : ndarray of shape (n, size, size, n_bands)
        Linear fluxes, NaN where there are no data.
    scalars : ndarray of shape (n, n_scalars) or None
        Scalar inputs as the catalogue has them; None when the estimator takes none.
    samples : mapping of str to ndarray of shape (n_draws, n, units)
        Activated parameters by target.
    columns : mapping of str to ndarray of shape (n,)
        The columns that the task computes from the samples.
    estimator : Estimator
        What predicted them.
    features : ndarray of shape (n, d) or None
        What `Estimator.features` gives; None unless an extra has ``needs_features``.
    """

    catalog: Catalog
    images: NDArray[np.floating]
    scalars: NDArray[np.floating] | None
    samples: Mapping[str, NDArray[np.floating]]
    columns: Mapping[str, NDArray[Any]]
    estimator: Predictor
    features: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.catalog)


@runtime_checkable
class Extra(Protocol):
    """Additional columns of a table of predictions: a conformal set, a distance, a selection.

    Each object is computed by itself, so that no result depends on what else is in the batch.
    Where there is no prediction the columns hold NaN, an empty text, False, or, for integers,
    what the optional attribute ``absent`` (a mapping from column to integer) says, else -1.

    Three more attributes are optional.  With ``needs_features = True`` the batch holds features.
    With ``flags``, an `astrocnn.flags.Flag`, the extra may set these bits of the rows, and no
    others: its `compute` returns them as ``flags``, integers, beside its columns.
    ``catalog_columns`` names the columns of the catalogue that `compute` reads; without it workers
    of a cluster get all of them.
    """

    @property
    def fingerprint(self) -> str:
        """Digest of everything except the batch that the columns depend on."""

    def columns(self) -> tuple[Column, ...]:
        """Descriptions of its columns."""

    def compute(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Compute values of shape (n,) for each column, by name."""


class StoredExtra(Extra, Protocol):
    """An extra that can be stored in a calibration file: a dataclass of plain values and arrays."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


@dataclass(frozen=True)
class PlainExtra:
    """Base of extras whose fields are plain values, and which read no column of the catalogue."""

    @property
    def catalog_columns(self) -> tuple[str, ...]:
        """Columns of the catalogue that `compute` reads."""
        return ()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the fields."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def find_labelled(family: Family, encoded: Any, weight: Any, samples: Any) -> NDArray[np.intp]:
    """Rows with a label and a prediction.

    Parameters
    ----------
    family : Family
        Of the target.
    encoded, weight : array_like of shape (n, k) and (n,)
        Labels as `Target.encode` gives them; weight 0 where there is none.
    samples : array_like of shape (n_draws, n, units)
        Activated samples; NaN where there is no prediction.

    Raises
    ------
    PredictionError
        If the shapes do not belong together.
    """
    encoded, weight, samples = np.asarray(encoded), np.asarray(weight), np.asarray(samples)
    n = len(weight)
    if samples.ndim != 3 or samples.shape[1:] != (n, family.units) or len(encoded) != n:
        raise PredictionError(
            "Labels and samples do not belong together.",
            received=f"labels {encoded.shape}, weights {weight.shape}, samples {samples.shape}",
            allowed=f"samples of shape (draws, n, {family.units}) and n labels",
        )
    return np.flatnonzero((weight > 0) & np.isfinite(samples).all(axis=(0, 2)))


def take_labelled(
    family: Family, encoded: Any, weight: Any, samples: Any, purpose: str = "", least: int = 0
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.intp]]:
    """Labels, samples and rows of the objects that `find_labelled` finds, at least so many."""
    rows = find_labelled(family, encoded, weight, samples)
    if len(rows) < least:
        raise too_few_objects(purpose, len(rows), least)
    return np.asarray(encoded)[rows], np.asarray(samples)[:, rows], rows


def too_few_objects(purpose: str, received: int, least: int, hint: str = "") -> PredictionError:
    """Build the error for a calibration on too few objects."""
    return PredictionError(
        f"There are too few objects with a label and a prediction for {purpose}.",
        received=f"{received} objects",
        allowed=f"{least} or more",
        hint=hint
        or "a larger validation split, such as that of split.fractions = [0.6, 0.2, 0.2]; or go on "
        "without: every other command takes a run that is not calibrated",
    )


def compute_mean_masses(
    family: QuantityFamily, samples: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Mean over draws of the probability in each bin, of shape (n, n_bins)."""
    # One draw in memory at a time.
    return mean_over_draws(family.masses(samples[t : t + 1])[0] for t in range(len(samples)))


def compute_mean_probabilities(family: ClassFamily, samples: Any) -> NDArray[np.float64]:
    """Mean over draws of the class probabilities, of shape (n, n_classes)."""
    p = mean_over_draws(np.asarray(family.to_probabilities(samples), np.float64))
    return p / p.sum(axis=-1, keepdims=True)


def compute_quantiles(
    family: QuantityFamily, samples: NDArray[np.floating], levels: Sequence[float]
) -> NDArray[np.float64]:
    """Quantiles of the mean over draws, of shape (n, n_levels); NaN without a prediction."""
    masses = compute_mean_masses(family, samples)
    rows = np.flatnonzero(np.isfinite(masses).all(axis=1))
    out = np.full((len(masses), len(levels)), np.nan)
    cdf = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(masses[rows], axis=1)], axis=1)
    out[rows] = density_grid.quantiles(
        np.broadcast_to(family.edges, cdf.shape),
        cdf / cdf[:, -1:],
        np.broadcast_to(np.asarray(levels, np.float64), (len(rows), len(levels))),
    )
    return out
