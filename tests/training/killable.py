"""Trainings to be killed: ``python -m training.killable SECONDS_PER_EPOCH FOLDER ...``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from astrocnn.training import History, Optimizer, fit

from .networks import LOSSES, batches, network


def main(folder: Path, delay: float) -> None:
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


if __name__ == "__main__":
    for name in sys.argv[2:]:
        main(Path(name), float(sys.argv[1]))
