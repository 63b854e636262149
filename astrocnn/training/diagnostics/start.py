"""Does the untrained network know nothing?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from astrocnn.targets import Family
from astrocnn.training.diagnostics.finding import Finding

__all__ = ["check_initial_loss"]


def check_initial_loss(model: Any, batch: Any, families: Mapping[str, Family]) -> list[Finding]:
    """Loss of each target before the first update against that of a head that knows nothing.

    Parameters
    ----------
    model : keras.Model
        Untrained.
    batch : tuple
        ``(x, y, weights)``.
    families : mapping of target to Family
        Their `initial_loss` is expected: log K for K classes.

    Returns
    -------
    list of Finding
    """
    from astrocnn.training.objective import labels

    x, y, weights = batch
    raw = model(x, training=False)
    found = []
    for name, family in families.items():
        weight, encoded = labels(y, weights, name)
        loss = np.asarray(family.loss(encoded, raw[name]), np.float64)
        used = np.asarray(weight) > 0
        expected = family.initial_loss
        mean = float(loss[used].mean()) if used.any() else float("nan")
        good = bool(abs(mean - expected) <= max(0.5 * abs(expected), 0.25))
        said = f"{name}: {mean:.3f}, expected {expected:.3f}"
        if not good:
            said += ": look at the range of the inputs, the labels and the initializer"
        found.append(Finding("initial loss", good, said))
    return found
