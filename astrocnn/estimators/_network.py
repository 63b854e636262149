"""Networks behind an estimator: activated predictions, features, rounding, warm start, files."""

from __future__ import annotations

import functools
import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, tf
from astrocnn.errors import ModelError
from astrocnn.estimators.base import (
    BLOCK,
    FEATURES,
    TRY,
    average_over_views,
    evaluate_in_blocks,
    explain_damage,
    validate_draws,
)
from astrocnn.imaging import Inputs
from astrocnn.models import MonteCarloDropout, with_precision
from astrocnn.models.dropout_split import holds_dropout
from astrocnn.models.layer_access import cut_after
from astrocnn.models.pretrained import Pretrained, load_pretrained
from astrocnn.models.transfer import InputNames, transfer_weights
from astrocnn.targets import ClassFamily, QuantityFamily, Task, storage

__all__ = [
    "FeatureExtractor",
    "Forward",
    "compute_rounding_change",
    "describe_origin",
    "find_limits",
    "read_network",
    "start_from",
    "write_network",
]

SCALAR_BLOCK = 1024
"""Objects evaluated together by a network without images, whose calls cost more than its sums."""

_FILE = "model.keras"
_ROUNDING_DRAWS = 10
_SHOWN = 6


class Forward:
    """A compiled network for prediction.

    Parameters
    ----------
    model : keras.Model
        In the precision of the predictions.
    task : Task
        Its families activate the raw parameters.
    inputs : Inputs
        With a normalization, if they have bands.
    draws, seed, views
        As in `Estimator.sample`.
    features : bool
        Whether to return features as well, under the key `FEATURES`, of shape (1, n, d).

    Raises
    ------
    ModelError
        If there are no such views, or draws are requested of a network without dropout.
    """

    def __init__(
        self,
        model: keras.Model,
        task: Task,
        inputs: Inputs,
        draws: int,
        seed: int,
        views: str,
        *,
        features: bool = False,
    ) -> None:
        validate_draws(draws, views)
        self._task, self._inputs, self._views = task, inputs, views
        step = _activated_with_features if features else _activated
        self._step = compile_graph(step(model, task, draws, seed))

    def __call__(
        self, images: NDArray[np.float32], scalars: NDArray[np.float32] | None
    ) -> dict[str, NDArray[np.float32]]:
        """Predict any number of objects, at least one."""
        arrays = {"image": images} if self._inputs.bands else {}
        if scalars is not None:
            arrays["scalars"] = self._inputs.standardize(scalars)
        block = BLOCK if self._inputs.bands else SCALAR_BLOCK
        return evaluate_in_blocks(self._block, arrays, block=block)

    def _block(self, x: dict[str, NDArray[Any]]) -> dict[str, Any]:
        if "image" not in x:
            return self._step(x)
        assert self._inputs.normalization is not None
        image = self._inputs.normalization.apply(x["image"])

        def predict(view: NDArray[Any]) -> dict[str, Any]:
            return self._step({**x, "image": view})

        return average_over_views(predict, image, self._task, self._views)


def _activated(
    model: keras.Model, task: Task, draws: int, seed: int, others: tuple[str, ...] = ()
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    families = {target.name: target.family for target in task.targets}
    sampler = MonteCarloDropout(model, draws, seed) if draws else None

    def step(x: dict[str, Any]) -> dict[str, Any]:
        if sampler is not None:
            raw = sampler(x)
        else:
            raw = {name: value[None] for name, value in model(x, training=False).items()}
        activated = {
            name: keras.ops.cast(family.activate(raw[name]), "float32")
            for name, family in families.items()
        }
        return activated | {name: raw[name] for name in others}

    return step


def _activated_with_features(
    model: keras.Model, task: Task, draws: int, seed: int
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """As `_activated`, with the features; the layers before them run once for both."""
    body = cut_after(model)
    if draws and any(holds_dropout(layer) for layer in body.layers):
        # The draws need these layers with dropout, the features without: one more pass.
        sample = _activated(model, task, draws, seed)
        return lambda x: {**sample(x), FEATURES: body(x, training=False)[None]}
    model = keras.Model(model.input, {**model.output, FEATURES: body.output})
    sample = _activated(model, task, draws, seed, (FEATURES,))

    def step(x: dict[str, Any]) -> dict[str, Any]:
        values = sample(x)
        # No dropout reaches them: they are the same in every draw.
        return {**values, FEATURES: values[FEATURES][:1]}

    return step


def compile_graph(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile the function as a graph."""
    # TensorFlow counts tracings by code object and takes many networks for one that is traced
    # again and again; a partial object has no code, so that each is counted by itself.
    return tf.function(functools.partial(function), autograph=False)


class FeatureExtractor(Forward):
    """A network truncated after a layer, which returns features.

    Parameters
    ----------
    model, task, inputs
        As for `Forward`.
    layer : str, optional
        Its name; what goes into the heads by default.

    Raises
    ------
    ModelError
        If there is no such layer.
    """

    def __init__(
        self, model: keras.Model, task: Task, inputs: Inputs, layer: str | None = None
    ) -> None:
        self._task, self._inputs, self._views = task, inputs, "one"
        body = cut_after(model, layer)
        self._width = int(body.output.shape[-1])

        def step(x: dict[str, Any]) -> dict[str, Any]:
            return {"features": body(x, training=False)[None]}

        self._step = compile_graph(step)

    def compute(
        self, images: NDArray[np.float32], scalars: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Features of any number of objects, of shape (n, d)."""
        if not len(images):
            return np.empty((0, self._width), np.float32)
        return self(images, scalars)["features"][0]


def compute_rounding_change(
    model: keras.Model,
    task: Task,
    inputs: Inputs,
    images: NDArray[Any],
    scalars: NDArray[Any] | None,
) -> float:
    """Largest difference between predictions in bfloat16 and in float32.

    Compared are the deterministic pass and, if the network has dropout, the mean over ten draws.

    Parameters
    ----------
    model, task, inputs
        As for `Forward`; the model in float32.
    images : ndarray of shape (n, size, size, n_bands)
        Linear fluxes.
    scalars : ndarray of shape (n, n_scalars), optional

    Returns
    -------
    float
        Of a probability, cumulative for families over a number; for others in units of the range
        of each parameter over the objects.
    """
    short = with_precision(model, "bfloat16")
    names = [type(layer).__name__.lower() for layer in model._flatten_layers(include_self=False)]
    largest = 0.0
    for n in (0, _ROUNDING_DRAWS) if any("dropout" in name for name in names) else (0,):
        exact, rounded = (
            Forward(network, task, inputs, n, 0, "one")(images, scalars)
            for network in (model, short)
        )
        for target in task.targets:
            values = [_summarize(target.family, s[target.name]) for s in (exact, rounded)]
            largest = max(largest, float(np.nanmax(np.abs(values[0] - values[1]), initial=0.0)))
    return largest


def _summarize(family: Any, samples: NDArray[Any]) -> NDArray[Any]:
    """Mean prediction, as a number between 0 and 1 if the family has one."""
    if isinstance(family, QuantityFamily):
        return family.masses(samples).mean(axis=0).cumsum(axis=-1)
    mean = samples.mean(axis=0)
    return mean if isinstance(family, ClassFamily) else mean / (1e-12 + np.ptp(mean, axis=0))


def find_limits(start: Any, n_bands: int) -> tuple[tuple[float, float], ...] | None:
    """Black and white of each band as initial weights expect them; None for weights without."""
    if isinstance(start, Pretrained):
        return start.limits(n_bands)
    normalization = getattr(getattr(start, "inputs", None), "normalization", None)
    limits = getattr(normalization, "limits", None)
    if limits is None or len(limits) == n_bands:
        return limits
    low, high = np.mean(limits, axis=0).tolist()
    return ((low, high),) * n_bands


def start_from(model: keras.Model, task: Task, inputs: Inputs, start: Any) -> dict[str, Any]:
    """Transfer the weights of a trained estimator, or published ones, to a new network.

    Heads are taken for targets with the name and the family (the classes, say) of a target of the
    trained one.

    Returns
    -------
    dict
        The origin, JSON: SHA-256 of the trained estimator or of the file, names of layers.

    Raises
    ------
    ModelError
        If the weights do not fit, or it is not one trained network.
    """
    if isinstance(start, Pretrained):
        summary, left_out = load_pretrained(model, start, n_bands=inputs.n_bands)
        return {
            "model": start.file.sha256,
            "weights": start.name,
            **{kind: list(names) for kind, names in summary._asdict().items()},
            "left_out": list(left_out),
        }
    if not hasattr(start, "model_"):
        several = hasattr(start, "members")
        raise ModelError(
            "`start` must be one trained network.",
            received=type(start).__name__,
            allowed="a trained KerasEstimator, or a Pretrained",
            hint="take one of its members, or train an ensemble of as many" if several else None,
        )
    before, after = (
        {target["name"]: json.dumps(target["family"]) for target in storage.to_dict(t)["targets"]}
        for t in (start.task, task)
    )
    transferred = transfer_weights(
        start.model_,
        model,
        old_inputs=InputNames(start.inputs.bands, start.inputs.scalars),
        new_inputs=InputNames(inputs.bands, inputs.scalars),
        # An encoder has a task, and no heads for it.
        heads=[
            name
            for name, family in after.items()
            if before.get(name) == family and name in start.model_.output
        ],
    )
    return {
        "model": start.fingerprint,
        **{kind: list(names) for kind, names in transferred._asdict().items()},
    }


def describe_origin(origin: dict[str, Any]) -> dict[str, str]:
    """Describe the origin of a network."""
    facts = [f"{len(origin['taken'])} layers taken"]
    if origin["adapted"]:
        facts.append(f"adapted to other bands or scalars: {', '.join(origin['adapted'])}")
    if origin["fresh"]:
        facts.append(f"fresh: {', '.join(origin['fresh'])}")
    if left_out := origin.get("left_out"):
        more = f" and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else ""
        facts.append(f"left out of the file: {', '.join(left_out[:_SHOWN])}{more}")
    source = "model" if origin.get("weights") is None else f"'{origin['weights']}', file"
    return {"Started from": f"{source} SHA-256 {origin['model']}", "Weights": "; ".join(facts)}


def write_network(folder: Path, model: keras.Model) -> None:
    """Write a network."""
    model.save(folder / _FILE)


def read_network(folder: Path, heads: Iterable[str], inputs: Inputs) -> keras.Model:
    """Read a network with outputs of some names; nothing in its file is executed.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or the network is for another task or other inputs.
    """
    path = folder / _FILE
    with explain_damage(f"The network in '{folder}' cannot be read."):
        if not zipfile.is_zipfile(path):
            raise ValueError(f"{path.name} is {'damaged' if path.is_file() else 'missing'}")
        model = keras.models.load_model(path, compile=False, safe_mode=True)
        received = {tensor.name: tuple(tensor.shape[1:]) for tensor in model.inputs}
        outputs = set(model.output)
    expected: dict[str, tuple[int, ...]] = {"image": inputs.shape} if inputs.bands else {}
    if inputs.scalars:
        expected["scalars"] = (len(inputs.scalars),)
    if received != expected or not outputs >= set(heads):
        raise ModelError(
            f"The network in '{folder}' does not belong to the files beside it.",
            received=f"inputs {received}, outputs {sorted(outputs)}",
            allowed=f"inputs {expected}, outputs {sorted(heads)}",
            hint=TRY,
        )
    return model
