"""Can one believe the pictures?  Maps of every method beside causes that are known.

Artefacts: a network learns to tell usable stamps of a simulated Euclid VIS sky from those that a
cosmic ray, a satellite trail or a ghost spoils.  Maps of its evidence against spoilt test stamps
that it recognizes are held against the true pixels of the artefacts, and checked without them: do
they matter to the answer (deletion, insertion), do they change when the network forgets
(randomization), do they move with the image (shift).  "The image itself", its absolute pixel
values, is no method but what a map must surpass: artefacts are bright.

Arms: a network learns to tell bright simulated spirals from the same galaxies without their arms,
whose light lies in the same rings; the true pixels are those where the arms change the noiseless
light by more than one sigma of the noise of the sky.

A color: a network learns which of two classes a round source in three bands belongs to; only the
ratio of the first two fluxes decides, the third flux is chance.  Each of the first two bands should
have half of the attribution, the third nothing.

    python pipelines/believe_the_pictures.py --out runs/pictures

About 4 minutes of one processor, 15 on a busy machine; a second call explains anew what is trained.
The rows of what is positive and of other noise, the order of deletion and the true winding were
added after a first look.  60 stamps of 48 pixels that are spoilt and called so, with 34 rays, 19
trails and 23 ghosts (AUC on 300 stamps: 0.931); brackets hold 95 % bootstrap intervals over them.
The last two columns are from 12 of them.

==================== ================= ================= ============= ============ ======= ======
evidence against     inside the mask   maximum in it     gain: ray,    deletion     forget  shift
(area: 0.11)                                             trail, ghost
==================== ================= ================= ============= ============ ======= ======
integrated gradients 0.32 [0.28, 0.35] 0.80 [0.68, 0.90] 4.6, 2.9, 1.8 -0.26 +-0.07 0.33    0.59
... what is positive 0.48 [0.44, 0.52] 0.88 [0.80, 0.95]
deconvnet            0.32 [0.26, 0.37] 0.92 [0.83, 0.98] 3.3, 2.3, 2.5 -0.10 +-0.05 0.19    0.68
grad_cam             0.23 [0.18, 0.29] 0.30 [0.19, 0.41] 1.8, 1.6, 2.1 -0.10 +-0.04 -0.02   0.97
saliency             0.23 [0.18, 0.28] 0.65 [0.52, 0.77] 2.2, 1.9, 1.8 -0.07 +-0.04 0.11    0.47
occlusion            0.16 [0.13, 0.19] 0.32 [0.23, 0.41] 1.8, 1.6, 1.2 -0.25 +-0.07 0.24    0.84
... what is positive 0.34 [0.28, 0.39] 0.55 [0.46, 0.64]
smooth_grad          0.22 [0.18, 0.27] 0.52 [0.38, 0.65] 2.2, 1.9, 1.8 -0.08 +-0.04 0.13    0.59
... with 1 % noise   0.23 [0.19, 0.28] 0.58 [0.47, 0.72] 2.3, 1.9, 1.8 -0.07 +-0.04 0.12    0.53
... with 15 % noise  0.14 [0.12, 0.17] 0.48 [0.35, 0.60] 1.5, 1.2, 1.2 -0.05 +-0.03 0.14    0.62
the image itself     0.16 [0.13, 0.20] 0.40 [0.28, 0.52] 1.7, 1.7, 1.2 -0.20 +-0.06 1       1
==================== ================= ================= ============= ============ ======= ======

Inside the mask: share of the absolute attribution; gain: that share over the share of the area.
Deletion: area under the probability of "not usable" minus that of random orders (0.98), in the
order of the sign where it means for and against.  Forget: rank correlation with the map of a
network without what it learned.  Shift: correlation after a step of one pixel.

All methods point better than chance, but SmoothGrad with noise of 15 % of the range of an image and
the absolute values of occlusion no better than brightness; with 1 % noise, or its default of 2 %,
SmoothGrad points as saliency does.  Of integrated gradients 56 % are negative, of occlusion 81 %:
they speak for "usable", so look at the sign.  Deletion hardly tells a map from brightness:
integrated gradients are ahead of it by 0.06 [0.00, 0.12], occlusion by 0.06 [0.01, 0.10],
paired.  Insertion tells nothing here (0.00 to 0.02 above random orders), for the probability has no
room: 0.95 for whole stamps, 0.91 for empty sky, which this network calls not usable too.  A
deconvnet whose head alone has forgotten keeps its map (0.88): the head only chooses the filter that
is shown.

Arms: AUC 0.989, accuracy 0.947 on 300 stamps; 60 spirals that are called so.

==================== ================= ================= ============== =================
evidence for arms    inside the mask   maximum in it     gain           true winding
(area: 0.19)                                                            (0.50)
==================== ================= ================= ============== =================
integrated gradients 0.81 [0.79, 0.82] 0.87 [0.78, 0.95] 4.2 [3.6, 4.9] 0.54 [0.52, 0.55]
... what is positive 0.83 [0.81, 0.85] 0.90 [0.82, 0.97]
occlusion            0.65 [0.62, 0.67] 0.84 [0.79, 0.89] 3.3 [2.9, 3.9] 0.50 [0.49, 0.51]
... what is positive 0.13 [0.10, 0.17] 0.30 [0.21, 0.39]
smooth_grad          0.59 [0.57, 0.61] 0.92 [0.85, 0.98] 3.0 [2.7, 3.5] 0.55 [0.53, 0.56]
... with 15 % noise  0.43 [0.40, 0.46] 0.92 [0.83, 0.98] 2.2 [2.0, 2.5] 0.53 [0.51, 0.54]
saliency             0.58 [0.56, 0.61] 0.90 [0.82, 0.97] 3.0 [2.7, 3.4] 0.55 [0.53, 0.56]
deconvnet            0.39 [0.35, 0.42] 0.85 [0.77, 0.93] 2.0 [1.9, 2.2] 0.54 [0.52, 0.55]
grad_cam             0.30 [0.27, 0.33] 0.85 [0.77, 0.93] 1.5 [1.4, 1.7] 0.49 [0.47, 0.50]
the image itself     0.37 [0.33, 0.41] 0.52 [0.40, 0.65] 1.9 [1.8, 2.1] 0.52 [0.51, 0.53]
==================== ================= ================= ============== =================

True winding: of the attribution on pixels that either these arms change or the same arms wound the
other way, but not both, the share on those of these arms; a map of the bare disk has half.

Mostly the maps find the bright disk, where arms can be seen.  Which way its arms wind shows in them
but faintly: 0.55 at best, where brightness alone has 0.52, and Grad-CAM and occlusion know nothing.
Of occlusion 93 % are negative: hiding a piece makes a galaxy look more armed, and the little that
is positive shuns the arms.

Color: accuracy 1.000 on 180 sources; 60 of one class.

==================== ==== ==== ==== =====================
share of             a    b    c    on the source (0.20)
==================== ==== ==== ==== =====================
true                 1/2  1/2  0    1
integrated gradients 0.41 0.48 0.11 0.92
smooth_grad          0.43 0.41 0.16 0.74
... with 15 % noise  0.46 0.42 0.12 0.71
saliency             0.42 0.40 0.18 0.71
deconvnet            0.36 0.31 0.33 0.28
the image itself     0.32 0.35 0.33 0.40
==================== ==== ==== ==== =====================

Gradients find the two bands that decide; the deconvnet of the filter that speaks most does not.
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
from astrocnn.explain import METHODS, Output, smooth_grad
from astrocnn.explain.checks import (
    Pointing,
    band_share,
    deletion,
    pointing,
    randomization,
    shift,
)
from astrocnn.imaging import ArraySource, Inputs
from astrocnn.plugins import load_module, module_names
from astrocnn.simulation import inject, simulate_stamps
from astrocnn.simulation.artefacts import Camera
from astrocnn.simulation.objects import add_noise, render_objects, sample_object
from astrocnn.simulation.presets import get_preset
from astrocnn.targets import Task, make
from astrocnn.training import Optimizer

KINDS = ("cosmic_ray", "satellite_trail", "ghost")
SIZE, SMALL = 48, 24  # stamps with artefacts or arms, and of the color [pixel]
MAPS = tuple(
    name for name in module_names(METHODS) if hasattr(load_module(METHODS, name), "pixel_map")
)
SIGNED = ("integrated_gradients", "occlusion")  # what is negative speaks against the answer
NOISES = {"smooth_grad, 1 %": 0.01, "smooth_grad, 15 %": 0.15}  # beside its default, 2 %
BRIGHT = "the image itself"
FORGETTING = 12  # objects whose maps are made again by networks that forget
Numbers = NDArray[np.floating]


def spoilt(n: int, seed: int) -> tuple[Numbers, Table, NDArray[np.bool_]]:
    """Stamps of a simulated sky, half of them with artefacts, their truth and its pixels."""
    band = get_preset("euclid", ("VIS",)).band("VIS")
    stamps, _ = simulate_stamps(
        n, size=SIZE, preset="euclid", bands=("VIS",), seed=seed, neighbors=0.3
    )
    made = inject(stamps[..., 0], Camera.from_band(band), seed=seed, fraction=0.5, kinds=KINDS)
    return made.images[..., None], made.truth, made.masks > 0


def colored(n: int, seed: int) -> tuple[Numbers, Table, NDArray[np.bool_]]:
    """Round sources in three bands; the class is the sign of the color of the first two.

    Fluxes of a band range over a factor of ten and the color over a factor of two either way, so
    that no single flux tells the class.
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


def armed(n: int, seed: int) -> tuple[Numbers, Table, NDArray[np.bool_]]:
    """Bright spirals, each followed by itself without arms, and the pixels that the arms change.

    No arms and no winding leave the same light in the same rings, patches of star formation and
    all: neither flux nor color nor profile tells the two apart, and their noise is the same.  A
    mask holds where the noiseless light changes by more than the noise of the sky; the second is
    that of the same arms wound the other way.
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
            light[index, side] = render_objects([item], center, SIZE, sky)[0]
            if side < 2:
                images[index, side] = add_noise(light[index, side], band, seed, (index, 1))
    changed = np.abs(light[:, ::2] - light[:, 1:2]) > band.sky_sigma
    truth = Table({"arms": np.tile(np.array([1, 0], np.int16), n // 2)})
    return images.reshape(-1, SIZE, SIZE, 1), truth, np.repeat(changed, 2, axis=0)


def taught(
    folder: Path, task: Task, images: Numbers, truth: Table, bands: tuple[str, ...], epochs: int
) -> KerasEstimator:
    """A small network trained on the first five sixths, stopped by the rest."""
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


def mean_of(values: Numbers) -> list[float]:
    """Mean over objects with its 95 % bootstrap interval, those without a value left out."""
    used = values[np.isfinite(values)]
    score = metrics.bootstrap({"m": lambda w: metrics.average(used, w)}, len(used))["m"]
    return [score.value, score.low, score.high]


def told(found: Pointing) -> dict[str, list[float]]:
    """Means of the pointing game over the objects that have a map and a mask."""
    return {name: [s.value, s.low, s.high] for name, s in found.scores().items()}


def checked(
    name: str, maps: Numbers, model: keras.Model, images: Numbers, output: Output
) -> tuple[dict[str, Any], Numbers]:
    """The checks that need no truth, means over objects with intervals; areas of deletion."""
    method, order = methods()[name], "signed" if name in SIGNED else "absolute"
    likely = Output(output.target, output.wanted, "probability")
    curves = deletion(model, images, likely, maps, order=order, steps=10, draws=3)
    areas = curves.areas
    few = images[:FORGETTING]
    forgotten = randomization(method, model, few, output, stages=3)
    found = {
        "whole": float(curves.deletion[:, 0].mean()),
        "empty": float(curves.deletion[:, -1].mean()),
        "random": float(areas["random_deletion"].mean()),
        "deletion": mean_of(areas["deletion"] - areas["random_deletion"]),
        "insertion": mean_of(areas["insertion"] - areas["random_insertion"]),
        "stages": list(forgotten.stages),
        "randomization": [mean_of(column) for column in forgotten.correlation.T],
        "shift": mean_of(shift(method, model, few, output).mean(axis=1)),
    }
    return found, areas["deletion"]


def brightness(model: Any, images: Numbers, output: Any, **_: Any) -> Numbers:
    """The map of nothing but the image."""
    return np.abs(images)


def methods() -> dict[str, Callable[..., Any]]:
    """Functions that make maps, by name."""
    made = {name: load_module(METHODS, name).pixel_map for name in MAPS}
    noisy = {name: partial(smooth_grad, noise=noise) for name, noise in NOISES.items()}
    return {**made, **noisy, BRIGHT: brightness}


def prove_artefacts(folder: Path, n: int, epochs: int, n_explained: int) -> dict[str, Any]:
    """Maps of the evidence against stamps with artefacts."""
    images, truth, _ = spoilt(n, seed=31)
    network = taught(folder, make("quality"), images, truth, ("VIS",), epochs)
    images, truth, masks = spoilt(max(300, 3 * n_explained), seed=32)
    p = network.sample(images)["usable"][0, :, 0].astype(np.float64)
    usable = np.asarray(truth["usable"]) == 1
    auc = metrics.Ranking(usable, p).auc()
    rows = np.flatnonzero(~usable & (p < 0.5))[:n_explained]
    print(f"AUC {float(auc):.3f} on {len(p)} stamps; {len(rows)} spoilt and recognized", flush=True)
    output = Output(network.task.targets[0], "no")
    normalized = network.inputs.normalization.apply(images[rows])  # type: ignore[union-attr]
    masks, truth = masks[rows], truth[rows]
    found: dict[str, Any] = {"auc": float(auc), "objects": len(rows), "methods": {}}
    areas: dict[str, Numbers] = {}
    for name, method in methods().items():
        start = time.monotonic()
        maps = method(network.model_, normalized, output)
        row: dict[str, Any] = told(pointing(maps, masks))
        if name in SIGNED:
            row["positive"] = told(pointing(np.maximum(maps, 0), masks))
            row["negative share"] = float(np.maximum(-maps, 0).sum() / np.abs(maps).sum())
        for kind in KINDS:
            of = np.asarray(truth[f"has_{kind}"]) == 1
            row[kind] = {"objects": int(of.sum()), **told(pointing(maps[of], masks[of]))}
        more, areas[name] = checked(name, maps, network.model_, normalized, output)
        row |= more
        found["methods"][name] = row
        print(f"{name:21} {line(row)}  {time.monotonic() - start:.0f} s", flush=True)
    for name in SIGNED:
        row = found["methods"][name]
        row["deletion against brightness"] = mean_of(areas[name] - areas[BRIGHT])
        print(f"{name}: {row['negative share']:.2f} of it negative; area of deletion less that of")
        print(f"  brightness {row['deletion against brightness']}", flush=True)
    return found


def said(values: list[float]) -> str:
    """A mean with its interval."""
    return f"{values[0]:.2f} [{values[1]:.2f}, {values[2]:.2f}]"


def line(row: dict[str, Any]) -> str:
    """What is printed of one method."""
    parts = [f"inside {said(row['inside'])} of {row['expected'][0]:.2f}, hits {said(row['hit'])}"]
    if "positive" in row:
        positive = row["positive"]
        parts += [f"positive inside {said(positive['inside'])}, hits {said(positive['hit'])}"]
        parts += [f"negative {row['negative share']:.2f}"]
    if "winding" in row:
        return "; ".join([*parts, f"true winding {said(row['winding'])}"])
    gains = (f"{row[kind]['gain'][0]:.1f}" for kind in KINDS)
    parts += [f"gains by kind {' '.join(gains)}"]
    parts += [f"{name} {said(row[name])}" for name in ("deletion", "insertion", "shift")]
    parts += [f"forgetting {' '.join(said(values) for values in row['randomization'])}"]
    parts += [f"p {row['whole']:.2f} {row['empty']:.2f} {row['random']:.2f}"]
    return "; ".join(parts)


def prove_arms(folder: Path, n: int, epochs: int, n_explained: int) -> dict[str, Any]:
    """Maps of the evidence for arms where nothing but the arms tells."""
    images, truth, _ = armed(n, seed=51)
    task = make("quality", column="arms", target="arms")
    network = taught(folder, task, images, truth, ("VIS",), epochs)
    images, truth, masks = armed(max(300, 4 * n_explained), seed=52)
    p = network.sample(images)["arms"][0, :, 0].astype(np.float64)
    arms = np.asarray(truth["arms"]) == 1
    auc, right = float(metrics.Ranking(arms, p).auc()), float(((p > 0.5) == arms).mean())
    rows = np.flatnonzero(arms & (p > 0.5))[:n_explained]
    print(f"AUC {auc:.3f}, accuracy {right:.3f} on {len(p)} stamps", flush=True)
    output = Output(network.task.targets[0], "yes")
    normalized = network.inputs.normalization.apply(images[rows])  # type: ignore[union-attr]
    masks, rivals = masks[rows, 0], masks[rows, 1]
    one = masks != rivals  # changed by one of the two windings alone
    found: dict[str, Any] = {
        "auc": auc,
        "accuracy": right,
        "objects": len(rows),
        "area of true winding": mean_of(pointing(one, masks).inside),
        "methods": {},
    }
    print(f"{len(rows)} spirals; {said(found['area of true winding'])} of the area", flush=True)
    for name, method in methods().items():
        maps = method(network.model_, normalized, output)
        row: dict[str, Any] = told(pointing(maps, masks))
        on_one = np.abs(maps).reshape(*one.shape, -1).sum(axis=-1) * one
        row["winding"] = mean_of(pointing(on_one, masks).inside)
        if name in SIGNED:
            row["positive"] = told(pointing(np.maximum(maps, 0), masks))
            row["negative share"] = float(np.maximum(-maps, 0).sum() / np.abs(maps).sum())
        found["methods"][name] = row
        print(f"{name:21} {line(row)}", flush=True)
    return found


def prove_color(folder: Path, n: int, epochs: int, n_explained: int) -> dict[str, Any]:
    """Shares of the bands where only a color decides."""
    images, truth, _ = colored(n, seed=41)
    task = make("quality", column="red", target="red")
    network = taught(folder, task, images, truth, ("a", "b", "c"), epochs)
    images, truth, near = colored(3 * n_explained, seed=42)
    p = network.sample(images)["red"][0, :, 0].astype(np.float64)
    red = np.asarray(truth["red"]) == 1
    right = (p > 0.5) == red
    print(f"accuracy {right.mean():.3f} on {len(p)} sources", flush=True)
    rows = np.flatnonzero(right & red)[:n_explained]
    output = Output(network.task.targets[0], "yes")
    normalized = network.inputs.normalization.apply(images[rows])  # type: ignore[union-attr]
    found: dict[str, Any] = {"accuracy": float(right.mean()), "objects": len(rows), "shares": {}}
    for name, method in methods().items():
        maps = method(network.model_, normalized, output)
        if maps.ndim == 4:
            shares = [mean_of(column) for column in band_share(maps).T]
            inside = pointing(maps, near[rows]).scores()
            found["shares"][name] = {
                "bands": shares,
                "inside": inside["inside"].value,
                "expected": inside["expected"].value,
            }
            print(
                f"{name:21} bands {', '.join(said(share) for share in shares)}; on the source "
                f"{inside['inside'].value:.2f} of {inside['expected'].value:.2f}",
                flush=True,
            )
    return found


def main() -> None:
    """Train what is not trained yet, explain, check, tell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/pictures"))
    parser.add_argument("--stamps", type=int, default=1200, help="simulated stamps to learn from")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--explained", type=int, default=60, help="test stamps explained")
    asked = parser.parse_args()
    start = time.monotonic()
    asked.out.mkdir(parents=True, exist_ok=True)
    how = (asked.stamps, asked.epochs, asked.explained)
    found = {
        "artefacts": prove_artefacts(asked.out / "artefacts", *how),
        "arms": prove_arms(asked.out / "arms", *how),
        "color": prove_color(asked.out / "color", *how),
    }
    (asked.out / "scores.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{time.monotonic() - start:.0f} s; scores are in {asked.out}")


if __name__ == "__main__":
    main()
