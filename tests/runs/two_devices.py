"""A command on a machine whose processor counts as two devices."""

from __future__ import annotations

from tests import processes


def main(*words: object) -> None:
    """Give a command."""
    import tensorflow as tf

    from astrocnn.training import get_strategy

    (cpu,) = tf.config.list_physical_devices("CPU")
    halves = [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
    tf.config.set_logical_device_configuration(cpu, halves)
    print(get_strategy("mirrored").num_replicas_in_sync, "devices", flush=True)
    processes.run_command(*words)
