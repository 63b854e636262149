"""The estimator interface, and shared helpers: validation of arrays, files."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from astrocnn import plugins
from astrocnn.atomic import restore_folder
from astrocnn.backend import ops
from astrocnn.datasets import Shards, get_d4_views
from astrocnn.errors import InputsError, ModelError
from astrocnn.imaging import Inputs
from astrocnn.stored_files import read_json
from astrocnn.targets import Task

__all__ = [
    "ABOUT",
    "TRY",
    "VIEWS",
    "Estimator",
    "Wrapper",
    "average_over_views",
    "compute_features",
    "evaluate_in_blocks",
    "explain_damage",
    "load_estimator",
    "read_kind",
    "sample_with_features",
    "select_with_scalars",
    "validate_arrays",
    "validate_draws",
    "write_json",
]

ABOUT = "estimator.json"
"""File of a saved estimator that names its kind."""


TRY = "copy the folder again, or train again"
"""What to try with a damaged estimator."""

BLOCK = 64
"""Objects evaluated together."""

FEATURES = "/features"
"""Key of features beside samples by target; no target has a name like it."""

VIEWS: tuple[str, ...] = ("one", "d4")
"""What a prediction may be averaged over: nothing, or the orientations of the image."""


class _Kind(BaseModel):
    kind: str


@runtime_checkable
class Estimator(Protocol):
    """Fitted on shards, predicts samples of the distribution of each target."""

    @property
    def task(self) -> Task:
        """The task."""

    @property
    def inputs(self) -> Inputs:
        """The inputs."""

    @property
    def precision(self) -> str:
        """Arithmetic of predictions: ``"float32"`` or ``"bfloat16"``."""

    @property
    def fingerprint(self) -> str:
        """Digest of the fitted parameters: equal for estimators with equal predictions."""

    @property
    def facts(self) -> dict[str, str]:
        """Architecture, size and the like, for reports."""

    def fit(
        self,
        shards: Shards,
        train: NDArray[np.integer],
        validation: NDArray[np.integer] | None = None,
        *args: Any,
        **options: Any,
    ) -> Estimator:
        """Fit on some rows of shards.

        Parameters
        ----------
        shards : Shards
            Images and labels.
        train, validation : ndarray of int
            Rows; those without any label are not used.
        *args, **options
            Of the kind of estimator; all have defaults.
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
        """Predict objects, independently of the other objects of the batch.

        Parameters
        ----------
        images : ndarray of shape (n, size, size, n_bands)
            Linear fluxes [unit of the inputs], NaN where there are no data.  Not read when
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
            If the images or scalars do not have the shape of the inputs.
        ModelError
            If draws are requested and the estimator has none, or too few.
        """

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write a folder atomically."""

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Estimator:
        """Read what `save` wrote."""


class Wrapper:
    """Base of estimators around another one, whose inputs and features are theirs."""

    _inner: Estimator

    @property
    def task(self) -> Task:
        """The task."""
        return self._inner.task

    @property
    def inputs(self) -> Inputs:
        """The inputs."""
        return self._inner.inputs

    @property
    def precision(self) -> str:
        """Arithmetic of predictions."""
        return self._inner.precision

    def features(
        self,
        images: NDArray[np.floating],
        scalars: NDArray[np.floating] | None = None,
        *,
        layer: str | None = None,
    ) -> NDArray[np.float32]:
        """Features of the other one, of shape (n, d); see `KerasEstimator.features`."""
        return compute_features(self._inner, images, scalars, layer)


def compute_features(
    estimator: Any, images: Any, scalars: Any, layer: str | None
) -> NDArray[np.float32]:
    """Compute features; raise for an estimator without any, or without layers if one is meant."""
    measure = getattr(estimator, "features", None)
    chosen = {} if layer is None else {"layer": layer}
    if measure is None or not chosen.keys() <= inspect.signature(measure).parameters.keys():
        raise ModelError(
            "This estimator has no layers." if chosen else "This estimator has no features.",
            received=type(estimator).__name__,
            hint="intermediate features exist for networks only",
        )
    return np.asarray(measure(images, scalars, **chosen))


def sample_with_features(
    estimator: Any,
    images: Any,
    scalars: Any = None,
    *,
    draws: int = 0,
    seed: int = 0,
    views: str = "one",
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
    """Samples and features of the same objects, in one pass where the estimator has one.

    Parameters
    ----------
    estimator : Estimator
        With features.  Its method ``sample_with_features``, if it has one, gives both at hardly
        more than the cost of the samples.
    images, scalars, draws, seed, views
        As for `Estimator.sample`.  Features are those of the images as they are, whatever the
        views.

    Raises
    ------
    ModelError
        If the estimator has no features.
    """
    options: dict[str, Any] = {"draws": draws, "seed": seed, "views": views}
    together = getattr(estimator, "sample_with_features", None)
    if together is not None and views == "one" and len(images if images is not None else scalars):
        samples, features = together(images, scalars, **options)
        return samples, features
    samples = estimator.sample(images, scalars, **options)
    return samples, compute_features(estimator, images, scalars, None)


def validate_draws(draws: int, views: str) -> None:
    """Raise `ModelError` for a negative number of draws or unknown views."""
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

    Raises
    ------
    ModelError
        If the folder holds no estimator.
    """
    directory = Path(directory)
    restore_folder(directory)
    if not (directory / ABOUT).is_file():
        raise ModelError(
            f"There is no estimator in '{directory}'.",
            received=f"no {ABOUT}" if directory.is_dir() else "no such folder",
            hint="give the folder 'model' of a run directory",
        )
    kind = read_kind(directory)
    known = plugins.module_names("astrocnn.estimators")
    if kind not in known:
        raise ModelError(
            f"The estimator in '{directory}' is of a kind this version does not know.",
            received=kind,
            allowed=known,
        )
    try:
        return plugins.load_module("astrocnn.estimators", kind).ESTIMATOR.load(directory)
    except RecursionError:  # a link to a folder around it
        raise ModelError(f"The estimator in '{directory}' contains itself.", hint=TRY) from None


def read_kind(directory: str | os.PathLike[str]) -> str:
    """Kind of a saved estimator: the name of the module that reads it.

    Raises
    ------
    ModelError
        If its description is damaged.
    """
    return str(read_json(Path(directory) / ABOUT, _Kind, hint=TRY).kind)


def select_with_scalars(
    shards: Shards, inputs: Inputs, rows: NDArray[np.integer]
) -> tuple[NDArray[np.int64], Inputs]:
    """The rows that have all scalars, and the inputs with scalars fitted on them.

    Inputs that carry location and scale of their scalars already keep them.
    """
    chosen: NDArray[np.int64] = np.asarray(rows, np.int64)
    if not inputs.scalars:
        return chosen, inputs
    scalars = shards.scalars(inputs.scalars)[chosen]
    known = np.isfinite(scalars).all(axis=1)
    if not inputs.scalar_location:
        inputs = inputs.with_scalar_statistics(scalars[known] if known.any() else scalars)
    return chosen[known], inputs


def validate_arrays(
    inputs: Inputs, images: Any, scalars: Any
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Images and scalars as native float32 of the shapes a model takes.

    A model without bands reads no image: whatever is given, None included, becomes an array of
    shape (n, 0, 0, 0).

    Raises
    ------
    InputsError
        If the shapes are others, or scalars are missing or not expected.
    """
    if not inputs.bands:
        n = len(images if images is not None else scalars if scalars is not None else ())
        images = np.zeros((n, 0, 0, 0), np.float32)
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1:] != (inputs.size, inputs.size, inputs.n_bands):
        shape = f"(n, {inputs.size}, {inputs.size}, {inputs.n_bands})"
        raise InputsError(
            "The images do not have the shape that this model was trained on.",
            received=f"shape {images.shape}",
            allowed=f"shape {shape} with the bands {', '.join(inputs.bands)}",
        )
    images = np.ascontiguousarray(images, dtype=np.float32)
    if not inputs.scalars:
        if scalars is not None:
            raise InputsError("This model takes no scalars.", received="scalars")
        return images, None
    expected_scalars = (len(images), len(inputs.scalars))
    values = None if scalars is None else np.ascontiguousarray(scalars, dtype=np.float32)
    if values is None or values.shape != expected_scalars:
        raise InputsError(
            "This model needs scalars" + (" beside the images." if inputs.bands else "."),
            received="none" if values is None else f"shape {values.shape}",
            allowed=f"shape {expected_scalars}: {', '.join(inputs.scalars)}",
        )
    return images, values


def average_over_views(
    predict: Callable[[NDArray[Any]], Mapping[str, Any]],
    images: NDArray[Any],
    task: Task,
    views: str,
) -> dict[str, Any]:
    """Mean of predictions over the orientations of images that a task allows.

    Parameters
    ----------
    predict : callable
        From images to arrays or tensors by target.
    images : ndarray of shape (n, size, size, n_bands)
    task : Task
    views : {"one", "d4"}
        As in `Estimator.sample`.
    """
    if views == "one":
        return dict(predict(images))
    # Reflections change handedness; the first four elements are the rotations.
    n_views = 4 if task.sensitive_to else 8
    total: dict[str, NDArray[Any]] = {}
    for view in islice(get_d4_views(images), n_views):
        for name, value in predict(np.ascontiguousarray(view)).items():
            total[name] = total.get(name, np.float32(0)) + _numpy(value)
    return {name: value / np.float32(n_views) for name, value in total.items()}


@contextmanager
def explain_damage(what: str) -> Iterator[None]:
    """Raise `ModelError` in place of any error: a damaged file can cause almost all."""
    try:
        yield
    except Exception as error:
        received = f"{type(error).__name__}: {error}"
        raise ModelError(what, received=received, hint=TRY) from error


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a table of plain values."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def evaluate_in_blocks(
    function: Callable[[dict[str, Any]], Mapping[str, Any]],
    arrays: Mapping[str, NDArray[Any]],
    *,
    axis: int = 1,
    block: int = BLOCK,
) -> dict[str, NDArray[Any]]:
    """Call a function on blocks of rows of one fixed size and join the results.

    Parameters
    ----------
    function : callable
        From a dict of arrays of `block` rows to a dict of arrays or tensors with as many along
        `axis`.
    arrays : mapping of str to ndarray of shape (n, ...)
        Its inputs; all of one length, at least one row.
    axis : int
        Where the objects are in the results: 1 for samples of shape (n_draws, n, units).
    block : int
        Rows of each call.  The last block repeats its last row, and the repetitions are cut off.

    Raises
    ------
    ModelError
        If the arrays differ in length or are empty.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ModelError("All inputs must have the same length, at least 1.", received=lengths)
    n = next(iter(lengths.values()))
    parts: list[dict[str, NDArray[Any]]] = []
    for start in range(0, n, block):
        rows = np.minimum(np.arange(start, start + block), n - 1)
        whole = start + block <= n
        piece = {k: a[start : start + block] if whole else a[rows] for k, a in arrays.items()}
        kept = [slice(None)] * axis + [slice(0, min(block, n - start))]
        parts.append({k: _numpy(v)[tuple(kept)] for k, v in function(piece).items()})
    return {key: np.concatenate([part[key] for part in parts], axis=axis) for key in parts[0]}


def _numpy(value: Any) -> NDArray[Any]:
    # Arrays stay as they are: classical methods do not load the backend.
    return value if isinstance(value, np.ndarray) else ops.convert_to_numpy(value)
