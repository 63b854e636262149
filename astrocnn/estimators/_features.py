"""What a network makes of objects on the way to its answers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.estimators._forward import Forward, compiled
from astrocnn.imaging import Inputs
from astrocnn.models.layer_access import cut_after

__all__ = ["Features"]


class Features(Forward):
    """A network cut after a layer, ready to tell features.

    Parameters
    ----------
    model : keras.Model
        In the precision that is wanted.
    inputs : Inputs
        With a normalization, if they have bands.
    layer : str, optional
        Its name; what goes into the heads by default.

    Raises
    ------
    ModelError
        If there is no such layer.
    """

    def __init__(self, model: keras.Model, inputs: Inputs, layer: str | None = None) -> None:
        self._n_views = 1
        self._inputs = inputs
        body = cut_after(model, layer)
        self._width = int(body.output.shape[-1])

        def step(x: dict[str, Any]) -> dict[str, Any]:
            return {"features": body(x, training=False)[None]}

        self._step = compiled(step)

    def of(
        self, images: NDArray[np.float32], scalars: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Features of any number of objects, of shape (n, d)."""
        if not len(images):
            return np.empty((0, self._width), np.float32)
        return self(images, scalars)["features"][0]
