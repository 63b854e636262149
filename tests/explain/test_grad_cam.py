"""Grad-CAM: class activation maps where a mean over maps is followed by the head."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn.errors import ModelError
from astrocnn.explain import ExplainTarget, feature_maps, grad_cam
from astrocnn.explain.methods import get_method

from .networks import SPIRAL


@pytest.fixture(scope="module")
def averaged():
    keras.utils.set_random_seed(0)
    image = layers.Input((9, 9, 2), name="image")
    x = layers.Conv2D(5, 3, activation="relu", name="conv")(image)
    x = layers.MaxPooling2D(name="pool")(layers.Conv2D(4, 2, name="deep")(x))
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model({"image": image}, {"shape": layers.Dense(3, name="shape")(x)}, name="net")


def test_class_activation_map(averaged, images):
    maps = feature_maps(averaged, images, "pool")
    w = keras.ops.convert_to_numpy(averaged.get_layer("shape").kernel)[:, 1]
    expected = np.maximum((maps * w).sum(axis=-1), 0) / (3 * 3)
    found = grad_cam(averaged, images, SPIRAL)
    assert found.shape == (5, 3, 3)
    assert (found > 0).any() and (found == 0).any()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    enlarged = get_method("grad_cam")(averaged, images, SPIRAL)
    # Nine pixels from three: every third is the middle of a pixel of the map.
    np.testing.assert_allclose(enlarged[:, 1::3, 1::3], found, rtol=1e-5, atol=1e-7)


def test_another_layer_on_request(averaged, images):
    maps = feature_maps(averaged, images, "deep")
    peaks = maps == maps.reshape(5, 3, 2, 3, 2, 4).max(axis=(2, 4)).repeat(2, 1).repeat(2, 2)
    w = keras.ops.convert_to_numpy(averaged.get_layer("shape").kernel)[:, 1]
    importance = (peaks * w / 9).mean(axis=(1, 2), keepdims=True)
    expected = np.maximum((importance * maps).sum(axis=-1), 0)
    found = grad_cam(averaged, images, SPIRAL, layer="deep")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


def test_a_layer_after_the_output_has_no_influence(averaged, images):
    assert not grad_cam(averaged, images, ExplainTarget(layer="conv"), layer="pool").any()


def test_layers_without_maps_are_refused(averaged, linear, images):
    with pytest.raises(ModelError, match="no convolution"):
        grad_cam(linear[0], images, SPIRAL)
    with pytest.raises(ModelError, match="'mean' has no maps"):
        grad_cam(averaged, images, SPIRAL, layer="mean")
    with pytest.raises(ModelError, match="no layer 'conv2'") as caught:
        grad_cam(averaged, images, SPIRAL, layer="conv2")
    assert "deep (6, 6, 4)" in str(caught.value)
