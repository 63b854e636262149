"""Convolution that knows the eight rotations and reflections of the square, the group D4.

A galaxy has no preferred orientation on the sky.  An ordinary convolution answers differently when
the image is turned; here each filter is used in its eight orientations, so that turning the image
turns the maps and permutes the orientations, exactly.  The mean over orientations and pixels then
does not change at all.

An element g = 4 m + r of the group mirrors the array left to right if m is 1, then turns it by
r quarter turns (as ``numpy.rot90``).

References
----------
Cohen & Welling 2016, ICML (arXiv:1602.07576), sections 6.1 to 6.3, equations 10 and 11.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, layers, ops
from astrocnn.errors import ModelError

__all__ = ["ORIENTATIONS", "D4Conv", "act_on_array", "product"]

ORIENTATIONS = 8
"""Elements of the group D4."""


def act_on_array(element: int, array: NDArray[Any]) -> NDArray[Any]:
    """Move an array of shape (side, side, ...) by an element of the group.

    Parameters
    ----------
    element : int
        From 0, which does nothing, to 7.
    array : ndarray of shape (side, side, ...)
        Moved in its first two axes.

    Returns
    -------
    ndarray of the same shape
    """
    mirrored, turns = divmod(element, 4)
    return np.rot90(array[:, ::-1] if mirrored else array, turns)


def product(first: int, second: int) -> int:
    """The element that acts like `second` and then `first`.

    Parameters
    ----------
    first, second : int
        Elements of the group.

    Returns
    -------
    int
    """
    return int(_PRODUCT[first, second])


def _multiply() -> NDArray[np.int64]:
    probe = np.arange(4).reshape(2, 2)
    images = [act_on_array(g, probe).tolist() for g in range(ORIENTATIONS)]
    return np.array(
        [
            [
                images.index(act_on_array(a, act_on_array(b, probe)).tolist())
                for b in range(ORIENTATIONS)
            ]
            for a in range(ORIENTATIONS)
        ]
    )


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
        if padding == "same" and self.kernel_size % 2 == 0:
            raise ModelError(
                "A padded kernel with an even number of pixels a side has no center to turn about.",
                received=f"{kernel_size} pixels, padding same",
                hint='take an odd kernel, or padding "valid"',
            )

    def build(self, input_shape: Any) -> None:
        """Make the kernel, of one orientation, and the bias."""
        k, channels = self.kernel_size, int(input_shape[-1])
        before = () if len(input_shape) == 4 else (ORIENTATIONS,)
        self.kernel = self.add_weight(
            shape=(k, k, *before, channels, self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.bias = (
            self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")
            if self.use_bias
            else None
        )
        self._places = _places(k, bool(before))

    def call(self, x: Any) -> Any:
        """Maps of shape (n, height, width, 8, filters)."""
        k = self.kernel_size
        if len(x.shape) == 5:
            x = ops.reshape(x, (-1, *x.shape[1:3], ORIENTATIONS * x.shape[-1]))
        flat = ops.reshape(self.kernel, (-1, self.kernel.shape[-2] * self.filters))
        # From (8 orientations out, pixels and orientations in, channels in, filters).
        turned = ops.take(flat, self._places.reshape(-1), axis=0)
        turned = ops.reshape(turned, (ORIENTATIONS, k, k, x.shape[-1], self.filters))
        turned = ops.reshape(ops.transpose(turned, (1, 2, 3, 0, 4)), (k, k, x.shape[-1], -1))
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

    def compute_output_shape(self, input_shape: Any) -> Any:
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
        return np.stack([act_on_array(g, pixels).ravel() for g in range(ORIENTATIONS)]).astype(
            "int32"
        )
    places = np.arange(side * side * ORIENTATIONS).reshape(side, side, ORIENTATIONS)
    inverse = [int(np.flatnonzero(_PRODUCT[g] == 0)[0]) for g in range(ORIENTATIONS)]
    turned = []
    for g in range(ORIENTATIONS):
        # The kernel turned by g answers to orientation h as the kernel itself to g^-1 h.
        order = [_PRODUCT[inverse[g], h] for h in range(ORIENTATIONS)]
        turned.append(act_on_array(g, places)[:, :, order].ravel())
    return np.stack(turned).astype("int32")
