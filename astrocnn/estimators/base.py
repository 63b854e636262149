"""The contract of an estimator: learn from shards, then sample from the predictive distribution."""

from __future__ import annotations

from os import PathLike
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from astrocnn.datasets import Shards
from astrocnn.imaging import Inputs
from astrocnn.tasks import Task

__all__ = ["Estimator"]


@runtime_checkable
class Estimator(Protocol):
    """Anything that learns a task from cutouts: a network, or a classical competitor.

    Attributes
    ----------
    task : Task
        What it predicts.
    inputs : Inputs
        The kind of images it takes, with their normalization once it has learned.
    precision : str
        Arithmetic of its predictions, for the provenance of tables.
    """

    task: Task
    inputs: Inputs
    precision: str

    def fit(
        self, shards: Shards, train: np.ndarray, validation: np.ndarray | None = None, **how: Any
    ) -> Self:
        """Learn from rows of shards; `validation` rows choose, they never teach.

        Parameters
        ----------
        shards : Shards
            Cutouts with their catalogue columns.
        train, validation : ndarray of int, shape (n,)
            Rows that have an image and at least one label.
        **how
            What the kind of estimator needs to know: epochs, optimizer ...
        """
        ...

    def sample(
        self,
        images: np.ndarray,
        scalars: np.ndarray | None = None,
        *,
        draws: int = 0,
        seed: int = 0,
        views: str = "one",
    ) -> dict[str, np.ndarray]:
        """Parameters of the predictive distribution of each object, draw by draw.

        Parameters
        ----------
        images : ndarray of shape (n, height, width, n_bands)
            Linear, as the shards hold them, NaN where there are no data.
        scalars : ndarray of shape (n, n_scalars), optional
            In the order of ``inputs.scalars``.
        draws : int
            Stochastic passes; 0 for one deterministic answer.
        seed : int
            Draw k of a seed is the same for every object, call and machine.
        views : {"one", "d4"}
            Whether to average over the eight orientations.

        Returns
        -------
        dict of str to ndarray of shape (max(draws, 1), n, units)
            float32 parameters by target, which the target's family understands.
        """
        ...

    def save(self, directory: str | PathLike[str]) -> None:
        """Write everything that `load` needs; no pickle."""
        ...

    @classmethod
    def load(cls, directory: str | PathLike[str]) -> Self:
        """What `save` wrote."""
        ...
