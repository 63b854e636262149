"""Training: an epoch of ours against Keras ``fit`` on the same network, data, loss and rule.

Both are compiled without XLA, start from the same weights and see the same batches, in turns; the
first epoch of each turn, which traces the graph, is not timed, and the quickest of the others
counts.  The note gives what a user plans with: milliseconds
an object, and how much of the multiply-adds of forward and backward passes (three times those of
one forward pass) the processor gets through in a second.
"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from astrocnn.models import Options
from astrocnn.models.build import build_model
from astrocnn.models.summary import summarize_layers
from astrocnn.targets import Categorical
from astrocnn.training import fit, has_fast_bfloat16
from tests.benchmarks._table import Row

__all__ = ["rows"]

BATCH, EPOCHS, TURNS = 32, 5, 3
STEPS, PACE = (2, 50), 3e10
"""Fewest and most batches of an epoch, and the multiply-adds it should have at least."""
FAMILY = Categorical(("smooth", "spiral", "artifact"))
TASK = SimpleNamespace(targets=(SimpleNamespace(name="shape", family=FAMILY),))
NETWORKS: dict[str, tuple[int, int, Options]] = {
    "lenet": (32, 1, Options()),
    "plain8": (64, 3, Options()),
    "dominguez_sanchez18": (69, 3, Options()),
    "euclid_quality": (150, 1, Options()),
    "pasquet19": (64, 5, Options(width=0.25)),
    "resnet18": (64, 3, Options()),
    "resnet34": (64, 3, Options()),
    "googlenet": (64, 3, Options()),
    "convnext": (64, 3, Options()),
    "equivariant": (64, 3, Options()),
    "alexnet": (112, 3, Options(width=0.5)),
    "vgg16": (64, 3, Options(width=0.5)),
}
"""Pixels a side, bands and options by architecture."""


def rows() -> list[Row]:
    """The comparisons of this module."""
    return [row for name in NETWORKS for row in _compare(name)]


def _compare(name: str) -> list[Row]:
    size, bands, options = NETWORKS[name]
    keras.utils.set_random_seed(0)
    model = build_model(name, TASK, size=size, n_channels=bands, options=options)
    each = 3 * sum(layer.multiply_adds for layer in summarize_layers(model))
    n = BATCH * int(np.clip(PACE / (BATCH * each), *STEPS))
    data, work = _data(n, size, bands), n * each
    start = model.get_weights()
    theirs = ours = np.inf
    for _ in range(TURNS):
        model.set_weights(start)
        theirs = min(theirs, _keras(model, data))
        model.set_weights(start)
        ours = min(ours, _ours(model, data, "float32"))
    title = f"training, {name}, {size}x{size}x{bands}" + _width(options)
    note = f"{1e3 * ours / n:.2f} ms an object, {work / ours / 1e9:.0f} Gmac/s"
    found = [Row(title, "Keras fit", ours / theirs, "<= 1.05", note)]
    if has_fast_bfloat16():
        model.set_weights(start)
        short = _ours(model, data, "bfloat16")
        note = f"{1e3 * short / n:.2f} ms an object"
        found.append(Row(f"{title}, bfloat16", "float32", short / ours, "< 1", note))
    return found


def _width(options: Options) -> str:
    return "" if options.width == 1 else f", width {options.width:g}"


def _data(n: int, size: int, bands: int) -> tf.data.Dataset:
    rng = np.random.default_rng(0)
    x = {"image": rng.normal(size=(n, size, size, bands)).astype("float32")}
    y = {"shape": np.eye(3, dtype="float32")[rng.integers(3, size=n)]}
    weights = {"shape": np.ones(n, "float32")}
    return tf.data.Dataset.from_tensor_slices((x, y, weights)).batch(BATCH).cache()


class _Clock(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.times.append(time.perf_counter() - self.start)


def _keras(model: keras.Model, data: tf.data.Dataset) -> float:
    clock = _Clock()
    loss = {"shape": keras.losses.CategoricalCrossentropy(from_logits=True)}
    model.compile(keras.optimizers.Adam(1e-4), loss, jit_compile=False)
    model.fit(data, epochs=EPOCHS, verbose=0, callbacks=[clock])
    return min(clock.times[1:])


def _ours(model: keras.Model, data: tf.data.Dataset, precision: str) -> float:
    history = fit(
        model,
        data,
        objective={"shape": FAMILY.loss},
        epochs=EPOCHS,
        strategy="one",
        precision=precision,
    )
    return float(min(history["seconds"][1:]))
