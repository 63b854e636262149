"""DeconvNet: the activation of a filter projected back to the pixels.

References
----------
Zeiler & Fergus 2014, ECCV (arXiv:1311.2901), section 2.1.
Springenberg et al. 2015, ICLR workshop (arXiv:1412.6806), section 3.4 (guided backpropagation).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, ops
from astrocnn.errors import ModelError
from astrocnn.explain.gradients import with_rule
from astrocnn.explain.methods import AttributionMethod
from astrocnn.explain.network import Evaluator, compute_image_gradient
from astrocnn.explain.receptive_field import (
    compute_receptive_field,
    flatten_maps,
    map_shape,
    to_pixels,
    validate_channels,
    validate_places,
)
from astrocnn.explain.target import ExplainTarget
from astrocnn.models.layer_access import last_maps, layer_output

__all__ = ["METHOD", "deconvnet"]

_PLACES = ("strongest", "all")


def deconvnet(
    model: keras.Model,
    images: Any,
    layer: str,
    channel: Any = None,
    *,
    scalars: Any = None,
    place: Any = "strongest",
    rule: str = "deconvnet",
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Project the activation of one channel of a layer back to the pixels.

    All else in the layer is set to zero.  The activation then passes each layer in reverse:
    filters transposed, pooling undone with the places where the maxima were, rectification of the
    backward signal in place of that of the forward one.

    Parameters
    ----------
    model, images, scalars, batch_size
        See `astrocnn.explain.methods`.
    layer : str
        Name of a layer; of a vector each number is a channel.
    channel : int or array_like of int of shape (n,), optional
        Of the layer, the same for all images or one for each; by default the one with the
        strongest activation.
    place : {"strongest", "all"} or array_like of int of shape (n, 2)
        Where on the map: its largest activation, the whole map, or a pixel (y, x) for each image.
    rule : {"deconvnet", "guided"}
        With ``"guided"``, guided backpropagation, activations also stop what they had stopped in
        the forward pass.

    Returns
    -------
    ndarray of shape (n, height, width, n_channels)
        With its sign, in proportion to the activation.  Zero outside the receptive field of the
        place.

    Raises
    ------
    ModelError
        If there is no such layer, channel, place or rule, or the layer sees no image.

    Notes
    -----
    Activations other than ReLU and its relatives (tanh, sigmoid) send back their derivative, and
    layer, group and instance normalization multiply by the scale they had for the image.
    """
    evaluator = Evaluator(model, images, scalars=scalars, batch_size=batch_size)
    n = len(evaluator.images)
    maps = layer_output(model, layer)
    compute_receptive_field(model, layer)
    channels = -1 if channel is None else validate_channels(model, layer, channel)
    if np.ndim(channels) and np.shape(channels) != (n,):
        raise ModelError(
            "`channel` must be one integer, or one for each image.",
            received=f"shape {np.shape(channels)}",
            allowed=f"an integer, or shape ({n},)",
        )
    if isinstance(place, str):
        if place not in _PLACES:
            raise ModelError("Unknown `place`.", received=repr(place), allowed=_PLACES)
        places = np.full((n, 2), -1, np.int32)
    else:
        places = validate_places(maps, place, n)
    run = with_rule(keras.Model(model.input, maps), rule)
    select = _build_selector(maps, whole_map=isinstance(place, str) and place == "all")

    def response(x: dict[str, Any]) -> Any:
        activations = flatten_maps(run(x))
        seed = ops.stop_gradient(select(activations, x["channel"], x["place"]))
        return ops.sum(activations * seed, axis=(1, 2))

    channels = np.broadcast_to(np.asarray(channels, np.int32), (n,))
    return evaluator.map(
        lambda x: compute_image_gradient(response, x),
        {**evaluator.arrays, "channel": channels, "place": places},
    )


def _explain_target(
    model: keras.Model, images: Any, target: ExplainTarget, **options: Any
) -> NDArray[np.float32]:
    """DeconvNet for the channel of the last maps with the largest activation times gradient."""
    if target.layer is not None:
        return deconvnet(model, images, target.layer, target.channel, **options)
    evaluator = Evaluator(model, images, target, **options)
    layer = last_maps(model, oriented=True)
    layer_gradient = evaluator.layer_gradient(layer_output(model, layer))

    def most_relevant(x: dict[str, Any]) -> Any:
        maps, slope = layer_gradient(x)
        maps = flatten_maps(maps)
        contribution = ops.sum(maps * flatten_maps(slope), axis=1)
        # Exclude inactive channels: their contribution of zero is the maximum where all others
        # lower the target.
        active = ops.any(maps != 0, axis=1)
        return ops.argmax(ops.where(active, contribution, -np.inf), axis=-1)

    return deconvnet(model, images, layer, evaluator.map(most_relevant), **options)


def _build_selector(maps: Any, whole_map: bool) -> Callable[[Any, Any, Any], Any]:
    """The function that keeps one channel of activations (n, places, channels), in one place."""
    _, width = map_shape(maps)
    count = int(np.prod(maps.shape[1:-1]))
    pixels = (to_pixels(maps, np.arange(count)) @ (width, 1)).astype(np.int32)

    def select(activations: Any, channel: Any, place: Any) -> Any:
        index = place[:, :1] * width + place[:, 1:]
        allowed = ops.logical_or(index < 0, index == pixels[None])
        candidates = ops.where(allowed[:, :, None], activations, -np.inf)
        strongest = ops.argmax(ops.max(candidates, axis=1), axis=-1)
        channel = ops.where(channel < 0, ops.cast(strongest, "int32"), channel)
        one = ops.one_hot(channel, activations.shape[-1])[:, None]
        if whole_map:
            return activations * one
        response = ops.sum(ops.where(one > 0, candidates, 0), axis=-1)
        return activations * one * ops.one_hot(ops.argmax(response, axis=-1), count)[:, :, None]

    return select


METHOD = AttributionMethod(
    _explain_target,
    title="DeconvNet",
    meaning="The filter of the last convolution that raises the output most, projected back to the "
    "pixels from its strongest activation: light (red) and darkness (blue) that activate it, in "
    "proportion to its activation, not in units of the output.",
    unit="In proportion to the activation of one filter, not in units of OUTPUT.",
    default=True,
)
