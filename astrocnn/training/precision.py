"""Arithmetic in bfloat16 with weights in float32, and copies of a network in either."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from astrocnn.errors import TrainingError
from astrocnn.plugins import nearest

if TYPE_CHECKING:
    import keras

__all__ = ["PRECISIONS", "copied", "has_fast_bfloat16", "resolve_precision"]

PRECISIONS: tuple[str, ...] = ("float32", "bfloat16", "auto")
"""Names accepted wherever a precision is asked for."""


def has_fast_bfloat16() -> bool:
    """Whether this machine multiplies matrices in bfloat16 in hardware.

    True with a GPU of compute capability 8 or more, or without a GPU on a CPU with AMX tiles.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = (tf.config.experimental.get_device_details(gpu) for gpu in gpus)
        return all(d.get("compute_capability", (0, 0)) >= (8, 0) for d in details)
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False


def resolve_precision(precision: str) -> str:
    """ "float32" or "bfloat16" for a name; "auto" is bfloat16 where the hardware has it.

    Raises
    ------
    TrainingError
        If there is no such precision.
    """
    if precision not in PRECISIONS:
        raise TrainingError(
            f"There is no precision '{precision}'.",
            allowed=PRECISIONS,
            hint=nearest(precision, PRECISIONS),
        )
    if precision == "auto":
        return "bfloat16" if has_fast_bfloat16() else "float32"
    return precision


def copied(model: keras.Model, precision: str | None = None) -> keras.Model:
    """A copy of a network, with the same values in variables of its own.

    Parameters
    ----------
    model : keras.Model
        A functional model.
    precision : {"float32", "bfloat16"}, optional
        Arithmetic of all layers but the last ones, which stay in float32 so that probabilities
        and losses are not rounded.  The weights are float32 either way.  As in `model` by default.

    Returns
    -------
    keras.Model
        Its random states (dropout) are copied too.
    """
    import keras

    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    last = {tensor._keras_history.operation.name for tensor in model.outputs}

    def clone(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if precision is not None and not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = "float32" if layer.name in last else policy
        return type(layer).from_config(config)

    twin = keras.models.clone_model(model, clone_function=clone)
    for target, source in zip(twin.variables, model.variables, strict=True):
        target.assign(source.numpy())
    return twin
