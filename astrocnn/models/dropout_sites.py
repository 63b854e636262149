"""Where a network drops units, and which shape a mask has there."""

from __future__ import annotations

from typing import Any, NamedTuple

from astrocnn.backend import layers
from astrocnn.errors import ModelError

__all__ = ["HINT", "DropoutSite", "fits_bfloat16", "holds_dropout", "mask_shape"]

_UNSUPPORTED = (layers.GaussianDropout, layers.AlphaDropout)
HINT = "use keras.layers.Dropout or SpatialDropout as layers of the network itself"


class DropoutSite(NamedTuple):
    """One place where a mask is needed."""

    layer: str
    rate: float
    shape: tuple[int, ...]
    """Shape of the mask without the objects; 1 where values are dropped together."""
    dtype: str
    """Type the layer computes in."""
    gain: float
    """Value of the mask where a unit is kept."""


def holds_dropout(operation: Any) -> bool:
    """Whether a layer, or a layer inside it, drops units when it trains.

    Raises
    ------
    ModelError
        If one is stochastic in a way that has no mask.
    """
    if not isinstance(operation, layers.Layer):
        return False
    inside = list(operation._flatten_layers())
    for layer in inside:
        if isinstance(layer, _UNSUPPORTED) and layer.rate > 0:
            raise ModelError(
                f"The layer '{layer.name}' is stochastic in a way that has no mask.",
                received=type(layer).__name__,
                hint=HINT,
            )
    return any(
        (isinstance(layer, layers.Dropout) and layer.rate > 0)
        or any(_rate(layer, name) > 0 for name in ("dropout", "recurrent_dropout"))
        for layer in inside
    )


def _rate(layer: Any, name: str) -> float:
    value = getattr(layer, name, 0)
    return float(value) if isinstance(value, (int, float)) else 0.0


def mask_shape(layer: Any, x: Any) -> tuple[int, ...]:
    """Shape of a dropout layer's mask without the objects; 1 where values are dropped together.

    Raises
    ------
    ModelError
        If the tensor it acts on has no fixed size.
    """
    shape: list[Any] = list(x.shape[1:])
    noise = getattr(layer, "noise_shape", None)
    if isinstance(
        layer, (layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D)
    ):
        last = getattr(layer, "data_format", "channels_last") != "channels_first"
        channels = len(shape) - 1 if last else 0
        shape = [n if axis == channels else 1 for axis, n in enumerate(shape)]
    elif noise is not None:
        shape = [have if n is None else n for have, n in zip(shape, noise[1:], strict=True)]
    if any(n is None for n in shape):
        raise ModelError(
            f"The dropout layer '{layer.name}' sees feature maps of no fixed size.",
            received=tuple(x.shape),
            hint="give the network's Input a fixed height and width",
        )
    return tuple(int(n) for n in shape)


def fits_bfloat16(value: float) -> bool:
    """Whether a number fits the eight significant bits of bfloat16."""
    return float(value * 256).is_integer() and value <= 256
