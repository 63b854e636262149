"""Integrated gradients: exact on linear networks, complete on others."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from astrocnn.errors import ModelError
from astrocnn.explain import integrated_gradients

from .networks import SPIRAL


def test_zero_baseline_of_a_linear_network(linear, images):
    model, w = linear
    found = integrated_gradients(model, images, SPIRAL, baseline="zero", steps=1)
    np.testing.assert_allclose(found.attribution, w * images, rtol=1e-5, atol=1e-7)
    bias = keras.ops.convert_to_numpy(model.get_layer("shape").bias)[1]
    np.testing.assert_allclose(found.baseline_score, bias, rtol=1e-6)
    np.testing.assert_allclose(found.residual, 0, atol=2e-6)


def test_blurred_baseline_of_a_constant_image(linear):
    model, w = linear
    even = np.full((1, 9, 9, 2), 3.0, np.float32)
    found = integrated_gradients(model, even, SPIRAL, baseline="blurred", steps=2)
    np.testing.assert_allclose(found.attribution, 0, atol=1e-6)
    peak = even.copy()
    peak[0, 4, 4, 1] += 10
    found = integrated_gradients(model, peak, SPIRAL, baseline="blurred", steps=2).attribution
    x0 = peak - found / w
    # A blur keeps the total of each band, and does not mix them.
    np.testing.assert_allclose(x0[0, :, :, 0], 3, rtol=1e-4)
    assert x0[0, :, :, 1].sum() == pytest.approx(3 * 81 + 10, rel=1e-3)
    assert x0[0, 4, 4, 1] < 8


def test_sky_baseline_is_the_mean_over_draws(linear):
    model, w = linear
    rng = np.random.default_rng(2)
    image = 5 + 0.1 * rng.standard_normal((2, 9, 9, 2)).astype(np.float32)
    image[:, 4, 4] = 30
    found = integrated_gradients(model, image, SPIRAL, draws=30, steps=1)
    np.testing.assert_allclose(found.attribution[:, 4, 4] / w[4, 4], 25, atol=0.3)
    np.testing.assert_allclose(found.residual, 0, atol=2e-5)
    other = integrated_gradients(model, image, SPIRAL, draws=30, steps=1, seed=1)
    assert np.abs(other.attribution - found.attribution).max() > 0


@pytest.mark.parametrize("baseline", ["sky", "blurred"])
def test_attributions_add_up_to_the_difference_of_scores(network, baseline):
    model, noise, scalars, output = network
    images = 0.1 * noise
    images[:, 5:11, 5:11] += 3  # an object on a sky
    few, many = (
        integrated_gradients(
            model, images, output, scalars=scalars, baseline=baseline, draws=1, steps=steps
        )
        for steps in (1, 64)
    )
    change = np.abs(many.score - many.baseline_score).max()
    assert change > 1e-4
    # Gauss-Legendre points converge fast where all is smooth, and slowly over the kinks of ReLU.
    bound = 1e-3 if model.name == "lenet" else 0.06
    assert np.abs(many.residual).max() < bound * change
    assert np.abs(many.residual).max() < np.abs(few.residual).max()
    x = {"image": images} | ({} if scalars is None else {"scalars": scalars})
    raw = model(x, training=False)[output.target.name]
    np.testing.assert_allclose(many.score, output.value(raw), rtol=1e-4)


def test_invalid_arguments_are_refused(linear, images):
    with pytest.raises(ModelError, match="Unknown `baseline`"):
        integrated_gradients(linear[0], images, SPIRAL, baseline="black")
    with pytest.raises(ModelError, match="steps"):
        integrated_gradients(linear[0], images, SPIRAL, steps=0)
