"""Where training runs: one device, all devices of this machine, or several machines."""

from __future__ import annotations

import functools
import json
import os

from astrocnn.backend import tf
from astrocnn.errors import TrainingError
from astrocnn.plugins import nearest

__all__ = ["STRATEGIES", "is_chief", "strategy"]

STRATEGIES: tuple[str, ...] = ("auto", "one", "mirrored", "multiworker")
"""Names accepted by `strategy`."""


def strategy(name: str = "auto") -> tf.distribute.Strategy:
    """The `tf.distribute` strategy of a name.

    Parameters
    ----------
    name : {"auto", "one", "mirrored", "multiworker"}
        "one" trains on the default device.  "mirrored" splits each batch over all GPUs of this
        machine, or over its logical CPU devices when there is no GPU.  "multiworker" splits it
        over the processes named in the environment variable ``TF_CONFIG``; ask for it before
        anything else touches TensorFlow.  "auto" is "mirrored" with more than one GPU, else "one".

    Returns
    -------
    tf.distribute.Strategy

    Raises
    ------
    TrainingError
        If there is no such strategy, or ``TF_CONFIG`` is absent or makes no sense, or the other
        workers can no longer be joined.
    """
    if name not in STRATEGIES:
        raise TrainingError(
            f"There is no training strategy '{name}'.",
            allowed=STRATEGIES,
            hint=nearest(name, STRATEGIES),
        )

    if name == "auto":
        name = "mirrored" if len(tf.config.list_logical_devices("GPU")) > 1 else "one"
    if name == "one":
        return tf.distribute.get_strategy()
    return _multiworker() if name == "multiworker" else _mirrored()


# Two strategies of one process would number their collective operations alike, and wait for each
# other's: there is one of each.
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


def is_chief(where: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files.

    True everywhere but on the workers of a "multiworker" strategy other than the first.
    """
    resolver = where.cluster_resolver
    if resolver is None or resolver.task_type is None:
        return True
    if resolver.task_type == "chief":
        return True
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

    def refuse(what: str) -> TrainingError:
        return TrainingError(f"TF_CONFIG {what}.", received=text, hint=_EXAMPLE)

    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise refuse(f"is not JSON ({error})") from None
    if not isinstance(config, dict) or not isinstance(config.get("cluster"), dict):
        raise refuse("has no table 'cluster'")
    cluster = config["cluster"]
    if not any(cluster.get(kind) for kind in ("worker", "chief")):
        raise refuse("names no worker in 'cluster'")
    task = config.get("task")
    if not isinstance(task, dict) or "type" not in task or "index" not in task:
        raise refuse("does not say which 'task' (type and index) this process is")
    hosts = cluster.get(task["type"])
    if not isinstance(hosts, list):
        raise refuse(f"has a task type '{task['type']}' that its cluster does not have")
    if not (isinstance(task["index"], int) and 0 <= task["index"] < len(hosts)):
        raise refuse(f"has a task index outside 0 to {len(hosts) - 1}")
