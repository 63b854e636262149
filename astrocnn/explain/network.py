"""A network with the inputs of objects: validated arrays, scores and gradients, in blocks."""

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
    "Evaluator",
    "as_strip",
    "band_mask",
    "build_arrays",
    "compute_scores",
    "image_shape",
    "select_layers",
    "validate_counts",
    "validate_square",
]

Arrays = dict[str, NDArray[Any]]
Tensors = dict[str, Any]
Vary = Callable[[Tensors, Any], Any]
"""From arrays of k objects and k variations to k images."""


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
    """Height, width and channels of the image a network takes; raises ModelError if none."""
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
    expected: dict[str, tuple[int, ...]] = {"image": image_shape(model)}
    arrays: Arrays = {"image": np.asarray(images, np.float32)}
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
        if not n or received is None or name not in expected or received != (n, *expected[name]):
            raise InputsError(
                f"`{name}` must have the shape that the network takes.",
                received="none" if received is None else f"shape {received}",
                allowed=f"shape (n, {str(expected[name])[1:]}, n > 0"
                if name in expected
                else "none",
            )
        if not np.isfinite(arrays[name]).all():
            raise InputsError(
                f"`{name}` must be finite.",
                hint="give normalized images; Normalization fills pixels without data",
            )
    return arrays


def validate_counts(**counts: int) -> None:
    """Raise ModelError if a number of draws, steps, pixels or objects is below 1."""
    for name, count in counts.items():
        if count < 1:
            raise ModelError(f"`{name}` must be at least 1.", received=count)


def validate_square(size: int | None, height: int, width: int) -> None:
    """Raise ModelError if a square is larger than the image, or than a strip is wide."""
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
    """1 for each of the first `bands` channels and 0 for the others, of shape (channels,)."""
    if bands is not None and not 1 <= bands <= channels:
        raise ModelError(
            "`bands` must not exceed the channels of the network.",
            received=bands,
            allowed=f"1 to {channels}",
        )
    return (np.arange(channels) < (channels if bands is None else bands)).astype(np.float64)


def select_layers(model: keras.Model, *fractions: float) -> list[str]:
    """Layers with maps, after their activation where there are such, at fractions of the depth."""
    maps = [
        layer
        for layer in model.layers
        if len(getattr(layer.output, "shape", ())) == 4
        and min(layer.output.shape[1:3]) > 1
        and not isinstance(layer, layers.InputLayer)
    ]
    activations = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU)
    rectified = [layer for layer in maps if isinstance(layer, activations)] or maps
    if not rectified:
        raise ModelError("The network has no layer with maps of the image.")
    places = (round(fraction * (len(rectified) - 1)) for fraction in fractions)
    return list(dict.fromkeys(rectified[place].name for place in places))


class Evaluator:
    """A network with the inputs of objects and the explained output, evaluated in blocks.

    Functions passed to it take arrays of a block by name, as tensors.

    Parameters
    ----------
    model, images, scalars, batch_size
        See `astrocnn.explain.methods`.
    target : ExplainTarget, optional
        The number, where scores or gradients of it are needed.

    Raises
    ------
    InputsError, ModelError
        As for `build_arrays`, or if there is not an image in a batch.
    """

    def __init__(
        self,
        model: keras.Model,
        images: Any,
        target: ExplainTarget | None = None,
        *,
        scalars: Any = None,
        batch_size: int = 64,
    ) -> None:
        self.model, self.target, self.batch_size = model, target, batch_size
        self.arrays = build_arrays(model, images, scalars, target)
        self.images = self.arrays["image"]
        validate_counts(batch_size=batch_size)
        self._cut = None if target is None else keras.Model(model.input, target.tensor(model))

    def score(self, x: Tensors) -> Any:
        """The explained output, of shape (n,)."""
        assert self.target is not None and self._cut is not None
        inputs = {name: x[name] for name in self._cut.input}
        return self.target.value(self._cut(inputs, training=False), x.get("choice"))

    def gradient(self, x: Tensors) -> Any:
        """Gradient of the score with respect to ``x["image"]``, of its shape."""
        return compute_image_gradient(self.score, x)

    def layer_gradient(self, maps: Any) -> Callable[[Tensors], tuple[Any, Any]]:
        """The function from arrays by name to the activations of a layer and the score's gradient.

        `maps` is the symbolic output of the layer, from which the target must be computed.
        """
        target = self.target
        assert target is not None
        cut = keras.Model(self.model.input, [maps, target.tensor(self.model)])

        def compute(x: Tensors) -> tuple[Any, Any]:
            def score(image: Any) -> tuple[Any, Any]:
                inputs = {name: x[name] for name in cut.input} | {"image": image}
                activations, values = cut(inputs, training=False)
                return target.value(values, x.get("choice")), activations

            return gradient(score, x["image"])[1:]

        return compute

    def map(
        self,
        step: Callable[[Tensors], Any],
        arrays: Arrays | None = None,
        *,
        compile: bool = True,
    ) -> NDArray[Any]:
        """Apply a function to all rows of `arrays`, by default those of the objects."""
        arrays = self.arrays if arrays is None else arrays
        step = compiled(step) if compile else step
        parts = []
        for rows, n_new in _iterate_blocks(len(next(iter(arrays.values()))), self.batch_size):
            block = step({name: a[rows] for name, a in arrays.items()})
            parts.append(ops.convert_to_numpy(block)[:n_new])
        return np.concatenate(parts)

    def scores_of_variations(
        self, vary: Vary, variations: NDArray[Any], arrays: Arrays
    ) -> NDArray[np.float32]:
        """Score of every object with each of m variations of its image, of shape (n, m)."""
        take = _build_pair_getter(vary, arrays, variations)
        shape = len(self.images), len(variations)
        i, j = np.indices(shape, np.int32).reshape(2, -1)
        return self.map(lambda x: self.score(take(x["i"], x["j"])), {"i": i, "j": j}).reshape(shape)

    def gradients_of_variations(
        self, vary: Vary, variations: NDArray[Any], weights: NDArray[np.float32], arrays: Arrays
    ) -> NDArray[np.float32]:
        """Weighted sum over m variations of the gradient at each, of the shape of the images."""
        take = _build_pair_getter(vary, arrays, variations)
        step = compiled(lambda i, j: self.gradient(take(i, j)))
        total = np.zeros(arrays["image"].shape, np.float64)
        factors = weights.astype(np.float64)[:, None, None, None]
        for pairs, n_new in _iterate_blocks(len(total) * len(variations), self.batch_size):
            i, j = (a.astype(np.int32) for a in np.divmod(pairs, len(variations)))
            weighted = ops.convert_to_numpy(step(i, j))[:n_new] * factors[j[:n_new]]
            first = np.flatnonzero(np.diff(i[:n_new], prepend=-1))
            total[i[first]] += np.add.reduceat(weighted, first)
        return total.astype(np.float32)


def compute_image_gradient(score: Callable[[Tensors], Any], x: Tensors) -> Any:
    """Gradient of `score` with respect to ``x["image"]``, of its shape."""
    return gradient(lambda image: (score({**x, "image": image}), image), x["image"])[2]


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
    model, images, target, scalars, batch_size
        See `astrocnn.explain.methods`.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    InputsError
        If images or scalars have not the shape that the network takes, or are not finite.
    ModelError
        If the network takes no image or does not have the target.
    """
    evaluator = Evaluator(model, images, target, scalars=scalars, batch_size=batch_size)
    return evaluator.map(evaluator.score)


def _iterate_blocks(n: int, batch_size: int) -> Iterator[tuple[NDArray[np.int64], int]]:
    """As few blocks of row numbers as possible, all nearly full, and how many of each count."""
    size = -(-n // -(-n // batch_size))
    for start in range(0, n, size):
        # Pad the last block, so that a compiled function is traced for one shape only.
        yield np.minimum(np.arange(start, start + size), n - 1), min(size, n - start)


def _build_pair_getter(
    vary: Vary, arrays: Arrays, variations: NDArray[Any]
) -> Callable[[Any, Any], Tensors]:
    """The function that gathers arrays of k objects, each with a varied image, in the graph."""
    # Converted once: copying every variation from numpy costs more than a small network.
    tensors = {name: ops.convert_to_tensor(a) for name, a in arrays.items()}
    varied = ops.convert_to_tensor(variations)

    def take(i: Any, j: Any) -> Tensors:
        x = {name: ops.take(a, i, axis=0) for name, a in tensors.items()}
        return x | {"image": vary(x, ops.take(varied, j, axis=0))}

    return take
