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


def sweep(losses: np.ndarray, memory: float = 0.9, **more) -> LearningRates:
    return LearningRates(np.geomspace(1e-6, 1, len(losses)), losses, memory, **more)


def test_the_average_is_unbiased_and_no_fall_gives_no_suggestion():
    flat = sweep(np.full(30, 1.7))
    np.testing.assert_allclose(flat.smoothed, 1.7)
    assert flat.suggestion is None and not flat.has_diverged
    two = LearningRates(np.array([1.0, 2.0]), np.array([1.0, 0.0]), memory=0.5)
    np.testing.assert_allclose(two.smoothed, [1, 1 / 3])
    without = sweep(np.array([3.0, 1.0, 2.0]), memory=0.0)
    np.testing.assert_array_equal(without.smoothed, without.losses)


@pytest.mark.parametrize(("level", "size"), [(0.0, 1.0), (-3.0, 1.0), (0.0, 1e-3), (50.0, 1.0)])
def test_where_the_loss_runs_away(level, size):
    """It falls from 1 to 0.5 and rises in a straight line, in any unit, above any level."""
    fall, rise = np.linspace(1, 0.5, 60), np.linspace(0.5, 1000, 500)
    losses = level + size * np.concatenate([np.ones(10), fall, rise])
    found = [sweep(losses[:n]) for n in range(1, len(losses) + 1)]
    end = next(i for i, one in enumerate(found) if one.has_diverged)
    lowest = found[-1].smoothed.min()
    limit = lowest + 3 * max(abs(lowest), losses[:10].mean() - lowest)
    assert found[end].smoothed[-1] > limit >= found[end - 1].smoothed[-1]


@pytest.mark.parametrize("first", [1e-3, 0.2, 5.0, 500.0])
def test_one_odd_batch_at_the_beginning_neither_stops_it_nor_is_the_lowest(first):
    """As with one example a batch: the first is easy or hopeless, the others scatter by half."""
    for seed in range(50):
        rng = np.random.default_rng(seed)
        losses = rng.exponential(1.0, 2000) * np.linspace(1, 0.5, 2000)
        losses[0] = first
        found = sweep(losses, memory=1 - 12 / 2000)
        assert not any(
            sweep(losses[:n], memory=1 - 12 / 2000).has_diverged for n in (1, 9, 200, 2000)
        )
        assert found.suggestion is None or found.suggestion > 1e-4


def test_noise_alone_gives_no_suggestion():
    rng = np.random.default_rng(0)
    found = [sweep(rng.normal(1.0, 0.2, 120)).suggestion is not None for _ in range(300)]
    assert np.mean(found) < 0.05
    # The same noise hides no fall to the half.
    fall = np.concatenate([np.ones(40), np.linspace(1, 0.5, 80)])
    found = [sweep(fall + rng.normal(0, 0.2, 120)).suggestion for _ in range(300)]
    assert np.mean([one is not None and one > 1e-3 for one in found]) > 0.95


def test_what_cannot_be_swept_is_refused():
    model, data, losses = parabola()
    with pytest.raises(TrainingError, match="Invalid range of learning rates"):
        find_learning_rate(model, data, losses, low=1.0, high=0.1)
    bad = data.map(lambda x, y, w: ({"scalars": x["scalars"] * np.nan}, y, w))
    with pytest.raises(TrainingError, match="loss of batch 1 is not finite"):
        find_learning_rate(model, bad, losses)
    late = data.repeat(3).concatenate(bad)
    with pytest.raises(TrainingError, match="loss of batch 4 is not finite"):
        find_learning_rate(model, late, losses)
    assert model.get_weights()[0] == 1
