"""A command during which somebody presses Ctrl-C."""

from __future__ import annotations

import signal
from typing import Any

from astrocnn.training import backup
from tests import processes


def main(*words: object) -> None:
    """Give a command; Ctrl-C is pressed whenever an epoch is safe."""
    # A shell that started the tests in the background made them and their children deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    save = backup.Backup.save

    def save_and_press(self: backup.Backup, *state: Any) -> None:
        save(self, *state)
        signal.raise_signal(signal.SIGINT)

    backup.Backup.save = save_and_press  # type: ignore[method-assign]
    processes.run_command(*words)
