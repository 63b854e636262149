"""Pooling by a sum and by the root of the sum of squares, beside Keras's maximum and mean.

Layers for tensors with one, two or three axes between the objects and the channels, chosen by the
shape they see.  Padded values are zeros, which add nothing to a sum.

References
----------
Boureau, Ponce & LeCun 2010, ICML, 111, section 2 (norms between the mean and the maximum).
"""

from __future__ import annotations

import math
from typing import Any

from astrocnn.backend import keras, layers, ops
from astrocnn.models.sizes import extent

__all__ = ["L2Pooling", "SumPooling", "pooling_layer"]

_KERAS = {
    "max": {3: layers.MaxPooling1D, 4: layers.MaxPooling2D, 5: layers.MaxPooling3D},
    "average": {3: layers.AveragePooling1D, 4: layers.AveragePooling2D, 5: layers.AveragePooling3D},
}


@keras.saving.register_keras_serializable(package="astrocnn")
class SumPooling(layers.Layer):
    """Sum over a window.

    Parameters
    ----------
    pool_size : tuple of int
        Window along each axis between the objects and the channels.
    strides : tuple of int, optional
        Step of the window; the window itself by default.
    padding : str
        ``"valid"`` or ``"same"``.
    """

    def __init__(
        self,
        pool_size: tuple[int, ...],
        strides: tuple[int, ...] | None = None,
        padding: str = "valid",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = tuple(pool_size)
        self.strides = tuple(strides or pool_size)
        self.padding = padding

    def call(self, x: Any) -> Any:
        """Tensor of shape (n, ..., channels), smaller."""
        if self.padding == "same":
            x = ops.pad(x, [(0, 0), *self._margins(x.shape), (0, 0)])
        mean = ops.average_pool(x, self.pool_size, self.strides, "valid", "channels_last")
        return mean * math.prod(self.pool_size)

    def _margins(self, shape: Any) -> list[tuple[int, int]]:
        margins = []
        for size, window, step in zip(shape[1:-1], self.pool_size, self.strides, strict=True):
            missing = max((math.ceil(size / step) - 1) * step + window - size, 0)
            margins.append((missing // 2, missing - missing // 2))
        return margins

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape after the pooling."""
        sides = [
            math.ceil(size / step) if self.padding == "same" else extent(size, window, stride=step)
            for size, window, step in zip(
                input_shape[1:-1], self.pool_size, self.strides, strict=True
            )
        ]
        return (input_shape[0], *sides, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """What the layer is made from."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
        }


@keras.saving.register_keras_serializable(package="astrocnn")
class L2Pooling(SumPooling):
    """Square root of the sum of squares over a window; parameters as `SumPooling`."""

    def call(self, x: Any) -> Any:
        """Tensor of shape (n, ..., channels), smaller, nowhere negative."""
        squares = super().call(x * x)
        # The root has no derivative at 0, where dead units of a ReLU put many windows.
        some = squares > 0
        return ops.where(some, ops.sqrt(ops.where(some, squares, 1)), 0)


def pooling_layer(
    kind: str, rank: int, window: int, *, strides: int | None, padding: str, name: str
) -> layers.Layer:
    """A pooling layer for tensors of a rank.

    Parameters
    ----------
    kind : str
        ``"max"``, ``"average"``, ``"sum"`` or ``"l2"``.
    rank : int
        3 for spectra (n, length, channels), 4 for images, 5 for maps of eight orientations,
        (n, height, width, 8, channels), which are not pooled together.
    window : int
        Pixels a side.
    strides : int, optional
        Step [pixel]; the window itself by default.
    padding : str
        ``"valid"`` or ``"same"``.
    name : str
        Of the layer.

    Returns
    -------
    keras.layers.Layer
    """
    axes = 1 if rank == 3 else 2
    ends = (1,) * (rank - 2 - axes)
    size, steps = (window,) * axes + ends, (strides or window,) * axes + ends
    if kind in _KERAS:
        return _KERAS[kind][rank](size, strides=steps, padding=padding, name=name)
    return {"sum": SumPooling, "l2": L2Pooling}[kind](size, steps, padding, name=name)
