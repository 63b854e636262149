"""Simulated labelling of ZTF stars and galaxies: which objects to label next.

A network is trained on 40 labelled stamps that were chosen by chance.  In each of two rounds 40
more are chosen among the others, labelled, and the network is trained again from random weights.
The accuracy is that on the test split, from which nothing is chosen; all methods begin with the
same labels.

    ASTROCNN_DATA=../shared/data python pipelines/labelling_rounds.py --seeds 3
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrocnn.acquisition import METHODS, acquire
from astrocnn.catalog import Catalog
from astrocnn.datasets import Shards
from astrocnn.estimators import KerasEstimator
from astrocnn.imaging import ArraySource
from astrocnn.runs.config import load_run
from astrocnn.runs.run import Run
from astrocnn.runs.verbs.cutouts import write_cutouts
from astrocnn.training import Optimizer

RUN = Path(__file__).parent / "ztf_star_galaxy.toml"
STEP = 40
ROUNDS = 2
EPOCHS = 25
DRAWS = 30


def train(run: Run, shards: Shards, rows: NDArray[np.int64], seed: int) -> KerasEstimator:
    """Train on some labelled objects."""
    model = KerasEstimator(
        run.task,
        shards.inputs,
        "plain8",
        options={"width": 0.25, "head_dropout": 0.5},
        precision="float32",
        seed=seed,
    )
    optimizer = Optimizer("adamw", 2e-3, schedule="cosine", warmup=1)
    model.fit(shards, rows, epochs=EPOCHS, batch_size=16, optimizer=optimizer)
    return model


def main() -> None:
    """Print the accuracy after each round."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    with tempfile.TemporaryDirectory() as folder:
        run = Run(load_run(RUN), folder)
        write_cutouts(run)
        shards = run.shards
        images = shards.images(np.arange(len(shards)))
        truth = shards.column("label")[0].astype(str)
        test = run.rows["test"]
        pool = np.concatenate([run.rows["train"], run.rows["validation"]])
        correct: dict[str, list[list[float]]] = {m: [] for m in METHODS}
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            first = rng.choice(pool, STEP, replace=False)
            begin = train(run, shards, first, seed)
            for method in METHODS:
                labelled, model, scores = first, begin, []
                for _ in range(ROUNDS + 1):
                    p = model.sample(images[test], draws=DRAWS)["type"].mean(axis=0)
                    names = np.array(run.task.targets[0].family.classes)  # type: ignore[attr-defined]
                    scores.append(float(np.mean(names[p.argmax(axis=1)] == truth[test])))
                    if len(scores) > ROUNDS:
                        break
                    rest = np.setdiff1d(pool, labelled)
                    chosen = acquire(
                        model,
                        Catalog.from_table({"id": rest}),
                        ArraySource(images[rest], bands=shards.bands, unit=shards.unit,
                                    pixel_scale=shards.pixel_scale),
                        STEP,
                        method=method,
                        random=0,
                        draws=DRAWS,
                        seed=seed,
                    )  # fmt: skip
                    labelled = np.concatenate([labelled, np.asarray(chosen["id"])])
                    model = train(run, shards, labelled, seed)
                correct[method].append(scores)
                line = "  ".join(f"{100 * s:5.1f}" for s in scores)
                print(f"seed {seed}  {method:<10} {line}", flush=True)
    print(
        "mean accuracy (%) with",
        ", ".join(str(STEP * (k + 1)) for k in range(ROUNDS + 1)),
        "labels",
    )
    for method, values in correct.items():
        mean = 100 * np.mean(values, axis=0)
        error = 100 * np.std(values, axis=0, ddof=1) / np.sqrt(seeds) if seeds > 1 else 0 * mean
        line = "  ".join(f"{m:5.1f} +- {e:.1f}" for m, e in zip(mean, error, strict=True))
        print(f"  {method:<10} {line}")


if __name__ == "__main__":
    main()
