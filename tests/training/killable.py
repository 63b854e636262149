"""Trainings in a process of their own, which can be killed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from astrocnn.training import History, Optimizer, fit

from .networks import LOSSES, batches, network


def main(delay: float, *folders: Path) -> None:
    """Train once for each folder, with a pause [s] after each epoch."""
    for folder in folders:
        _train(folder, delay)


def _train(folder: Path, delay: float) -> None:
    epochs: list[int] = []

    def pause(history: History) -> None:
        epochs.append(len(history))
        time.sleep(delay)

    model = network(dropout=0.3, batch_norm=True)
    fit(
        model,
        batches(),
        batches(40, shuffle=False, seed=9),
        objective=LOSSES,
        epochs=8,
        optimizer=Optimizer("adam", 0.02, schedule="cosine"),
        backup=folder / "backup",
        history_file=folder / "history.csv",
        callbacks=[pause],
        strategy="one",
    )
    np.savez(folder / "weights.npz", *model.get_weights(), epochs=epochs)
