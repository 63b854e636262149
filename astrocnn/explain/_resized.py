"""A network for images of another size than it was built for."""

from __future__ import annotations

from typing import Any

from astrocnn.backend import keras, layers
from astrocnn.errors import ModelError

__all__ = ["resized"]


def resized(cut: Any, height: int, width: int) -> keras.Model:
    """The same layers and weights, from images of so many pixels.

    Parameters
    ----------
    cut : keras.Model
        Functional, with the input ``"image"``.
    height, width : int
        Pixels.

    Raises
    ------
    ModelError
        If a layer of it knows one size only, or the image shrinks to nothing on the way.
    """
    image = cut.input["image"]
    inputs = [
        layers.Input(
            batch_shape=(None, height, width, x.shape[-1]) if x is image else x.shape,
            dtype=x.dtype,
            name=x.name,
        )
        for x in cut.inputs
    ]
    try:
        made = cut._run_through_graph(
            inputs,
            operation_fn=lambda operation: operation,
            call_fn=lambda operation, *args, **kwargs: operation(*args, **kwargs),
        )
    except (ValueError, TypeError) as error:
        raise ModelError(
            "What is asked of the network cannot be made from images of another size.",
            received=f"{height} x {width} pixels: {str(error).splitlines()[0]}",
            allowed=f"{image.shape[1]} x {image.shape[2]} pixels, for what follows a flattening",
            hint="fewer octaves, or a layer with maps",
        ) from error
    return keras.Model(keras.tree.pack_sequence_as(cut._inputs_struct, inputs), made)
