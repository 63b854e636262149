"""One process of a distributed training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from astrocnn.training import LayerRates, Objective, Optimizer, fit, get_strategy, predict
from tests import processes

from .networks import LOSSES, batches, network, sample


def main(kind: str, path: Path, seed: int = 0, command: tuple[str, ...] = ()) -> None:
    """Train with a strategy from the weights of a seed; then give a command in the same process.

    `kind` is "one", "mirrored" (on two logical CPU devices) or "multiworker" (with ``TF_CONFIG``).
    """
    if kind == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        halves = [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
        tf.config.set_logical_device_configuration(cpu, halves)
    where = get_strategy(kind)
    found: dict[str, np.ndarray] = {"replicas": np.array(where.num_replicas_in_sync)}

    def note(
        name: str, batch_norm: bool, size: int, batch: int, objective=LOSSES, **arguments
    ) -> None:
        model = network(seed=seed, batch_norm=batch_norm)
        tf.random.set_seed(0)
        if name == "clipped":
            # The first layer is frozen in the first epoch, and slower in the second.
            first = next(layer.name for layer in model.layers if layer.weights)
            arguments |= {"layer_rates": LayerRates({first: 0.5}, 1)}
        history = fit(
            model,
            batches(size, batch),
            batches(41, 10, shuffle=False, seed=9),
            objective=objective,
            epochs=2,
            strategy=where,
            **arguments,
        )
        for i, weights in enumerate(model.get_weights()):
            found[f"{name}/{i:02d}"] = weights
        found[f"{name}/losses"] = np.array([history["loss"], history["val_loss"]])
        raw = predict(model, batches(41, 10, shuffle=False, seed=9), where)
        x, _, _ = sample(41, 9)
        for target, values in raw.items():
            found[f"{name}/raw {target}"] = values
            found[f"{name}/raw {target} locally"] = np.asarray(model(x)[target])

    # 103 = 5 * 20 + 3: the last batch is ragged, and odd; 61 = 3 * 20 + 1: one replica has none.
    note("adam", False, 103, 20, optimizer=Optimizer("adam", 0.01, schedule="cosine", warmup=1))
    clipped = Optimizer("momentum", 0.05, clip_norm=0.2)
    weights = {"kind": np.array([0.5, 1, 2])}
    note(
        "clipped",
        False,
        61,
        20,
        optimizer=clipped,
        objective=Objective(LOSSES, class_weights=weights),
    )
    if kind != "one":
        note("norm", True, 61, 20)
    np.savez(path, **found)
    if command:
        processes.run_command(*command)
