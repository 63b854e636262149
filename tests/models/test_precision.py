"""Networks that compute in bfloat16."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from astrocnn.errors import ModelError
from astrocnn.models.build import build_model
from astrocnn.models.monte_carlo_dropout import MonteCarloDropout
from astrocnn.models.precision import with_precision


@pytest.fixture(scope="module")
def model(task_of):
    keras.utils.set_random_seed(0)
    return build_model("dominguez_sanchez18", task_of(a=3, b=1), size=20, n_channels=2)


@pytest.fixture(scope="module")
def x():
    return {"image": np.random.default_rng(0).normal(size=(16, 20, 20, 2)).astype("float32")}


def test_hidden_layers_compute_short_and_heads_and_weights_stay_long(model):
    twin = with_precision(model, "bfloat16")
    assert twin.get_layer("conv2").compute_dtype == "bfloat16"
    assert {twin.get_layer(n).compute_dtype for n in ("a", "b")} == {"float32"}
    assert {w.dtype for w in twin.weights} == {"float32"}
    for one, two in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert model.get_layer("conv2").compute_dtype == "float32"


def test_there_and_back_is_the_same_network(model, x):
    back = with_precision(with_precision(model, "bfloat16"), "float32")
    for key, value in model(x).items():
        np.testing.assert_array_equal(value, back(x)[key])


def test_answers_agree_to_the_digits_bfloat16_has(model, x):
    short = with_precision(model, "bfloat16")
    for key, value in model(x).items():
        scale = float(np.abs(value).max())
        np.testing.assert_allclose(short(x)[key], value, atol=0.02 * scale)
        assert not np.array_equal(short(x)[key], value)
    long_draws = MonteCarloDropout(model, 20)(x)["a"]
    short_draws = MonteCarloDropout(short, 20)(x)["a"]
    assert keras.backend.standardize_dtype(short_draws.dtype) == "float32"
    scale = float(np.std(long_draws))
    difference = np.asarray(short_draws) - np.asarray(long_draws)
    assert np.abs(difference).max() < 0.1 * scale
    # Rounding must not act as a gain: the draws lie on a line of slope one.
    slope = np.sum(np.asarray(short_draws) * long_draws) / np.sum(np.square(long_draws))
    assert slope == pytest.approx(1, abs=4e-3)


def test_unknown_precision_is_refused(model):
    with pytest.raises(ModelError, match="float32, bfloat16"):
        with_precision(model, "half")
