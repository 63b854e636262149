"""What a network makes of objects before its heads: the penultimate features."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import ModelError
from astrocnn.estimators._forward import Forward, compiled
from astrocnn.imaging import Inputs

__all__ = ["Features", "features_of"]


class Features(Forward):
    """A network cut before its heads, ready to tell features.

    Parameters
    ----------
    model : keras.Model
        In the precision that is wanted.
    inputs : Inputs
        With a normalization, if they have bands.
    """

    def __init__(self, model: keras.Model, inputs: Inputs) -> None:
        self._n_views = 1
        self._inputs = inputs
        head = model.outputs[0]._keras_history.operation
        body = keras.Model(model.input, head.input)
        self._width = int(head.input.shape[-1])

        def step(x: dict[str, Any]) -> dict[str, Any]:
            return {"features": keras.ops.cast(body(x, training=False)[None], "float32")}

        self._step = compiled(step)

    def of(
        self, images: NDArray[np.float32], scalars: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Features of any number of objects, of shape (n, d)."""
        if not len(images):
            return np.empty((0, self._width), np.float32)
        return self(images, scalars)["features"][0]


def features_of(estimator: Any, images: Any, scalars: Any) -> NDArray[np.float32]:
    """Features of an estimator that may have none.

    Raises
    ------
    ModelError
        If it has none.
    """
    if not hasattr(estimator, "features"):
        raise ModelError(
            "This estimator has no features before its answers.",
            received=type(estimator).__name__,
            hint="features are for networks",
        )
    return estimator.features(images, scalars)
