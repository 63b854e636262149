"""Receptive fields: the pixels of the image on which each place of a layer depends.

References
----------
Araujo, Norris & Sim 2019, Distill, doi:10.23915/distill.00021, equations 1 to 4.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, layers, ops
from astrocnn.errors import ModelError
from astrocnn.explain.gradients import get_graph
from astrocnn.explain.network import image_shape
from astrocnn.explain.target import ExplainTarget

__all__ = [
    "ReceptiveField",
    "compute_receptive_field",
    "flatten_maps",
    "map_shape",
    "to_pixels",
    "validate_channels",
    "validate_places",
]


@dataclass(frozen=True)
class _Side:
    """Receptive field of number i along one axis: `size` pixels from ``start + i * step``."""

    start: int = 0
    size: int = 1
    step: int = 1

    def through(self, window: int, step: int, dilation: int, padding: int) -> _Side:
        size = self.size + (window - 1) * dilation * self.step
        return _Side(self.start - padding * self.step, size, self.step * step)


@dataclass(frozen=True)
class ReceptiveField:
    """Pixels on which the numbers of a layer depend."""

    y: _Side
    x: _Side

    def boxes(self, places: Any) -> NDArray[np.int64]:
        """(y0, y1, x0, x1), of shape (..., 4), of pixels (y, x) of the maps, of shape (..., 2).

        The first pixel and the one after the last, beyond the image where maps were padded.
        """
        start, size, step = np.transpose([astuple(self.y), astuple(self.x)])
        first = start + step * np.asarray(places, np.int64)
        return np.stack([first, first + size], axis=-1).reshape(*first.shape[:-1], 4)


def compute_receptive_field(model: keras.Model, layer: str) -> ReceptiveField:
    """Receptive field of each number of a layer, from the sizes and strides of its windows.

    The box is the whole image for vectors, and for maps whose pixels no longer are pixels of the
    image.  Mean and variance of a normalization are taken as given, and not counted.

    Raises
    ------
    ModelError
        If the model takes no image or is not a graph of layers, or the layer sees no image.
    """
    height, width, _ = image_shape(model)
    full = (_Side(0, height, 0), _Side(0, width, 0))
    fields: dict[int, tuple[_Side, _Side] | None] = {id(model.input["image"]): (_Side(), _Side())}
    graph = get_graph(model)
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if not node.is_input:
                fields.update(dict.fromkeys(map(id, node.outputs), _propagate(node, fields, full)))
            sides = fields.get(id(node.outputs[0]))
            if node.operation.name == layer and sides is not None:
                return ReceptiveField(*sides)
    raise ModelError(f"The layer '{layer}' sees nothing of the image.")


def _propagate(
    node: Any, fields: dict[int, Any], full: tuple[_Side, _Side]
) -> tuple[_Side, _Side] | None:
    layer, after = node.operation, node.outputs[0].shape
    inputs = [t for t in node.input_tensors if fields.get(id(t)) is not None]
    if not inputs:
        return None
    # These keep height and width, but their outputs depend on other places of the input.
    mixing = (
        layers.Attention, layers.AdditiveAttention, layers.Conv2DTranspose,
        layers.MultiHeadAttention, layers.Permute, keras.Model,
    )  # fmt: skip
    if len(after) < 4 or any(len(t.shape) < 4 for t in inputs) or isinstance(layer, mixing):
        return full
    sides = []
    for axis in (0, 1):
        lengths = {t.shape[1 + axis] for t in inputs}
        side = _merge_branches({fields[id(t)][axis] for t in inputs}) if len(lengths) == 1 else None
        side = side and _apply_window(layer, axis, side, lengths.pop(), after[1 + axis])
        if side is None:
            return full
        sides.append(side)
    return sides[0], sides[1]


def _merge_branches(sides: set[_Side]) -> _Side | None:
    """Union of the fields of branches with the same step; None otherwise."""
    if len({side.step for side in sides}) > 1:
        return None
    start = min(side.start for side in sides)
    step = next(iter(sides)).step
    return _Side(start, max(side.start + side.size for side in sides) - start, step)


def _apply_window(layer: Any, axis: int, side: _Side, length: int, after: int) -> _Side | None:
    """Receptive field after a window; None where the layer is no window."""
    if isinstance(layer, layers.ZeroPadding2D):
        return side.through(1, 1, 1, int(layer.padding[axis][0]))
    if isinstance(layer, layers.Cropping2D):
        return side.through(1, 1, 1, -int(layer.cropping[axis][0]))
    size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    window = _get_axis(size or 1, axis)
    step = _get_axis(getattr(layer, "strides", None) or 1, axis) if size else 1
    dilation = _get_axis(getattr(layer, "dilation_rate", 1), axis)
    reach = (window - 1) * dilation + 1
    if getattr(layer, "padding", "valid") == "same":
        count = -(-length // step)
        padding = max((count - 1) * step + reach - length, 0) // 2
    else:
        count, padding = (length - reach) // step + 1, 0
    return side.through(window, step, dilation, padding) if count == after else None


def _get_axis(value: Any, axis: int) -> int:
    return int(value[axis]) if isinstance(value, (tuple, list)) else int(value)


def validate_channels(model: keras.Model, layer: str, channels: Any) -> NDArray[np.int32]:
    """Channels of a layer as integers; raises ModelError if it has no such channels."""
    values = np.asarray(channels)
    if values.dtype.kind not in "iu":
        raise ModelError("`channel` must be integers.", received=channels)
    for channel in np.unique(values):
        ExplainTarget(layer=layer, channel=int(channel)).tensor(model)
    return values.astype(np.int32)


def validate_places(maps: Any, places: Any, n: int) -> NDArray[np.int32]:
    """Places on the maps of `n` objects, of shape (n, 2); raises ModelError if they are outside."""
    values, side = np.asarray(places), map_shape(maps)
    is_integer = values.dtype.kind in "iu"
    if not is_integer or values.shape != (n, 2) or (values < 0).any() or (values >= side).any():
        raise ModelError(
            "`place` must be pixels (y, x) of the maps.",
            received=f"shape {values.shape}, {values.min(initial=0)} to {values.max(initial=0)}",
            allowed=f"integers of shape ({n}, 2), on {side[0]} x {side[1]} pixels",
        )
    return values.astype(np.int32)


def map_shape(maps: Any) -> tuple[int, int]:
    """Height and width of the maps of a layer; one pixel for those of a vector."""
    return (int(maps.shape[1]), int(maps.shape[2])) if len(maps.shape) > 3 else (1, 1)


def flatten_maps(maps: Any) -> Any:
    """Activations of shape (n, places, channels), orientations beside each other in a place."""
    places = math.prod(maps.shape[1:-1])
    return ops.cast(ops.reshape(maps, (-1, places, maps.shape[-1])), "float32")


def to_pixels(maps: Any, flat: Any) -> NDArray[np.int64]:
    """Pixels (y, x), of shape (..., 2), of places as `flatten_maps` counts them."""
    height, width = map_shape(maps)
    n_orientations = math.prod(maps.shape[1:-1]) // (height * width)
    return np.stack(np.divmod(np.asarray(flat, np.int64) // n_orientations, width), axis=-1)
