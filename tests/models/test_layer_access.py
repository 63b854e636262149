"""Layers of a network by name, its maps, and the network cut off at a layer."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn.errors import ModelError
from astrocnn.models import Options, build_model
from astrocnn.models.layer_access import (
    convolutions,
    cut_after,
    find_layer,
    last_maps,
    layer_output,
)


@pytest.fixture(scope="module")
def small(two_targets):
    keras.utils.set_random_seed(0)
    options = Options(width=0.25, head_dropout=0.5)
    return build_model("lenet", two_targets, size=36, n_channels=2, n_scalars=1, options=options)


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(5, 36, 36, 2)).astype("float32")
    return {"image": image, "scalars": rng.normal(size=(5, 1)).astype("float32")}


def test_an_unknown_layer_is_refused_with_all_shapes_and_the_nearest(small):
    with pytest.raises(ModelError, match=r"no layer 'conv'(.|\n)*did you mean 'conv.'") as caught:
        find_layer(small, "conv")
    assert "conv2 (12, 12, 4)" in str(caught.value)
    assert find_layer(small, "conv2") is small.get_layer("conv2")


def test_the_output_of_a_shared_layer_is_that_in_this_network():
    """`layer.output` is that of the first network in which a layer was called."""
    dense = layers.Dense(2, name="shared")
    first, second = keras.Input((3,)), keras.Input((3,))
    keras.Model(first, dense(first))
    network = keras.Model(second, layers.Activation("relu")(dense(2 * second)))
    part = keras.Model(network.input, layer_output(network, "shared"))
    values = np.ones((4, 3), "float32")
    np.testing.assert_allclose(part(values), dense(2 * values), rtol=1e-6)


def test_convolutions_are_those_over_pixels_in_order(small):
    assert [layer.name for layer in convolutions(small)] == ["conv1", "conv2", "conv3"]
    spectrum = keras.Input((40, 1))
    made = layers.Flatten()(layers.Conv1D(2, 3)(spectrum))
    with pytest.raises(ModelError, match="no convolution that keeps maps"):
        convolutions(keras.Model(spectrum, made))


def test_the_last_maps_are_the_last_with_a_place_on_the_image(small):
    # 36, 32, 16, 12, 6, and 2 pixels a side after the third convolution.
    assert last_maps(small) == "conv3"
    assert layer_output(small, "conv3").shape[1:3] == (2, 2)


def test_maps_of_one_pixel_are_not_the_last(two_targets):
    model = build_model("lenet", two_targets, size=32, n_channels=1)
    assert layer_output(model, "conv3").shape[1:3] == (1, 1)
    assert last_maps(model) == "pool2"


def test_maps_of_orientations_count_on_request(two_targets):
    options = Options(width=0.25)
    model = build_model("equivariant", two_targets, size=16, n_channels=1, options=options)
    name = last_maps(model, oriented=True)
    assert len(layer_output(model, name).shape) == 5
    with pytest.raises(ModelError, match="no convolution that keeps maps"):
        last_maps(model)


def test_cut_before_the_heads_the_features_give_the_outputs_back(small, x):
    """Dropout is off, so the heads are linear maps of the features."""
    features = np.asarray(cut_after(small)(x))
    assert features.shape == (5, 21) and features.dtype == np.float32
    for name, raw in small(x).items():
        kernel, bias = small.get_layer(name).get_weights()
        np.testing.assert_allclose(features @ kernel + bias, raw, atol=1e-5)


def test_cut_after_maps_their_mean_is_the_vector(small, x):
    maps = keras.Model(small.input, small.get_layer("conv2").output)(x)
    np.testing.assert_allclose(
        cut_after(small, "conv2")(x), np.mean(maps, axis=(1, 2)), rtol=1e-5, atol=1e-6
    )


def test_a_network_with_two_ways_into_its_head_needs_a_name():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    model = keras.Model([a, b], {"y": layers.Concatenate(name="y")([a, b])}, name="split")
    with pytest.raises(ModelError, match=r"no single layer before(.|\n)*2 before 'y'"):
        cut_after(model)


def test_cutting_shares_the_weights(small, x):
    before = np.asarray(cut_after(small, "dense1")(x))
    dense = small.get_layer("dense1")
    weights = dense.get_weights()
    try:
        dense.set_weights([np.zeros_like(w) for w in weights])
        assert not np.asarray(cut_after(small, "dense1")(x)).any() and before.any()
    finally:
        dense.set_weights(weights)
