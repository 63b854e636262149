"""Similar objects and outliers among Galaxy Zoo images: a network, pixels and hand-made features.

Retrieval: for each galaxy of the test split, the fraction of the ten nearest objects of the
validation and test splits (all classes) that have its class: elliptical, spiral or
edge-on.  Chance is the fraction of the class.

Outliers: 19 strange images among 1,889 galaxies, 1 % of all; their recall is the fraction in the
first 1 % of the ranking, the mean over five random sets.  Injected are galaxies in other colors
(bands permuted), galaxies whose halves are mirrored, blends of two galaxies, and
trails.  Real ones are the images that volunteers called "star, artefact or don't know".

    ASTROCNN_DATA=../shared/data python pipelines/similarity_benchmark.py runs/gz1
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astrocnn import features
from astrocnn.embeddings import METHODS, find_outliers, find_similar
from astrocnn.estimators.base import average_over_views
from astrocnn.metrics import bootstrap
from astrocnn.runs.run import Run

HAND_MADE = ("hog", "colors", "texture", "cas", "gini_m20")
CLASSES = ("elliptical", "spiral", "edge_on")
NEIGHBORS = 10
STRANGE = 19
REPEATS = 5

Images = NDArray[np.float32]


def measure(run: Run, images: Images, fitted: features.Fitted) -> dict[str, NDArray[np.float32]]:
    """Features of images by kind; what is not defined is the mean."""
    estimator = run.estimator

    def compute(view: Images) -> dict[str, NDArray[np.float32]]:
        return {"network": estimator.features(view)}

    found = dict(average_over_views(compute, images, run.task, "d4"))
    found["pixels, 50 components"] = features.compute("pixels", images, fitted=fitted)[0]
    found["hand-made"] = features.compute(HAND_MADE, images)[0]
    for name, x in found.items():
        found[name] = np.where(np.isfinite(x), x, np.nanmean(x, axis=0))
    return found


def inject(kind: str, images: Images, seed: int) -> Images:
    """Strange images made of galaxies."""
    rng = np.random.default_rng(seed)
    out = images.copy()
    size = images.shape[1]
    for i, image in enumerate(out):
        if kind == "other colors":
            image[:] = image[..., [1, 2, 0]]
        elif kind == "mirrored halves":
            image[:, : size // 2] = image[:, ::-1][:, : size // 2]
            image[: size // 2] = image[::-1][: size // 2]
        elif kind == "blend":
            other = images[(i + 1) % len(images)]
            shift = rng.integers(size // 6, size // 4, 2) * rng.choice([-1, 1], 2)
            image[:] = np.maximum(image, np.roll(other, shift, axis=(0, 1)))
        else:
            y, x = np.mgrid[:size, :size] - size / 2
            angle = rng.uniform(0, np.pi)
            away = np.abs(x * np.sin(angle) - y * np.cos(angle) - rng.uniform(-0.3, 0.3) * size)
            trail = 200 * np.exp(-0.5 * (away / 1.2) ** 2)
            image[:] = np.maximum(image, trail[..., None] * [0.3, 1.0, 0.3])
    return out


def store(vectors: NDArray[np.float32], folder: Path) -> Path:
    """Write vectors with their row numbers as identifiers."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    path = folder / "vectors.parquet"
    pq.write_table(pa.table({"id": np.arange(len(vectors)), "embedding": lists}), path)
    return path


def score_retrieval(path: Path, labels: NDArray[np.str_], queries: NDArray[np.int64]) -> str:
    """Fraction of neighbors with the class of the query, with its interval."""
    hits = np.array(
        [
            np.mean(labels[find_similar(path, [str(q)], NEIGHBORS)["id"]] == labels[q])
            for q in queries
        ]
    )
    statistics = {"all": lambda w: (w * hits).sum(axis=1) / w.sum(axis=1)}
    score = bootstrap(statistics, len(hits))["all"]
    parts = [f"{c} {hits[labels[queries] == c].mean():.2f}" for c in CLASSES]
    return f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}] ({', '.join(parts)})"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    run = Run.open(parser.parse_args().run)
    images = run.shards.images(np.arange(len(run.shards)))
    labels = np.asarray(run.shards.column("class_name")[0]).astype(str)
    labels = np.where(np.char.startswith(labels, "spiral"), "spiral", labels)
    split = run.shard_splits
    fitted = features.fit("pixels", images[split == 0])
    normal = np.flatnonzero(np.isin(labels, CLASSES))
    held_out = np.flatnonzero(split != 0)
    known = measure(run, images, fitted)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        queries = np.flatnonzero((split[held_out] == 2) & np.isin(labels[held_out], CLASSES))
        print(f"precision of the first {NEIGHBORS}, {len(queries)} queries")
        for name, x in known.items():
            path = store(x[held_out], folder)
            print(f"  {name:<22} {score_retrieval(path, labels[held_out], queries)}", flush=True)
        bases = rng.choice(held_out[np.isin(labels[held_out], CLASSES)], 60, replace=False)
        strange = {
            kind: measure(run, inject(kind, images[bases], 1), fitted)
            for kind in ("other colors", "mirrored halves", "blend", "trail")
        }
        real = np.flatnonzero(labels == "dont_know_or_artefact")
        strange["real artefacts"] = {name: x[real] for name, x in known.items()}
        print(f"recall of {STRANGE} strange images in the first 1 % of {len(normal) + STRANGE}")
        for kind, vectors in strange.items():
            for name, x in vectors.items():
                for method in METHODS:
                    recalls = []
                    for _ in range(REPEATS):
                        chosen = x[rng.choice(len(x), STRANGE, replace=False)]
                        path = store(np.concatenate([known[name][normal], chosen]), folder)
                        n = round(0.01 * (len(normal) + STRANGE))
                        found = find_outliers(path, n, method=method)["id"]
                        recalls.append(np.mean(np.asarray(found) >= len(normal)) * n / STRANGE)
                    error = np.std(recalls) / np.sqrt(REPEATS)
                    print(
                        f"  {kind:<15} {name:<22} {method:<21} "
                        f"{np.mean(recalls):.2f} +- {error:.2f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
