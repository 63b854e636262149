"""The history of a training, its best epoch, and early stopping."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from astrocnn.atomic import write_text
from astrocnn.backend import keras
from astrocnn.errors import TrainingError
from astrocnn.stored_files import parse_json

__all__ = ["BestEpoch", "EarlyStopping", "History", "format_epoch", "format_values"]


@dataclass
class History:
    """The epochs of a training.

    Attributes
    ----------
    rows : list of dict
        One per epoch: ``epoch`` (from 1), ``loss``, ``val_loss``, the same per target when there
        is more than one (``morphology_loss``, ``val_morphology_loss``), metrics,
        ``learning_rate`` and ``seconds``.
    best_epoch : int or None
        The epoch, counted from 1, whose weights the model has now.
    stopped_early : bool
        Whether the patience ran out before the last epoch.
    precision : str
        "float32" or "bfloat16", as trained.
    replicas : int
        Number of devices each batch was split over.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int | None = None
    stopped_early: bool = False
    precision: str = "float32"
    replicas: int = 1

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns, in the order of their first appearance."""
        # Rows may have different columns, which are NaN in the others.
        return tuple(dict.fromkeys(name for row in self.rows for name in row))

    def keys(self) -> tuple[str, ...]:
        """The same, so that ``dict(history)`` holds the columns."""
        return self.columns

    def __getitem__(self, column: str) -> np.ndarray:
        """A column as ndarray of shape (n_epochs,), NaN where an epoch does not have it."""
        if column not in self.columns:
            raise KeyError(f"{column!r} is not in the history: {', '.join(self.columns)}")
        return np.array([row.get(column, np.nan) for row in self.rows], dtype=float)

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write all epochs as CSV; the file is replaced whole, never half written."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        # Nine digits give a float32 back exactly.
        writer.writerows(
            {k: v if isinstance(v, int) else f"{v:.9g}" for k, v in row.items()}
            for row in self.rows
        )
        write_text(path, text.getvalue())

    def to_json(self) -> str:
        """All of it as JSON."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> History:
        """The history that `to_json` wrote.

        Raises
        ------
        TrainingError
            If it is damaged.
        """
        history: History = parse_json(text, cls, "The history of a training", TrainingError)
        return history


@dataclass(frozen=True)
class EarlyStopping:
    """When to stop before the last epoch.

    Parameters
    ----------
    patience : int, optional
        Epochs without improvement after which training stops; None trains all epochs.
    monitor : str, optional
        Column of the history that should become small: "val_loss" by default, or "loss" without
        validation data.
    min_delta : float
        Smallest change that counts as an improvement.

    Raises
    ------
    TrainingError
        If the patience is below 1.
    """

    patience: int | None = None
    monitor: str | None = None
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        if self.patience is not None and self.patience < 1:
            raise TrainingError(
                f"`patience` must be at least 1 epoch; got {self.patience}.",
                hint="None trains all epochs",
            )


class BestEpoch:
    """The epoch with the lowest loss, and its weights.

    `monitor` is the column that decides, unless `stopping` names one.
    """

    def __init__(self, stopping: EarlyStopping, monitor: str = "val_loss") -> None:
        self.stopping = stopping
        self.monitor = stopping.monitor or monitor
        self.value = np.inf
        self.epoch: int | None = None
        self.waited = 0
        self.weights: list[np.ndarray] = []

    @property
    def exhausted(self) -> bool:
        """Whether the patience has run out."""
        return self.stopping.patience is not None and self.waited >= self.stopping.patience

    def update(self, row: dict[str, float], model: keras.Model) -> bool:
        """Compare an epoch with the best so far; True when it is better.

        Raises
        ------
        TrainingError
            If the epoch has no such column.
        """
        if self.monitor not in row:
            raise TrainingError(
                f"The history has no column '{self.monitor}' for early stopping.",
                allowed=sorted(row),
                hint="without validation data only the training columns exist",
            )
        # A comparison with NaN is false: it is never an improvement.
        if row[self.monitor] < self.value - self.stopping.min_delta:
            self.value = float(row[self.monitor])
            self.epoch = int(row["epoch"])
            self.waited = 0
            # A copy on the host: the best epoch is known only when later ones are worse.
            self.weights = model.get_weights()
            return True
        self.waited += 1
        return False

    def get_state(self) -> dict[str, Any]:
        """Everything but the weights, for a backup."""
        return {"value": self.value, "epoch": self.epoch, "waited": self.waited}

    def restore(self, state: dict[str, Any], weights: list[np.ndarray]) -> None:
        """The inverse of `get_state`."""
        self.value, self.epoch, self.waited = state["value"], state["epoch"], state["waited"]
        self.weights = weights


def format_values(row: dict[str, float]) -> str:
    """Losses and other values of an epoch, of its row of the history."""
    return "  ".join(f"{name} {row[name]:.4g}" for name in _select_values(row))


def format_epoch(row: dict[str, float], epochs: int, improved: bool, width: int) -> tuple[str, str]:
    """A line about an epoch (its row of the history) for a terminal, and the headings above it.

    Values that do not fit in the width are left out: the loss comes first.
    """
    cells = [_align("epoch", f"{row['epoch']:.0f}/{epochs}", 2 * len(str(epochs)) + 1)]
    last = [_align("rate", f"{row['learning_rate']:.2g}", 7)]
    last += [_align("s", f"{row['seconds']:.1f}", 6), ("    ", "best" if improved else "")]
    left = width - sum(2 + len(name) for name, _ in (*cells, *last))
    for name in _select_values(row):
        cell = _align(name, f"{row[name]:.4g}", 7)
        left -= 2 + len(cell[0])
        if left < 0:
            break
        cells.append(cell)
    names, values = zip(*cells, *last, strict=True)
    return "  ".join(values).rstrip(), "  ".join(names).rstrip()


def _select_values(row: dict[str, float]) -> list[str]:
    """Columns with values: the losses first, then what tells how the network generalizes."""
    names = [name for name in row if name not in ("epoch", "seconds", "learning_rate")]
    losses = ("loss", "val_loss")
    ranks = {name: 0 if name in losses else 1 if name.startswith("val_") else 2 for name in names}
    return sorted(names, key=ranks.__getitem__)


def _align(name: str, value: str, least: int) -> tuple[str, str]:
    width = max(len(name), least)
    return name.rjust(width), value.rjust(width)
