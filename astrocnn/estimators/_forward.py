"""From linear fluxes to activated parameters, in blocks of one size."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, tf
from astrocnn.datasets import get_d4_views
from astrocnn.datasets.symmetry import ELEMENTS
from astrocnn.estimators.base import validate_draws
from astrocnn.imaging import Inputs
from astrocnn.models import MonteCarloDropout, evaluate_in_blocks
from astrocnn.targets import Task

__all__ = ["Forward", "compiled"]


class Forward:
    """A network ready to predict.

    Parameters
    ----------
    model : keras.Model
        In the precision that is wanted.
    task : Task
        Its families activate the raw parameters.
    inputs : Inputs
        With a normalization, if they have bands.
    draws, seed, views
        As in `Estimator.sample`.

    Raises
    ------
    ModelError
        If there are no such views, or draws are asked of a network without dropout.
    """

    def __init__(
        self, model: keras.Model, task: Task, inputs: Inputs, draws: int, seed: int, views: str
    ) -> None:
        validate_draws(draws, views)
        # Reflections change a handedness; the first four elements are the rotations.
        one = views == "one" or not inputs.bands
        self._n_views = 1 if one else ELEMENTS // (2 if task.sensitive_to else 1)
        self._inputs = inputs
        self._step = compiled(_activated(model, task, draws, seed))

    def __call__(
        self, images: NDArray[np.float32], scalars: NDArray[np.float32] | None
    ) -> dict[str, NDArray[np.float32]]:
        """Predict any number of objects, at least one."""
        arrays = {"image": images} if self._inputs.bands else {}
        if scalars is not None:
            arrays["scalars"] = self._inputs.standardize(scalars)
        return evaluate_in_blocks(self._block, arrays)

    def _block(self, x: dict[str, NDArray[Any]]) -> dict[str, Any]:
        if "image" not in x:
            return self._step(x)
        assert self._inputs.normalization is not None
        image = self._inputs.normalization.apply(x["image"])
        if self._n_views == 1:
            return self._step({**x, "image": image})
        total: dict[str, NDArray[Any]] = {}
        for view in islice(get_d4_views(image), self._n_views):
            for name, value in self._step({**x, "image": np.ascontiguousarray(view)}).items():
                total[name] = total.get(name, np.float32(0)) + keras.ops.convert_to_numpy(value)
        return {name: value / np.float32(self._n_views) for name, value in total.items()}


def _activated(
    model: keras.Model, task: Task, draws: int, seed: int
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    families = {target.name: target.family for target in task.targets}
    sampler = MonteCarloDropout(model, draws, seed) if draws else None

    def step(x: dict[str, Any]) -> dict[str, Any]:
        if sampler is not None:
            raw = sampler(x)
        else:
            raw = {name: value[None] for name, value in model(x, training=False).items()}
        return {
            name: keras.ops.cast(family.activate(raw[name]), "float32")
            for name, family in families.items()
        }

    return step


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a graph of the backend, where compiling pays (not XLA on a CPU)."""
    if keras.backend.backend() == "tensorflow":
        # TensorFlow counts tracings by code object and takes many networks for one that is traced
        # again and again; a partial object has no code, so that each is counted by itself.
        return tf.function(functools.partial(function), autograph=False)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return function
