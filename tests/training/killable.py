"""A training to be killed: ``python -m training.killable FOLDER SECONDS_PER_EPOCH``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from astrocnn.training import Optimizer, fit

from .networks import LOSSES, batches, network


def main(folder: Path, delay: float) -> None:
    model = network(dropout=0.3, batch_norm=True)
    fit(
        model,
        batches(),
        batches(40, shuffle=False, seed=9),
        losses=LOSSES,
        epochs=8,
        optimizer=Optimizer("adam", 0.02, schedule="cosine"),
        backup=folder / "backup",
        history_file=folder / "history.csv",
        callbacks=[lambda history: time.sleep(delay)],
        strategy="one",
    )
    np.savez(folder / "weights.npz", *model.get_weights())


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
