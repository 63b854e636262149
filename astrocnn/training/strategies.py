"""Distribution of a training over one device, several devices, or several machines."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from astrocnn.backend import tf
from astrocnn.errors import TrainingError
from astrocnn.plugins import nearest

__all__ = [
    "STRATEGIES",
    "average_statistics",
    "check_agreement",
    "distribute_batches",
    "is_chief",
    "seed_dropout",
    "get_strategy",
    "copy_first_replica",
    "wait_for_all",
    "wait_for_chief",
]

STRATEGIES: tuple[str, ...] = ("auto", "one", "mirrored", "multiworker")
"""Names accepted by `get_strategy`."""


def get_strategy(name: str = "auto") -> tf.distribute.Strategy:
    """The `tf.distribute` strategy of a name.

    Parameters
    ----------
    name : {"auto", "one", "mirrored", "multiworker"}
        "one" trains on the default device.  "mirrored" splits each batch over all GPUs of this
        machine, or over its logical CPU devices when there is no GPU.  "multiworker" splits it
        over the processes named in the environment variable ``TF_CONFIG``; choose it before
        anything else touches TensorFlow.  "auto" is "mirrored" with more than one GPU, else "one".

    Raises
    ------
    TrainingError
        If there is no such strategy, or ``TF_CONFIG`` is absent or malformed, or the other
        workers can no longer be joined.
    """
    if name not in STRATEGIES:
        raise TrainingError(
            f"`strategy` must be one of the names below; got '{name}'.",
            allowed=STRATEGIES,
            hint=nearest(name, STRATEGIES),
        )
    if name == "auto":
        # With one GPU a strategy costs time and gains nothing.
        name = "mirrored" if len(tf.config.list_logical_devices("GPU")) > 1 else "one"
    if name == "one":
        return tf.distribute.get_strategy()
    return _multiworker() if name == "multiworker" else _mirrored()


# Cached: two strategies of one process would give their collective operations the same numbers and
# block each other.
@functools.cache
def _mirrored() -> tf.distribute.Strategy:
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


@functools.cache
def _multiworker() -> tf.distribute.Strategy:
    _check_tf_config()
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise TrainingError(
            "The other workers can only be joined before TensorFlow has been used.",
            received=str(error),
            hint="call strategy('multiworker') first of all, and pass the result to fit",
        ) from error


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes files: all do, but for further workers of "multiworker"."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type is None:
        return True
    if resolver.task_type == "chief":
        return True
    # Without a chief by name, the first worker is the chief.
    chiefs = resolver.cluster_spec().as_dict().get("chief", [])
    return not chiefs and resolver.task_type == "worker" and resolver.task_id == 0


_EXAMPLE = (
    'TF_CONFIG=\'{"cluster": {"worker": ["host0:12345", "host1:12345"]}, '
    '"task": {"type": "worker", "index": 0}}\', with another index in each process'
)


def _check_tf_config() -> None:
    text = os.environ.get("TF_CONFIG")
    if not text:
        raise TrainingError(
            "The strategy 'multiworker' needs TF_CONFIG in the environment, which is not set.",
            hint=_EXAMPLE,
        )

    def build_error(problem: str) -> TrainingError:
        return TrainingError(f"TF_CONFIG {problem}.", received=text, hint=_EXAMPLE)

    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise build_error(f"is not JSON ({error})") from None
    if not isinstance(config, dict) or not isinstance(config.get("cluster"), dict):
        raise build_error("has no table 'cluster'")
    cluster = config["cluster"]
    if not any(cluster.get(kind) for kind in ("worker", "chief")):
        raise build_error("names no worker in 'cluster'")
    task = config.get("task")
    if not isinstance(task, dict) or "type" not in task or "index" not in task:
        raise build_error("has no 'task' with the type and index of this process")
    hosts = cluster.get(task["type"])
    if not isinstance(hosts, list):
        raise build_error(f"has a task type '{task['type']}' that its cluster does not have")
    if not (isinstance(task["index"], int) and 0 <= task["index"] < len(hosts)):
        raise build_error(f"has a task index outside 0 to {len(hosts) - 1}")


def seed_dropout(model: Any, seed: int) -> None:
    """Set the random states of all layers from one number."""
    # Keras seeds each layer from a global generator, whose state depends on what was built before.
    states = [v for v in model.non_trainable_variables if "seed_generator_state" in v.path]
    for number, state in enumerate(states):
        state.assign(np.random.SeedSequence([seed, number]).generate_state(2, np.uint32))


def copy_first_replica(model: Any, strategy: tf.distribute.Strategy) -> None:
    """Give all replicas the values of the first worker, for each built a network of its own."""

    def part(value: Any) -> Any:
        # A sum over replicas of which all but one are zero: it works on any strategy.
        first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
        return tf.where(first, value, tf.zeros_like(value))

    _assign_sums(model.weights, part, strategy)


def average_statistics(model: Any, strategy: tf.distribute.Strategy) -> None:
    """Give all replicas the mean of the running statistics of batch normalization.

    Each replica has seen its own part of the batches only.  Those of frozen layers have not moved.
    """
    # Replicas see different objects, and must still validate with one network.
    statistics = [w for x in model.layers if x.trainable for w in x.non_trainable_weights]
    replicas = strategy.num_replicas_in_sync
    _assign_sums(statistics, lambda value: value / tf.cast(replicas, value.dtype), strategy)


def _assign_sums(
    variables: list[Any], part: Callable[[Any], Any], strategy: tf.distribute.Strategy
) -> None:
    if strategy.num_replicas_in_sync == 1 or not variables:
        return
    sums = _sum_over_replicas(strategy, lambda: [part(variable.value) for variable in variables])
    for variable, value in zip(variables, sums, strict=True):
        variable.assign(value.numpy())


def _sum_over_replicas(
    strategy: tf.distribute.Strategy, on_replica: Callable[[], list[Any]]
) -> list[Any]:
    def sums() -> list[Any]:
        return [strategy.reduce("SUM", value, axis=None) for value in strategy.run(on_replica)]

    # In a graph: a mirrored strategy warns of its overhead without.  A partial object is not
    # counted by its code, and so is not taken for one graph that is traced again and again.
    return tf.function(functools.partial(sums), autograph=False)()


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Wait until all workers reach this call; return at once with a single one."""
    if strategy.num_replicas_in_sync > 1:
        _sum_over_replicas(strategy, lambda: [tf.constant(1.0)])


def wait_for_chief(strategy: tf.distribute.Strategy, result: Path) -> None:
    """Wait until all workers reach the end, for which the chief has written `result`.

    Here a worker may leave while another still receives from it: that is no error once the result
    is there.
    """
    try:
        wait_for_all(strategy)
    except tf.errors.UnavailableError:
        if not result.exists():
            raise


def check_agreement(strategy: tf.distribute.Strategy, epoch: int) -> None:
    """Raise `TrainingError` if the workers continue from different epochs, as with own backups."""
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return

    # The sums of the numbers and of their squares show whether all are equal, without a gather.
    values = [float(epoch), float(epoch) ** 2]
    sums = _sum_over_replicas(strategy, lambda: [tf.constant(value) for value in values])
    mean, square = (float(value) / replicas for value in sums)
    if abs(square - mean**2) > 1e-6:
        raise TrainingError(
            "The workers do not continue from the same epoch.",
            received=f"epoch {epoch} here, {mean:.3g} on average",
            hint="the backup folder must be on a file system that all workers share",
        )


def distribute_batches(data: tf.data.Dataset, strategy: tf.distribute.Strategy) -> Any:
    """Batches split over the replicas of a strategy.

    Replica r of R receives the rows from ``r m`` to ``(r + 1) m`` of each batch of n rows, with
    ``m = ceil(n / R)``.  Where these exceed n the last row is repeated with weight 0, so that no
    replica is left with an empty batch (on which batch normalization yields NaN) and a ragged
    last batch gives the gradient that one device would give.

    Every worker reads the whole data set and keeps its own part, so the split does not depend on
    how the data are stored.  The batches must be the same in all of them: seed the shuffling.

    The batches are ``(x, y, weights)``, dicts of tensors whose first axis is the batch.  With one
    replica they are the data set itself.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return data

    # tf.distribute's own split leaves replicas without rows in a ragged batch.
    def for_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        local = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * local

        def split(x: Any, y: Any, weights: Any) -> Any:
            n = tf.shape(tf.nest.flatten(x)[0])[0]
            # Equal parts for all replicas: the collective operations wait for every one of them.
            part = (n + replicas - 1) // replicas
            rows = tf.range(part)[None] + part * tf.range(first, first + local)[:, None]
            inside = tf.minimum(rows, n - 1)

            def cut(tensor: tf.Tensor) -> tf.Tensor:
                return tf.gather(tensor, inside)

            def cut_weight(weight: tf.Tensor) -> tf.Tensor:
                return tf.where(rows < n, cut(weight), tf.zeros([], weight.dtype))

            x, y = tf.nest.map_structure(cut, (x, y))
            return x, y, tf.nest.map_structure(cut_weight, weights)

        return data.map(split).unbatch().prefetch(2 * local)

    return strategy.distribute_datasets_from_function(for_worker)
