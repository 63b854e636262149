"""The contract of an estimator."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.errors import ModelError
from astrocnn.estimators._folder import read_json
from astrocnn.imaging import Inputs
from astrocnn.targets import Task

if TYPE_CHECKING:
    from astrocnn.datasets import Shards

__all__ = ["ABOUT", "VIEWS", "Estimator", "features_of", "load_estimator", "validate_draws"]

ABOUT = "estimator.json"
"""File of a saved estimator that says of which kind it is."""


VIEWS: tuple[str, ...] = ("one", "d4")
"""What a prediction may be averaged over: nothing, or the orientations of the image."""


@runtime_checkable
class Estimator(Protocol):
    """Learns from shards, and predicts samples of the distribution of each target."""

    task: Task
    inputs: Inputs

    @property
    def precision(self) -> str:
        """Arithmetic of predictions: ``"float32"`` or ``"bfloat16"``."""

    @property
    def fingerprint(self) -> str:
        """Digest of what was learned: equal for estimators that predict alike."""

    @property
    def facts(self) -> dict[str, str]:
        """What a reader wants to know of it, in words."""

    def fit(
        self,
        shards: Shards,
        train: NDArray[np.integer],
        validation: NDArray[np.integer] | None = None,
        **options: Any,
    ) -> Estimator:
        """Learn from some rows of shards.

        Parameters
        ----------
        shards : Shards
            Images and labels.
        train, validation : ndarray of int
            Rows; those without any label are not used.
        **options
            Of the kind of estimator; all have defaults.

        Returns
        -------
        Estimator
            Itself.
        """

    def sample(
        self,
        images: NDArray[np.floating],
        scalars: NDArray[np.floating] | None = None,
        *,
        draws: int = 0,
        seed: int = 0,
        views: str = "one",
    ) -> dict[str, NDArray[np.float32]]:
        """Predict objects, each by itself: no result depends on what else is predicted with it.

        Parameters
        ----------
        images : ndarray of shape (n, size, size, n_bands)
            Linear fluxes [unit of the inputs], NaN where there are no data.  Not looked at when
            the inputs have no bands; None will then do.
        scalars : ndarray of shape (n, n_scalars), optional
            As in the catalogue.  Needed when the inputs have scalars.
        draws : int
            Stochastic passes, each a sub-network that is the same for all objects; 0 for one
            deterministic pass.
        seed : int
            Of the draws.
        views : {"one", "d4"}
            "d4" averages the activated parameters over the eight orientations of each image (over
            the four rotations, when a label of the task does not survive a reflection).

        Returns
        -------
        dict of str to ndarray of shape (max(draws, 1), n, units)
            Activated parameters by target, float32.

        Raises
        ------
        InputsError
            If the images or scalars are of another shape than the inputs say.
        ModelError
            If draws are asked for and there is nothing, or too little, to draw from.
        """

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write a folder that exists whole or not at all."""

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Estimator:
        """Read what `save` wrote."""


def features_of(
    estimator: Any, images: Any, scalars: Any, layer: str | None
) -> NDArray[np.float32]:
    """Features of an estimator that may have none.

    Raises
    ------
    ModelError
        If it has none, or a layer is meant and it has no layers.
    """
    measure = getattr(estimator, "features", None)
    chosen = {} if layer is None else {"layer": layer}
    if measure is None or not chosen.keys() <= inspect.signature(measure).parameters.keys():
        raise ModelError(
            "This estimator has no layers." if chosen else "This estimator has no features.",
            received=type(estimator).__name__,
            hint="features on the way to the answers are for networks",
        )
    found: NDArray[np.float32] = measure(images, scalars, **chosen)
    return found


def validate_draws(draws: int, views: str) -> None:
    """Refuse a negative number of draws, and views that do not exist.

    Raises
    ------
    ModelError
    """
    if draws < 0:
        raise ModelError(f"`draws` must be an integer >= 0; got {draws}.")
    if views not in VIEWS:
        raise ModelError(
            f"`views` must be one of {', '.join(map(repr, VIEWS))}; got {views!r}.",
            hint=plugins.nearest(str(views), VIEWS),
        )


def load_estimator(directory: str | os.PathLike[str]) -> Estimator:
    """Read a saved estimator of any kind.

    Parameters
    ----------
    directory : path-like
        What `Estimator.save` wrote, the folder ``model`` of a run directory.

    Returns
    -------
    Estimator

    Raises
    ------
    ModelError
        If the folder holds no estimator.
    """
    directory = Path(directory)
    if not (directory / ABOUT).is_file():
        raise ModelError(
            f"There is no estimator in '{directory}'.",
            received=f"no {ABOUT}" if directory.is_dir() else "no such folder",
            hint="give the folder 'model' of a run directory",
        )
    kind = read_json(directory / ABOUT).get("kind")
    known = plugins.module_names("astrocnn.estimators")
    if kind not in known:
        raise ModelError(
            f"The estimator in '{directory}' is of a kind this version does not know.",
            received=kind,
            allowed=known,
        )
    return plugins.load_module("astrocnn.estimators", kind).ESTIMATOR.load(directory)
