"""The layers of a network by name."""

from __future__ import annotations

from typing import Any

from astrocnn.backend import keras, ops
from astrocnn.errors import ModelError
from astrocnn.plugins import nearest

__all__ = ["convolutions", "cut_after", "find_layer", "last_maps", "layer_input", "layer_output"]


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
        allowed=", ".join(f"{layer.name} {_format_shapes(model, layer)}" for layer in model.layers),
        hint=nearest(name, by_name),
    )


def layer_output(model: keras.Model, name: str) -> Any:
    """Output of a layer in this network; it may be shared with others.

    Raises
    ------
    ModelError
        If there is no such layer.
    """
    return _outputs(model, find_layer(model, name))


def layer_input(model: keras.Model, name: str) -> Any:
    """The one input of a layer in this network.

    Raises
    ------
    ModelError
        If there is no such layer.
    """
    return _node(model, find_layer(model, name)).input_tensors[0]


def convolutions(model: keras.Model) -> list[Any]:
    """Layers with kernels over pixels, in the order of computation.

    Raises
    ------
    ModelError
        If there is none.
    """
    candidates = [
        layer
        for layer in model.layers
        # Two axes of pixels, channels and filters: kernels of spectra have one axis less.
        if len(getattr(getattr(layer, "kernel", None), "shape", ())) == 4
    ]
    if not candidates:
        raise _build_no_maps_error(model)
    return candidates


def last_maps(model: keras.Model, *, oriented: bool = False) -> str:
    """Name of the last layer whose output still has a place on the image.

    With `oriented`, maps of several orientations, (height, width, orientations, filters), count.

    Raises
    ------
    ModelError
        If there is none.
    """
    convolutions(model)
    axes = (3, 4) if oriented else (3,)
    for layer in reversed(model.layers):
        shapes = _shapes(model, layer)
        made = len(shapes) == 1 and not isinstance(layer, keras.layers.InputLayer)
        # A map of one pixel has no place on the image any more.
        if made and len(shapes[0]) in axes and min(shapes[0][:2]) > 1:
            return str(layer.name)
    raise _build_no_maps_error(model)


def _build_no_maps_error(model: keras.Model) -> ModelError:
    return ModelError(
        f"The network '{model.name}' has no convolution that keeps maps of the image.",
        allowed="networks with two-dimensional convolutions",
        hint="integrated gradients and occlusion need none, only an image",
    )


def _outputs(model: Any, layer: Any) -> Any:
    made = list(_node(model, layer).outputs)
    return made[0] if len(made) == 1 else made


def _node(model: Any, layer: Any) -> Any:
    """The call of a layer in a network: it may have been called in others too."""
    graph = getattr(model, "_functional", None) or model
    nodes = [node for level in graph._nodes_by_depth.values() for node in level]
    return next(node for node in nodes if node.operation is layer)


def _shapes(model: Any, layer: Any) -> list[tuple[int, ...]]:
    """Of the outputs of a layer, which most often are one, without the objects."""
    return [tuple(x.shape[1:]) for x in keras.tree.flatten(_outputs(model, layer))]


def _format_shapes(model: Any, layer: Any) -> str:
    return " and ".join(str(shape) for shape in _shapes(model, layer))


def cut_after(model: keras.Model, layer: str | None = None) -> keras.Model:
    """The network up to a layer, by default the last before the heads, sharing the weights.

    Its output is one float32 vector per object, of shape (n, d): maps are averaged over their
    pixels.

    Raises
    ------
    ModelError
        If there is no such layer; the message lists all with their shapes.
    """
    made = _before_heads(model) if layer is None else layer_output(model, layer)
    values = ops.cast(made, "float32")
    pixels = tuple(range(1, len(made.shape) - 1))
    return keras.Model(model.input, ops.mean(values, axis=pixels) if pixels else values)


def _before_heads(model: keras.Model) -> Any:
    head = model.outputs[0]._keras_history
    made = head.operation._inbound_nodes[head.node_index].input_tensors
    if len(made) != 1:
        raise ModelError(
            f"The network '{model.name}' has no single layer before its outputs.",
            received=f"{len(made)} before '{head.operation.name}'",
            hint="name a layer",
        )
    last = made[0]
    # Dropout in front of the heads changes nothing without draws.
    while isinstance((history := last._keras_history).operation, keras.layers.Dropout):
        last = history.operation._inbound_nodes[history.node_index].input_tensors[0]
    return last
