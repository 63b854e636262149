"""The contracts of calibration: remaps change samples, extras add columns to a table.

A module of this folder is a kind of remap or of extra.  It holds frozen dataclasses with a
classmethod ``fit``, and ``examples()``, fitted small ones for the contract tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from astrocnn.column import Column
from astrocnn.errors import PredictionError
from astrocnn.targets import Family

__all__ = ["Extra", "Remap", "labelled", "mean_over_draws", "too_few"]


@runtime_checkable
class Remap(Protocol):
    """Changes the samples of one target so that its predictive distribution can be trusted.

    It acts on each object and each draw by itself, so that nothing depends on what else is
    predicted, and leaves rows without a prediction (NaN) without one.
    """

    @property
    def least_rows(self) -> int:
        """Labelled objects that `fit` asks for at least."""

    @classmethod
    def suits(cls, family: Family) -> bool:
        """Whether it can act on samples of a family."""

    @classmethod
    def fit(cls, family: Family, encoded: Any, weight: Any, samples: Any) -> Remap:
        """Learn from labelled objects that were not trained on.

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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Remap:
        """What `to_dict` described."""


@runtime_checkable
class Extra(Protocol):
    """Adds columns to a table of predictions."""

    @property
    def fingerprint(self) -> str:
        """Digest of what was learned: equal for extras that say the same."""

    def columns(self) -> tuple[Column, ...]:
        """Descriptions of what `compute` returns."""

    def compute(self, batch: Any) -> dict[str, NDArray[Any]]:
        """Values by name of the column, each of shape (n,).

        Parameters
        ----------
        batch : Batch
            Objects that were predicted: `catalog`, `images`, `scalars`, `samples` by target,
            `columns` of the targets, and the `estimator`.
        """

    def to_dict(self) -> dict[str, Any]:
        """Plain values and arrays."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Extra:
        """What `to_dict` described."""


def labelled(family: Family, encoded: Any, weight: Any, samples: Any) -> NDArray[np.intp]:
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


def mean_over_draws(draws: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean over the first axis in float64; equal draws give exactly that draw."""
    first = np.asarray(draws[0], np.float64)
    shift = np.zeros_like(first)
    for draw in draws[1:]:
        shift += draw - first
    return first + shift / len(draws)


def too_few(what: str, received: int, least: int, hint: str = "") -> PredictionError:
    """The error for a calibration on too few objects: how many there are, how many it takes."""
    return PredictionError(
        f"There are too few objects with a label and a prediction for {what}.",
        received=f"{received} objects",
        allowed=f"{least} or more",
        hint=hint or "a larger validation split",
    )
