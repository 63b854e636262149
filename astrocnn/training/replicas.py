"""What the replicas must have in common before the first batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from astrocnn.backend import tf
from astrocnn.errors import TrainingError

__all__ = [
    "average_statistics",
    "check_agreement",
    "seed_dropout",
    "take_values_of_first_replica",
    "wait_for_all",
]


def seed_dropout(model: Any, seed: int) -> None:
    """Set the random states of all layers from one number."""
    states = [v for v in model.non_trainable_variables if "seed_generator_state" in v.path]
    for number, state in enumerate(states):
        state.assign(np.random.SeedSequence([seed, number]).generate_state(2, np.uint32))


def take_values_of_first_replica(model: Any, where: tf.distribute.Strategy) -> None:
    """Give all replicas the values that the network has on the first worker.

    Each worker built its own network, perhaps from another random seed.
    """

    def part(value: Any) -> Any:
        first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
        return tf.where(first, value, tf.zeros_like(value))

    _assign_sums(model.weights, part, where)


def average_statistics(model: Any, where: tf.distribute.Strategy) -> None:
    """Give all replicas the mean of the running statistics of batch normalization.

    Each replica has seen its own part of the batches only.  Those of frozen layers have not moved.
    """
    statistics = [w for x in model.layers if x.trainable for w in x.non_trainable_weights]
    replicas = where.num_replicas_in_sync
    _assign_sums(statistics, lambda value: value / tf.cast(replicas, value.dtype), where)


def _assign_sums(
    variables: list[Any], part: Callable[[Any], Any], where: tf.distribute.Strategy
) -> None:
    if where.num_replicas_in_sync == 1 or not variables:
        return

    @tf.function(autograph=False)
    def sums() -> Any:
        parts = where.run(lambda: [part(variable.value) for variable in variables])
        return [where.reduce("SUM", value, axis=None) for value in parts]

    for variable, value in zip(variables, sums(), strict=True):
        variable.assign(value.numpy())


def wait_for_all(where: tf.distribute.Strategy) -> None:
    """Return when every worker has come this far; at once when there is only one."""
    if where.num_replicas_in_sync > 1:
        where.reduce("SUM", where.run(lambda: tf.constant(1.0)), axis=None)


def check_agreement(where: tf.distribute.Strategy, epoch: int) -> None:
    """Make sure that all workers continue from the same epoch.

    Raises
    ------
    TrainingError
        If they do not, as when each has a backup folder of its own.
    """
    replicas = where.num_replicas_in_sync
    if replicas == 1:
        return

    def on_replica() -> Any:
        return tf.constant(float(epoch)), tf.constant(float(epoch) ** 2)

    mean, square = (
        float(where.reduce("SUM", value, axis=None)) / replicas for value in where.run(on_replica)
    )
    if abs(square - mean**2) > 1e-6:
        raise TrainingError(
            "The workers do not continue from the same epoch.",
            received=f"epoch {epoch} here, {mean:.3g} on average",
            hint="the backup folder must be on a file system that all workers share",
        )
