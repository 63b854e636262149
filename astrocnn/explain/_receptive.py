"""Which pixels of the image a number of a layer has seen.

References
----------
Araujo, Norris & Sim 2019, Distill, doi:10.23915/distill.00021, equations 1 to 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, layers
from astrocnn.errors import ModelError
from astrocnn.explain._backward import graph_of
from astrocnn.explain._network import image_shape

__all__ = ["ReceptiveField", "receptive_field"]

# They keep height and width, and yet a number is not made of those in its place.
_MIXED = (
    layers.Attention, layers.AdditiveAttention, layers.Conv2DTranspose, layers.MultiHeadAttention,
    layers.Permute,
)  # fmt: skip


@dataclass(frozen=True)
class _Side:
    """Pixels along one side of the image that number i sees: `size` from ``start + i * step``."""

    start: int = 0
    size: int = 1
    step: int = 1

    def through(self, window: int, step: int, spread: int, before: int) -> _Side:
        size = self.size + (window - 1) * spread * self.step
        return _Side(self.start - before * self.step, size, self.step * step)


@dataclass(frozen=True)
class ReceptiveField:
    """Pixels seen by the numbers of a layer."""

    y: _Side
    x: _Side

    def boxes(self, places: Any) -> NDArray[np.int64]:
        """First pixel and the one after the last, along y and along x.

        Parameters
        ----------
        places : array_like of int of shape (..., 2)
            Pixels (y, x) of the maps of the layer.

        Returns
        -------
        ndarray of int64 of shape (..., 4)
            (y0, y1, x0, x1), which may reach beyond the image where maps were padded.
        """
        ends = []
        for side, place in zip(
            (self.y, self.x), np.moveaxis(np.asarray(places), -1, 0), strict=True
        ):
            first = side.start + side.step * place.astype(np.int64)
            ends += [first, first + side.size]
        return np.stack(ends, axis=-1)


def receptive_field(model: keras.Model, layer: str) -> ReceptiveField:
    """Pixels that each number of a layer has seen, by the arithmetic of windows.

    A number that has seen the whole image has it as its box: of vectors, and of maps whose pixels
    are no longer pixels of the image.  Mean and variance of a normalization are not counted: they
    are taken as given.

    Parameters
    ----------
    model : keras.Model
        A graph of layers that takes an image.
    layer : str
        Name of one of its layers.

    Returns
    -------
    ReceptiveField

    Raises
    ------
    ModelError
        If the model takes no image or is not a graph of layers, or the layer sees no image.
    """
    height, width, _ = image_shape(model)
    whole = (_Side(0, height, 0), _Side(0, width, 0))
    image = model.input["image"]
    seen: dict[int, tuple[_Side, _Side] | None] = {id(image): (_Side(), _Side())}
    graph = graph_of(model)
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if not node.is_input:
                seen.update(dict.fromkeys(map(id, node.outputs), _after(node, seen, whole)))
            found = seen.get(id(node.outputs[0]))
            if node.operation.name == layer and found is not None:
                return ReceptiveField(*found)
    raise ModelError(f"The layer '{layer}' sees nothing of the image.")


def _after(
    node: Any, seen: dict[int, Any], whole: tuple[_Side, _Side]
) -> tuple[_Side, _Side] | None:
    layer, after = node.operation, node.outputs[0].shape
    before = [t for t in node.input_tensors if seen.get(id(t)) is not None]
    if not before:
        return None
    if len(after) < 4 or any(len(t.shape) < 4 for t in before):
        return whole
    if isinstance(layer, (*_MIXED, keras.Model)):
        return whole
    sides = []
    for axis in (0, 1):
        lengths = {t.shape[1 + axis] for t in before}
        found = {seen[id(t)][axis] for t in before}
        side = _joined(found) if len(lengths) == 1 else None
        side = side and _windowed(layer, axis, side, lengths.pop(), after[1 + axis])
        if side is None:
            return whole
        sides.append(side)
    return sides[0], sides[1]


def _joined(sides: set[_Side]) -> _Side | None:
    """What branches have seen together, where they agree on the pixel of a number."""
    if len({side.step for side in sides}) > 1:
        return None
    start = min(side.start for side in sides)
    step = next(iter(sides)).step
    return _Side(start, max(side.start + side.size for side in sides) - start, step)


def _windowed(layer: Any, axis: int, side: _Side, length: int, after: int) -> _Side | None:
    """What a window over numbers sees; nothing where the layer is no window."""
    size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    window = _along(size or 1, axis)
    step = _along(getattr(layer, "strides", None) or 1, axis) if size else 1
    spread = _along(getattr(layer, "dilation_rate", 1), axis)
    reach = (window - 1) * spread + 1
    if getattr(layer, "padding", "valid") == "same":
        count = -(-length // step)
        before = max((count - 1) * step + reach - length, 0) // 2
    else:
        count, before = (length - reach) // step + 1, 0
    return side.through(window, step, spread, before) if count == after else None


def _along(value: Any, axis: int) -> int:
    return int(value[axis]) if isinstance(value, (tuple, list)) else int(value)
