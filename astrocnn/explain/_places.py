"""Channels of a layer and places on its maps, checked and counted along one axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, ops
from astrocnn.errors import ModelError
from astrocnn.explain.output import Response

__all__ = ["check_channels", "check_places", "flat_maps", "map_shape", "to_pixels"]


def check_channels(model: keras.Model, layer: str, channels: Any) -> NDArray[np.int32]:
    """Channels as integers.

    Raises
    ------
    ModelError
        If the layer has no such channels.
    """
    found = np.asarray(channels)
    if found.dtype.kind not in "iu":
        raise ModelError("Channels are whole numbers.", received=channels)
    for channel in np.unique(found):
        Response(layer, int(channel)).nodes(model)
    return found.astype(np.int32)


def check_places(maps: Any, places: Any, n: int) -> NDArray[np.int32]:
    """Places on the maps of `n` objects as integers, of shape (n, 2).

    Raises
    ------
    ModelError
        If they are not on the maps.
    """
    found, side = np.asarray(places), map_shape(maps)
    whole = found.dtype.kind in "iu"
    if not whole or found.shape != (n, 2) or (found < 0).any() or (found >= side).any():
        raise ModelError(
            "These are no places on the maps.",
            received=f"shape {found.shape}, {found.min(initial=0)} to {found.max(initial=0)}",
            allowed=f"whole numbers (y, x) of shape ({n}, 2), on {side[0]} x {side[1]} pixels",
        )
    return found.astype(np.int32)


def map_shape(maps: Any) -> tuple[int, int]:
    """Height and width of the maps of a layer; one pixel for those of a vector."""
    return (int(maps.shape[1]), int(maps.shape[2])) if len(maps.shape) > 3 else (1, 1)


def flat_maps(maps: Any) -> Any:
    """Responses of shape (n, places, channels), orientations beside each other in a place."""
    places = math.prod(maps.shape[1:-1])
    return ops.cast(ops.reshape(maps, (-1, places, maps.shape[-1])), "float32")


def to_pixels(maps: Any, flat: Any) -> NDArray[np.int64]:
    """Pixels (y, x), of shape (..., 2), of places as `flat_maps` counts them."""
    height, width = map_shape(maps)
    beside = math.prod(maps.shape[1:-1]) // (height * width)
    return np.stack(np.divmod(np.asarray(flat, np.int64) // beside, width), axis=-1)
