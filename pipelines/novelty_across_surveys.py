"""Novelty scores of stamps from other surveys, for a network trained on simulated stamps.

The network separates stars from galaxies on simulated i-band stamps of 20x20 pixels with the pixel
scale and approximately the seeing and noise of ZTF.  Stamps unlike its training set, from near to
far:

- the same simulation with artefacts injected (cosmic rays, trails, bad columns ...);
- real ZTF stamps, in nJy by the zero point of each image, minus the median of the outer pixels:
  same band, unit and pixel scale, but not simulated;
- a simulated survey with pixels of 0.3 arcsec, and Euclid VIS with pixels of 0.1 arcsec, stamps
  side by side over the real field: same unit, but other pixel scales and bands, which `predict`
  refuses; here they are passed to the network as bare arrays.

The score compares each object with validation objects of the simulation.  The table was measured
with the mean and covariance of the validation objects, where the score now takes those of the
training objects.

    ASTROCNN_DATA=../shared/data python pipelines/novelty_across_surveys.py --out runs/novelty

4 minutes on 2 busy CPU cores the first time, 1 minute with the trained network.  Network of 10
epochs; 583 stamps of each set, 196 of Euclid.  The AUC is 0.5 for objects like the training set.

============================ ============== =============== =====================
stamps                       median novelty 0.95 or more    AUC against simulated
============================ ============== =============== =====================
simulated like ZTF           0.56           4 %
simulated, with artefacts    0.83           36 %            0.73 [0.70, 0.76]
ZTF, real                    0.91           36 %            0.77 [0.74, 0.80]
simulated, 0.3" pixels       0.97           76 %            0.95 [0.94, 0.97]
Euclid VIS, real             0.97           100 %           0.98 [0.97, 0.99]
============================ ============== =============== =====================

Many artefacts are barely visible.  Sources in 2 arcsec of Euclid data are far below the noise of
ZTF: for this network the stamps are empty, all alike, and unlike the training set.
"""

from __future__ import annotations

import argparse
import os
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from astrocnn.calibration import Novelty
from astrocnn.catalog import Catalog, read_catalog
from astrocnn.datasets import D4, split_rows, write_shards
from astrocnn.estimators import Estimator, KerasEstimator, fit_novelty, load_estimator
from astrocnn.imaging import ArraySource, Survey, open_source, read_survey
from astrocnn.metrics import Ranking, bootstrap
from astrocnn.report.gallery import make_rgb
from astrocnn.report.style import COLORS, styled
from astrocnn.simulation import PRESETS, Preset, SimulatedBand, inject, simulate_stamps
from astrocnn.simulation.artefacts import Camera
from astrocnn.targets import make
from astrocnn.training import Optimizer

SIZE = 20
SURVEYS = Path(__file__).parent / "surveys"
# Seeing (rounded) and gain from the header of one ZTF stamp, at its zero point of 25.59; photon
# noise of a typical background of 300 counts.  The zero point here is that of nJy.
ZTF = SimulatedBand("i", 0.79, 1.7, 1500.0, 31.4, 0.03, 1.01)
PRESET: Preset = replace(
    PRESETS["ground"],
    name="like ZTF",
    bands=(ZTF,),
    reference="i",
    wavelength=0.79,
    magnitudes=(15.0, 19.5),
    radius=2.0,
)


def subtract_sky(images: NDArray[np.floating]) -> NDArray[np.float32]:
    """Stamps minus the median of their two outermost rings of pixels."""
    rim = np.ones(images.shape[1:3], bool)
    rim[2:-2, 2:-2] = False
    return (images - np.nanmedian(images[:, rim], axis=1)[:, None, None]).astype(np.float32)


def real_ztf(folder: Path, count: int) -> NDArray[np.float32]:
    """ZTF stamps in nJy."""
    data = Path(os.environ["ASTROCNN_DATA"]) / "ztf_star_galaxy"
    catalog = read_catalog(data / "labels.csv", id="file")
    with tarfile.open(data / "cutouts.tar.gz") as archive:
        archive.extractall(folder / "ztf", filter="data")
    about = {"name": "ztf", "kind": "stamps", "image": "cutouts/{file}", "pixel_scale": 1.01}
    about |= {"bands": ["i"], "zero_point": "MAGZP", "unit": "nJy"}
    columns = {"file": np.asarray(catalog.table["file"])}
    source = open_source(Survey.from_dict(about, folder / "ztf"), columns=columns, size=SIZE)
    rows = np.sort(np.random.default_rng(0).permutation(len(catalog))[:count])
    return subtract_sky(source.read(rows).images)


def real_euclid() -> NDArray[np.float32]:
    """Stamps of Euclid VIS in nJy, side by side over the whole field."""
    survey = read_survey(SURVEYS / "euclid_q1_tile.toml")
    survey = replace(survey, bands=survey.bands[:1])
    ra, dec = (x.ravel() for x in np.meshgrid(*_grid(63.587, -49.684, 14, SIZE * 0.1)))
    cutouts = open_source(survey, ra, dec, size=SIZE).read(np.arange(len(ra)))
    whole = np.isfinite(cutouts.images).all(axis=(1, 2, 3))
    return subtract_sky(cutouts.images[whole])


def _grid(ra: float, dec: float, n: int, step: float) -> tuple[NDArray, NDArray]:
    offset = (np.arange(n) - (n - 1) / 2) * step / 3600
    return ra + offset / np.cos(np.radians(dec)), dec + offset


def train_network(folder: Path, n_objects: int, epochs: int) -> tuple[Estimator, Novelty, NDArray]:
    """The network, its novelty score, and simulated test stamps."""
    images, truth = simulate_stamps(n_objects, size=SIZE, preset=PRESET, seed=3)
    task = make("morphology", column="morphology", classes=("star", "galaxy"),
                map={"star": "star", "*": "galaxy"})  # fmt: skip
    source = ArraySource(subtract_sky(images), ("i",), ZTF.pixel_scale, "nJy")
    shards = write_shards(folder / "stamps", Catalog.from_table(truth), source)
    train, validation, test = split_rows(shards, task, fractions=(0.5, 0.25, 0.25))
    if (folder / "model").exists():
        estimator = load_estimator(folder / "model")
    else:
        estimator = KerasEstimator(task, shards.inputs, "plain8", options={"width": 0.5})
        estimator.fit(
            shards,
            train,
            validation,
            epochs=epochs,
            augmentation=(D4(),),
            optimizer=Optimizer("adamw", 2e-3, schedule="cosine", warmup=1),
        )
        estimator.save(folder / "model")
    novelty = fit_novelty(estimator, shards, train, validation)
    return estimator, novelty, shards.images(test)


def make_novel_stamps(
    folder: Path, simulated: NDArray[np.floating]
) -> dict[str, NDArray[np.float32]]:
    """Stamps unlike the training set, by description."""
    contaminated = inject(simulated[..., 0], Camera.from_band(ZTF), seed=1, fraction=1.0).images[
        ..., None
    ]
    other, _ = simulate_stamps(len(simulated), size=SIZE, preset="ground", bands=("i",), seed=5)
    found = {"simulated, with artefacts": subtract_sky(contaminated)}
    if "ASTROCNN_DATA" in os.environ:
        found["ZTF, real"] = real_ztf(folder, len(simulated))
    found['simulated, 0.3" pixels'] = subtract_sky(other)
    if "ASTROCNN_DATA" in os.environ:
        found['Euclid VIS, real, 0.1" pixels'] = real_euclid()
    return found


@styled
def plot_novelty(
    distances: dict[str, NDArray[np.floating]], stamps: dict[str, NDArray], labels: dict[str, str]
) -> Figure:
    """Plot the distances of each set, with four of its stamps near the median distance."""
    figure = Figure(figsize=(7.1, 0.95 * len(distances) + 0.5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.75, 1))
    panels = left.subplots(len(distances), 1, sharex=True)
    cells = right.subplots(len(distances), 4)
    top = max(float(np.quantile(d, 0.995)) for d in distances.values())
    low = min(float(d.min()) for d in distances.values())
    edges = np.geomspace(low, 1.05 * top, 60)
    reference = next(iter(distances.values()))
    for i, (name, distance) in enumerate(distances.items()):
        axes = panels[i]
        share = np.histogram(distance.clip(max=top), edges)[0] / len(distance)
        axes.stairs(share, edges, fill=True, color=COLORS[i], alpha=0.85)
        axes.axvline(np.quantile(reference, 0.95), color="0.3", lw=0.8, ls="--")
        place = {"transform": axes.transAxes, "va": "top", "fontsize": 8}
        right_side = np.median(distance) < np.sqrt(low * top)
        x, ha = (0.985, "right") if right_side else (0.015, "left")
        axes.text(x, 0.9, f"{name}\n{labels[name]}", ha=ha, **place)
        axes.set(xscale="log", xlim=(low, 1.05 * top), yticks=[])
        axes.set_ylim(0, 1.45 * share.max())
        near = np.argsort(np.abs(distance - np.quantile(distance, 0.6)))[:4]
        for cell, picture in zip(cells[i], make_rgb(stamps[name][near]), strict=True):
            cell.imshow(picture, origin="lower", interpolation="nearest")
            cell.set_xticks([])
            cell.set_yticks([])
    marks = [m for m in (5, 10, 20, 40, 80, 160) if low < m < top]
    panels[-1].set_xticks(marks, [str(m) for m in marks])
    panels[-1].set_xticks([], minor=True)
    panels[-1].set_xlabel("distance to the 10th nearest validation object in scaled features")
    return figure


def main() -> None:
    """Train, score and plot."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/novelty"))
    parser.add_argument("--objects", type=int, default=2400, help="simulated stamps")
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    start = time.monotonic()
    estimator, novelty, simulated = train_network(
        arguments.out, arguments.objects, arguments.epochs
    )
    sets = {"simulated like ZTF": simulated, **make_novel_stamps(arguments.out, simulated)}
    distances, labels = {}, {}
    for name, images in sets.items():
        fraction, distances[name] = novelty.score(estimator.features(images))
        labels[name] = f"novelty {np.median(fraction):.2f}"
        line = f"{name}: {len(images)} stamps, median novelty {np.median(fraction):.3f}"
        line += f", {np.mean(fraction >= 0.95):.1%} at 0.95 or more"
        if images is not simulated:
            both = np.concatenate([distances[next(iter(sets))], distances[name]])
            novel = np.arange(len(both)) >= len(simulated)
            ranking = Ranking(novel, both)
            score = bootstrap({"AUC": ranking.auc}, len(both))["AUC"]
            line += f", {score}"
            labels[name] += f", AUC {score.value:.3f}"
        print(line, flush=True)
    plot_novelty(distances, sets, labels).savefig(arguments.out / "novelty.png")
    print(f"{time.monotonic() - start:.0f} s; the figure is in {arguments.out}")


if __name__ == "__main__":
    main()
