"""A small network and data set, the same in every process of these tests."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from astrocnn.targets import Bernoulli, Categorical

FAMILIES = {"kind": Categorical(("a", "b", "c")), "barred": Bernoulli()}
LOSSES = {name: family.loss for name, family in FAMILIES.items()}


def sample(n: int = 103, seed: int = 0) -> tuple[dict, dict, dict]:
    """Images whose brightness decides the labels; a fifth of one label is missing."""
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(n, 8, 8, 2)).astype("float32")
    level = rng.normal(size=(n, 2)).astype("float32")
    image += 0.5 * level[:, None, None]
    kind = np.digitize(level[:, 0], [-0.5, 0.5])
    y = {
        "kind": np.eye(3, dtype="float32")[kind],
        "barred": (level[:, 1:] > 0).astype("float32"),
    }
    weights = {
        "kind": (rng.random(n) < 0.8).astype("float32"),
        "barred": np.ones(n, "float32"),
    }
    return {"image": image}, y, weights


def batches(n: int = 103, batch: int = 20, shuffle: bool = True, seed: int = 0) -> tf.data.Dataset:
    """The sample in batches of which the last is ragged."""
    data = tf.data.Dataset.from_tensor_slices(sample(n, seed))
    if shuffle:
        data = data.shuffle(n, seed=5)
    return data.batch(batch)


def network(seed: int = 0, dropout: float = 0.0, batch_norm: bool = False) -> keras.Model:
    """Convolution, pooling, two heads."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 2), name="image")
    x = keras.layers.Conv2D(6, 3, activation="relu")(image)
    if batch_norm:
        x = keras.layers.BatchNormalization()(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    if dropout:
        x = keras.layers.Dropout(dropout)(x)
    x = keras.layers.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-3))(x)
    heads = {
        name: keras.layers.Dense(family.units, dtype="float32", name=name)(x)
        for name, family in FAMILIES.items()
    }
    return keras.Model({"image": image}, heads)
