"""DeepDream: the activation rises, the shape stays, and results depend on the seed alone."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn.errors import ModelError
from astrocnn.explain import ExplainTarget, deep_dream, feature_maps
from astrocnn.explain.methods.deep_dream import resize_network

from .networks import SPIRAL, make_images


@pytest.fixture(scope="module")
def conv():
    keras.utils.set_random_seed(6)
    image = layers.Input((20, 16, 2), name="image")
    x = layers.Conv2D(4, 3, activation="relu", padding="same", name="first")(image)
    x = layers.MaxPooling2D(name="pool")(layers.BatchNormalization()(x))
    x = layers.Conv2D(3, 3, name="second")(x)
    x = layers.Dense(3, name="after_flattening")(layers.Flatten()(x))
    return keras.Model({"image": image}, {"shape": x})


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 20, 16, 2)).astype(np.float32)


@pytest.mark.parametrize("channel", [None, 1])
@pytest.mark.parametrize("octaves", [1, 3])
def test_the_activation_rises_in_an_image_of_the_same_shape(conv, pictures, channel, octaves):
    found = deep_dream(
        conv, pictures, ExplainTarget(layer="second", channel=channel), octaves=octaves, steps=5
    )
    assert found.shape == pictures.shape and found.dtype == np.float32

    def response(images):
        maps = feature_maps(conv, images, "second")
        values = maps**2 if channel is None else maps[..., channel]
        return values.mean(axis=tuple(range(1, values.ndim)))

    assert (response(found) > response(pictures) + 1e-3).all()


def test_ascent_of_a_linear_activation(linear, images):
    model, w = linear
    found = deep_dream(model, images, SPIRAL, octaves=1, steps=7, rate=0.1, seeing=0, jitter=0)
    unit = w / (np.abs(w) + np.sqrt(np.mean(w**2)))
    np.testing.assert_allclose(found - images, np.broadcast_to(0.7 * unit, images.shape), atol=1e-5)
    assert np.abs(found - images).max() < 0.7


def test_objects_are_independent_and_results_depend_on_the_seed(conv, pictures):
    def dream(images, **options):
        return deep_dream(conv, images, ExplainTarget(layer="first"), steps=3, octaves=2, **options)

    found = dream(pictures)
    np.testing.assert_allclose(dream(pictures[[2, 0]], batch_size=1), found[[2, 0]], atol=1e-5)
    np.testing.assert_array_equal(dream(pictures), found)
    assert np.abs(dream(pictures, seed=1) - found).max() > 0.001


def test_smaller_octaves_make_larger_patterns(conv, pictures):
    """Power at the finest scale falls when there is only drawing on a coarse one."""

    def roughness(octaves):
        only_there = {"steps": 4, "seeing": 0.0, "jitter": 0, "ratio": 2.0}
        drawn = deep_dream(
            conv, pictures, ExplainTarget(layer="first", channel=0), octaves=octaves, **only_there
        )
        drawn = drawn - pictures
        return np.mean(np.diff(drawn, axis=1) ** 2) / np.mean(drawn**2)

    assert roughness(2) < 0.8 * roughness(1)


def test_masks_stay_unchanged(conv, pictures):
    found = deep_dream(conv, pictures, ExplainTarget(layer="second"), bands=1, steps=2)
    np.testing.assert_array_equal(found[..., 1], pictures[..., 1])
    assert np.abs(found[..., 0] - pictures[..., 0]).max() > 0.01


def test_a_network_for_another_size_has_the_same_layers(conv):
    cut = keras.Model(conv.input, conv.get_layer("pool").output)
    small = resize_network(cut, 8, 10)
    assert small.output.shape == (None, 4, 5, 4)
    images = make_images(2, 20)[:, :, :16]
    whole = keras.ops.convert_to_numpy(cut({"image": images}))
    part = keras.ops.convert_to_numpy(small({"image": images[:, :8, :10]}))
    np.testing.assert_allclose(part[:, :3, :4], whole[:, :3, :4], atol=1e-6)


def test_invalid_arguments_are_refused(conv, pictures):
    with pytest.raises(ModelError, match="images of another size") as caught:
        deep_dream(conv, pictures, ExplainTarget(layer="after_flattening"))
    assert "fewer octaves" in str(caught.value)
    with pytest.raises(ModelError, match="images of another size"):
        deep_dream(conv, pictures, ExplainTarget(layer="second"), octaves=9)
    with pytest.raises(ModelError, match="no layer 'third'") as caught:
        deep_dream(conv, pictures, ExplainTarget(layer="third"))
    assert "second (8, 6, 3)" in str(caught.value)
    for words, arguments in {
        "`ratio`": {"ratio": 1.0},
        "`rate`": {"rate": 0.0},
        "jitter": {"jitter": -1},
        "seeing": {"seeing": np.nan},
        "`bands` must not exceed": {"bands": 0},
        "octaves": {"octaves": 0},
    }.items():
        with pytest.raises(ModelError, match=words):
            deep_dream(conv, pictures, ExplainTarget(layer="second"), **arguments)
