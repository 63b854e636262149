"""The layers of a network by name."""

from __future__ import annotations

from typing import Any

import keras

from astrocnn.errors import ModelError
from astrocnn.plugins import nearest

__all__ = ["convolutions", "find_layer", "last_maps"]


def find_layer(model: keras.Model, name: str) -> Any:
    """A layer by name.

    Raises
    ------
    ModelError
        If there is none; the message lists all with their shapes.
    """
    by_name = {layer.name: layer for layer in model.layers}
    if name in by_name:
        return by_name[name]
    raise ModelError(
        f"The network has no layer '{name}'.",
        # One text, since a list would be cut after twenty.
        allowed=", ".join(f"{layer.name} {_shape(layer)}" for layer in model.layers),
        hint=nearest(name, by_name),
    )


def convolutions(model: keras.Model) -> list[Any]:
    """Layers with kernels over pixels, in the order of computation.

    Raises
    ------
    ModelError
        If there is none.
    """
    found = [
        layer
        for layer in model.layers
        if len(getattr(getattr(layer, "kernel", None), "shape", ())) == 4
    ]
    if not found:
        raise _without(model)
    return found


def last_maps(model: keras.Model) -> str:
    """Name of the last layer whose output still has a place on the image.

    Raises
    ------
    ModelError
        If there is none.
    """
    convolutions(model)
    for layer in reversed(model.layers):
        shape = tuple(layer.output.shape)
        made = not isinstance(layer, keras.layers.InputLayer)
        if made and len(shape) == 4 and min(shape[1], shape[2]) > 1:
            return str(layer.name)
    raise _without(model)


def _without(model: keras.Model) -> ModelError:
    return ModelError(
        f"The network '{model.name}' has no convolution that keeps maps of the image.",
        allowed="networks with two-dimensional convolutions",
        hint="integrated gradients and occlusion need none, only an image",
    )


def _shape(layer: Any) -> tuple[int, ...]:
    return tuple(layer.output.shape[1:])
