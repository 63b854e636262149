"""Does a map change when the network forgets what it has learned?

A map that stays the same tells of the image (its edges, its brightness), not of the network.

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
from astrocnn.explain._network import arrays_for, check_counts
from astrocnn.explain.checks._maps import checked, spearman
from astrocnn.explain.output import Explained

__all__ = ["Randomization", "randomization"]


class Randomization(NamedTuple):
    """What `randomization` found."""

    stages: tuple[str, ...]
    """For each stage, the last layer that has forgotten: it and all layers after it have."""
    correlation: NDArray[np.float64]
    """Rank correlation of the absolute map with that of the trained network, of shape
    (n, n_stages); NaN where one of them is the same everywhere.  In the last stage the whole
    network is random."""


def randomization(
    method: Callable[..., Any],
    model: keras.Model,
    images: Any,
    output: Explained,
    *,
    scalars: Any = None,
    stages: int | None = None,
    seed: int = 0,
    batch_size: int = 64,
) -> Randomization:
    """Give the layers new random weights, one after the other from the output, and compare maps.

    A stage is a layer with a kernel, and the normalization after it.  Weights are drawn by each
    layer's own initializer; statistics of a normalization are those before training.

    Parameters
    ----------
    method : callable
        ``pixel_map`` of a method.
    model : keras.Model
        From images, and scalars where it takes them; it is left as it is.
    images : array_like of shape (n, height, width, n_channels)
        Normalized.
    output : Output or Response
        The number to be explained; layers without a part in it are left out.
    scalars : array_like of shape (n, n_scalars), optional
        Standardized.
    stages : int, optional
        At how many stages maps are compared, evenly spaced and the last one always among them;
        with 1 the whole network forgets at once.  All by default.
    seed : int
        Of the weights.
    batch_size : int
        Images at once; without influence on the outcome.

    Returns
    -------
    Randomization

    Raises
    ------
    ModelError
        If there is no stage, or the network has nothing to forget or a layer that cannot be made
        anew.

    Notes
    -----
    Of a network that answers with draws the one behind them forgets: `model` and `output` are its,
    and `method` maps what the draws of the network it is given answer.
    """
    arrays = arrays_for(model, images, scalars)
    shape = arrays["image"].shape[:3]
    steps = _stages(model, output)
    count = len(steps) if stages is None else stages
    check_counts(stages=count)
    compared = np.unique(np.linspace(len(steps) - 1, 0, min(count, len(steps))).round())

    def explained(network: keras.Model) -> NDArray[np.float64]:
        made = method(network, images, output, scalars=scalars, batch_size=batch_size)
        return checked(made, shape)

    try:
        forgetful = keras.models.clone_model(model)
    except NotImplementedError as error:
        raise ModelError(
            f"A layer of the network '{model.name}' cannot be made anew.",
            hint="give the network behind its draws, and a method that asks drawing(network)",
        ) from error
    trained = explained(model)
    forgetful.set_weights(model.get_weights())
    rng = np.random.default_rng(seed)
    names, columns = [], []
    for number, step in enumerate(steps):
        for name in step:
            _forget(forgetful.get_layer(name), rng)
        if number in compared:
            names.append(step[-1])
            columns.append(spearman(trained, explained(forgetful)))
    return Randomization(tuple(names), np.stack(columns, axis=1))


def _stages(model: keras.Model, output: Explained) -> list[list[str]]:
    """Names of the layers of each stage, from the output, the one with the kernel last."""
    way = keras.Model(model.input, output.nodes(model)).layers
    steps: list[list[str]] = []
    current: list[str] = []
    for layer in reversed([layer for layer in way if layer.weights]):
        current.append(layer.name)
        if max(len(w.shape) for w in layer.weights) > 1:
            steps.append(current)
            current = []
    if not steps:
        raise ModelError(
            f"The network '{model.name}' has no weights on the way to this number.",
            hint="take an output, or a layer further from the image",
        )
    # A normalization of the image itself belongs to the layer that reads it.
    steps[-1] = [*current, *steps[-1]]
    return steps


def _forget(layer: Any, rng: np.random.Generator) -> None:
    """Give a layer the weights it would have had before training, from other random numbers."""
    new = type(layer).from_config(_reseeded(layer.get_config(), rng))
    new.build_from_config(layer.get_build_config())
    layer.set_weights(new.get_weights())


def _reseeded(config: Any, rng: np.random.Generator) -> Any:
    """A configuration with new seeds, those of initializers among them."""
    if isinstance(config, dict):
        return {
            key: int(rng.integers(2**31)) if key == "seed" else _reseeded(value, rng)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return type(config)(_reseeded(value, rng) for value in config)
    return config
