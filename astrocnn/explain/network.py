"""A network ready to be evaluated: validated arrays, scores, blocks of one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, layers, ops
from astrocnn.errors import InputsError, ModelError
from astrocnn.explain.gradients import compiled, get_graph, gradient
from astrocnn.explain.target import ExplainTarget

__all__ = [
    "as_strip",
    "band_mask",
    "build_arrays",
    "build_scorer",
    "compute_image_gradient",
    "compute_layer_gradient",
    "compute_scores",
    "gradients_of_variations",
    "image_shape",
    "in_blocks",
    "scores_of_variations",
    "validate_counts",
    "validate_square",
]

Arrays = dict[str, NDArray[Any]]
Tensors = dict[str, Any]
Score = Callable[[Tensors], Any]
Vary = Callable[[Tensors, Any], Any]


def as_strip(model: keras.Model) -> keras.Model:
    """A network of scalars as one of images one pixel high, with a pixel for each scalar.

    Methods and checks of images then explain scalars as well.  The empty sky is zero,
    the mean of the training set of standardized scalars.

    Parameters
    ----------
    model : keras.Model
        From ``{"scalars": (n, n_scalars)}``; its weights are shared, not copied.

    Returns
    -------
    keras.Model
        From ``{"image": (n, 1, n_scalars, 1)}``; scalars of shape (n, n_scalars) become such
        images as ``scalars[:, None, :, None]``.

    Raises
    ------
    ModelError
        If the network takes an image, or is not a graph of layers.

    Examples
    --------
    >>> import keras
    >>> from astrocnn.explain import ExplainTarget, saliency
    >>> x = keras.Input((2,), name="scalars")
    >>> z = keras.layers.Dense(1, use_bias=False, name="z")
    >>> strip = as_strip(keras.Model({"scalars": x}, {"z": z(x)}))
    >>> z.set_weights([np.array([[0.5], [-3.0]])])
    >>> saliency(strip, np.zeros((1, 1, 2, 1)), ExplainTarget(layer="z")).ravel().tolist()
    [0.5, -3.0]
    """
    names = tuple(model.input) if isinstance(model.input, dict) else ()
    if names != ("scalars",):
        raise ModelError(
            "`as_strip` needs a network of scalars alone.",
            received=names or type(model.input).__name__,
            allowed=("scalars",),
            hint="a network that takes an image is explained as it is",
        )
    n = int(model.input["scalars"].shape[-1])
    image = layers.Input((1, n, 1), name="image")
    outputs = get_graph(model)._run_through_graph(
        [layers.Reshape((n,))(image)],
        call_fn=lambda layer, *args, **kwargs: layer(*args, **kwargs),
    )
    return keras.Model({"image": image}, outputs, name=model.name)


def image_shape(model: keras.Model) -> tuple[int, int, int]:
    """Height, width and channels of the image a network takes.

    Raises
    ------
    ModelError
        If it takes none.
    """
    inputs = model.input
    if not isinstance(inputs, dict) or "image" not in inputs:
        raise ModelError(
            f"The network '{model.name}' takes no image, so there are no pixels to explain.",
            received=tuple(inputs) if isinstance(inputs, dict) else type(inputs).__name__,
            hint="the input must be called 'image'; as_strip converts a network of scalars",
        )
    _, height, width, channels = inputs["image"].shape
    return int(height), int(width), int(channels)


def build_arrays(
    model: keras.Model, images: Any, scalars: Any = None, target: ExplainTarget | None = None
) -> Arrays:
    """The inputs of a network by name, in float32, and the choice of a target as ``"choice"``.

    Raises
    ------
    InputsError
        If images or scalars have not the shape that the network takes, are not finite, or the
        target has classes for another number of objects.
    ModelError
        If the network takes no image.
    """
    shape = image_shape(model)
    arrays: Arrays = {"image": np.asarray(images, np.float32)}
    expected: dict[str, tuple[int, ...]] = {"image": shape}
    if "scalars" in model.input:
        expected["scalars"] = tuple(model.input["scalars"].shape[1:])
    if scalars is not None:
        arrays["scalars"] = np.asarray(scalars, np.float32)
    choice = None if target is None else target.choice
    if choice is not None:
        arrays["choice"], expected["choice"] = choice, choice.shape[1:]
    n = len(arrays["image"]) if arrays["image"].ndim else 0
    for name in {**expected, **arrays}:
        received = arrays[name].shape if name in arrays else None
        allowed = (n, *expected[name]) if name in expected else None
        if received != allowed or not n:
            raise InputsError(
                f"`{name}` has not the shape that the network takes.",
                received="none" if received is None else f"shape {received}",
                allowed="none"
                if allowed is None
                else f"shape (n, {str(expected[name])[1:]}, n > 0",
            )
        if not np.isfinite(arrays[name]).all():
            raise InputsError(
                f"`{name}` has values that are not finite.",
                hint="give normalized images; Normalization fills pixels without data",
            )
    return arrays


def validate_counts(**counts: int) -> None:
    """Validate numbers of draws, steps, pixels and objects.

    Raises
    ------
    ModelError
        If one is below 1.
    """
    for name, count in counts.items():
        if count < 1:
            raise ModelError(f"`{name}` must be at least 1.", received=count)


def validate_square(size: int | None, height: int, width: int) -> None:
    """Validate the side of a square; only the width counts if the image is one pixel high.

    Raises
    ------
    ModelError
        If it is larger, or smaller than a pixel.
    """
    if size is None:
        return
    validate_counts(size=size)
    longest = min(height, width) if height > 1 else width
    if size > longest:
        raise ModelError(
            "The occluding square is larger than the image.",
            received=f"{size} pixels a side",
            allowed=f"at most {longest}",
        )


def band_mask(bands: int | None, channels: int) -> NDArray[np.float64]:
    """1 for each of the first `bands` channels and 0 for the others, of shape (channels,).

    Raises
    ------
    ModelError
        If there are not as many.
    """
    if bands is not None and not 1 <= bands <= channels:
        raise ModelError(
            "`bands` must not exceed the channels of the network.",
            received=bands,
            allowed=f"1 to {channels}",
        )
    return (np.arange(channels) < (channels if bands is None else bands)).astype(np.float64)


def build_scorer(model: keras.Model, target: ExplainTarget) -> Score:
    """The function from arrays by name to the number explained, of shape (n,)."""
    cut = keras.Model(model.input, target.tensor(model))

    def score(x: Tensors) -> Any:
        return target.value(cut({k: x[k] for k in model.input}, training=False), x.get("choice"))

    return score


def compute_image_gradient(score: Score, x: Tensors) -> Any:
    """Gradient of `score` with respect to ``x["image"]``, of its shape."""
    return gradient(lambda image: (score({**x, "image": image}), image), x["image"])[2]


def compute_layer_gradient(
    model: keras.Model, maps: Any, target: ExplainTarget
) -> Callable[[Tensors], tuple[Any, Any]]:
    """The function from arrays by name to the activations of a layer and the target's gradient.

    `maps` is the symbolic output of the layer, from which the target must be computed.
    """
    cut = keras.Model(model.input, [maps, target.tensor(model)])

    def compute(x: Tensors) -> tuple[Any, Any]:
        def score(image: Any) -> tuple[Any, Any]:
            inputs = {name: x[name] for name in model.input} | {"image": image}
            activations, values = cut(inputs, training=False)
            return target.value(values, x.get("choice")), activations

        return gradient(score, x["image"])[1:]

    return compute


def compute_scores(
    model: keras.Model,
    images: Any,
    target: ExplainTarget,
    *,
    scalars: Any = None,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """The number that is explained, for each object.

    Parameters
    ----------
    model : keras.Model
        From ``{"image": ..., "scalars": ...}`` to raw outputs by target.
    images : array_like of shape (n, height, width, n_channels)
        Normalized images.
    target : ExplainTarget
        The number.
    scalars : array_like of shape (n, n_scalars), optional
        Standardized scalars, where the network takes them.
    batch_size : int
        Images at once; without influence on the result.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    InputsError
        As for `build_arrays`.
    ModelError
        If the network takes no image or does not have the target.
    """
    arrays = build_arrays(model, images, scalars, target)
    scores: NDArray[np.float32] = in_blocks(
        compiled(build_scorer(model, target)), arrays, batch_size
    )[0]
    return scores


def _block_size(n: int, batch_size: int) -> int:
    """Size of a block such that there are as few as possible, all nearly full."""
    validate_counts(batch_size=batch_size)
    return -(-n // -(-n // batch_size))


def in_blocks(
    step: Callable[[Tensors], Any], arrays: Arrays, batch_size: int
) -> tuple[NDArray[Any], ...]:
    """Apply `step` to all rows, a block at a time, so that memory is bounded."""
    n = len(next(iter(arrays.values())))
    size = _block_size(n, batch_size)
    parts = []
    for start in range(0, n, size):
        # Pad the last block, so that the compiled function is traced for one shape only.
        rows = np.minimum(np.arange(start, start + size), n - 1)
        outputs = step({name: a[rows] for name, a in arrays.items()})
        outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        parts.append([ops.convert_to_numpy(m)[: n - start] for m in outputs])
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def scores_of_variations(
    score: Score, vary: Vary, arrays: Arrays, variations: NDArray[Any], batch_size: int
) -> NDArray[np.float32]:
    """Score of every variation of every image, of shape (n, m).

    Parameters
    ----------
    score : callable
        From arrays by name to a number per object.
    vary : callable
        From arrays of k objects and k variations to k images.
    arrays : dict of str to ndarray of shape (n, ...)
        ``"image"`` and what else `score` and `vary` read.
    variations : ndarray of shape (m, ...)
        The same for all objects.
    batch_size : int
        Images at once.
    """
    take = _build_pair_getter(arrays, variations)

    def compute(i: Any, j: Any) -> Any:
        x = take(i, j)
        return score({**x, "image": vary(x, x["variation"])})

    step = compiled(compute)
    scores = np.empty((len(arrays["image"]), len(variations)), np.float32)
    for i, j, n_new in _iterate_pairs(*scores.shape, batch_size):
        scores[i[:n_new], j[:n_new]] = ops.convert_to_numpy(step(i, j))[:n_new]
    return scores


def gradients_of_variations(
    score: Score,
    vary: Vary,
    arrays: Arrays,
    variations: NDArray[Any],
    weights: NDArray[np.float32],
    batch_size: int,
) -> NDArray[np.float32]:
    """Weighted sum over variations of the gradient at each, of the shape of the images.

    `weights` has the shape (m,); all else is as for `scores_of_variations`.
    """
    take = _build_pair_getter(arrays, variations)

    def compute(i: Any, j: Any) -> Any:
        x = take(i, j)
        return compute_image_gradient(score, {**x, "image": vary(x, x["variation"])})

    step = compiled(compute)
    total = np.zeros(arrays["image"].shape, np.float64)
    factors = weights.astype(np.float64)[:, None, None, None]
    for i, j, n_new in _iterate_pairs(len(total), len(variations), batch_size):
        weighted = ops.convert_to_numpy(step(i, j))[:n_new] * factors[j[:n_new]]
        first = np.flatnonzero(np.diff(i[:n_new], prepend=-1))
        total[i[first]] += np.add.reduceat(weighted, first)
    return total.astype(np.float32)


def _iterate_pairs(
    n: int, m: int, batch_size: int
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], int]]:
    """Blocks of pairs of an object and a variation, and how many of a block count."""
    size = _block_size(n * m, batch_size)
    for start in range(0, n * m, size):
        # Pad the last block, so that the step is traced once.
        i, j = np.divmod(np.minimum(np.arange(start, start + size), n * m - 1), m)
        yield i.astype(np.int32), j.astype(np.int32), min(size, n * m - start)


def _build_pair_getter(arrays: Arrays, variations: NDArray[Any]) -> Callable[[Any, Any], Tensors]:
    """The function that gathers arrays of k objects with a variation for each, in the graph."""
    # Converted once: copying every variation from numpy costs more than a small network.
    tensors = {name: ops.convert_to_tensor(a) for name, a in arrays.items()}
    varied = ops.convert_to_tensor(variations)

    def take(i: Any, j: Any) -> Tensors:
        selected = {name: ops.take(a, i, axis=0) for name, a in tensors.items()}
        return selected | {"variation": ops.take(varied, j, axis=0)}

    return take
