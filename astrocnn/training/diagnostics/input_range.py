"""Do the inputs have the range that initial weights are made for?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from astrocnn.training.diagnostics.finding import Finding

__all__ = ["check_inputs"]

_OFF_CENTER = 3.0
_SPREAD = (0.05, 20.0)


def check_inputs(x: Mapping[str, Any]) -> Finding:
    """Mean and standard deviation of each channel after normalization: near 0 and 1.

    Parameters
    ----------
    x : mapping of str to array of shape (n, ..., channels)
        Inputs of one batch.

    Returns
    -------
    Finding
    """
    told, good = [], True
    for name, values in x.items():
        table = np.asarray(values, np.float64)
        table = table.reshape(-1, table.shape[-1])
        mean, std = table.mean(axis=0), table.std(axis=0)
        good &= bool(np.isfinite(mean).all() and (np.abs(mean) < _OFF_CENTER).all())
        good &= bool(((std > _SPREAD[0]) & (std < _SPREAD[1])).all())
        each = ", ".join(f"{m:.2f} +- {s:.2f}" for m, s in zip(mean, std, strict=True))
        told.append(f"{name}: {each}")
    if not good:
        told.append(
            "a channel is far from 0 +- 1 or constant: look at the stretch (inputs.stretch) and at "
            "'astrocnn show'"
        )
    return Finding("inputs", good, "\n".join(told))
