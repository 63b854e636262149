"""How fast batches arrive: from shards on disk, with and without augmentation."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable

import numpy as np

from astrocnn.imaging import ArraySource
from tests.benchmarks._table import Row

ROWS, SIZE, BANDS, BATCH, REPEATS = 8192, 64, ("u", "g", "r", "i", "z"), 256, 7


def _drain(data: Iterable[object]) -> None:
    for _ in data:
        pass


def rows() -> list[Row]:
    """Feeds of ROWS images against the same batches gathered from memory."""
    import keras
    import tensorflow as tf

    from astrocnn.catalog import Catalog
    from astrocnn.datasets import D4, build_dataset, write_shards
    from astrocnn.imaging import Inputs, Normalization

    images = np.random.default_rng(0).normal(size=(ROWS, SIZE, SIZE, len(BANDS)))
    images = images.astype(np.float32)
    catalog = Catalog.from_table({"id": np.arange(ROWS)})
    plain = Inputs(BANDS, SIZE, normalization=Normalization.identity(len(BANDS)))
    ones = (1.0,) * len(BANDS)
    asinh = plain.with_normalization(Normalization("asinh", (0.1,) * len(BANDS), ones))
    keras_layers = keras.Sequential(
        [keras.layers.RandomFlip("horizontal_and_vertical"), keras.layers.RandomRotation(0.5)]
    )
    in_memory = tf.constant(images)
    order = tf.data.Dataset.range(ROWS).shuffle(ROWS, seed=0).batch(BATCH)
    gathered = order.map(lambda i: tf.gather(in_memory, i), num_parallel_calls=tf.data.AUTOTUNE)

    with tempfile.TemporaryDirectory() as folder:
        shards = write_shards(folder, catalog, ArraySource(images, bands=BANDS), plain)
        every = np.arange(ROWS)

        def feed(inputs: Inputs, *steps: object) -> tf.data.Dataset:
            return build_dataset(
                shards, every, None, inputs, batch_size=BATCH, shuffle=True, augmentation=steps
            )

        bare = feed(plain)
        with_keras = bare.map(
            lambda x: keras_layers(x["image"], training=True), num_parallel_calls=tf.data.AUTOTUNE
        )
        feeds = {
            "memory": gathered.prefetch(tf.data.AUTOTUNE),
            "shards": bare,
            "asinh": feed(asinh),
            "d4": feed(plain, D4()),
            "asinh+d4": feed(asinh, D4()),
            "keras": with_keras.prefetch(tf.data.AUTOTUNE),
        }
        times = _interleaved({name: lambda d=data: _drain(d) for name, data in feeds.items()})

    def ratio(name: str, reference: str) -> float:
        pairs = zip(times[name], times[reference], strict=True)
        return statistics.median(a / b for a, b in pairs)

    rate = f"{ROWS / statistics.median(times['shards']):.0f} images/s of {SIZE}x{SIZE}x{len(BANDS)}"
    memory, same = "tf.data from memory", "same feed without augmentation"
    return [
        Row("shards to tf.data, shuffled", memory, ratio("shards", "memory"), "<= 1.5", rate),
        Row("the same, asinh and scaled", memory, ratio("asinh", "memory"), ""),
        Row("D4 augmentation", same, ratio("d4", "shards"), "<= 2.5"),
        Row("D4 augmentation, asinh", same, ratio("asinh+d4", "asinh"), "<= 2.5"),
        Row("Keras RandomFlip + RandomRotation", same, ratio("keras", "shards"), ""),
    ]


def _interleaved(jobs: dict[str, Callable[[], None]]) -> dict[str, list[float]]:
    """Times of each job in turn, so that a busy moment of the machine hits them all."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for repeat in range(REPEATS + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if repeat:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    return times
