"""Shift: exact for convolutions, at random for a dense layer, less for pooling."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn.errors import ModelError
from astrocnn.explain import saliency
from astrocnn.explain.checks import shift

from .networks import SPIRAL, make_images


def convolutional(pool):
    keras.utils.set_random_seed(2)
    image = layers.Input((24, 24, 2), name="image")
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(image)
    if pool:
        x = layers.MaxPooling2D(4)(x)
    raw = layers.Dense(3, name="shape")(layers.GlobalAveragePooling2D()(x))
    return keras.Model({"image": image}, {"shape": raw})


def test_maps_of_convolutions_move_with_the_image():
    images = make_images(3, 24)
    found = shift(saliency, convolutional(pool=False), images, SPIRAL)
    assert found.shape == (3, 2)
    np.testing.assert_allclose(found, 1, atol=1e-6)
    pooled = shift(saliency, convolutional(pool=True), images, SPIRAL)
    assert (pooled < 0.9).all()
    # A step as wide as the window of the pooling is no change.
    wide = shift(saliency, convolutional(pool=True), images, SPIRAL, moves=[(4, -4)], margin=9)
    np.testing.assert_allclose(wide, 1, atol=1e-6)


def test_the_map_of_a_linear_network_stays_where_it_is(linear, images):
    model, w = linear
    found = shift(saliency, model, images, SPIRAL, moves=[(0, 1), (-1, 0)], margin=2)
    expected = [
        np.corrcoef(w[2:7, 1:6].ravel(), w[2:7, 2:7].ravel())[0, 1],
        np.corrcoef(w[3:8, 2:7].ravel(), w[2:7, 2:7].ravel())[0, 1],
    ]
    np.testing.assert_allclose(found, np.tile(expected, (5, 1)), atol=1e-6)


def test_images_are_moved_by_whole_pixels_without_wrapping(images):
    seen = []

    def method(model, images, output, **_):
        seen.append(images)
        return images

    image = layers.Input((9, 9, 2), name="image")
    raw = layers.Dense(3, name="shape")(layers.Flatten()(image))
    model = keras.Model({"image": image}, {"shape": raw})
    found = shift(method, model, images, SPIRAL, moves=[(2, -1)], margin=2)
    np.testing.assert_allclose(found, 1)
    np.testing.assert_array_equal(seen[1][:, 2:, :-1], images[:, :-2, 1:])
    np.testing.assert_array_equal(seen[1][:, 0], seen[1][:, 2])


@pytest.mark.parametrize(
    "arguments",
    [{"moves": []}, {"moves": [(0, 0)]}, {"margin": 4}, {"moves": [(0, 2)], "margin": 1}],
)
def test_invalid_arguments_are_refused(linear, images, arguments):
    with pytest.raises(ModelError, match="leave no pixels to compare"):
        shift(saliency, linear[0], images, SPIRAL, **arguments)
