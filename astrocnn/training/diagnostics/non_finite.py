"""Where do numbers stop being numbers?"""

from __future__ import annotations

from typing import Any

import numpy as np

from astrocnn.backend import keras
from astrocnn.training.diagnostics.finding import Finding

__all__ = ["check_finite"]


def check_finite(model: Any, x: Any) -> Finding:
    """Follow a batch through the network; names the first input or layer that has a NaN.

    Parameters
    ----------
    model : keras.Model
        Functional.
    x : mapping of str to array
        Inputs of one batch.

    Returns
    -------
    Finding
    """

    for name, value in x.items():
        count = int(np.count_nonzero(~np.isfinite(value)))
        if count:
            return Finding(
                "finite",
                False,
                f"input '{name}' holds {count} values that are NaN or infinite: look for infinite "
                "pixels and missing scalars",
            )
    layers = [v for v in model.layers if not isinstance(v, keras.layers.InputLayer)]
    outputs = keras.Model(model.inputs, [layer.output for layer in layers])(x, training=False)
    for layer, value in zip(layers, outputs, strict=True):
        if np.isfinite(np.asarray(value)).all():
            continue
        weights = all(np.isfinite(w).all() for w in layer.get_weights())
        cause = "its inputs and weights are finite" if weights else "its weights are not finite"
        return Finding(
            "finite",
            False,
            f"layer '{layer.name}' is the first to yield NaN or infinity; {cause}: "
            "a lower learning rate, clip_norm = 1, or precision float32",
        )
    return Finding("finite", True, f"all outputs of {len(layers)} layers")
