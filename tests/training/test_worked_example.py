"""A network worked out by hand: automatic differentiation gives the same numbers.

Two inputs, two hidden sigmoid units, two sigmoid outputs, half the squared error; one step of
gradient descent with the rate 0.5 (M. Mazur, "A step by step backpropagation example", 2015).
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from astrocnn.training import Optimizer, fit

INPUTS, TARGETS = (0.05, 0.10), (0.01, 0.99)


def worked_example() -> keras.Model:
    x = keras.Input((2,), name="image")
    hidden = keras.layers.Dense(2, activation="sigmoid", name="hidden")
    output = keras.layers.Dense(2, activation="sigmoid", name="out")
    model = keras.Model({"image": x}, {"out": output(hidden(x))})
    hidden.set_weights([np.array([[0.15, 0.25], [0.20, 0.30]]), np.full(2, 0.35)])
    output.set_weights([np.array([[0.40, 0.50], [0.45, 0.55]]), np.full(2, 0.60)])
    return model


def half_squared_error(encoded, raw):
    return 0.5 * keras.ops.sum((encoded - raw) ** 2, axis=-1)


def test_one_step_of_the_worked_example():
    model = worked_example()
    before = model.get_layer("out").get_weights()
    out = model({"image": np.array([INPUTS], "f4")})
    np.testing.assert_allclose(out["out"], [[0.75136507, 0.772928465]], atol=1e-6)
    data = tf.data.Dataset.from_tensors(
        (
            {"image": np.array([INPUTS], "f4")},
            {"out": np.array([TARGETS], "f4")},
            {"out": np.ones(1, "f4")},
        )
    )
    history = fit(
        model,
        data,
        objective={"out": half_squared_error},
        epochs=1,
        optimizer=Optimizer("sgd", 0.5),
        strategy="one",
    )
    assert history["loss"][0] == pytest.approx(0.298371, abs=1e-6)
    kernel, bias = model.get_layer("out").get_weights()
    np.testing.assert_allclose(kernel.T, [[0.358916, 0.408666], [0.511301, 0.561370]], atol=1e-6)
    kernel_1, _ = model.get_layer("hidden").get_weights()
    np.testing.assert_allclose(kernel_1.T, [[0.149781, 0.199561], [0.249751, 0.299502]], atol=1e-6)
    # The biases move as well, with the same deltas as the weights.
    hidden = np.array([0.593269992, 0.596884378])
    np.testing.assert_allclose(bias - before[1], (kernel - before[0])[0] / hidden[0], atol=1e-6)
