"""Networks that compute in bfloat16."""

from __future__ import annotations

from typing import Any

from astrocnn.backend import keras
from astrocnn.errors import ModelError

__all__ = ["with_precision"]

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def with_precision(model: keras.Model, precision: str) -> keras.Model:
    """A copy of a network that computes in ``"float32"`` or ``"bfloat16"``, not compiled.

    The copied weights stay float32, and the layers that make the outputs compute in float32 in
    either case.

    Raises
    ------
    ModelError
        If the precision is unknown.
    """
    if precision not in _POLICIES:
        raise ModelError(
            "A network cannot compute in this precision.",
            received=precision,
            allowed=tuple(_POLICIES),
        )
    heads = {tensor._keras_history.operation.name for tensor in model.outputs}

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name not in heads and not isinstance(layer, keras.layers.InputLayer):
            # Heads stay in float32: bfloat16 has 8 bits, too few for logits and quantiles.
            config["dtype"] = _POLICIES[precision]
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    # Cloning initializes weights anew.
    copy.set_weights(model.get_weights())
    return copy
