"""Which arithmetic this machine is fast in."""

from __future__ import annotations

import functools
from pathlib import Path

from astrocnn.errors import TrainingError
from astrocnn.plugins import nearest

__all__ = ["PRECISIONS", "has_fast_bfloat16", "resolve_precision"]

PRECISIONS: tuple[str, ...] = ("float32", "bfloat16", "auto")
"""Names accepted wherever a precision is asked for."""


@functools.cache
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

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
        What was asked for.

    Returns
    -------
    str

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
