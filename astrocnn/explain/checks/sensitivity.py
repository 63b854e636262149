"""Sensitivity of maps: they must change with the weights, and move with the image.

A map that stays the same under weight randomization shows the image (its edges, its brightness),
not the network.

References
----------
Adebayo et al. 2018, NeurIPS (arXiv:1810.03292), section 3 (cascading randomization of the model
parameters, from the output to the input, with Spearman rank correlations of absolute values).
Crabbe & van der Schaar 2023, NeurIPS (arXiv:2304.06715), section 2 (equivariance of explanations).
Zhang 2019, ICML (arXiv:1904.11486): why strides and pooling break it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from astrocnn.backend import keras
from astrocnn.errors import ModelError
from astrocnn.explain.checks.fractions import validate_maps
from astrocnn.explain.network import build_arrays, validate_counts
from astrocnn.explain.target import ExplainTarget

__all__ = ["Randomization", "randomization", "shift", "spearman"]


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


def shift(
    method: Callable[..., Any],
    model: keras.Model,
    images: Any,
    target: ExplainTarget,
    *,
    scalars: Any = None,
    maps: Any = None,
    moves: Sequence[tuple[int, int]] = ((0, 1), (1, 0)),
    margin: int | None = None,
    batch_size: int = 64,
) -> NDArray[np.float64]:
    """Correlation of the moved map of an image with the map of the moved image.

    Pixels that enter at the border repeat those next to them; a rim is left out.

    Parameters
    ----------
    method : callable
        One of `astrocnn.explain.methods`.
    model, images, target, scalars, batch_size
        See `astrocnn.explain.methods`.
    maps : array_like, optional
        Maps of these images; computed by default.
    moves : sequence of tuple of int
        Pixels along y and x; one to the right and one upwards by default.
    margin : int, optional
        Width of the rim [pixel]; an eighth of the image by default, at least the largest move.

    Returns
    -------
    ndarray of shape (n, n_moves)
        1 for a map that moves with the image; NaN where a map is constant.

    Raises
    ------
    ModelError
        If nothing is left within the rim, or there are no moves.
    """
    arrays = build_arrays(model, images, scalars, target)
    image = arrays["image"]
    n, height, width = image.shape[:3]
    largest = max((abs(by) for move in moves for by in move), default=0)
    rim = max(largest, min(height, width) // 8) if margin is None else margin
    if not moves or not 0 < largest <= rim or 2 * rim + 1 >= min(height, width):
        raise ModelError(
            "`moves` and `margin` leave no pixels to compare.",
            received=f"moves {tuple(moves)}, a rim of {rim} pixels",
            allowed="one move or more, a rim as wide as the moves, and pixels within it",
        )
    inner = (slice(None), slice(rim, height - rim), slice(rim, width - rim))

    def explain(x: NDArray[np.float32]) -> NDArray[np.float64]:
        result = method(model, x, target, scalars=scalars, batch_size=batch_size)
        return validate_maps(result, image.shape[:3])

    reference = explain(image) if maps is None else validate_maps(maps, image.shape[:3])
    columns = [
        _pearson(
            _translate(reference, move)[inner].reshape(n, -1),
            explain(_translate(image, move))[inner].reshape(n, -1),
        )
        for move in moves
    ]
    return np.stack(columns, axis=1)


def _pearson(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Correlation of each row of two arrays of shape (n, m); NaN where a row is constant."""
    a, b = (np.asarray(x, np.float64) for x in (a, b))
    flat = (np.ptp(a, axis=1) == 0) | (np.ptp(b, axis=1) == 0)
    # Gradients may be so small that their squares underflow.
    a, b = (x / np.maximum(np.abs(x).max(axis=1, keepdims=True), 1e-300) for x in (a, b))
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.where(flat, np.nan, np.clip(correlation, -1.0, 1.0))


def spearman(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Rank correlation of the absolute values of two arrays of shape (n, ...), of shape (n,)."""
    ranks = (rankdata(np.abs(x).reshape(len(x), -1), axis=1) for x in (a, b))
    return _pearson(*ranks)


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


def _translate(a: NDArray[Any], by: tuple[int, int]) -> NDArray[Any]:
    """An array of shape (n, height, width, ...) moved along y and x, its border repeated."""
    rows, columns = (
        np.clip(np.arange(length) - step, 0, length - 1)
        for length, step in zip(a.shape[1:3], by, strict=True)
    )
    return a[:, rows][:, :, columns]
