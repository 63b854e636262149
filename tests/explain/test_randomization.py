"""Weight randomization: nothing is left of a linear network, all of one without random weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from scipy.stats import spearmanr

from astrocnn.errors import ModelError
from astrocnn.explain import ExplainTarget, saliency
from astrocnn.explain.checks import randomization
from astrocnn.explain.checks.sensitivity import spearman
from astrocnn.explain.methods import get_method

from .networks import BANDS, SIZE, SPIRAL, make_images


def deep(initializer="glorot_uniform"):
    image = layers.Input((SIZE, SIZE, BANDS), name="image")
    x = layers.BatchNormalization(name="norm0")(image)
    x = layers.Conv2D(4, 3, kernel_initializer=initializer, name="conv1")(x)
    x = layers.BatchNormalization(name="norm1")(x)
    x = layers.ReLU()(x)
    x = layers.Conv2D(4, 3, kernel_initializer=initializer, name="conv2")(x)
    x = layers.Flatten()(x)
    shape = layers.Dense(3, kernel_initializer=initializer, name="shape")(x)
    other = layers.Dense(1, name="other")(x)
    return keras.Model({"image": image}, {"shape": shape, "other": other})


def test_randomization_of_a_linear_network(linear, images):
    model, _ = linear
    found = [randomization(saliency, model, images, SPIRAL, seed=seed) for seed in range(8)]
    assert found[0].stages == ("shape",)
    correlation = np.array([f.correlation for f in found])[:, 0, 0]
    # The gradient is w for any image; independent weights correlate by 1 / sqrt(161), by chance.
    assert np.abs(correlation).max() < 4 / np.sqrt(161)
    assert np.abs(correlation.mean()) < 3 / np.sqrt(8 * 161)
    assert correlation.std() == pytest.approx(1 / np.sqrt(161), rel=0.7)


def test_layers_without_random_weights_stay_as_they_are():
    model = deep(keras.initializers.Constant(0.1))
    found = randomization(saliency, model, np.abs(make_images(3)), SPIRAL)
    assert found.stages == ("shape", "conv2", "conv1")
    np.testing.assert_allclose(found.correlation, 1, rtol=1e-12)


def test_stages_go_from_the_output_to_the_input():
    keras.utils.set_random_seed(1)
    model, images = deep(), make_images(3)
    weights = model.get_weights()
    whole = randomization(saliency, model, images, SPIRAL)
    assert whole.stages == ("shape", "conv2", "conv1")
    assert whole.correlation.shape == (3, 3)
    assert (np.abs(whole.correlation) < 0.9).all()
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)
    once = randomization(saliency, model, images, SPIRAL, stages=1)
    assert once.stages == ("conv1",)
    # The same weights, since layers in between are random as well.
    np.testing.assert_array_equal(once.correlation, whole.correlation[:, -1:])
    ends = randomization(saliency, model, images, SPIRAL, stages=2)
    assert ends.stages == ("shape", "conv1")


def test_only_layers_on_the_path_are_randomized():
    found = randomization(saliency, deep(), make_images(2), ExplainTarget(layer="conv1"))
    assert found.stages == ("conv1",)


def test_statistics_of_normalization_are_reset():
    model, images = deep(keras.initializers.Constant(0.1)), np.abs(make_images(3))
    norm = model.get_layer("norm0")
    norm.set_weights([w + np.array([0.0, 3.0], np.float32) for w in norm.get_weights()])
    found = randomization(saliency, model, images, SPIRAL)
    np.testing.assert_allclose(found.correlation[:, :2], 1, rtol=1e-12)
    assert (found.correlation[:, 2] < 0.999).all()


def test_a_map_of_zeros_has_no_correlation(images):
    found = randomization(
        lambda model, images, *_, **__: np.zeros(images.shape[:3]), deep(), images, SPIRAL
    )
    assert np.isnan(found.correlation).all()


def test_networks_of_this_package(network):
    model, images, scalars, output = network
    found = randomization(get_method("grad_cam"), model, images, output, scalars=scalars, stages=1)
    assert found.correlation.shape == (3, 1)
    kept = found.correlation[np.isfinite(found.correlation)]
    assert (np.abs(kept) <= 1).all()


def test_rank_correlation_is_that_of_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4, 5, 6, 2)).round(1)  # with ties
    expected = [
        spearmanr(np.abs(x).ravel(), np.abs(y).ravel()).statistic for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(spearman(a, b), expected, rtol=1e-12)
    np.testing.assert_allclose(spearman(1e-30 * a, b), expected, rtol=1e-12)


def test_invalid_arguments_are_refused(linear, images):
    with pytest.raises(ModelError, match="stages"):
        randomization(saliency, linear[0], images, SPIRAL, stages=0)
    with pytest.raises(ModelError, match="no weights on the path"):
        randomization(saliency, deep(), images, ExplainTarget(layer="image"))
