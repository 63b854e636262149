"""Simulated labelling of Galaxy Zoo and ZTF: which objects to label next, and labels saved.

All methods begin with the same few labels, chosen by chance.  In each round more objects of the
pool are chosen with `astrocnn.acquisition.acquire` and labelled, and the network is trained again
from random weights.  The accuracy is that on the other splits, from which nothing is chosen.

Trainings are cheap, because the features are frozen and computed once: those of EfficientNet-Lite0
with ImageNet weights (Galaxy Zoo), or of a network trained without labels by SimCLR (ZTF), as
in ``label_efficiency.py``, reduced to 64 principal components of the pool.  The network on
them is a small one with dropout.

    export ASTROCNN_DATA=../shared/data
    python pipelines/labelling_rounds.py gz1 --out runs/labels
    python pipelines/labelling_rounds.py ztf --out runs/labels
    python pipelines/labelling_rounds.py --out runs/labels --figure labelling_rounds.png

What was computed is kept, so that an interrupted call can be resumed.  The labels that a method
needs are those at which it reaches the accuracy that chance has at the end, on isotonic fits to the
mean accuracies; intervals resample the seeds and the scored objects.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from label_efficiency import DATA, Rows, compute_features, pretrain
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.isotonic import IsotonicRegression

from astrocnn.acquisition import METHODS, acquire
from astrocnn.atomic import write_text
from astrocnn.catalog import Catalog
from astrocnn.datasets import Shards, read_labels, split_rows, write_shards
from astrocnn.estimators import Encoder, KerasEstimator
from astrocnn.imaging import Inputs, NoImages
from astrocnn.report.style import COLORS, COLUMN, styled
from astrocnn.targets import ClassFamily, Task
from astrocnn.training import Optimizer

ROUNDS = {"gz1": (50, 100, 150, 200, 300), "ztf": (10, 20, 40, 80, 160)}
"""Labels after each round."""

TITLES = {"gz1": "Galaxy Zoo, ImageNet features", "ztf": "ZTF, SimCLR features"}
COMPONENTS = 64
BATCH = 32
UPDATES = 150
EPOCHS = 5
DRAWS = 30
RESAMPLES = 1000


def read_features(folder: Path, name: str) -> tuple[Shards, Task, Rows, Rows]:
    """Shards of principal components without images, the task, rows of the pool and of the test."""
    data = DATA[name]
    shards, task = (data.enlarged if name == "gz1" else data.shards)(folder)
    pool, *scored = split_rows(shards, task, fractions=data.fractions)
    kind = "imagenet" if name == "gz1" else "probe"
    encoder = None if name == "gz1" else pretrain(folder, name, shards, task, pool)
    vectors = compute_features(folder, name, kind, cast(Encoder, encoder), shards)
    components = PCA(COMPONENTS, random_state=0).fit(vectors[pool]).transform(vectors)
    # The first component has the variance 1, and the others keep theirs relative to it.
    components /= components[pool, 0].std()
    table = shards.objects.copy()
    names = [f"f{k}" for k in range(COMPONENTS)]
    for key, values in zip(names, components.T, strict=True):
        table[key] = values.astype(np.float32)
    catalog = Catalog.from_table(table, id=shards.objects.colnames[0], missing=())
    inputs = Inputs((), 0, scalars=tuple(names))
    found = write_shards(folder / f"{name}_components", catalog, NoImages(len(table)), inputs)
    return found, task, pool, np.concatenate(scored)


def build_architecture(scale: NDArray[np.float32]) -> Callable[..., Any]:
    """A dense layer on the components, which have their relative variance again."""

    def features(image: Any, scalars: Any, block: Any) -> Any:
        x = block.dropout(scalars * scale, 0.1)
        return block.dropout(block.dense(x, 64), 0.5)

    features.IMAGE = False  # type: ignore[attr-defined]
    return features


def train(
    shards: Shards, task: Task, rows: Rows, architecture: Callable[..., Any], seed: int
) -> KerasEstimator:
    """Train on some labelled objects, with as many updates for any number."""
    names = tuple(f"f{k}" for k in range(COMPONENTS))
    model = KerasEstimator(
        task, Inputs((), 0, scalars=names), architecture, precision="float32", seed=seed
    )
    # Few labels are repeated.
    repeats = math.ceil(UPDATES * BATCH / EPOCHS / len(rows))
    optimizer = Optimizer("adamw", 3e-3, schedule="cosine")
    rows = np.tile(rows, repeats)
    model.fit(shards, rows, epochs=EPOCHS, batch_size=BATCH, optimizer=optimizer)
    return model


def run_rounds(folder: Path, name: str, seeds: list[int], methods: list[str]) -> None:
    """Correctness (0 or 1) of each scored object after each round, by method and seed, kept."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}_rounds.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    shards, task, pool, scored = read_features(folder, name)
    (encoded,) = read_labels(shards, task)[0].values()
    truth = np.asarray(encoded).argmax(axis=1)
    names = tuple(f"f{k}" for k in range(COMPONENTS))
    components = shards.scalars(names)
    catalog = Catalog.from_table(
        {"id": np.arange(len(shards))} | dict(zip(names, components.T, strict=True))
    )
    architecture = build_architecture(components[pool].std(axis=0).astype(np.float32))
    assert isinstance(task.targets[0].family, ClassFamily)

    def predict(model: KerasEstimator) -> list[int]:
        samples = model.sample(
            np.zeros((len(scored), 0, 0, 0), np.float32), components[scored], draws=DRAWS
        )
        (values,) = samples.values()
        return (values.mean(axis=0).argmax(axis=1) == truth[scored]).astype(int).tolist()

    counts = ROUNDS[name]
    for seed in seeds:
        first = np.random.default_rng(seed).choice(pool, counts[0], replace=False)
        begin = None
        for method in methods:
            if f"{method}/{counts[-1]}/{seed}" in found:
                continue
            begin = begin or train(shards, task, first, architecture, seed)
            labelled, model = first, begin
            hits = {f"{method}/{counts[0]}/{seed}": predict(model)}
            for more in counts[1:]:
                rest = np.setdiff1d(pool, labelled)
                chosen = acquire(
                    model,
                    catalog[rest],
                    NoImages(len(rest)),
                    more - len(labelled),
                    method=method,
                    random=0,
                    draws=DRAWS,
                    seed=seed,
                )
                labelled = np.concatenate([labelled, np.asarray(chosen["id"])])
                model = train(shards, task, labelled, architecture, seed)
                hits[f"{method}/{more}/{seed}"] = predict(model)
            found |= hits
            write_text(file, json.dumps(found))
            line = "  ".join(f"{100 * np.mean(h):5.1f}" for h in hits.values())
            print(f"{name} seed {seed}  {method:<10} {line}", flush=True)


def read_curves(found: Mapping[str, Any], counts: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    """Hits of the seeds that all methods have, of shape (n_seeds, n_counts, n_objects)."""
    methods = [m for m in METHODS if any(key.startswith(f"{m}/") for key in found)]
    seeds = [s for s in range(99) if all(f"{m}/{counts[-1]}/{s}" in found for m in methods)]
    if "random" not in methods or not seeds:
        return {}
    return {
        m: np.array([[found[f"{m}/{n}/{s}"] for n in counts] for s in seeds], float)
        for m in methods
    }


def count_labels(accuracy: NDArray[Any], counts: tuple[int, ...], goal: float) -> float:
    """Labels at which the isotonic fit to a curve reaches a goal; infinite where it does not."""
    fitted = IsotonicRegression().fit_transform(np.arange(len(counts)), accuracy)
    if fitted[-1] < goal:
        return math.inf
    k = int(np.argmax(fitted >= goal))
    if k == 0:
        return float(counts[0])
    share = (goal - fitted[k - 1]) / (fitted[k] - fitted[k - 1])
    return float(np.exp(np.interp(share, (0, 1), np.log(counts[k - 1 : k + 1]))))


def compare(curves: Mapping[str, NDArray[Any]], counts: tuple[int, ...]) -> dict[str, Any]:
    """Accuracy, its difference from chance, and labels needed, each with bootstrap intervals."""
    rng = np.random.default_rng(0)
    n_seeds, _, n_objects = curves["random"].shape
    resampled: dict[str, list[NDArray[Any]]] = {m: [] for m in curves}
    for k in range(RESAMPLES + 1):
        some = rng.integers(0, n_seeds, n_seeds) if k else np.arange(n_seeds)
        weight = rng.multinomial(n_objects, np.full(n_objects, 1 / n_objects)) if k else 1.0
        for method, hits in curves.items():
            resampled[method].append((hits[some].mean(axis=0) * weight).mean(axis=1))
    means = {m: np.array(values) for m, values in resampled.items()}
    last = IsotonicRegression()
    goals = [last.fit_transform(np.arange(len(counts)), a)[-1] for a in means["random"]]
    found = {}
    for method, values in means.items():
        needed = np.array([count_labels(a, counts, g) for a, g in zip(values, goals, strict=True)])
        found[method] = {
            "accuracy": 100 * values,
            "gain": 100 * (values - means["random"]),
            "needed": needed,
        }
    return found


def interval(values: NDArray[Any]) -> str:
    """The first value, and the 95 % interval of the others; infinite where not reached."""
    low, high = np.quantile(values[1:], (0.025, 0.975), axis=0, method="nearest")
    return f"{values[0]:.1f} [{low:.1f}, {high:.1f}]"


@styled
def plot_rounds(results: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Plot the difference of the accuracy from that of chance, with intervals."""
    figure = Figure(figsize=(COLUMN * len(results), 3.2), layout="constrained")
    axes = figure.subplots(1, len(results), squeeze=False)[0]
    for ax, (name, found) in zip(axes, results.items(), strict=True):
        counts = np.array(ROUNDS[name], float)
        for k, method in enumerate(m for m in METHODS if m in found and m != "random"):
            gain = found[method]["gain"]
            low, high = np.quantile(gain[1:], (0.025, 0.975), axis=0)
            place = counts * 1.03 ** (k - 2)
            error = [np.maximum(gain[0] - low, 0), np.maximum(high - gain[0], 0)]
            style = {"color": COLORS[k], "marker": "osD^v"[k], "lw": 1, "ms": 3.5, "capsize": 1.5}
            bars = [side[1:] for side in error]
            ax.errorbar(place[1:], gain[0][1:], bars, elinewidth=0.7, label=method, **style)
        ax.axhline(0, color="0.4", lw=0.8, ls=":")
        ax.set(xscale="log", xlabel="labels", title=TITLES[name])
        ax.set_xticks(counts[1:], [f"{n:.0f}" for n in counts[1:]])
        ax.set_xticks([], minor=True)
    axes[0].set_ylabel("accuracy minus that of chance [%]")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def main() -> None:
    """Run the missing rounds of one data set, or score and plot what there is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="?", choices=ROUNDS)
    parser.add_argument("--out", type=Path, default=Path("runs/labels"))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--figure", type=Path, help="plot what was computed into this file")
    options = parser.parse_args()
    if options.data is not None:
        # Of two classes, entropy and margin have one order.
        methods = [m for m in options.methods if options.data == "gz1" or m != "margin"]
        run_rounds(options.out, options.data, options.seeds, methods)
    results = {}
    for name, counts in ROUNDS.items():
        file = options.out / f"{name}_rounds.json"
        curves = read_curves(json.loads(file.read_text()), counts) if file.is_file() else {}
        if not curves:
            continue
        results[name] = compare(curves, counts)
        n_seeds, _, n = curves["random"].shape
        print(f"{name}: {n} scored objects, {n_seeds} seeds; labels {counts}")
        for method, scores in results[name].items():
            accuracy = "  ".join(f"{a:.1f}" for a in scores["accuracy"][0])
            gains = ", ".join(interval(g) for g in scores["gain"].T[1:])
            print(f"{method:<10} {accuracy}; needed {interval(scores['needed'])}; gain {gains}")
    if options.figure is not None:
        plot_rounds(results).savefig(options.figure, dpi=160)


if __name__ == "__main__":
    main()
