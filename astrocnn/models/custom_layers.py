"""Layers that Keras does not have: D4 convolution, maxout, layer scale, sum and L2 pooling.

References
----------
Cohen & Welling 2016, ICML (arXiv:1602.07576), sections 6.1 to 6.3, equations 10 and 11 (D4Conv).
Goodfellow et al. 2013, ICML (arXiv:1302.4389), section 3 (Maxout).
Touvron et al. 2021, ICCV (arXiv:2103.17239), section 2, equation 4 (LayerScale).
Boureau, Ponce & LeCun 2010, ICML, 111, section 2 (norms between the mean and the maximum).
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import Tensor, keras, layers, ops
from astrocnn.errors import ModelError

__all__ = [
    "D4Conv",
    "ImageTooSmall",
    "L2Pooling",
    "LayerScale",
    "Maxout",
    "ORIENTATIONS",
    "SumPooling",
    "act_on_array",
    "compute_extent",
    "product",
]


Shape: TypeAlias = tuple[Any, ...]
"""Shape of a tensor; the number of objects may be None."""


class ImageTooSmall(ModelError):
    """The image has shrunk below the window of the next layer."""


def compute_extent(size: int, window: int, *, padding: int = 0, stride: int = 1) -> int:
    """Pixels a side after a convolution or pooling, (W - F + 2P) / S + 1 rounded down.

    W are the pixels a side before, F those of the window, P those added on each side, and S the
    step of the window.

    Examples
    --------
    >>> compute_extent(69, 6, padding=0, stride=1)
    64
    """
    return (size - window + 2 * padding) // stride + 1


@keras.saving.register_keras_serializable(package="astrocnn")
class Maxout(layers.Layer):
    """The larger of each pair of neighbouring channels: from 2 n channels to n."""

    def call(self, x: Tensor) -> Tensor:
        """Tensor with half the channels."""
        return ops.maximum(x[..., 0::2], x[..., 1::2])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Shape with half the channels."""
        return (*input_shape[:-1], input_shape[-1] // 2)


@keras.saving.register_keras_serializable(package="astrocnn")
class LayerScale(layers.Layer):
    """A trained factor for each channel.

    Parameters
    ----------
    initial : float
        Value of all factors before training; with a small one a residual branch contributes
        nothing at first.
    """

    def __init__(self, initial: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial = float(initial)

    def build(self, input_shape: Shape) -> None:
        """Make the factors."""
        self.factor = self.add_weight(
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(self.initial),
            name="factor",
        )

    def call(self, x: Tensor) -> Tensor:
        """Tensor of the same shape."""
        # Weights are float32 in mixed precision, and tensors are not.
        return x * ops.cast(self.factor, x.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The same shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What the layer is made from."""
        return {**super().get_config(), "initial": self.initial}


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

    def call(self, x: Tensor) -> Tensor:
        """Tensor of shape (n, ..., channels), smaller."""
        if self.padding == "same":
            x = ops.pad(x, [(0, 0), *self._margins(x.shape), (0, 0)])
        # Keras' mean leaves padded pixels out of its count, so padding is done before it.
        mean = ops.average_pool(x, self.pool_size, self.strides, "valid", "channels_last")
        return mean * math.prod(self.pool_size)

    def _margins(self, shape: Any) -> list[tuple[int, int]]:
        margins = []
        for size, window, step in zip(shape[1:-1], self.pool_size, self.strides, strict=True):
            missing = max((math.ceil(size / step) - 1) * step + window - size, 0)
            margins.append((missing // 2, missing - missing // 2))
        return margins

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Shape after the pooling."""
        axes = zip(input_shape[1:-1], self.pool_size, self.strides, strict=True)
        same = self.padding == "same"
        sides = [math.ceil(n / s) if same else compute_extent(n, w, stride=s) for n, w, s in axes]
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

    def call(self, x: Tensor) -> Tensor:
        """Tensor of shape (n, ..., channels), smaller, nowhere negative."""
        squares = super().call(x * x)
        # The root has no derivative at 0, where dead units of a ReLU put many windows.
        some = squares > 0
        return ops.where(some, ops.sqrt(ops.where(some, squares, 1)), 0)


ORIENTATIONS = 8
"""Elements of the group D4."""


def act_on_array(element: int, array: NDArray[Any]) -> NDArray[Any]:
    """Move an array of shape (side, side, ...) by an element of the group, from 0 (none) to 7."""
    mirrored, turns = divmod(element, 4)
    return np.rot90(array[:, ::-1] if mirrored else array, turns)


def product(first: int, second: int) -> int:
    """The element that acts like `second` and then `first`."""
    return int(_PRODUCT[first, second])


def _multiply() -> NDArray[np.int64]:
    probe = np.arange(4).reshape(2, 2)
    # Found by acting on an array without symmetry, so that no table is typed by hand.
    images = [act_on_array(g, probe) for g in range(ORIENTATIONS)]
    keys = [image.tolist() for image in images]
    rows = [[keys.index(act_on_array(a, b).tolist()) for b in images] for a in range(ORIENTATIONS)]
    return np.array(rows)


_PRODUCT = _multiply()


@keras.saving.register_keras_serializable(package="astrocnn")
class D4Conv(layers.Layer):
    """Convolution with each filter in its eight orientations.

    Takes an image, of shape (n, height, width, channels), or maps of a layer of this kind, and
    makes maps of shape (n, height, width, 8, filters).

    Parameters
    ----------
    filters : int
        Maps for each orientation.
    kernel_size : int
        Pixels a side; odd for padding ``"same"``, whose center must be a pixel.
    padding : str
        ``"same"`` or ``"valid"``.
    dilation_rate : int
        Distance between the pixels of the kernel [pixel].
    use_bias : bool
        One number for each filter, the same in all orientations.
    activation : str, optional
        Name of an activation of Keras.
    kernel_initializer, kernel_regularizer : str or object, optional
        As in the layers of Keras.

    Raises
    ------
    ModelError
        If the kernel has no center pixel and the padding is ``"same"``.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        padding: str = "same",
        dilation_rate: int = 1,
        use_bias: bool = True,
        activation: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters, self.kernel_size = int(filters), int(kernel_size)
        self.padding, self.dilation_rate, self.use_bias = padding, int(dilation_rate), use_bias
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        # Padding an even kernel is lopsided, and turning the image would not turn the maps.
        if padding == "same" and self.kernel_size % 2 == 0:
            raise ModelError(
                "A padded kernel with an even number of pixels a side has no center to turn about.",
                received=f"{kernel_size} pixels, padding same",
                hint='take an odd kernel, or padding "valid"',
            )

    def build(self, input_shape: Shape) -> None:
        """Make the kernel, of one orientation, and the bias."""
        k, channels = self.kernel_size, int(input_shape[-1])
        before = () if len(input_shape) == 4 else (ORIENTATIONS,)
        self.kernel = self.add_weight(
            shape=(k, k, *before, channels, self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")
        self._places = _places(k, bool(before))

    def call(self, x: Tensor) -> Tensor:
        """Maps of shape (n, height, width, 8, filters)."""
        k = self.kernel_size
        if len(x.shape) == 5:
            x = ops.reshape(x, (-1, *x.shape[1:3], ORIENTATIONS * x.shape[-1]))
        flat = ops.reshape(self.kernel, (-1, self.kernel.shape[-2] * self.filters))
        # From (8 orientations out, pixels and orientations in, channels in, filters).
        turned = ops.take(flat, self._places.reshape(-1), axis=0)
        turned = ops.reshape(turned, (ORIENTATIONS, k, k, x.shape[-1], self.filters))
        turned = ops.reshape(ops.transpose(turned, (1, 2, 3, 0, 4)), (k, k, x.shape[-1], -1))
        # One ordinary convolution with eight times the filters: as fast as any of its size.
        y = ops.conv(
            x,
            ops.cast(turned, x.dtype),
            padding=self.padding,
            data_format="channels_last",
            dilation_rate=self.dilation_rate,
        )
        y = ops.reshape(y, (-1, *y.shape[1:3], ORIENTATIONS, self.filters))
        if self.bias is not None:
            y = y + ops.cast(self.bias, y.dtype)
        return self.activation(y)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(n, height, width, 8, filters)."""
        lost = 0 if self.padding == "same" else (self.kernel_size - 1) * self.dilation_rate
        sides = [side - lost for side in input_shape[1:3]]
        return (input_shape[0], *sides, ORIENTATIONS, self.filters)

    def get_config(self) -> dict[str, Any]:
        """What the layer is made from."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "use_bias": self.use_bias,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


def _places(side: int, over_group: bool) -> NDArray[np.int32]:
    """Where each number of the eight kernels stands in the one kernel, (8, side * side * [8])."""
    if not over_group:
        pixels = np.arange(side * side).reshape(side, side)
        moved = [act_on_array(g, pixels).ravel() for g in range(ORIENTATIONS)]
        return np.stack(moved).astype("int32")
    places = np.arange(side * side * ORIENTATIONS).reshape(side, side, ORIENTATIONS)
    # The element whose product with g is the identity, element 0.
    inverse = [int(np.flatnonzero(_PRODUCT[g] == 0)[0]) for g in range(ORIENTATIONS)]
    turned = []
    for g in range(ORIENTATIONS):
        # The kernel turned by g responds to orientation h as the kernel itself to g^-1 h.
        order = [_PRODUCT[inverse[g], h] for h in range(ORIENTATIONS)]
        turned.append(act_on_array(g, places)[:, :, order].ravel())
    return np.stack(turned).astype("int32")
