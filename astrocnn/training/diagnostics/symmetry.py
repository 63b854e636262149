"""Do the units of a layer learn different things?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from astrocnn.backend import tf
from astrocnn.training.diagnostics.finding import Finding

if TYPE_CHECKING:
    from astrocnn.training.objective import PerObject

__all__ = ["check_symmetry"]


def check_symmetry(model: Any, batch: Any, losses: Mapping[str, PerObject]) -> Finding:
    """Units of one layer with equal weights and equal gradients: they stay equal for ever.

    Parameters
    ----------
    model : keras.Model
        Untrained.
    batch : tuple
        ``(x, y, weights)``.
    losses : mapping of target to function
        Loss per object of (encoded, raw).

    Returns
    -------
    Finding
    """

    from astrocnn.training.objective import Objective

    x, y, weights = batch
    with tf.GradientTape() as tape:
        sums, totals = Objective(losses).sums(y, weights, model(x, training=False), training=False)
        loss = tf.add_n([tf.math.divide_no_nan(s, t) for s, t in zip(sums, totals, strict=True)])
    kernels = [v for v in model.trainable_variables if len(v.shape) > 1 and v.shape[-1] > 1]
    gradients = tape.gradient(loss, [v.value for v in kernels], unconnected_gradients="zero")
    alike = []
    for variable, gradient in zip(kernels, gradients, strict=True):
        columns = np.concatenate(
            [_columns(variable.numpy()), _columns(np.asarray(gradient))], axis=0
        )
        units = columns.shape[1]
        different = len(np.unique(np.round(columns, 6), axis=1).T)
        if different < units:
            alike.append(f"{variable.path} ({units} units, {different} different)")
    if alike:
        return Finding(
            "symmetry",
            False,
            f"units are alike in {', '.join(alike)}: initialize at random ('he', 'glorot')",
        )
    return Finding("symmetry", True, f"no two units alike in {len(kernels)} layers")


def _columns(values: np.ndarray) -> np.ndarray:
    """Weights of each unit as a column, in units of the largest."""
    flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
    return flat / (np.abs(flat).max() or 1.0)
