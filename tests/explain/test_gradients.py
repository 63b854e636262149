"""Saliency and SmoothGrad: on linear networks the weights themselves."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn.errors import ModelError
from astrocnn.explain import ExplainTarget, saliency, smooth_grad
from astrocnn.targets import Categorical

from .networks import BANDS, CLASSES, SIZE, SPIRAL, target


@pytest.fixture(scope="module")
def square():
    """A network whose answer is the sum of x squared: its gradient is 2 x."""
    image = layers.Input((SIZE, SIZE, BANDS), name="image")
    x = layers.Flatten()(layers.Multiply()([image, image]))
    return keras.Model(
        {"image": image}, {"shape": layers.Dense(3, kernel_initializer="ones", name="shape")(x)}
    )


def test_saliency_of_a_linear_network_is_its_weights(linear, images):
    model, w = linear
    found = saliency(model, images, SPIRAL)
    np.testing.assert_allclose(found, np.broadcast_to(w, images.shape), rtol=1e-6)


def test_saliency_of_a_probability_follows_the_chain_rule(linear, images):
    model, _ = linear
    raw = keras.ops.convert_to_numpy(model({"image": images})["shape"]).astype(float)
    p = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    kernel = keras.ops.convert_to_numpy(model.get_layer("shape").kernel)
    slope = p[:, 1:2] * (np.eye(3)[1] - p) @ kernel.T
    output = ExplainTarget(target("shape", Categorical(CLASSES)), "spiral", "probability")
    found = saliency(model, images, output)
    np.testing.assert_allclose(found.reshape(5, -1), slope, atol=1e-6)


def test_smooth_grad_of_a_linear_network_is_its_weights(linear, images):
    model, w = linear
    found = smooth_grad(model, images, SPIRAL, draws=3)
    np.testing.assert_allclose(found, np.broadcast_to(w, images.shape), rtol=1e-6)


def test_smooth_grad_is_the_gradient_at_the_mean_of_the_noisy_copies(square, images):
    no_noise = smooth_grad(square, images, SPIRAL, noise=0, draws=2)
    np.testing.assert_allclose(no_noise, 2 * images, rtol=1e-6)
    found = smooth_grad(square, images, SPIRAL, noise=0.2, draws=40, seed=4)
    span = np.ptp(images, axis=(1, 2, 3), keepdims=True)
    pattern = (found - 2 * images) / (2 * 0.2 * span)
    # The same noise for all images, with the spread of a mean of 40.
    np.testing.assert_allclose(pattern, np.broadcast_to(pattern[:1], pattern.shape), atol=1e-5)
    assert pattern[0].std() * np.sqrt(40) == pytest.approx(1, abs=0.2)
    other = smooth_grad(square, images, SPIRAL, noise=0.2, draws=40, seed=5)
    assert np.abs(other - found).max() > 0.01


def test_invalid_noise_is_refused(linear, images):
    with pytest.raises(ModelError, match="must be >= 0"):
        smooth_grad(linear[0], images, SPIRAL, noise=-0.1)
    with pytest.raises(ModelError, match="draws"):
        smooth_grad(linear[0], images, SPIRAL, draws=0)
