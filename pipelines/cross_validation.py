"""Cross-validate run files: each object is predicted by a model that was not trained on it.

    export ASTROCNN_DATA=../shared/data
    python pipelines/cross_validation.py pipelines/gz1_pretrained.toml --out runs/cv/lite0 \\
           --set training.epochs=14
    python pipelines/cross_validation.py --average runs/cv/lite0 runs/cv/lite0_seed1

The folds are the same for all run files with one catalogue, whatever their splits: stratified by
class, byte-identical images in one fold.  The normalization is measured on the images of all
folds; labels of the fold that is predicted are not used.  Probabilities are the mean over the
draws and views of the run file.  They are kept for each fold, so that an interrupted call goes on;
``--average`` scores the mean of several.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from astrocnn import atomic
from astrocnn.datasets import Shards, read_labels
from astrocnn.metrics import Score, average, bootstrap, ece, log_loss
from astrocnn.runs.config import load_run
from astrocnn.runs.run import Run
from astrocnn.runs.verbs.cutouts import write_cutouts

Rows = NDArray[np.integer]
RESULT = "out_of_fold.npz"


def divide(shards: Shards, rows: Rows, truth: NDArray[np.integer], folds: int) -> list[Rows]:
    """Rows of each fold, byte-identical images together."""
    first: dict[bytes, int] = {}
    hashes = (hashlib.sha256(shards.images([row]).tobytes()).digest() for row in rows)
    # Numbers in the order of the catalogue: that of the hashes would depend on the cutouts.
    groups = [first.setdefault(digest, row) for row, digest in zip(rows, hashes, strict=True)]
    divider = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    return [rows[held] for _, held in divider.split(rows, truth, groups)]


def cross_validate(file: Path, overrides: list[str], folds: int, folder: Path) -> None:
    """Train on all folds but one, in turn, and predict that one."""
    run = Run(load_run(file, overrides), folder)
    write_cutouts(run)
    rows = np.sort(np.concatenate(list(run.rows.values())))
    (encoded,) = read_labels(run.shards, run.task)[0].values()
    truth = np.asarray(encoded).argmax(axis=1)
    inputs = run.inputs.with_normalization(run.measure_normalization(rows))
    parts = []
    for number, held in enumerate(divide(run.shards, rows, truth[rows], folds)):
        part = folder / f"fold-{number}.npz"
        if not part.exists():
            began = time.time(), time.process_time()
            estimator = run.build_estimator(inputs)
            options: dict[str, Any] = dict(run.fit_options)
            if run.has_network:
                options["backup"] = folder / f"backup-{number}"
                options["history_file"] = folder / f"history-{number}.csv"
            estimator.fit(run.shards, np.setdiff1d(rows, held), **options)
            spent = time.time() - began[0], time.process_time() - began[1]
            (samples,) = run.sample(held, estimator).values()
            with atomic.replacing(part) as temporary:
                np.savez(
                    temporary, rows=held, truth=truth[held], probability=samples.mean(axis=0),
                    seconds=spent,
                )  # fmt: skip
        parts.append(dict(np.load(part)))
        hits = parts[-1]["probability"].argmax(axis=1) == parts[-1]["truth"]
        print(f"fold {number}: {hits.mean():.1%} of {len(hits)}", flush=True)
    order = np.argsort(np.concatenate([part["rows"] for part in parts]))
    found = {
        key: np.concatenate([part[key] for part in parts])[order]
        for key in ("rows", "truth", "probability")
    }
    with atomic.replacing(folder / RESULT) as temporary:
        np.savez(temporary, **found, seconds=np.mean([part["seconds"] for part in parts], axis=0))


def score(probability: NDArray[np.floating], truth: NDArray[np.integer]) -> dict[str, Score]:
    """Accuracy, log loss and ECE with intervals over the objects."""
    p = probability.astype(np.float64)
    hits = p.argmax(axis=1) == truth
    statistics = {
        "accuracy": lambda w: average(hits, w),
        "log loss": lambda w: log_loss(p, np.eye(p.shape[1])[truth], w),
        "ECE": lambda w: ece(p.max(axis=1), hits, w),
    }
    return bootstrap(statistics, len(truth))


def main() -> None:
    """Cross-validate one run file, or score the mean of several."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--average", type=Path, nargs="+", default=[], help="folders of --out")
    arguments = parser.parse_args()
    folders: list[Path] = arguments.average
    if arguments.run is not None:
        cross_validate(arguments.run, arguments.overrides, arguments.folds, arguments.out)
        folders = [*folders, arguments.out]
    found = [dict(np.load(folder / RESULT)) for folder in folders]
    if any(not np.array_equal(f["truth"], found[0]["truth"]) for f in found):
        parser.error("the folders are of different catalogues or folds")
    for folder, one in zip(folders, found, strict=True):
        show(folder.name, one)
    if len(found) > 1:
        mean = np.mean([one["probability"] for one in found], axis=0)
        seconds = np.sum([one["seconds"] for one in found], axis=0)
        show("mean", {"probability": mean, "truth": found[0]["truth"], "seconds": seconds})


def show(name: str, found: dict[str, NDArray[Any]]) -> None:
    """Print the scores, and the seconds of the training of one fold: wall and processor."""
    scores = score(found["probability"], found["truth"])
    wall, processor = found["seconds"]
    line = "  ".join(f"{key} {value}" for key, value in scores.items())
    print(f"{name}: {line}; {wall:.0f} s, {processor:.0f} s of CPU a fold", flush=True)


if __name__ == "__main__":
    main()
