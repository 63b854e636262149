"""What happened in each epoch, as rows and as a CSV file."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import dataclass, field

import numpy as np

from astrocnn.atomic import write_text

__all__ = ["History"]


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
        """The history that `to_json` wrote."""
        return cls(**json.loads(text))
