"""Layers that act on each value, or on each pair of channels, and that Keras does not have.

References
----------
Goodfellow et al. 2013, ICML (arXiv:1302.4389), section 3 (maxout).
Touvron et al. 2021, ICCV (arXiv:2103.17239), section 2, equation 4 (a factor for each channel).
"""

from __future__ import annotations

from typing import Any

from astrocnn.backend import keras, layers, ops

__all__ = ["LayerScale", "Maxout"]


@keras.saving.register_keras_serializable(package="astrocnn")
class Maxout(layers.Layer):
    """The larger of each pair of neighbouring channels: from 2 n channels to n."""

    def call(self, x: Any) -> Any:
        """Tensor with half the channels."""
        return ops.maximum(x[..., 0::2], x[..., 1::2])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape with half the channels."""
        return (*input_shape[:-1], input_shape[-1] // 2)


@keras.saving.register_keras_serializable(package="astrocnn")
class LayerScale(layers.Layer):
    """A trained factor for each channel.

    Parameters
    ----------
    initial : float
        Value of all factors before training; a small one makes a residual branch silent at first.
    """

    def __init__(self, initial: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial = float(initial)

    def build(self, input_shape: Any) -> None:
        """Make the factors."""
        self.factor = self.add_weight(
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(self.initial),
            name="factor",
        )

    def call(self, x: Any) -> Any:
        """Tensor of the same shape."""
        return x * ops.cast(self.factor, x.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The same shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What the layer is made from."""
        return {**super().get_config(), "initial": self.initial}
