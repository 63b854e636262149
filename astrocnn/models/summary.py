"""Shape, size, cost and receptive field of each layer of a network.

References
----------
Dumoulin & Visin 2016, arXiv:1603.07285, sections 2 and 3 (shapes).
Araujo, Norris & Sim 2019, Distill, doi:10.23915/distill.00021 (receptive fields).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from astrocnn.backend import keras, layers
from astrocnn.errors import ModelError

__all__ = ["LayerSummary", "summarize_layers"]

# Names, since the classes would load Keras.
_WHOLE = (
    "Flatten", "Reshape", "GlobalAveragePooling1D", "GlobalAveragePooling2D",
    "GlobalAveragePooling3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
)  # fmt: skip


class LayerSummary(NamedTuple):
    """One layer of a network."""

    name: str
    kind: str
    """Class of the layer."""
    output_shape: tuple[int, ...]
    """For one object."""
    parameters: int
    """Trained and not trained (running means and variances)."""
    multiply_adds: int
    """Of convolutions and dense layers, for one object; the rest is small beside them."""
    receptive_field: int | None
    """Pixels a side of the input that one number of the output depends on, before the borders cut
    it; None where it depends on the whole input, or on none of an image."""
    stride: int | None
    """Pixels of the input between neighboring numbers of the output; None likewise."""
    memory: int
    """Bytes of the output, for one object."""


class _Field(NamedTuple):
    field: int
    stride: int


def summarize_layers(model: keras.Model) -> list[LayerSummary]:
    """Shape, size, cost and receptive field of each layer, in the order of computation.

    Parameters
    ----------
    model : keras.Model
        Functional or Sequential, of layers that are not networks themselves.

    Returns
    -------
    list of LayerSummary
        The inputs come first.

    Raises
    ------
    ModelError
        If the model is not a graph of layers, or has another network inside.

    Notes
    -----
    A convolution of window F over C_in maps has (F F C_in + 1) C_out parameters, and on a side of
    W pixels with a padding of P and steps of S makes (W - F + 2 P) / S + 1, rounded down.  Where
    the layer before has a receptive field r and a stride j, its own are r + (F - 1) j and j S.
    Where branches meet, the larger field counts.

    Examples
    --------
    >>> import keras
    >>> image = keras.Input((32, 32, 3))
    >>> conv = keras.layers.Conv2D(32, 5, name="conv1")(image)
    >>> summary = summarize_layers(keras.Model(image, conv))[-1]
    >>> summary.parameters, summary.output_shape, summary.receptive_field
    (2432, (28, 28, 32), 5)
    """
    if isinstance(model, keras.Sequential) and model.built:
        model = model._functional
    if not hasattr(model, "_nodes_by_depth"):
        raise ModelError(
            "Only networks that are a graph of layers can be summarized.",
            received=type(model).__name__,
            allowed="Functional and built Sequential models",
        )
    fields_by_tensor: dict[int, _Field | None] = {}
    rows: dict[str, LayerSummary] = {}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            layer = node.operation
            if isinstance(layer, keras.Model):
                raise ModelError(
                    "A network inside a network cannot be summarized.",
                    received=layer.name,
                    hint="summarize it by itself",
                )
            before = [fields_by_tensor[id(t)] for t in node.input_tensors]
            output = keras.tree.flatten(node.outputs)[0]
            field_here = _compute_field(layer, before, output)
            fields_by_tensor.update((id(t), field_here) for t in node.outputs)
            # A layer used twice has its weights once, and costs each time.
            earlier = rows.get(layer.name)
            cost = _multiply_adds(layer, output.shape)
            rows[layer.name] = LayerSummary(
                name=layer.name,
                kind=type(layer).__name__,
                output_shape=tuple(int(n) for n in output.shape[1:]),
                parameters=sum(math.prod(w.shape) for w in getattr(layer, "weights", ())),
                multiply_adds=cost + (earlier.multiply_adds if earlier else 0),
                receptive_field=field_here.field if field_here else None,
                stride=field_here.stride if field_here else None,
                memory=sum(_bytes(t) for t in node.outputs),
            )
    return list(rows.values())


def _compute_field(layer: Any, before: list[_Field | None], output: Any) -> _Field | None:
    if not before:
        return _Field(1, 1) if len(output.shape) > 2 else None
    # The receptive field counts from here, since the scalars had no neighbours before.
    if isinstance(layer, layers.Reshape) and len(output.shape) == 3:
        return _Field(1, 1)  # scalars that become a spectrum
    if any(field_here is None for field_here in before) or type(layer).__name__ in _WHOLE:
        return None
    field = max(field_here.field for field_here in before if field_here)
    stride = max(field_here.stride for field_here in before if field_here)
    window = _first(getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", 1))
    # Keras stores None for a pooling that steps by its window.
    step = _first(getattr(layer, "strides", 1) or window)
    spread = _first(getattr(layer, "dilation_rate", 1))
    return _Field(field + (window - 1) * spread * stride, stride * step)


def _multiply_adds(layer: Any, shape: Any) -> int:
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return 0
    # Each number of the kernel is used once in each place of the output: a pixel, and one of
    # eight orientations where the layer has them.
    return math.prod(shape[1:-1]) * math.prod(kernel.shape)


def _first(value: Any) -> int:
    return int(value[0]) if isinstance(value, (tuple, list)) else int(value)


def _bytes(tensor: Any) -> int:
    return math.prod(tensor.shape[1:]) * {"float64": 8, "float32": 4, "int64": 8, "int32": 4}.get(
        str(tensor.dtype), 2
    )
