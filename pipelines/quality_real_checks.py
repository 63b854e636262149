"""Detection of artefacts in real images by a network trained on simulated ones.

The network is trained on simulated sky (one band, in units of its noise, sources anywhere) with
simulated artefacts, except those that depend on the seeing or on a central target (defocus,
blend).  It is then applied to

- DECam exposures with data-quality masks: stamps with flagged pixels near the middle against
  stamps of the same exposures without any;
- Galaxy Zoo 1 images classified as "don't know or artefact" against all others;
- difference images of ZTF alerts, whose "drb" is the score of another network, not a human label.

    ASTROCNN_DATA=../shared/data python pipelines/quality_real_checks.py --out runs/quality_real

About 3 minutes on 2 quiet cores.  No setting was chosen by these scores; brackets are 95 %
bootstrap intervals.

==========================================================  =====================  ==============
AUC of p(usable), simulated test split                      0.920 [0.887, 0.948]   339 stamps
AUC, DECam saturation and bleed against no flag             0.655 [0.602, 0.704]   6 exposures
AUC, DECam, a cosmic ray against no flag                    1.000 (16 of 739)      1 track
AUC of 1 - p(usable), Galaxy Zoo 1 "don't know"             0.669 [0.573, 0.761]   34 of 1992
AUC of the novelty, the same                                0.525 [0.413, 0.638]   34 of 1992
AUC of a linear classifier on the features, 5 folds         0.780 [0.700, 0.854]   34 of 1992
Spearman correlation with drb, ZTF difference images        0.238 [0.110, 0.361]   226 objects
AUC for drb > 0.9 against drb < 0.3                         0.727 [0.634, 0.821]   174 and 36
==========================================================  =====================  ==============

Limitations: the six exposures with saturated pixels show one and the same star, and their unflagged
stamps lie in its halo and spikes, which are not flagged but which the network was trained to reject
(median p 0.19 there, 0.02 on flagged stamps, 0.94 on clean sky elsewhere).  The cosmic rays are a
single long track in one exposure, too small a sample whatever its AUC.  Galaxy Zoo's class mixes
stars, trails and failed images, in display-stretched color; neither the network nor its novelty
score generalizes to them, and a linear classifier gains little from 34 examples.  On ZTF the
correlation with the machine score is significant but weak: no difference image was in the training
set, and drb describes whether a transient is real, not whether pixels are affected by artefacts.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from astrocnn.calibration import Novelty
from astrocnn.catalog import Catalog, assign_splits
from astrocnn.datasets import D4, fit_normalization, write_shards
from astrocnn.estimators import KerasEstimator, load_estimator
from astrocnn.imaging import ArraySource, Inputs
from astrocnn.metrics import Ranking
from astrocnn.simulation import inject, simulate_stamps
from astrocnn.simulation.artefacts import ARTEFACTS, Camera
from astrocnn.simulation.presets import get_preset
from astrocnn.targets import make
from astrocnn.training import Optimizer

SIZE, DRAWS, RESAMPLES = 32, 20, 2000
KINDS = tuple(name for name in ARTEFACTS if name not in ("defocus", "blend"))
DECAM = {"full_well": 4.5e4 / 4, "thickness": 250 / 15, "vanes": 4}
NEAR = 8  # from the middle of a stamp [pixel]


def simulate(n: int, seed: int) -> tuple[NDArray[np.float32], Table]:
    """Stamps in units of the sky noise, half of them with artefacts, and their truth."""
    band = get_preset("ground", ("r",)).band("r")
    wide, _ = simulate_stamps(-(-n // 4), size=2 * SIZE, bands=("r",), seed=seed, neighbors=4.0)
    quarters = wide[..., 0].reshape(-1, 2, SIZE, 2, SIZE).transpose(0, 1, 3, 2, 4)
    stamps = quarters.reshape(-1, SIZE, SIZE)[:n] / np.float32(band.sky_sigma)
    sharp = band.fwhm / band.pixel_scale
    camera = Camera(1.0, sharp, gain=5.0, **DECAM)
    result = inject(stamps, camera, seed=seed, fraction=0.5, kinds=KINDS)
    return result.images, result.truth


def train_network(out: Path, n: int, epochs: int) -> tuple[KerasEstimator, NDArray, Table]:
    """The network, and simulated test stamps with their truth."""
    images, truth = simulate(n, seed=21)
    truth["id"] = np.arange(n)
    rows = assign_splits(truth["id"], fractions=(0.8, 0.1, 0.1))
    test = np.flatnonzero(rows == 2)
    if (out / "model").exists():
        return load_estimator(out / "model"), images[test], truth[test]
    task = make("quality", reasons={name: f"has_{name}" for name in KINDS})
    source = ArraySource(images[..., None], ("r",))
    shards = write_shards(out / "stamps", Catalog.from_table(truth, id="id"), source)
    train, validation = np.flatnonzero(rows == 0), np.flatnonzero(rows == 1)
    norm = fit_normalization(shards, train, "asinh", mask_channel=True)
    inputs = Inputs.from_source(shards, mask_channel=True).with_normalization(norm)
    network = KerasEstimator(task, inputs, "plain8", options={"width": 0.5, "dropout": 0.5})
    network.fit(
        shards,
        train,
        validation,
        epochs=epochs,
        batch_size=32,
        optimizer=Optimizer("adamw", 2e-3, schedule="cosine", warmup=1),
        augmentation=[D4()],
    )
    network.save(out / "model")
    return network, images[test], truth[test]


def predict_usable(network: KerasEstimator, stamps: NDArray) -> NDArray[np.float64]:
    """Probability that stamps are usable, mean over the draws."""
    samples = network.sample(np.asarray(stamps, np.float32)[..., None], draws=DRAWS, seed=0)
    return samples["usable"].mean(axis=0, dtype=np.float64)[:, 0]


def normalize_sky(image: NDArray, good: NDArray | None = None) -> NDArray[np.float32]:
    """An image minus its sky level, in units of its sky noise."""
    image = np.asarray(image, np.float64)
    sky = image[np.isfinite(image) & (True if good is None else good)]
    level = np.median(sky)
    below = level - sky[sky < level]  # the side without sources
    return ((image - level) / (1.4826 * np.median(below))).astype(np.float32)


def bootstrap_groups(
    groups: NDArray, statistic: Callable[[NDArray], float], seed: int = 0
) -> tuple[float, float, float]:
    """Value and 95 % bootstrap interval; groups of correlated rows are resampled as a whole."""
    _, of = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(of == k) for k in range(of.max() + 1)]
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(RESAMPLES):
        resampled = rng.integers(0, len(members), len(members))
        found.append(statistic(np.concatenate([members[k] for k in resampled])))
    low, high = np.nanquantile(found, [0.025, 0.975])
    return statistic(np.arange(len(groups))), float(low), float(high)


def make_auc(positive: NDArray, p: NDArray) -> Callable[[NDArray], float]:
    """A function that computes the area under the ROC curve of some rows."""

    def of(rows: NDArray) -> float:
        if positive[rows].all() or not positive[rows].any():
            return float("nan")
        return float(Ranking(positive[rows], p[rows]).auc())

    return of


def print_score(what: str, score_interval: tuple[float, float, float], sample: str) -> None:
    value, low, high = score_interval
    print(f"{what}: {value:.3f} [{low:.3f}, {high:.3f}] ({sample})", flush=True)


def check_decam(network: KerasEstimator, data: Path) -> None:
    """Score flagged against clean stamps of the same exposures."""
    parts = []
    paths = sorted((data / "legacypipe_dq").rglob("*_ooi_*"))
    for number, path in enumerate(paths):
        image = fits.getdata(path, 1)
        codes = fits.getdata(path.with_name(path.name.replace("_ooi_", "_ood_")), 1)
        if not codes.any():
            continue
        image = normalize_sky(image, codes == 0)
        step = SIZE // 4
        for y in range(0, image.shape[0] - SIZE + 1, step):
            for x in range(0, image.shape[1] - SIZE + 1, step):
                cut = (slice(y, y + SIZE), slice(x, x + SIZE))
                flagged = codes[cut] > 0
                middle = slice(SIZE // 2 - NEAR, SIZE // 2 + NEAR)
                if flagged.any() and not flagged[middle, middle].any():
                    continue
                kind = "cosmic rays" if (codes == 5).any() else "saturation and bleed"
                block = (number, y // (2 * SIZE), x // (2 * SIZE))
                parts.append((image[cut], not flagged.any(), kind, number, block))
    p = predict_usable(network, np.stack([part[0] for part in parts]))
    clean = np.array([part[1] for part in parts])
    for kind in ("saturation and bleed", "cosmic rays"):
        rows = np.flatnonzero([part[2] == kind for part in parts])
        exposures = np.array([parts[i][3] for i in rows])
        n = len(set(exposures.tolist()))
        groups = exposures if n > 2 else np.array([str(parts[i][4]) for i in rows])
        score_interval = bootstrap_groups(groups, make_auc(clean[rows], p[rows]))
        resampled = "exposures" if n > 2 else "blocks of 64 pixels"
        sample = (
            f"{(~clean[rows]).sum()} flagged and {clean[rows].sum()} clean overlapping stamps of "
            f"{n} exposure{'s' if n > 1 else ''}; {resampled} resampled"
        )
        print_score(f"DECam, {kind}, AUC of p(usable)", score_interval, sample)
        medians = np.median(p[rows][clean[rows]]), np.median(p[rows][~clean[rows]])
        print(f"  median p(usable) {medians[0]:.2f} clean, {medians[1]:.2f} flagged")


def check_galaxy_zoo(network: KerasEstimator, data: Path, known: NDArray) -> None:
    """Score unclassifiable images against all others."""
    from PIL import Image

    folder = data / "gz1_morphology"
    with (folder / "labels.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    stamps = []
    for row in rows:
        with Image.open(folder / row["path"]) as picture:
            gray = np.asarray(picture, np.float32).mean(axis=2)[3:419, 3:419]
        side = gray.shape[0] // SIZE
        small = gray.reshape(SIZE, side, SIZE, side).mean(axis=(1, 3))
        # Black skies have no measurable noise: assume at least one gray level.
        level = np.median(small)
        noise = max(1.0, 1.4826 * float(np.median(np.abs(small - level))))
        stamps.append((small - level) / noise)
    images = np.stack(stamps).astype(np.float32)
    failed = np.array([row["class_name"] == "dont_know_or_artefact" for row in rows])
    single, sample = np.arange(len(rows)), f"{failed.sum()} against {(~failed).sum()} images"
    p = predict_usable(network, images)
    print_score(
        "Galaxy Zoo 1, AUC of 1 - p(usable)",
        bootstrap_groups(single, make_auc(failed, 1 - p)),
        sample,
    )
    features = np.asarray(network.features(images[..., None]), np.float64)
    familiar = network.features(known[..., None])
    _, far = Novelty.fit(familiar, familiar).score(features)  # the distance, not the rank
    print_score(
        "Galaxy Zoo 1, AUC of the novelty", bootstrap_groups(single, make_auc(failed, far)), sample
    )
    linear = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000)
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    decision = cross_val_predict(linear, features, failed, cv=folds, method="decision_function")
    print_score("Galaxy Zoo 1, AUC of a linear classifier on features, 5 folds",
         bootstrap_groups(single, make_auc(failed, decision)), sample)  # fmt: skip


def check_alerts(network: KerasEstimator, data: Path) -> None:
    """Score difference images against their machine score."""
    folder = data / "ztf_alert_triplets"
    table = Table.read(folder / "alerts.csv", format="ascii.csv")
    with np.load(folder / "triplets.npz") as kept:
        differences = kept["images"][:, 2]
    differences = np.where(np.abs(differences) < 1e30, differences, np.nan)
    drb = np.ma.filled(table["drb"].astype(float), np.nan)
    rows = np.flatnonzero(np.isfinite(drb))
    images = differences[np.asarray(table["row"])[rows]]
    start = (images.shape[1] - SIZE) // 2
    middle = slice(start, start + SIZE)
    stamps = np.stack([normalize_sky(image)[middle, middle] for image in images])
    p, groups = predict_usable(network, stamps), np.asarray(table["objectId"])[rows]
    score = drb[rows]

    def rank(chosen: NDArray) -> float:
        return float(spearmanr(p[chosen], score[chosen]).statistic)

    sample = f"{len(rows)} alerts of {len(set(groups.tolist()))} objects, which are resampled"
    print_score(
        "ZTF, Spearman correlation of p(usable) and drb", bootstrap_groups(groups, rank), sample
    )
    sure = (score < 0.3) | (score > 0.9)
    score_interval = bootstrap_groups(groups[sure], make_auc(score[sure] > 0.9, p[sure]))
    counts = f"{(score > 0.9).sum()} above 0.9, {(score < 0.3).sum()} below 0.3"
    print_score("ZTF, AUC of p(usable) for drb > 0.9 against drb < 0.3", score_interval, counts)


def main() -> None:
    """Train once, then score each real data set."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the network")
    parser.add_argument("--stamps", type=int, default=3200)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    data, start = Path(os.environ["ASTROCNN_DATA"]), time.monotonic()
    network, images, truth = train_network(options.out, options.stamps, options.epochs)
    good = np.asarray(truth["usable"]) == 1
    single = np.arange(len(good))
    sample = f"{good.sum()} usable, {(~good).sum()} with artefacts"
    p = predict_usable(network, images)
    print_score(
        "Simulated test split, AUC of p(usable)",
        bootstrap_groups(single, make_auc(good, p)),
        sample,
    )
    check_decam(network, data)
    check_galaxy_zoo(network, data, images)
    check_alerts(network, data)
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
