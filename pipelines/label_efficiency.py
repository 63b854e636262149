"""Label efficiency: what initial weights and unlabelled images are worth with few labels.

Networks are trained on N labelled stamps of the training split and scored on all stamps of the
other two splits, on which no choice depends.  All use the training images without labels freely.

scratch     random initial weights
simclr      weights from SimCLR on the unlabelled images of the training split
probe       logistic regression on the features of these weights
imagenet    logistic regression on the features of EfficientNet-Lite0 with ImageNet weights
pseudo      `scratch`, trained again with pseudo-labels that it gave to the unlabelled images
simulated   weights from simulated stamps (ZTF only: those of ``novelty_across_surveys.py``)

    export ASTROCNN_DATA=../shared/data
    python pipelines/label_efficiency.py ztf --out runs/labels
    python pipelines/label_efficiency.py gz1 --out runs/labels
    python pipelines/label_efficiency.py --out runs/labels --figure label_efficiency.png

Each training is kept, so that an interrupted call can be resumed; ``--seeds`` and ``--methods``
choose a part.  All methods see the same choices of labels (the classes equally often), trainings
have the same number of updates, and no labels are kept apart for validation or a temperature: in
`pseudo`, confidence is the mean over dropout draws as it is.  The views of SimCLR keep what the
classes of a data set are about: no blur and no crop for stars and galaxies.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from novelty_across_surveys import PRESET, SIZE, ZTF, subtract_sky
from numpy.typing import NDArray
from scipy.ndimage import zoom
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from astrocnn.atomic import write_text
from astrocnn.catalog import Catalog, read_catalog
from astrocnn.datasets import D4, Shards, fit_normalization, read_labels, split_rows, write_shards
from astrocnn.estimators import Encoder, KerasEstimator, load_estimator
from astrocnn.imaging import ArraySource, Survey, open_source
from astrocnn.metrics import average, bootstrap
from astrocnn.models import read_pretrained
from astrocnn.report.style import COLORS, COLUMN, styled
from astrocnn.runs.config import read_survey_file
from astrocnn.runs.run import build_survey
from astrocnn.simulation import simulate_stamps
from astrocnn.targets import Task, make
from astrocnn.training import Optimizer, select_pseudo_labels

COUNTS = (10, 30, 100, 300)
NETWORK: dict[str, Any] = {"options": {"width": 0.5}, "precision": "float32"}
BATCH = 32
UPDATES = 150
LEAST = 160  # objects per epoch: few labels are repeated
FROZEN = 0.2  # of the epochs
RATE = 0.1
DRAWS = 20
# The penalty is chosen by cross-validation of the labelled objects: features can outnumber them.
LINEAR: dict[str, Any] = {
    "Cs": (1e-4, 1e-3, 1e-2, 0.1, 1.0),
    "cv": 3,
    "scoring": "neg_log_loss",
    "max_iter": 1000,
    "l1_ratios": (0,),
    "use_legacy_attributes": False,
}
NAMES = {
    "scratch": "random weights",
    "simclr": "SimCLR, fine-tuned",
    "probe": "SimCLR, linear",
    "imagenet": "ImageNet, linear",
    "pseudo": "random weights, pseudo-labels",
    "simulated": "simulated stamps",
}
Rows = NDArray[np.integer]


@dataclass(frozen=True)
class DataSet:
    """Labelled images, the options of learning without labels, and images for ImageNet weights."""

    title: str
    objects: str
    shards: Callable[[Path], tuple[Shards, Task]]
    enlarged: Callable[[Path], tuple[Shards, Task]]
    fractions: tuple[float, float, float]
    views: Mapping[str, Any]
    epochs: int
    stretch: str


def open_ztf(folder: Path, factor: int = 1) -> tuple[Shards, Task]:
    """ZTF stamps in nJy, with their labels; enlarged by linear interpolation."""
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
    if factor > 1:
        images = zoom(images, (1, factor, factor, 1), order=1)
    source = ArraySource(images, ("i",), ZTF.pixel_scale / factor, "nJy")
    task = make("morphology", column="label", classes=("star", "galaxy"))
    return write_shards(folder / f"ztf{factor}", catalog, source), task


def open_gz1(folder: Path, size: int = 48) -> tuple[Shards, Task]:
    """Galaxy Zoo 1: elliptical, spiral, edge-on."""
    data = Path(os.environ["ASTROCNN_DATA"]) / "gz1_morphology"
    catalog = read_catalog(data / "labels.csv", id="objid")
    mapping = read_survey_file(Path(__file__).parent / "surveys" / "sdss_jpeg.toml")
    columns = {"path": np.asarray(catalog.table["path"])}
    source = open_source(build_survey(mapping, Path()), columns=columns, size=size)
    task = make(
        "morphology",
        column="class_name",
        classes=("elliptical", "spiral", "edge_on"),
        map={"spiral_clockwise": "spiral", "spiral_anticlockwise": "spiral",
             "merger": "", "dont_know_or_artefact": ""},
    )  # fmt: skip
    return write_shards(folder / f"gz1_{size}", catalog, source), task


DATA = {
    "ztf": DataSet(
        "ZTF: star or galaxy", "ZTF stamps", open_ztf, lambda folder: open_ztf(folder, 3),
        (0.6, 0.15, 0.25), {"d4": True, "shift": 1.5, "gain": 0.2, "background": 0.2,
        "noise": (0.0, 1.0)}, 100, "asinh",
    ),
    "gz1": DataSet(
        "Galaxy Zoo: elliptical, spiral, edge-on", "Galaxy Zoo images", open_gz1,
        lambda folder: open_gz1(folder, 112), (0.7, 0.1, 0.2), {"d4": True, "rotation": True,
        "crop": 0.3, "blur": 0.5, "gain": 0.2, "noise": (0.0, 1.0)}, 30, "linear",
    ),
}  # fmt: skip


def build_estimator(
    shards: Shards, task: Task, pool: Rows, stretch: str, kind: type[KerasEstimator], seed: int = 0
) -> Any:
    """A network whose normalization is that of the training images."""
    normalization = fit_normalization(shards, pool, stretch)
    inputs = shards.inputs.with_normalization(normalization)
    return kind(task, inputs, "plain8", seed=seed, **NETWORK)


def simulate(folder: Path) -> KerasEstimator:
    """The network trained on 2,000 simulated stamps like those of ZTF."""
    if not (folder / "simulated_model").exists():
        task = make("morphology", column="morphology", classes=("star", "galaxy"),
                    map={"star": "star", "*": "galaxy"})  # fmt: skip
        images, truth = simulate_stamps(2000, size=SIZE, preset=PRESET, seed=3)
        source = ArraySource(subtract_sky(images), ("i",), ZTF.pixel_scale, "nJy")
        shards = write_shards(folder / "simulated", Catalog.from_table(truth), source)
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
        estimator.save(folder / "simulated_model")
    return load_estimator(folder / "simulated_model")


def pretrain(folder: Path, name: str, shards: Shards, task: Task, pool: Rows) -> Encoder:
    """The network trained without labels on the training images."""
    path, data = folder / f"{name}_simclr", DATA[name]
    if not path.exists():
        encoder = build_estimator(shards, task, pool, data.stretch, Encoder)
        encoder.fit(
            shards,
            pool,
            method="simclr",
            augmentation=data.views,
            epochs=data.epochs,
            batch_size=128,
            backup=folder / f"{name}_simclr_backup",
            history_file=folder / f"{name}_simclr.csv",
        )
        encoder.save(path)
    return load_estimator(path)


def train_network(
    estimator: KerasEstimator, shards: Shards, rows: Rows, start: Any = None, labels: Any = None
) -> KerasEstimator:
    """Train a network on some rows, with as many updates for any number."""
    rows = np.tile(rows, math.ceil(LEAST / len(rows)))
    epochs = math.ceil(UPDATES / math.ceil(len(rows) / BATCH))
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
        labels=labels,
    )
    return estimator


def train_again(
    teacher: KerasEstimator,
    estimator: KerasEstimator,
    shards: Shards,
    rows: Rows,
    others: Rows,
    truth: NDArray[np.integer],
) -> tuple[KerasEstimator, dict[str, float]]:
    """Train with pseudo-labels of the other rows; their number and purity."""
    (samples,) = teacher.sample(shards.images(others), draws=DRAWS).values()
    shares = np.bincount(truth[rows], minlength=samples.shape[-1])
    moments = samples.mean(axis=0), samples.std(axis=0)
    pseudo = select_pseudo_labels(*moments, least=0.95, shares=shares)
    chosen = others[pseudo.chosen]
    (name,) = teacher.task.names
    encoded, weights = (dict(part) for part in read_labels(shards, teacher.task))
    encoded[name] = encoded[name].copy()
    weights[name] = np.zeros_like(weights[name])
    encoded[name][chosen] = np.eye(samples.shape[-1])[pseudo.classes]
    weights[name][chosen] = pseudo.probability
    weights[name][rows] = 1
    purity = float((truth[chosen] == pseudo.classes).mean()) if len(chosen) else math.nan
    # Few labels would be lost among many pseudo-labels: half of an epoch are true ones.
    repeated = np.tile(rows, max(1, len(chosen) // len(rows)))
    every = np.concatenate([repeated, chosen])
    found = train_network(estimator, shards, every, labels=(encoded, weights))
    return found, {"pseudo-labels": len(chosen), "purity": purity}


def compute_features(
    folder: Path, name: str, kind: str, encoder: Encoder, shards: Shards
) -> NDArray[np.float32]:
    """Features of all objects, kept."""
    path = folder / f"{name}_{kind}_features.npy"
    if not path.exists():
        if kind == "imagenet":
            shards, task = DATA[name].enlarged(folder)
            weights = read_pretrained("imagenet", "efficientnet_lite0")
            rows = split_rows(shards, task, fractions=DATA[name].fractions)[0]
            limits = weights.limits(len(shards.bands))
            normalization = fit_normalization(shards, rows, DATA[name].stretch, limits=limits)
            inputs = shards.inputs.with_normalization(normalization)
            encoder = Encoder(task, inputs, "efficientnet_lite0", precision="float32")
            encoder.fit(shards, rows, start=weights, epochs=0)
        blocks = np.array_split(np.arange(len(shards)), max(1, len(shards) // 256))
        np.save(path, np.concatenate([encoder.features(shards.images(b)) for b in blocks]))
    return np.load(path)


def sample_labels(
    truth: NDArray[np.integer], pool: Rows, count: int, seed: int
) -> NDArray[np.integer]:
    """Random rows with labels, equally many of each class."""
    rng = np.random.default_rng(seed)
    n_classes = int(truth.max()) + 1
    shares = np.full(n_classes, count // n_classes) + (np.arange(n_classes) < count % n_classes)
    each = [rng.permutation(pool[truth[pool] == k])[: shares[k]] for k in range(n_classes)]
    return np.sort(np.concatenate(each))


def run_trainings(
    folder: Path, name: str, seeds: list[int], methods: list[str], counts: tuple[int, ...]
) -> None:
    """Correctness (0 or 1) of each scored object, by method, number of labels and seed.

    Each training is kept, so that an interrupted call can be resumed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    data = DATA[name]
    shards, task = data.shards(folder)
    pool, *scored = split_rows(shards, task, fractions=data.fractions)
    scored_rows = np.concatenate(scored)
    encoded, _ = read_labels(shards, task)
    (truth,) = (np.asarray(e).argmax(axis=1) for e in encoded.values())
    encoder = pretrain(folder, name, shards, task, pool)
    starts = {"simclr": encoder}
    if "simulated" in methods:
        starts["simulated"] = simulate(folder)

    def build(seed: int) -> KerasEstimator:
        return build_estimator(shards, task, pool, data.stretch, KerasEstimator, seed)

    for seed in seeds:
        for count in [*counts, len(pool)]:
            rows = sample_labels(truth, pool, count, seed) if count < len(pool) else pool
            teacher = None
            for method in methods:
                key = f"{method}/{count}/{seed}"
                if key in found or (method == "pseudo" and count == len(pool)):
                    continue
                began, more = time.process_time(), {}
                if method in ("probe", "imagenet"):
                    x = compute_features(folder, name, method, encoder, shards)
                    model = make_pipeline(StandardScaler(), LogisticRegressionCV(**LINEAR))
                    p = model.fit(x[rows], truth[rows]).predict(x[scored_rows])
                else:
                    if method == "scratch" or (method == "pseudo" and teacher is None):
                        teacher = network = train_network(build(seed), shards, rows)
                    if method == "pseudo":
                        others = np.setdiff1d(pool, rows)
                        arguments = (teacher, build(seed + 100), shards, rows, others, truth)
                        network, more = train_again(*arguments)
                    elif method != "scratch":
                        network = train_network(build(seed), shards, rows, starts[method])
                    (samples,) = network.sample(shards.images(scored_rows)).values()
                    p = samples[0].argmax(axis=1)
                hits = p == truth[scored_rows]
                seconds = round(time.process_time() - began, 1)
                found[key] = {"hits": hits.astype(int).tolist(), "seconds": seconds, **more}
                write_text(file, json.dumps(found))
                print(f"{name} {key}: {hits.mean():.1%}, {seconds} s {more or ''}", flush=True)


def compute_scores(found: Mapping[str, Any], methods: list[str]) -> dict[str, dict[int, Any]]:
    """Accuracy, mean over seeds, and the paired gain on random weights, with intervals."""
    scores: dict[str, dict[int, Any]] = {}
    for method in methods:
        for count in sorted({int(key.split("/")[1]) for key in found}):
            pairs = {
                m: np.array(
                    [found[f"{m}/{count}/{s}"]["hits"] for s in range(9)
                     if f"{m}/{count}/{s}" in found and f"{method}/{count}/{s}" in found], float
                )
                for m in (method, "scratch")
            }  # fmt: skip
            if not len(pairs[method]):
                continue
            mean = pairs[method].mean(axis=0)
            statistics = {"accuracy": lambda w, m=mean: average(m, w)}
            if len(pairs["scratch"]) == len(pairs[method]) and method != "scratch":
                gain = mean - pairs["scratch"].mean(axis=0)
                statistics["gain"] = lambda w, g=gain: average(g, w)
            entry = bootstrap(statistics, len(mean))
            entry["seeds"] = pairs[method].mean(axis=1).tolist()
            scores.setdefault(method, {})[count] = entry
    return scores


@styled
def plot_errors(results: Mapping[str, Mapping[str, Mapping[int, Any]]]) -> Figure:
    """Plot error rates against the number of labels, with each seed and intervals."""
    figure = Figure(figsize=(COLUMN * len(results), 3.7), layout="constrained")
    for axes, (name, scores) in zip(
        figure.subplots(1, len(results), squeeze=False)[0], results.items(), strict=True
    ):
        for i, (method, label) in enumerate(NAMES.items()):
            if method not in scores:
                continue
            counts = np.array(list(scores[method]), float) * 1.05 ** (i - 2.5)
            values = [entry["accuracy"] for entry in scores[method].values()]
            error = 100 * np.array(
                [[1 - v.value, v.high - v.value, v.value - v.low] for v in values]
            )
            style = {"ms": 3.5, "lw": 1, "elinewidth": 0.7, "capsize": 1.5, "color": COLORS[i]}
            value, *bars = error.T
            axes.errorbar(counts, value, bars, label=label, marker="osD^v<"[i], **style)
            for count, entry in zip(counts, scores[method].values(), strict=True):
                seeds = 100 * (1 - np.array(entry["seeds"]))
                axes.plot([count] * len(seeds), seeds, ".", color=COLORS[i], ms=2, alpha=0.5)
        ticks = list(scores["scratch"])
        axes.set(xscale="log", yscale="log", xlabel=f"labelled {DATA[name].objects}")
        axes.set_title(DATA[name].title)
        axes.set_xticks(ticks, [str(n) for n in ticks])
        axes.set_xticks([], minor=True)
        marks = [m for m in (1, 2, 3, 5, 10, 20, 30, 50) if _inside(m, axes.get_ylim())]
        axes.set_yticks(marks, [str(m) for m in marks])
        axes.set_yticks([], minor=True)
    figure.axes[0].set_ylabel("error rate [%]")
    lines = figure.axes[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=2, fontsize=7.5)
    return figure


def _inside(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def main() -> None:
    """Train the missing networks of one data set, or score and plot what there is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="?", choices=DATA)
    parser.add_argument("--out", type=Path, default=Path("runs/labels"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--figure", type=Path, help="plot what was computed into this file")
    arguments = parser.parse_args()
    if arguments.data is not None:
        methods = [m for m in arguments.methods if arguments.data == "ztf" or m != "simulated"]
        run_trainings(
            arguments.out, arguments.data, arguments.seeds, methods, tuple(arguments.counts)
        )
    results = {
        name: compute_scores(
            json.loads((arguments.out / f"{name}.json").read_text()), arguments.methods
        )
        for name in DATA
        if (arguments.out / f"{name}.json").is_file()
    }
    for name, scores in results.items():
        for method, by_count in scores.items():
            for count, entry in by_count.items():
                gain = f"; gain {entry['gain']}" if "gain" in entry else ""
                n = len(entry["seeds"])
                print(f"{name} {method} {count}: {entry['accuracy']}{gain}; {n} choices of labels")
    if arguments.figure is not None:
        plot_errors(results).savefig(arguments.figure)


if __name__ == "__main__":
    main()
