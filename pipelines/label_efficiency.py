"""Label efficiency of transfer learning: simulated stamps first, then a few real ZTF labels.

A network is trained to separate stars from galaxies on simulated i-band stamps with the pixel scale
and approximately the seeing and noise of ZTF (those of ``novelty_across_surveys.py``).  It is then
fine-tuned on N real ZTF stamps from the training split of ``ztf_star_galaxy.toml``: first its head,
then all layers, those before the head at a tenth of the learning rate.  The same network is trained
on the same stamps from random weights.  Both get the same number of updates and no validation
objects.  The score is that of all stamps of the other two splits, which were not used to choose any
setting.

    ASTROCNN_DATA=../shared/data python pipelines/label_efficiency.py --out runs/labels

About 7 minutes of processor time (simulation, and 36 trainings of 150 updates); each training is
kept, so that an interrupted call can be resumed.  Accuracy on 399 stamps, mean over three random
choices of labels (as many stars as galaxies) and seeds, with 95 % intervals over the stamps:

====== =================== ===================== =========================
labels transfer            random initialization difference, paired
====== =================== ===================== =========================
0      83.2 %
10     94.8 % [92.9, 96.5] 82.9 % [80.1, 85.4]   +12.0 % [9.7, 14.2]
20     95.4 % [93.5, 97.2] 92.1 % [90.0, 94.0]   +3.3 % [1.5, 5.3]
50     95.5 % [93.6, 97.2] 93.9 % [92.1, 95.7]   +1.6 % [0.0, 3.1]
100    95.5 % [93.6, 97.2] 94.2 % [92.6, 95.9]   +1.3 % [-0.4, 2.8]
200    96.2 % [94.5, 97.8] 95.6 % [94.1, 97.1]   +0.7 % [-0.9, 2.3]
500    96.1 % [94.2, 97.7] 96.7 % [95.2, 98.0]   -0.6 % [-2.2, 1.0]
====== =================== ===================== =========================

With transferred weights ten labels give the accuracy of about a hundred from random weights; from
100 labels on no difference is significant, and with 500 there is no gain.  The intervals do not
include the choice of labels; the figure shows each choice as a point.  Even without labels the
network uses images of ZTF: the normalization is that of the training split.  The number of frozen
epochs and the learning rate were set before the first score; the number of updates was reduced from
240 to 150 after two trainings with 10 labels (94.2 and 88.7 %), to save time.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from novelty_across_surveys import PRESET, SIZE, ZTF, subtract_sky
from numpy.typing import NDArray

from astrocnn.atomic import write_text
from astrocnn.catalog import Catalog, read_catalog
from astrocnn.datasets import D4, Shards, read_labels, split_rows, write_shards
from astrocnn.estimators import KerasEstimator, load_estimator
from astrocnn.imaging import ArraySource, Survey, open_source
from astrocnn.metrics import average, bootstrap
from astrocnn.report.style import COLORS, COLUMN, styled
from astrocnn.simulation import simulate_stamps
from astrocnn.targets import Task, make
from astrocnn.training import Optimizer

COUNTS = (10, 20, 50, 100, 200, 500)
NETWORK = {"options": {"width": 0.5}, "precision": "float32"}
BATCH = 32
UPDATES = 150
LEAST = 160  # objects per epoch: few labels are repeated
FROZEN = 0.2  # of the epochs
RATE = 0.1
NAMES = {"transfer": "transfer from simulated stamps", "scratch": "random initialization"}


def simulated(folder: Path, n_objects: int) -> tuple[Shards, Task]:
    """Simulated ZTF-like stamps, with their classes."""
    task = make("morphology", column="morphology", classes=("star", "galaxy"),
                map={"star": "star", "*": "galaxy"})  # fmt: skip
    images, truth = simulate_stamps(n_objects, size=SIZE, preset=PRESET, seed=3)
    source = ArraySource(subtract_sky(images), ("i",), ZTF.pixel_scale, "nJy")
    return write_shards(folder / "simulated", Catalog.from_table(truth), source), task


def real(folder: Path) -> tuple[Shards, Task]:
    """ZTF stamps in nJy, with their labels."""
    data = Path(os.environ["ASTROCNN_DATA"]) / "ztf_star_galaxy"
    catalog = read_catalog(data / "labels.csv", id="file")
    if not (folder / "ztf").exists():
        with tarfile.open(data / "cutouts.tar.gz") as archive:
            archive.extractall(folder / "ztf", filter="data")
    about = {"name": "ztf", "kind": "stamps", "image": "cutouts/{file}", "pixel_scale": 1.01}
    about |= {"bands": ["i"], "zero_point": "MAGZP", "unit": "nJy"}
    columns = {"file": np.asarray(catalog.table["file"])}
    source = open_source(Survey.from_dict(about, folder / "ztf"), columns=columns, size=SIZE)
    images = subtract_sky(source.read(np.arange(len(catalog))).images)
    source = ArraySource(images, ("i",), ZTF.pixel_scale, "nJy")
    task = make("morphology", column="label", classes=("star", "galaxy"))
    return write_shards(folder / "real", catalog, source), task


def pretrained(folder: Path, n_objects: int) -> KerasEstimator:
    """The network trained on simulated stamps."""
    if not (folder / "model").exists():
        shards, task = simulated(folder, n_objects)
        train, validation, _ = split_rows(shards, task, fractions=(0.75, 0.25, 0.0))
        estimator = KerasEstimator(task, shards.inputs, "plain8", **NETWORK)
        estimator.fit(
            shards,
            train,
            validation,
            epochs=10,
            batch_size=BATCH,
            augmentation=(D4(),),
            optimizer=Optimizer("adamw", 2e-3, schedule="cosine", warmup=1),
        )
        print(estimator.history_.rows[-1], flush=True)
        estimator.save(folder / "model")
    return load_estimator(folder / "model")


def train_network(
    shards: Shards, task: Task, rows: NDArray[np.integer], start: KerasEstimator | None, seed: int
) -> KerasEstimator:
    """Train a network on some rows."""
    rows = np.tile(rows, math.ceil(LEAST / len(rows)))
    epochs = math.ceil(UPDATES / math.ceil(len(rows) / BATCH))
    estimator = KerasEstimator(task, shards.inputs, "plain8", seed=seed, **NETWORK)
    estimator.fit(
        shards,
        rows,
        epochs=epochs,
        batch_size=BATCH,
        augmentation=(D4(),),
        optimizer=Optimizer("adamw", 2e-3, schedule="cosine", warmup=0.05 * epochs),
        start=start,
        frozen_epochs=round(FROZEN * epochs),
        body_rate=RATE,
        frozen_statistics=False,
    )
    return estimator


def sample_labels(
    shards: Shards, task: Task, pool: NDArray[np.integer], count: int, seed: int
) -> NDArray[np.integer]:
    """Random rows with labels, equally many of each class."""
    encoded, _ = read_labels(shards, task, pool)
    (label,) = (np.asarray(e).argmax(axis=1) for e in encoded.values())
    rng = np.random.default_rng(seed)
    each = [rng.permutation(pool[label == k])[: count // 2] for k in range(2)]
    return np.sort(np.concatenate(each))


def is_correct(
    estimator: KerasEstimator, shards: Shards, task: Task, rows: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Whether the more probable class is correct."""
    (samples,) = estimator.sample(shards.images(rows)).values()
    encoded, _ = read_labels(shards, task, rows)
    (truth,) = encoded.values()
    return samples[0].argmax(axis=1) == np.asarray(truth).argmax(axis=1)


def run_trainings(
    folder: Path, n_objects: int, seeds: int, counts: tuple[int, ...]
) -> dict[str, list[list[int]]]:
    """Correctness (0 or 1) of each object, by start, number of labels and seed.

    Each training is kept, so that an interrupted call can be resumed.
    """
    file = folder / "correct.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    start = pretrained(folder, n_objects)
    shards, task = real(folder)
    pool, validation, test = split_rows(shards, task, fractions=(0.6, 0.15, 0.25))
    scored_rows = np.concatenate([validation, test])
    if "0" not in found:
        unchanged = KerasEstimator(task, shards.inputs, "plain8", **NETWORK)
        unchanged.fit(shards, pool, epochs=1, start=start, body_rate=0, frozen_epochs=0,
                          optimizer=Optimizer("sgd", 1e-12))  # fmt: skip
        found["0"] = [is_correct(unchanged, shards, task, scored_rows).astype(int).tolist()]
        found["pool"], found["scored_rows"] = len(pool), len(scored_rows)
    for seed in range(seeds):
        for count in counts:
            rows = sample_labels(shards, task, pool, count, seed)
            for start_kind in NAMES:
                key = f"{start_kind}/{count}/{seed}"
                if key not in found:
                    began = time.monotonic()
                    initial = start if start_kind == "transfer" else None
                    hits = is_correct(
                        train_network(shards, task, rows, initial, seed), shards, task, scored_rows
                    )
                    found[key] = hits.astype(int).tolist()
                    write_text(file, json.dumps(found))
                    seconds = time.monotonic() - began
                    print(f"{key}: {hits.mean():.1%} of {len(hits)}, {seconds:.0f} s", flush=True)
    return found


def compute_scores(found: Mapping[str, Any]) -> dict[str, dict[int, Any]]:
    """Accuracy, mean over seeds, with its interval over objects; and the paired gain."""
    scores_by_start: dict[str, dict[int, Any]] = {
        **{start_kind: {} for start_kind in NAMES},
        "gain": {},
    }
    counts = sorted({int(key.split("/")[1]) for key in found if "/" in key})
    for count in counts:
        hits = {
            start_kind: np.array(
                [v for k, v in found.items() if k.startswith(f"{start_kind}/{count}/")], float
            )
            for start_kind in NAMES
        }
        means = {start_kind: values.mean(axis=0) for start_kind, values in hits.items()}
        means["gain"] = means["transfer"] - means["scratch"]
        scores = bootstrap(
            {start_kind: lambda w, m=mean: average(m, w) for start_kind, mean in means.items()},
            len(means["gain"]),
        )
        for start_kind, score in scores.items():
            seeds = hits[start_kind].mean(axis=1).tolist() if start_kind in hits else []
            scores_by_start[start_kind][count] = (score, seeds)
    return scores_by_start


@styled
def plot_errors(scores_by_start: Mapping[str, Mapping[int, Any]], baseline: float) -> Figure:
    """Plot error rates against the number of labels, with each seed and intervals."""
    figure = Figure(figsize=(COLUMN, 2.7), layout="constrained")
    axes = figure.subplots()
    for i, (start_kind, name) in enumerate(NAMES.items()):
        counts = np.array(list(scores_by_start[start_kind]), float) * (0.97, 1.03)[i]
        scores = [score for score, _ in scores_by_start[start_kind].values()]
        value = 100 * np.array([1 - s.value for s in scores])
        low, high = (100 * np.array([1 - getattr(s, e) for s in scores]) for e in ("high", "low"))
        axes.errorbar(counts, value, [value - low, high - value], color=COLORS[i], label=name,
                      marker="os"[i], ms=4, elinewidth=0.9, capsize=2)  # fmt: skip
        for count, (_, seeds) in zip(counts, scores_by_start[start_kind].values(), strict=True):
            errors = 100 * (1 - np.array(seeds))
            axes.plot([count] * len(seeds), errors, ".", color=COLORS[i], ms=3, alpha=0.5)
    axes.axhline(100 * (1 - baseline), color="0.4", lw=0.9, ls="--", zorder=0)
    axes.text(0.985, 96 * (1 - baseline), "simulated stamps alone", color="0.3", fontsize=8,
              ha="right", va="top", transform=axes.get_yaxis_transform())  # fmt: skip
    ticks = list(scores_by_start["scratch"])
    axes.set(xscale="log", yscale="log", xlabel="labelled ZTF stamps", ylabel="error rate [%]")
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.set_xticks([], minor=True)
    marks = [m for m in (1, 2, 5, 10, 20) if axes.get_ylim()[0] <= m <= axes.get_ylim()[1]]
    axes.set_yticks(marks, [str(m) for m in marks])
    axes.set_yticks([], minor=True)
    axes.set_ylim(top=2.5 * axes.get_ylim()[1])
    axes.legend(loc="upper right")
    return figure


def main() -> None:
    """Train the missing networks, score and plot."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/labels"))
    parser.add_argument("--objects", type=int, default=2000, help="simulated stamps")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--figure", type=Path, help="path of the figure (default: in --out)")
    arguments = parser.parse_args()
    start = time.monotonic()
    found = run_trainings(
        arguments.out, arguments.objects, arguments.seeds, tuple(arguments.counts)
    )
    scores_by_start = compute_scores(found)
    baseline = float(np.mean(found["0"]))
    print(f"without ZTF labels: {baseline:.1%} of {found['scored_rows']}")
    for count in scores_by_start["scratch"]:
        parts = [
            f"{start_kind} {scores_by_start[start_kind][count][0]}"
            for start_kind in scores_by_start
        ]
        print(f"{count} labels: " + "; ".join(parts), flush=True)
    plot_errors(scores_by_start, baseline).savefig(
        arguments.figure or arguments.out / "label_efficiency.png"
    )
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
