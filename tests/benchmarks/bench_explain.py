"""Occlusion and integrated gradients against the passes that they cannot do without.

The reference is one compiled call with all those passes prepared beforehand: forward passes of
images with a hidden square, or forward and backward passes of points on the way.  Ours make their
images themselves, and are traced anew in each call, as a user calls them.  bfloat16 is the same
call with ``with_precision(model, "bfloat16")``.  All take turns.  Peers are timed where they are
installed; captum in a process of its own, against the same passes in PyTorch.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from astrocnn.explain import ExplainTarget, integrated_gradients, occlusion
from astrocnn.models import Options, with_precision
from astrocnn.models.build import build_model
from astrocnn.targets import Categorical
from astrocnn.training import has_fast_bfloat16
from tests.benchmarks._table import Row

__all__ = ["rows"]

SIZE, BANDS, IMAGES, BATCH = 69, 3, 8, 64
SQUARE, STRIDE, PATCHES, POINTS = 9, 6, 121, 51
TARGET = SimpleNamespace(name="shape", family=Categorical(("smooth", "spiral", "artifact")))
SPIRAL = ExplainTarget(TARGET, "spiral")


def rows() -> list[Row]:
    """The comparisons of this module."""
    keras.utils.set_random_seed(0)
    model = build_model(
        "dominguez_sanchez18",
        SimpleNamespace(targets=(TARGET,)),
        size=SIZE,
        n_channels=BANDS,
        options=Options(),
    )
    short = with_precision(model, "bfloat16")
    images = np.random.default_rng(0).normal(size=(IMAGES, SIZE, SIZE, BANDS)).astype("float32")
    return [
        *_occlusion(model, short, images),
        *_integrated(model, short, images),
        *_captum(model),
    ]


def _occlusion(model: Any, short: Any, images: Any) -> list[Row]:
    how = {"size": SQUARE, "stride": STRIDE, "batch_size": BATCH}
    forward = tf.function(lambda x: model({"image": x}, training=False)["shape"])
    blocks = _blocks(IMAGES * (PATCHES + 1))
    one = images[:1].copy()

    def looped() -> None:
        for _ in range(PATCHES):
            model.predict({"image": one}, verbose=0)

    jobs: dict[str, Callable[[], Any]] = {
        "floor": lambda: [forward(block) for block in blocks],
        "ours": lambda: occlusion(model, images, SPIRAL, **how),
        "short": lambda: occlusion(short, images, SPIRAL, **how),
    }
    peer = _peer_occlusion(model, images)
    if peer is not None:
        jobs["xplique"] = peer
    found, times = _in_turns(jobs)
    assert found["ours"].drop[0].size == PATCHES
    loop = IMAGES * _once(looped)
    floor = times["floor"]
    reference = f"compiled forward passes ({floor / IMAGES:.2f} s an object)"
    title = f"occlusion, {PATCHES} squares"
    rows = [
        Row(title, reference, times["ours"] / floor, "<= 1.1", _each(times["ours"])),
        _of_short(
            title, reference, times["short"] / floor, found["ours"].drop, found["short"].drop
        ),
        Row(f"{title}, loop over predict", reference, loop / floor, ""),
    ]
    if peer is not None:
        rows.append(Row(f"{title}, xplique", reference, times["xplique"] / floor, ""))
    return rows


def _integrated(model: Any, short: Any, images: Any) -> list[Row]:
    how = {"baseline": "zero", "steps": POINTS, "batch_size": BATCH}

    @tf.function
    def slope(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.reduce_sum(model({"image": x}, training=False)["shape"][:, 1])
        return tape.gradient(score, x)

    blocks = _blocks(IMAGES * POINTS)
    jobs: dict[str, Callable[[], Any]] = {
        "floor": lambda: [slope(block) for block in blocks],
        "ours": lambda: integrated_gradients(model, images, SPIRAL, **how),
        "short": lambda: integrated_gradients(short, images, SPIRAL, **how),
    }
    peer = _peer_gradients(model, images)
    if peer is not None:
        jobs["xplique"] = peer
    found, times = _in_turns(jobs)
    floor = times["floor"]
    reference = f"compiled gradients ({floor / IMAGES:.2f} s an object)"
    title = f"integrated gradients, {POINTS} points"
    pair = found["ours"].attribution, found["short"].attribution
    rows = [
        Row(title, reference, times["ours"] / floor, "<= 1.1", _each(times["ours"])),
        _of_short(title, reference, times["short"] / floor, *pair),
    ]
    if peer is not None:
        rows.append(Row(f"{title}, xplique", reference, times["xplique"] / floor, ""))
    return rows


def _of_short(title: str, reference: str, ratio: float, exact: Any, rounded: Any) -> Row:
    like = np.corrcoef(exact.ravel(), rounded.ravel())[0, 1]
    fast = has_fast_bfloat16()
    note = f"correlation of the maps {like:.4f}" + ("" if fast else "; this processor has no AMX")
    return Row(f"{title}, bfloat16", reference, ratio, "< 1" if fast else "", note)


def _peer_occlusion(model: Any, images: Any) -> Callable[[], Any] | None:
    if importlib.util.find_spec("xplique") is None:
        return None
    from xplique.attributions import Occlusion

    explainer = Occlusion(_one_input(model), BATCH, patch_size=SQUARE, patch_stride=STRIDE)
    return lambda: explainer.explain(images, _wanted(images))


def _peer_gradients(model: Any, images: Any) -> Callable[[], Any] | None:
    if importlib.util.find_spec("xplique") is None:
        return None
    from xplique.attributions import IntegratedGradients

    explainer = IntegratedGradients(
        _one_input(model), None, BATCH, steps=POINTS, baseline_value=0.0
    )
    return lambda: explainer.explain(images, _wanted(images))


def _captum(model: Any) -> list[Row]:
    if importlib.util.find_spec("captum") is None:
        return []
    layers = [{"class": type(v).__name__, "config": v.get_config()} for v in model.layers]
    about = {
        "layers": layers,
        "size": SIZE,
        "bands": BANDS,
        "images": IMAGES,
        "batch": BATCH,
        "square": SQUARE,
        "stride": STRIDE,
        "patches": PATCHES,
        "points": POINTS,
    }
    command = [sys.executable, "-m", "tests.benchmarks._captum", json.dumps(about, default=str)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    times: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    pairs = (
        (f"occlusion, {PATCHES} squares, captum", "occlusion", "forward"),
        (f"integrated gradients, {POINTS} points, captum", "integrated", "backward"),
    )
    return [
        Row(
            title,
            f"the same passes in PyTorch ({times[floor] / IMAGES:.2f} s an object)",
            times[job] / times[floor],
            "",
            _each(times[job]),
        )
        for title, job, floor in pairs
    ]


def _one_input(model: Any) -> keras.Model:
    return keras.Model(model.input["image"], model.output["shape"])


def _wanted(images: Any) -> Any:
    return np.tile(np.eye(3, dtype="float32")[1], (len(images), 1))


def _blocks(n: int) -> list[Any]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(BATCH, SIZE, SIZE, BANDS)).astype("float32")
    return [tf.constant(x[: min(BATCH, n - start)]) for start in range(0, n, BATCH)]


def _each(seconds: float) -> str:
    return f"{seconds / IMAGES:.2f} s an object"


def _once(job: Callable[[], Any]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def _in_turns(
    jobs: dict[str, Callable[[], Any]], repeats: int = 5
) -> tuple[dict[str, Any], dict[str, float]]:
    found = {name: job() for name, job in jobs.items()}
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            times[name].append(_once(job))
    return found, {name: statistics.median(values) for name, values in times.items()}
