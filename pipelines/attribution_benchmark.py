"""Checks of attribution maps against causes that are known.

Artefacts: a network is trained to separate usable stamps of a simulated Euclid VIS sky from those
with a cosmic ray, a satellite trail or a ghost.  Maps of its evidence against stamps with artefacts
that it recognizes are compared with the true pixels of the artefacts, and run_checks without them:
deletion and insertion of pixels, randomization of weights (Adebayo et al. 2018), and shifts of the
image.  "The image itself", its absolute pixel values, is not a method but the baseline that a map
must surpass: artefacts are bright.

Arms: a network is trained to separate bright simulated spirals from the same galaxies without arms
and with the same radial profile; the true pixels are those where the arms change the noiseless
image by more than one sigma of the sky noise.

Color: a network is trained to classify a round source in three bands; only the ratio of the first
two fluxes determines the class, and the third flux is independent of it.  Each of the first two
bands should receive half of the attribution, the third none.

    python pipelines/attribution_benchmark.py --out runs/attribution

About 4 minutes on one processor, 15 on a busy machine; a second call uses the trained networks.
The rows of positive parts and of other noise levels, the deletion by signed order and the true
winding were added after a first analysis.  60 stamps of 48 pixels with artefacts, classified as
such, with 34 rays, 19 trails and 23 ghosts (AUC on 300 stamps: 0.931); brackets are 95 % bootstrap
intervals over them.  The last two columns are from 12 of them.

==================== ================= ================= ============= ============ ======= ======
evidence against     inside the mask   maximum inside    gain: ray,    deletion     random. shift
(area: 0.11)                                             trail, ghost
==================== ================= ================= ============= ============ ======= ======
integrated gradients 0.32 [0.28, 0.35] 0.80 [0.68, 0.90] 4.6, 2.9, 1.8 -0.26 +-0.07 0.33    0.59
... positive part    0.48 [0.44, 0.52] 0.88 [0.80, 0.95]
deconvnet            0.32 [0.26, 0.37] 0.92 [0.83, 0.98] 3.3, 2.3, 2.5 -0.10 +-0.05 0.19    0.68
grad_cam             0.23 [0.18, 0.29] 0.30 [0.19, 0.41] 1.8, 1.6, 2.1 -0.10 +-0.04 -0.02   0.97
saliency             0.23 [0.18, 0.28] 0.65 [0.52, 0.77] 2.2, 1.9, 1.8 -0.07 +-0.04 0.11    0.47
occlusion            0.16 [0.13, 0.19] 0.32 [0.23, 0.41] 1.8, 1.6, 1.2 -0.25 +-0.07 0.24    0.84
... positive part    0.34 [0.28, 0.39] 0.55 [0.46, 0.64]
smooth_grad          0.22 [0.18, 0.27] 0.52 [0.38, 0.65] 2.2, 1.9, 1.8 -0.08 +-0.04 0.13    0.59
... with 1 % noise   0.23 [0.19, 0.28] 0.58 [0.47, 0.72] 2.3, 1.9, 1.8 -0.07 +-0.04 0.12    0.53
... with 15 % noise  0.14 [0.12, 0.17] 0.48 [0.35, 0.60] 1.5, 1.2, 1.2 -0.05 +-0.03 0.14    0.62
the image itself     0.16 [0.13, 0.20] 0.40 [0.28, 0.52] 1.7, 1.7, 1.2 -0.20 +-0.06 1       1
==================== ================= ================= ============= ============ ======= ======

Inside the mask: fraction of the absolute attribution; gain: that fraction over the fraction of the
area.  Deletion: area under the probability of "not usable" minus that of random orders (0.98), by
signed order for maps with a sign.  Random.: rank correlation with the map of randomized weights.
Shift: correlation after a shift of one pixel.

All methods point better than chance, but SmoothGrad with noise of 15 % of the range of an image and
the absolute values of occlusion are no better than brightness; with 1 % noise, or its default of
2 %, SmoothGrad points as well as saliency.  Of integrated gradients 56 % are negative, of occlusion
81 %: evidence for "usable", so the sign matters.  Deletion hardly separates maps from brightness:
integrated gradients are better by 0.06 [0.00, 0.12], occlusion by 0.06 [0.01, 0.10], paired.
Insertion is uninformative here (0.00 to 0.02 above random orders), because the probability hardly
changes: 0.95 for whole stamps, 0.91 for empty sky, which this network classifies as not usable too.
A deconvnet with a randomized head alone keeps its map (0.88): the head only selects the filter.

Arms: AUC 0.989, accuracy 0.947 on 300 stamps; 60 spirals classified correctly.

==================== ================= ================= ============== =================
evidence for arms    inside the mask   maximum inside    gain           true winding
(area: 0.19)                                                            (0.50)
==================== ================= ================= ============== =================
integrated gradients 0.81 [0.79, 0.82] 0.87 [0.78, 0.95] 4.2 [3.6, 4.9] 0.54 [0.52, 0.55]
... positive part    0.83 [0.81, 0.85] 0.90 [0.82, 0.97]
occlusion            0.65 [0.62, 0.67] 0.84 [0.79, 0.89] 3.3 [2.9, 3.9] 0.50 [0.49, 0.51]
... positive part    0.13 [0.10, 0.17] 0.30 [0.21, 0.39]
smooth_grad          0.59 [0.57, 0.61] 0.92 [0.85, 0.98] 3.0 [2.7, 3.5] 0.55 [0.53, 0.56]
... with 15 % noise  0.43 [0.40, 0.46] 0.92 [0.83, 0.98] 2.2 [2.0, 2.5] 0.53 [0.51, 0.54]
saliency             0.58 [0.56, 0.61] 0.90 [0.82, 0.97] 3.0 [2.7, 3.4] 0.55 [0.53, 0.56]
deconvnet            0.39 [0.35, 0.42] 0.85 [0.77, 0.93] 2.0 [1.9, 2.2] 0.54 [0.52, 0.55]
grad_cam             0.30 [0.27, 0.33] 0.85 [0.77, 0.93] 1.5 [1.4, 1.7] 0.49 [0.47, 0.50]
the image itself     0.37 [0.33, 0.41] 0.52 [0.40, 0.65] 1.9 [1.8, 2.1] 0.52 [0.51, 0.53]
==================== ================= ================= ============== =================

True winding: of the attribution on pixels changed either by these arms or by the same arms wound
the other way, but not by both, the fraction on those of these arms; for the bare disk it is half.

The maps mostly show the bright disk, where arms are visible.  The winding is only weakly present:
0.55 at best, where brightness alone has 0.52; Grad-CAM and occlusion are at chance.  Of occlusion
93 % is negative: hiding a patch makes a galaxy look more armed, and the small positive part avoids
the arms.

Color: accuracy 1.000 on 180 sources; 60 of one class.

==================== ==== ==== ==== =====================
fraction in band     a    b    c    on the source (0.20)
==================== ==== ==== ==== =====================
true                 1/2  1/2  0    1
integrated gradients 0.41 0.48 0.11 0.92
smooth_grad          0.43 0.41 0.16 0.74
... with 15 % noise  0.46 0.42 0.12 0.71
saliency             0.42 0.40 0.18 0.71
deconvnet            0.36 0.31 0.33 0.28
the image itself     0.32 0.35 0.33 0.40
==================== ==== ==== ==== =====================

Gradients identify the two bands that determine the class; the deconvnet of the most active filter
does not.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrocnn import metrics
from astrocnn.catalog import Catalog
from astrocnn.datasets import D4, fit_normalization, write_shards
from astrocnn.estimators import KerasEstimator
from astrocnn.explain import METHODS, AttributionMethod, ExplainTarget, smooth_grad
from astrocnn.explain.checks import (
    Pointing,
    band_fractions,
    deletion,
    pointing,
    randomization,
    shift,
)
from astrocnn.explain.methods import get_method
from astrocnn.imaging import ArraySource, Inputs
from astrocnn.plugins import module_names
from astrocnn.simulation import inject, simulate_stamps
from astrocnn.simulation.artefacts import Camera
from astrocnn.simulation.objects import add_noise, render_objects, sample_object
from astrocnn.simulation.presets import get_preset
from astrocnn.targets import Task, make
from astrocnn.training import Optimizer

KINDS = ("cosmic_ray", "satellite_trail", "ghost")
SIZE, SMALL = 48, 24  # of stamps with artefacts or arms, and of the color experiment [pixel]
MAPS = tuple(
    name for name in module_names(METHODS) if isinstance(get_method(name), AttributionMethod)
)
SIGNED = (
    "integrated_gradients",
    "occlusion",
)  # negative values are evidence against the prediction
NOISES = {"smooth_grad, 1 %": 0.01, "smooth_grad, 15 %": 0.15}  # in addition to the default of 2 %
BRIGHT = "the image itself"
N_RANDOMIZED = 12  # objects for weight randomization and shifts
Numbers = NDArray[np.floating]


def simulate_artefacts(n: int, seed: int) -> tuple[Numbers, Table, NDArray[np.bool_]]:
    """Stamps of a simulated sky, half of them with artefacts, their truth and the true pixels."""
    band = get_preset("euclid", ("VIS",)).band("VIS")
    stamps, _ = simulate_stamps(
        n, size=SIZE, preset="euclid", bands=("VIS",), seed=seed, neighbors=0.3
    )
    result = inject(stamps[..., 0], Camera.from_band(band), seed=seed, fraction=0.5, kinds=KINDS)
    return result.images[..., None], result.truth, result.masks > 0


def simulate_colors(n: int, seed: int) -> tuple[Numbers, Table, NDArray[np.bool_]]:
    """Round sources in three bands; the class is the sign of the color of the first two.

    Fluxes range over a factor of ten and the color over a factor of two either way, so that no
    single flux determines the class.
    """
    rng = np.random.default_rng(seed)
    red = rng.random(n) < 0.5
    flux = 10 ** rng.uniform(2.5, 3.5, (n, 3))
    color = np.where(red, 1, -1) * rng.uniform(0.3, 0.7, n)
    flux[:, 1] = flux[:, 0] * np.exp(color)
    sigma = rng.uniform(1.5, 2.5, n)
    y, x = np.indices((SMALL, SMALL)) - (SMALL - 1) / 2
    form = np.exp(-0.5 * (x**2 + y**2) / sigma[:, None, None] ** 2)
    form /= form.sum(axis=(1, 2), keepdims=True)
    images = form[..., None] * flux[:, None, None] + rng.standard_normal((n, SMALL, SMALL, 3))
    truth = Table({"red": red.astype(np.int16)})
    near = np.hypot(x, y) < 3 * sigma[:, None, None]
    return images.astype(np.float32), truth, near


def simulate_arms(n: int, seed: int) -> tuple[Numbers, Table, NDArray[np.bool_]]:
    """Bright spirals, each followed by its copy without arms, and the pixels that the arms change.

    Both have the same light in the same rings, including patches of star formation: flux, color and
    radial profile do not distinguish them, and their noise is the same.  The first mask is where
    the noiseless image changes by more than the sky noise; the second is that of the same arms
    wound the other way.
    """
    sky = get_preset("euclid", ("VIS",), fractions={"spiral": 1.0})
    sky, band = replace(sky, magnitudes=(19.5, 21.5)), sky.band("VIS")
    centers = (SIZE - 1) / 2 + np.random.default_rng(seed).uniform(-0.5, 0.5, (n // 2, 1, 2))
    light = np.empty((n // 2, 3, SIZE, SIZE), np.float32)
    images = np.empty((n // 2, 2, SIZE, SIZE), np.float32)
    for index, center in enumerate(centers):
        spiral = sample_object(seed, index, sky)
        shapes = (
            spiral.shape,
            replace(spiral.shape, n_arms=0, pitch=90.0),
            replace(spiral.shape, handedness=-spiral.shape.handedness),
        )
        for side, shape in enumerate(shapes):
            item = replace(spiral, shape=shape)
            rendered = [item.rendered(sky)]
            light[index, side] = render_objects(rendered, center, SIZE, sky.bands)[0]
            if side < 2:
                images[index, side] = add_noise(light[index, side], band, seed, (index, 1))
    changed = np.abs(light[:, ::2] - light[:, 1:2]) > band.sky_sigma
    truth = Table({"arms": np.tile(np.array([1, 0], np.int16), n // 2)})
    return images.reshape(-1, SIZE, SIZE, 1), truth, np.repeat(changed, 2, axis=0)


def train_network(
    folder: Path, task: Task, images: Numbers, truth: Table, bands: tuple[str, ...], epochs: int
) -> KerasEstimator:
    """Train a small network on the first five sixths, with early stopping on the rest."""
    if (folder / "model").exists():
        return KerasEstimator.load(folder / "model")
    truth["id"] = np.arange(len(truth))
    shards = write_shards(
        folder / "stamps", Catalog.from_table(truth, id="id"), ArraySource(images, bands)
    )
    train, validation = np.split(np.arange(len(truth)), [5 * len(truth) // 6])
    inputs = Inputs.from_source(shards).with_normalization(
        fit_normalization(shards, train, "asinh")
    )
    network = KerasEstimator(task, inputs, "plain8", options={"width": 0.25})
    network.fit(
        shards,
        train,
        validation,
        epochs=epochs,
        batch_size=32,
        optimizer=Optimizer("adamw", 3e-3, schedule="cosine", warmup=1),
        augmentation=[D4()],
    )
    network.save(folder / "model")
    return network


def bootstrap_mean(values: Numbers) -> list[float]:
    """Mean over the objects with a finite value, with its 95 % bootstrap interval."""
    used = values[np.isfinite(values)]
    score = metrics.bootstrap({"m": lambda w: metrics.average(used, w)}, len(used))["m"]
    return [score.value, score.low, score.high]


def summarize_pointing(found: Pointing) -> dict[str, list[float]]:
    """Means of the pointing game over the objects that have a map and a mask."""
    return {name: [s.value, s.low, s.high] for name, s in found.scores().items()}


def run_checks(
    name: str, maps: Numbers, model: keras.Model, images: Numbers, output: ExplainTarget
) -> tuple[dict[str, Any], Numbers]:
    """Checks without truth, as means over objects with intervals; areas of deletion."""
    method, order = methods()[name], "signed" if name in SIGNED else "absolute"
    likely = ExplainTarget(output.target, output.output, "probability")
    curves = deletion(model, images, likely, maps, order=order, steps=10, draws=3)
    areas = curves.areas
    few = images[:N_RANDOMIZED]
    randomized = randomization(method, model, few, output, stages=3)
    found = {
        "whole": float(curves.deletion[:, 0].mean()),
        "empty": float(curves.deletion[:, -1].mean()),
        "random": float(areas["random_deletion"].mean()),
        "deletion": bootstrap_mean(areas["deletion"] - areas["random_deletion"]),
        "insertion": bootstrap_mean(areas["insertion"] - areas["random_insertion"]),
        "stages": list(randomized.stages),
        "randomization": [bootstrap_mean(column) for column in randomized.correlation.T],
        "shift": bootstrap_mean(shift(method, model, few, output).mean(axis=1)),
    }
    return found, areas["deletion"]


def brightness(model: Any, images: Numbers, output: Any, **_: Any) -> Numbers:
    """Baseline: the absolute pixel values."""
    return np.abs(images)


def methods() -> dict[str, Callable[..., Any]]:
    """Functions that compute maps, by name."""
    result = {name: get_method(name) for name in MAPS}
    noisy = {name: partial(smooth_grad, noise=noise) for name, noise in NOISES.items()}
    return {**result, **noisy, BRIGHT: brightness}


def run_artefacts(folder: Path, n: int, epochs: int, n_explained: int) -> dict[str, Any]:
    """Maps of the evidence against stamps with artefacts."""
    images, truth, _ = simulate_artefacts(n, seed=31)
    network = train_network(folder, make("quality"), images, truth, ("VIS",), epochs)
    images, truth, masks = simulate_artefacts(max(300, 3 * n_explained), seed=32)
    p = network.sample(images)["usable"][0, :, 0].astype(np.float64)
    usable = np.asarray(truth["usable"]) == 1
    auc = metrics.Ranking(usable, p).auc()
    rows = np.flatnonzero(~usable & (p < 0.5))[:n_explained]
    print(
        f"AUC {float(auc):.3f} on {len(p)} stamps; {len(rows)} with artefacts, recognized",
        flush=True,
    )
    output = ExplainTarget(network.task.targets[0], "no")
    normalized = network.inputs.normalization.apply(images[rows])  # type: ignore[union-attr]
    masks, truth = masks[rows], truth[rows]
    found: dict[str, Any] = {"auc": float(auc), "objects": len(rows), "methods": {}}
    areas: dict[str, Numbers] = {}
    for name, method in methods().items():
        start = time.monotonic()
        maps = method(network.model_, normalized, output)
        row: dict[str, Any] = summarize_pointing(pointing(maps, masks))
        if name in SIGNED:
            row["positive"] = summarize_pointing(pointing(np.maximum(maps, 0), masks))
            row["negative fraction"] = float(np.maximum(-maps, 0).sum() / np.abs(maps).sum())
        for kind in KINDS:
            of = np.asarray(truth[f"has_{kind}"]) == 1
            # A small sample may lack a kind of artefact.
            if of.any():
                summary = summarize_pointing(pointing(maps[of], masks[of]))
                row[kind] = {"objects": int(of.sum()), **summary}
        more, areas[name] = run_checks(name, maps, network.model_, normalized, output)
        row |= more
        found["methods"][name] = row
        print(f"{name:21} {format_row(row)}  {time.monotonic() - start:.0f} s", flush=True)
    for name in SIGNED:
        row = found["methods"][name]
        row["deletion against brightness"] = bootstrap_mean(areas[name] - areas[BRIGHT])
        print(
            f"{name}: {row['negative fraction']:.2f} of it negative; area of deletion minus that of"
        )
        print(f"  brightness {row['deletion against brightness']}", flush=True)
    return found


def format_interval(values: list[float]) -> str:
    """A mean with its interval, as text."""
    return f"{values[0]:.2f} [{values[1]:.2f}, {values[2]:.2f}]"


def format_row(row: dict[str, Any]) -> str:
    """Results of one method, as text."""
    parts = [
        f"inside {format_interval(row['inside'])} of {row['expected'][0]:.2f}",
        f"hits {format_interval(row['hit'])}",
    ]
    if "positive" in row:
        positive = row["positive"]
        parts += [
            f"positive inside {format_interval(positive['inside'])}",
            f"hits {format_interval(positive['hit'])}",
        ]
        parts += [f"negative {row['negative fraction']:.2f}"]
    if "winding" in row:
        return "; ".join([*parts, f"true winding {format_interval(row['winding'])}"])
    gains = (f"{row[kind]['gain'][0]:.1f}" for kind in KINDS if kind in row)
    parts += [f"gains by kind {' '.join(gains)}"]
    parts += [f"{name} {format_interval(row[name])}" for name in ("deletion", "insertion", "shift")]
    parts += [
        f"randomization {' '.join(format_interval(values) for values in row['randomization'])}"
    ]
    parts += [f"p {row['whole']:.2f} {row['empty']:.2f} {row['random']:.2f}"]
    return "; ".join(parts)


def run_arms(folder: Path, n: int, epochs: int, n_explained: int) -> dict[str, Any]:
    """Maps of the evidence for arms, where only the arms distinguish the classes."""
    images, truth, _ = simulate_arms(n, seed=51)
    task = make("quality", column="arms", target="arms")
    network = train_network(folder, task, images, truth, ("VIS",), epochs)
    images, truth, masks = simulate_arms(max(300, 4 * n_explained), seed=52)
    p = network.sample(images)["arms"][0, :, 0].astype(np.float64)
    arms = np.asarray(truth["arms"]) == 1
    auc, right = float(metrics.Ranking(arms, p).auc()), float(((p > 0.5) == arms).mean())
    rows = np.flatnonzero(arms & (p > 0.5))[:n_explained]
    print(f"AUC {auc:.3f}, accuracy {right:.3f} on {len(p)} stamps", flush=True)
    output = ExplainTarget(network.task.targets[0], "yes")
    normalized = network.inputs.normalization.apply(images[rows])  # type: ignore[union-attr]
    masks, rivals = masks[rows, 0], masks[rows, 1]
    one = masks != rivals  # changed by one of the two windings alone
    found: dict[str, Any] = {
        "auc": auc,
        "accuracy": right,
        "objects": len(rows),
        "area of true winding": bootstrap_mean(pointing(one, masks).inside),
        "methods": {},
    }
    print(
        f"{len(rows)} spirals; {format_interval(found['area of true winding'])} of the area",
        flush=True,
    )
    for name, method in methods().items():
        maps = method(network.model_, normalized, output)
        row: dict[str, Any] = summarize_pointing(pointing(maps, masks))
        on_one = np.abs(maps).reshape(*one.shape, -1).sum(axis=-1) * one
        row["winding"] = bootstrap_mean(pointing(on_one, masks).inside)
        if name in SIGNED:
            row["positive"] = summarize_pointing(pointing(np.maximum(maps, 0), masks))
            row["negative fraction"] = float(np.maximum(-maps, 0).sum() / np.abs(maps).sum())
        found["methods"][name] = row
        print(f"{name:21} {format_row(row)}", flush=True)
    return found


def run_colors(folder: Path, n: int, epochs: int, n_explained: int) -> dict[str, Any]:
    """Attribution per band, where only a color determines the class."""
    images, truth, _ = simulate_colors(n, seed=41)
    task = make("quality", column="red", target="red")
    network = train_network(folder, task, images, truth, ("a", "b", "c"), epochs)
    images, truth, near = simulate_colors(3 * n_explained, seed=42)
    p = network.sample(images)["red"][0, :, 0].astype(np.float64)
    red = np.asarray(truth["red"]) == 1
    right = (p > 0.5) == red
    print(f"accuracy {right.mean():.3f} on {len(p)} sources", flush=True)
    rows = np.flatnonzero(right & red)[:n_explained]
    output = ExplainTarget(network.task.targets[0], "yes")
    normalized = network.inputs.normalization.apply(images[rows])  # type: ignore[union-attr]
    found: dict[str, Any] = {"accuracy": float(right.mean()), "objects": len(rows), "shares": {}}
    for name, method in methods().items():
        maps = method(network.model_, normalized, output)
        if maps.ndim == 4:
            shares = [bootstrap_mean(column) for column in band_fractions(maps).T]
            inside = pointing(maps, near[rows]).scores()
            found["shares"][name] = {
                "bands": shares,
                "inside": inside["inside"].value,
                "expected": inside["expected"].value,
            }
            bands = ", ".join(format_interval(share) for share in shares)
            print(
                f"{name:21} bands {bands}; on the source {inside['inside'].value:.2f} of "
                f"{inside['expected'].value:.2f}",
                flush=True,
            )
    return found


def main() -> None:
    """Train the missing networks, explain, check and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/attribution"))
    parser.add_argument("--stamps", type=int, default=1200, help="simulated training stamps")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--explained", type=int, default=60, help="test stamps explained")
    arguments = parser.parse_args()
    start = time.monotonic()
    arguments.out.mkdir(parents=True, exist_ok=True)
    settings = (arguments.stamps, arguments.epochs, arguments.explained)
    found = {
        "artefacts": run_artefacts(arguments.out / "artefacts", *settings),
        "arms": run_arms(arguments.out / "arms", *settings),
        "color": run_colors(arguments.out / "color", *settings),
    }
    (arguments.out / "scores.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{time.monotonic() - start:.0f} s; scores are in {arguments.out}")


if __name__ == "__main__":
    main()
