"""Check that the network can overfit one small batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from astrocnn.backend import keras, tf
from astrocnn.targets import Family
from astrocnn.training.diagnostics.data_checks import Finding
from astrocnn.training.objective import Objective

__all__ = ["check_overfit"]

_PART = 0.8
_ENOUGH = 1.5


def check_overfit(
    model: Any, batch: Any, families: Mapping[str, Family], steps: int = 150, rate: float = 2e-3
) -> Finding:
    """Train on one small batch, without dropout, until the network overfits it.

    The loss must fall from that of the best constant output by 80 per cent of the way to that of
    free outputs for each object, or by 1.5.  The network is left as it was.

    Parameters
    ----------
    model : keras.Model
        Untrained.
    batch : tuple
        ``(x, y, weights)`` of some 20 objects.
    families : mapping of target to Family
        Those of the targets.
    steps : int
        Updates, with Adam.
    rate : float
        Learning rate.

    Returns
    -------
    Finding
    """

    x, y, weights = batch
    n = len(next(iter(x.values())))
    objective = Objective({name: family.loss for name, family in families.items()})

    def compute_loss(raw: Any) -> Any:
        sums, totals = objective.sums(y, weights, raw, training=False)
        return tf.add_n([tf.math.divide_no_nan(s, t) for s, t in zip(sums, totals, strict=True)])

    def minimize(variables: list[Any], loss: Any, updates: int, rate: float) -> float:
        optimizer = keras.optimizers.Adam(rate)
        optimizer.build(variables)

        @tf.function(autograph=False)
        def step() -> Any:
            with tf.GradientTape() as tape:
                value = loss()
            tensors = [v.value for v in variables]
            gradients = tape.gradient(value, tensors, unconnected_gradients="zero")
            optimizer.apply(gradients, variables)
            return value

        for _ in range(updates):
            step()
        return float(loss())

    def fit_outputs(rows: int) -> float:
        raw = {k: keras.Variable(np.zeros((rows, f.units), "f4")) for k, f in families.items()}
        ones = tf.ones((n, 1)) if rows == 1 else 1.0
        return minimize(
            list(raw.values()),
            lambda: compute_loss({k: v.value * ones for k, v in raw.items()}),
            100,
            0.05,
        )

    # Both references are fitted, since a family's lowest loss may be negative or unknown.
    constant, perfect = fit_outputs(1), fit_outputs(n)
    saved = [np.array(v.numpy()) for v in model.variables]
    try:
        final = minimize(
            model.trainable_variables, lambda: compute_loss(model(x, training=False)), steps, rate
        )
    finally:
        for variable, value in zip(model.variables, saved, strict=True):
            variable.assign(value)
    message = f"{n} examples, {steps} updates: loss {final:.3f}; best constant {constant:.3f}"
    # Densities have no lowest loss, so a fixed fall is enough there.
    needed = min(_PART * (constant - perfect), _ENOUGH)
    if constant - perfect < 1e-3:
        return Finding("overfits", False, f"{message}: all labels are equal, look at the column")
    passed = bool(constant - final >= needed)
    if not passed:
        message += (
            f", free outputs {perfect:.3f}: the network cannot overfit them; look at the "
            "findings above, then at the labels, or take a larger network"
        )
    return Finding("overfits", passed, message)
