"""Kernels and maps of layers, against the arrays they are made from."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from scipy.signal import correlate2d

from astrocnn.errors import InputsError, ModelError
from astrocnn.explain import feature_maps, weights


@pytest.fixture(scope="module")
def conv():
    image = layers.Input((9, 9, 2), name="image")
    x = layers.Conv2D(4, 3, bias_initializer="normal", name="first")(image)
    x = layers.Conv2D(3, 2, name="second")(x)
    return keras.Model({"image": image}, {"shape": layers.Flatten(name="flat")(x)}, name="conv")


def test_maps_are_correlations_with_the_weights(conv, images):
    kernels, bias = weights(conv), keras.ops.convert_to_numpy(conv.get_layer("first").bias)
    assert kernels.shape == (2, 4, 3, 3)
    maps = feature_maps(conv, images, "first")
    expected = [
        sum(correlate2d(images[2, :, :, band], kernels[band, f], "valid") for band in range(2))
        + bias[f]
        for f in range(4)
    ]
    np.testing.assert_allclose(maps[2], np.stack(expected, axis=-1), atol=1e-5)


def test_deeper_kernels_on_request(conv):
    assert weights(conv, "second").shape == (4, 3, 2, 2)


def test_maps_do_not_depend_on_the_batch(conv, images):
    all_at_once = feature_maps(conv, images, "flat")
    np.testing.assert_allclose(
        feature_maps(conv, images, "flat", batch_size=2), all_at_once, rtol=1e-5, atol=1e-6
    )


def test_an_unknown_layer_is_refused_with_all_layers(conv, images):
    for call in (lambda: feature_maps(conv, images, "frist"), lambda: weights(conv, "frist")):
        with pytest.raises(ModelError, match="no layer 'frist'") as caught:
            call()
        assert "first (7, 7, 4), second (6, 6, 3)" in str(caught.value)
        assert "did you mean 'first'" in str(caught.value)


def test_layers_without_kernels_over_pixels_are_refused(conv, linear):
    with pytest.raises(ModelError, match="'flat' has no kernels") as caught:
        weights(conv, "flat")
    assert "first, second" in str(caught.value)
    with pytest.raises(ModelError, match="no convolution"):
        weights(linear[0])


def test_wrong_arrays_are_refused(conv, images):
    with pytest.raises(InputsError, match="`image` must have the shape") as caught:
        feature_maps(conv, images[:, :8], "first")
    assert "(n, 9, 9, 2)" in str(caught.value)
    with pytest.raises(InputsError, match="`scalars`"):
        feature_maps(conv, images, "first", scalars=np.zeros((5, 1)))
    with pytest.raises(InputsError, match="must have the shape"):
        feature_maps(conv, images[:0], "first")
    with pytest.raises(InputsError, match="must be finite"):
        feature_maps(conv, np.where(images > 1, np.nan, images), "first")
    with pytest.raises(ModelError, match="batch_size"):
        feature_maps(conv, images, "first", batch_size=0)


def test_a_network_without_image_is_refused():
    scalars = layers.Input((2,), name="scalars")
    model = keras.Model({"scalars": scalars}, {"z": layers.Dense(1)(scalars)}, name="ann")
    with pytest.raises(ModelError, match="takes no image"):
        feature_maps(model, np.zeros((1, 0, 0, 0)), "z", scalars=np.zeros((1, 2)))


def test_layers_shared_by_two_networks(conv, images):
    image = layers.Input((9, 9, 2), name="image")
    shared = conv.get_layer("first")(2 * image)
    twice = keras.Model({"image": image}, {"shape": layers.Flatten()(shared)}, name="twice")
    np.testing.assert_allclose(
        feature_maps(twice, images, "first"), feature_maps(conv, 2 * images, "first"), atol=1e-6
    )
