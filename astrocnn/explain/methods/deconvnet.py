"""What in the image made a filter respond: its response sent back to the pixels.

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
from astrocnn.explain._backward import with_rule
from astrocnn.explain._gradients import compiled, gradient
from astrocnn.explain._network import arrays_for, in_blocks
from astrocnn.explain._places import check_channels, check_places, flat_maps, map_shape, to_pixels
from astrocnn.explain._receptive import receptive_field
from astrocnn.explain.output import Explained, Response
from astrocnn.models.layer_access import last_maps, layer_output

__all__ = ["deconvnet", "pixel_map"]

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
    """Send the response of one channel of a layer back to the pixels.

    All else in the layer is set to zero.  The response then passes each layer in reverse: filters
    transposed, pooling undone with the places where the maxima were, rectification of what comes
    back in place of that of what went forward.

    Parameters
    ----------
    model : keras.Model
        From images, and scalars where it takes them.
    images : array_like of shape (n, height, width, n_channels)
        Normalized.
    layer : str
        Name of a layer; of a vector each number is a channel.
    channel : int or array_like of int of shape (n,), optional
        Of the layer, the same for all images or one for each; by default the one that responds
        most strongly to the image.
    scalars : array_like of shape (n, n_scalars), optional
        Standardized.
    place : str or array_like of int of shape (n, 2)
        Where on the map: ``"strongest"``, its largest response, ``"all"``, the whole map, or a
        pixel (y, x) for each image.
    rule : str
        ``"deconvnet"``, or ``"guided"``, guided backpropagation, which also stops what the
        activations of the image had stopped.
    batch_size : int
        Images at once; without influence on the outcome.

    Returns
    -------
    ndarray of shape (n, height, width, n_channels)
        With its sign, in proportion to the response.  Zero outside the receptive field of the
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
    arrays: dict[str, Any] = arrays_for(model, images, scalars)
    n = len(arrays["image"])
    maps = layer_output(model, layer)
    receptive_field(model, layer)
    given = -1 if channel is None else check_channels(model, layer, channel)
    if np.ndim(given) and np.shape(given) != (n,):
        raise ModelError(
            "There must be one channel, or one for each image.",
            received=f"shape {np.shape(given)}",
            allowed=f"a whole number, or shape ({n},)",
        )
    arrays["channel"] = np.broadcast_to(np.asarray(given, np.int32), (n,))
    if isinstance(place, str):
        if place not in _PLACES:
            raise ModelError("There is no such place.", received=repr(place), allowed=_PLACES)
        arrays["place"] = np.full((n, 2), -1, np.int32)
    else:
        arrays["place"] = check_places(maps, place, n)
    run = with_rule(keras.Model(model.input, maps), rule)
    select = _selection(maps, whole=isinstance(place, str) and place == "all")

    def project(x: dict[str, Any]) -> Any:
        def responses(image: Any) -> tuple[Any, Any]:
            found = flat_maps(run({**x, "image": image}))
            seed = ops.stop_gradient(select(found, x["channel"], x["place"]))
            return ops.sum(found * seed, axis=(1, 2)), image

        return gradient(responses, x["image"])[2]

    return in_blocks(compiled(project), arrays, batch_size)[0]


def pixel_map(
    model: keras.Model,
    images: Any,
    output: Explained,
    *,
    scalars: Any = None,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """The strongest place of the channel of the last maps that speaks most for the output.

    How much a channel speaks for it is the sum over its map of response times gradient.  Of a
    `Response` it is that layer and that channel.  Shape (n, height, width, n_channels).
    """
    if isinstance(output, Response):
        layer, channel = output.layer, output.channel
        return deconvnet(model, images, layer, channel, scalars=scalars, batch_size=batch_size)
    nodes = output.nodes(model)
    layer = last_maps(model, oriented=True)
    arrays = arrays_for(model, images, scalars)
    both = keras.Model(model.input, [layer_output(model, layer), nodes])

    def speaks_most(x: dict[str, Any]) -> Any:
        def scores(image: Any) -> tuple[Any, Any]:
            made, values = both({**x, "image": image}, training=False)
            return output.number(values), made

        _, made, slope = gradient(scores, x["image"])
        made = flat_maps(made)
        share = ops.sum(made * flat_maps(slope), axis=1)
        # A channel that is silent everywhere speaks for nothing, but would win over all others
        # where those speak against.
        return ops.argmax(ops.where(ops.any(made != 0, axis=1), share, -np.inf), axis=-1)

    loudest = in_blocks(compiled(speaks_most), arrays, batch_size)[0]
    return deconvnet(model, images, layer, loudest, scalars=scalars, batch_size=batch_size)


def _selection(maps: Any, whole: bool) -> Callable[[Any, Any, Any], Any]:
    """The function that keeps one channel of responses (n, places, channels), in one place."""
    _, width = map_shape(maps)
    count = int(np.prod(maps.shape[1:-1]))
    pixels = (to_pixels(maps, np.arange(count)) @ (width, 1)).astype(np.int32)

    def select(found: Any, channel: Any, place: Any) -> Any:
        wanted = place[:, :1] * width + place[:, 1:]
        allowed = ops.logical_or(wanted < 0, wanted == pixels[None])
        there = ops.where(allowed[:, :, None], found, -np.inf)
        strongest = ops.argmax(ops.max(there, axis=1), axis=-1)
        channel = ops.where(channel < 0, ops.cast(strongest, "int32"), channel)
        one = ops.one_hot(channel, found.shape[-1])[:, None]
        if whole:
            return found * one
        response = ops.sum(ops.where(one > 0, there, 0), axis=-1)
        return found * one * ops.one_hot(ops.argmax(response, axis=-1), count)[:, :, None]

    return select
