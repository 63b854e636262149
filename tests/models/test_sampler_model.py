"""A model whose outputs are draws."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn.errors import ModelError
from astrocnn.models.monte_carlo_dropout import MonteCarloDropout, build_sampler

DRAWS = 12


@pytest.fixture(scope="module", params=["vectors", "maps"])
def network(request):
    """Dropout before the heads, or between convolutions too; one output it does not reach."""
    keras.utils.set_random_seed(4)
    image = keras.Input((8, 8, 2), name="image")
    scalars = keras.Input((2,), name="scalars")
    x = layers.Conv2D(4, 3, activation="relu", name="c1")(image)
    sure = layers.Dense(2, name="sure")(layers.GlobalAveragePooling2D()(x))
    if request.param == "maps":
        x = layers.SpatialDropout2D(0.3, name="between")(x)
    x = layers.Conv2D(4, 3, activation="relu", name="c2")(x)
    x = layers.Concatenate()([layers.Flatten()(x), scalars])
    x = layers.Dropout(0.5, name="last")(x)
    outputs = {"a": layers.Dense(3, name="a")(x), "sure": sure}
    return keras.Model({"image": image, "scalars": scalars}, outputs, name="small")


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return {
        "image": rng.normal(size=(5, 8, 8, 2)).astype("float32"),
        "scalars": rng.normal(size=(5, 2)).astype("float32"),
    }


def test_its_answers_are_the_draws(network, batch):
    found = build_sampler(network, DRAWS, seed=3)(batch)
    expected = MonteCarloDropout(network, DRAWS, seed=3)(batch)
    assert set(found) == set(expected) == {"a", "sure"}
    for name, value in expected.items():
        assert tuple(found[name].shape) == (5, DRAWS, network.output[name].shape[-1])
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(found[name]),
            np.moveaxis(keras.ops.convert_to_numpy(value), 0, 1),
            atol=1e-6,
        )


def test_it_is_a_graph_with_the_inputs_and_weights_of_the_network(network):
    model = build_sampler(network, DRAWS)
    assert model.input.keys() == network.input.keys()
    assert model.output["a"].shape == (None, DRAWS, 3)
    assert model.output["sure"].shape == (None, DRAWS, 2)
    assert model.get_layer("c1").kernel is network.get_layer("c1").kernel
    assert model.count_params() == network.count_params()


def test_a_network_without_dropout_is_refused():
    x = keras.Input((3,), name="scalars")
    with pytest.raises(ModelError, match="needs a network with dropout layers"):
        build_sampler(keras.Model({"scalars": x}, {"y": layers.Dense(1)(x)}), DRAWS)
