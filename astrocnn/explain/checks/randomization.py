"""Weight randomization: a map must change when the weights are randomized.

A map that stays the same shows the image (its edges, its brightness), not the network.

References
----------
Adebayo et al. 2018, NeurIPS (arXiv:1810.03292), section 3 (cascading randomization of the model
parameters, from the output to the input, with Spearman rank correlations of absolute values).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.errors import ModelError
from astrocnn.explain.checks.correlation import spearman, validate_maps
from astrocnn.explain.network import build_arrays, validate_counts
from astrocnn.explain.target import ExplainTarget

__all__ = ["Randomization", "randomization"]


class Randomization(NamedTuple):
    """Result of `randomization`."""

    stages: tuple[str, ...]
    """For each stage, the last layer that is random: it and all layers after it are."""
    correlation: NDArray[np.float64]
    """Rank correlation of the absolute map with that of the trained network, of shape
    (n, n_stages); NaN where one of them is constant.  In the last stage the whole network is
    random."""


def randomization(
    method: Callable[..., Any],
    model: keras.Model,
    images: Any,
    target: ExplainTarget,
    *,
    scalars: Any = None,
    maps: Any = None,
    stages: int | None = None,
    seed: int = 0,
    batch_size: int = 64,
) -> Randomization:
    """Randomize the layers one after the other from the output, and compare the maps.

    A stage is a layer with a kernel, and the normalization after it.  Weights are drawn by each
    layer's own initializer; statistics of a normalization are those before training.

    Parameters
    ----------
    method : callable
        One of `astrocnn.explain.methods`.
    model, images, target, scalars, batch_size
        See `astrocnn.explain.methods`; the model is left as it is, and layers that do not
        contribute to the target are left out.
    maps : array_like, optional
        Maps of the trained network; computed by default.
    stages : int, optional
        Number of stages at which maps are compared, evenly spaced, including the last one;
        with 1 the whole network is randomized at once.  All by default.
    seed : int
        Seed of the weights.

    Returns
    -------
    Randomization

    Raises
    ------
    ModelError
        If there is no stage, or the network has no weights or a layer that cannot be cloned.

    Notes
    -----
    For a network that returns draws, pass the wrapped model as `model` with its `target`, and a
    `method` that explains ``drawing(model)``.
    """
    arrays = build_arrays(model, images, scalars, target)
    shape = arrays["image"].shape[:3]
    steps = _list_stages(model, target)
    count = len(steps) if stages is None else stages
    validate_counts(stages=count)
    compared = np.unique(np.linspace(len(steps) - 1, 0, min(count, len(steps))).round())

    def explain(network: keras.Model) -> NDArray[np.float64]:
        result = method(network, images, target, scalars=scalars, batch_size=batch_size)
        return validate_maps(result, shape)

    try:
        randomized = keras.models.clone_model(model)
    except NotImplementedError as error:
        raise ModelError(
            f"A layer of the network '{model.name}' cannot be cloned.",
            hint="give the network behind its draws, and a method that explains drawing(network)",
        ) from error
    trained = explain(model) if maps is None else validate_maps(maps, shape)
    randomized.set_weights(model.get_weights())
    rng = np.random.default_rng(seed)
    names, columns = [], []
    for number, step in enumerate(steps):
        for name in step:
            _randomize(randomized.get_layer(name), rng)
        if number in compared:
            names.append(step[-1])
            columns.append(spearman(trained, explain(randomized)))
    return Randomization(tuple(names), np.stack(columns, axis=1))


def _list_stages(model: keras.Model, target: ExplainTarget) -> list[list[str]]:
    """Names of the layers of each stage, from the output, the one with the kernel last."""
    path = keras.Model(model.input, target.tensor(model)).layers
    steps: list[list[str]] = []
    current: list[str] = []
    for layer in reversed([layer for layer in path if layer.weights]):
        current.append(layer.name)
        if max(len(w.shape) for w in layer.weights) > 1:
            steps.append(current)
            current = []
    if not steps:
        raise ModelError(
            f"The network '{model.name}' has no weights on the path to this target.",
            hint="take an output, or a layer further from the image",
        )
    # A normalization of the image itself belongs to the layer that reads it.
    steps[-1] = [*current, *steps[-1]]
    return steps


def _randomize(layer: Any, rng: np.random.Generator) -> None:
    """Initialize a layer again, from other random numbers."""
    new = type(layer).from_config(_replace_seeds(layer.get_config(), rng))
    new.build_from_config(layer.get_build_config())
    layer.set_weights(new.get_weights())


def _replace_seeds(config: Any, rng: np.random.Generator) -> Any:
    """A configuration with new seeds, those of initializers among them."""
    if isinstance(config, dict):
        return {
            key: int(rng.integers(2**31)) if key == "seed" else _replace_seeds(value, rng)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return type(config)(_replace_seeds(value, rng) for value in config)
    return config
