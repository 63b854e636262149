"""The strongest images of each filter, with what a deconvnet makes of them, over a large data set.

The reference is a loop of compiled forward passes to the same layer, over the same images.  Images
are made when they are asked for, so that only what the methods hold is seen in the memory, and the
time of making them is in both.  Each number of images has a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.benchmarks._table import Row

__all__ = ["rows"]

SMALL, LARGE = 1_000, int(os.environ.get("BENCH_TOP_IMAGES", "10000"))

_JOB = """
import json, sys, time
from pathlib import Path
from types import SimpleNamespace
import keras, numpy as np, tensorflow as tf
from astrocnn.explain import deconvnet, patches, top_activations
from astrocnn.targets import Categorical
from astrocnn.models.build import build_model

n, size, bands, block, layer = int(sys.argv[1]), 69, 3, 500, "pool2"
keras.utils.set_random_seed(0)
target = SimpleNamespace(name="shape", family=Categorical(("smooth", "spiral", "artifact")))
task = SimpleNamespace(targets=(target,))
model = build_model("dominguez_sanchez18", task, size=size, n_channels=bands)

def images(start):
    rng = np.random.default_rng(start)
    return rng.normal(size=(block, size, size, bands)).astype(np.float32)

def blocks():
    return (images(start) for start in range(0, n, block))

cut = keras.Model(model.input, model.get_layer(layer).output)
forward = tf.function(lambda x: cut({"image": x}, training=False))

def passes():
    for images in blocks():
        for start in range(0, block, 64):
            forward(images[start : start + 64])

def scan():
    return top_activations(model, blocks(), layer)

def picture(top):
    rows = top.rows.ravel()
    chosen = np.empty((len(rows), size, size, bands), np.float32)
    for start in np.unique(rows // block) * block:
        here = rows // block * block == start
        chosen[here] = images(start)[rows[here] - start]
    channels = np.repeat(top.channels, top.rows.shape[1])
    made = deconvnet(model, chosen, layer, channels, place=top.places.reshape(-1, 2))
    boxes = top.boxes.reshape(-1, 4)
    return patches(chosen, boxes), patches(made, boxes)

def timed(job, *given):
    start = time.perf_counter()
    made = job(*given)
    return time.perf_counter() - start, made

forward(images(0)[:64])
floor, _ = timed(passes)
scanned, top = timed(scan)
again, _ = timed(passes)
pictured, _ = timed(picture, top)
# Not getrusage: its peak is that of the process that started this one, if it was larger.
status = Path("/proc/self/status").read_text()
peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps({
    "floor": (floor + again) / 2, "scan": scanned, "picture": pictured, "peak": peak,
    "filters": len(top.channels),
}))
"""


def rows() -> list[Row]:
    """Time of the scan and of the reconstructions, and how memory grows with the images."""
    small, large = _run(SMALL), _run(LARGE)
    floor = large["floor"]
    reference = f"compiled forward passes to pool2 ({LARGE / floor:.0f} images/s)"
    how = f"top 9 of {large['filters']:.0f} filters, dominguez_sanchez18"
    peaks = f"{small['peak']:.0f} and {large['peak']:.0f} MiB"
    return [
        Row(
            f"{how}, {LARGE} images",
            reference,
            large["scan"] / floor,
            "<= 1.1",
            f"{LARGE / large['scan']:.0f} images/s",
        ),
        Row(
            f"{how}, with patches and reconstructions",
            reference,
            (large["scan"] + large["picture"]) / floor,
            "",
            f"{large['picture']:.1f} s for the pictures",
        ),
        Row(f"memory of {how}", f"{SMALL} images", large["peak"] / small["peak"], "<= 1.1", peaks),
    ]


def _run(n: int) -> dict[str, float]:
    command = [sys.executable, "-c", _JOB, str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
