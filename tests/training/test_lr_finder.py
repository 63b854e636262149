"""The learning-rate range test against a parabola, on which every update is known."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from astrocnn.errors import TrainingError
from astrocnn.training.lr_finder import LearningRates, find_learning_rate

from .networks import LOSSES, batches, network


def parabola():
    """One weight w, the loss (a w)^2 / 2 with a = 3: gradient descent multiplies w by 1 - 9 r."""
    x = keras.Input((1,), name="scalars")
    layer = keras.layers.Dense(1, use_bias=False, name="t")
    model = keras.Model({"scalars": x}, {"t": layer(x)})
    layer.set_weights([np.ones((1, 1))])
    one = np.full((1, 1), 3.0, "f4")
    data = tf.data.Dataset.from_tensors(({"scalars": one}, {"t": 0 * one}, {"t": np.ones(1, "f4")}))
    return model, data, {"t": lambda encoded, raw: 0.5 * (raw - encoded)[:, 0] ** 2}


def test_on_a_parabola_it_follows_the_closed_form():
    model, data, losses = parabola()
    found = find_learning_rate(model, data, losses, optimizer="sgd", low=1e-4, high=10, steps=100)
    w = np.cumprod(np.concatenate([[1.0], 1 - 9 * found.rates[:-1]]))
    np.testing.assert_allclose(found.losses, 4.5 * w**2, rtol=1e-3, atol=1e-9)
    # Descent turns into ascent at r = 2 / 9; the suggestion lies in the stable range.
    assert found.losses.argmin() == np.argmax(found.rates > 2 / 9)
    assert found.diverged and len(found) < 100
    assert 2 / 90 < found.suggestion < 2 / 9
    assert model.get_weights()[0] == 1


def test_the_network_is_left_as_it_was():
    model = network(dropout=0.3, batch_norm=True)
    before = [np.array(v.numpy()) for v in model.variables]
    found = find_learning_rate(model, batches(), LOSSES, steps=60, low=1e-5, high=100.0)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert found.diverged and 1e-4 < found.suggestion < 1
    assert np.all(np.diff(np.log(found.rates)) == pytest.approx(np.log(1e7) / 59))


def test_the_average_is_unbiased_and_no_fall_gives_no_suggestion():
    flat = LearningRates(np.geomspace(1e-5, 1, 30), np.full(30, 1.7))
    np.testing.assert_allclose(flat.smoothed, 1.7)
    assert np.isnan(flat.suggestion)
    two = LearningRates(np.array([1.0, 2.0]), np.array([1.0, 0.0]), memory=0.5)
    np.testing.assert_allclose(two.smoothed, [1, 1 / 3])


def test_what_cannot_be_swept_is_refused():
    model, data, losses = parabola()
    with pytest.raises(TrainingError, match="no learning rates to try"):
        find_learning_rate(model, data, losses, low=1.0, high=0.1)
    bad = data.map(lambda x, y, w: ({"scalars": x["scalars"] * np.nan}, y, w))
    with pytest.raises(TrainingError, match="diagnose"):
        find_learning_rate(model, bad, losses)
