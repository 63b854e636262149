"""The best weights so far, and when to stop waiting for better ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from astrocnn.errors import TrainingError

__all__ = ["Best"]


class Best:
    """Remembers the epoch with the lowest loss, and its weights.

    Parameters
    ----------
    monitor : str
        Column of the history that should become small.
    patience : int, optional
        Epochs without improvement after which `exhausted` is true; None never stops.
    min_delta : float
        An improvement must be greater than this to count.
    """

    def __init__(self, monitor: str, patience: int | None = None, min_delta: float = 0.0) -> None:
        if patience is not None and patience < 1:
            raise TrainingError(
                "The patience of early stopping is out of range.",
                received=patience,
                allowed="1 or more epochs, or None to train all epochs",
            )
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.value = np.inf
        self.epoch: int | None = None
        self.waited = 0
        self.weights: list[np.ndarray] = []

    @property
    def exhausted(self) -> bool:
        """Whether the patience has run out."""
        return self.patience is not None and self.waited >= self.patience

    def update(self, row: dict[str, float], model: Any) -> bool:
        """Take note of an epoch; True when it is the best so far.

        Raises
        ------
        TrainingError
            If the epoch has no such column.
        """
        if self.monitor not in row:
            raise TrainingError(
                f"Early stopping cannot watch '{self.monitor}'.",
                allowed=sorted(row),
                hint="without validation data only the training columns exist",
            )
        if row[self.monitor] < self.value - self.min_delta:
            self.value = float(row[self.monitor])
            self.epoch = int(row["epoch"])
            self.waited = 0
            self.weights = model.get_weights()
            return True
        self.waited += 1
        return False

    def state(self) -> dict[str, Any]:
        """Everything but the weights, for a backup."""
        return {"value": self.value, "epoch": self.epoch, "waited": self.waited}

    def restore(self, state: dict[str, Any], weights: list[np.ndarray]) -> None:
        """Take up a `state` again."""
        self.value, self.epoch, self.waited = state["value"], state["epoch"], state["waited"]
        self.weights = weights
