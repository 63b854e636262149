"""Occlusion of a linear network: the sum of w (x - fill) over the hidden pixels."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from astrocnn.errors import ModelError
from astrocnn.explain import ExplainTarget, occlusion

from .networks import SPIRAL


@pytest.mark.parametrize(("size", "stride"), [(3, 2), (4, 3), (1, 4), (9, 1)])
@pytest.mark.parametrize("fill", ["zero", "mean"])
def test_drop_of_a_linear_network(linear, images, size, stride, fill):
    model, w = linear
    found = occlusion(model, images, SPIRAL, size=size, stride=stride, fill=fill)
    level = images.mean(axis=(1, 2), keepdims=True) if fill == "mean" else 0.0
    part = w * (images - level)
    assert found.top[-1] + size == found.left[-1] + size == 9
    assert (np.diff(found.top) <= stride).all()
    for i, y in enumerate(found.top):
        for j, x in enumerate(found.left):
            expected = part[:, y : y + size, x : x + size].sum(axis=(1, 2, 3))
            np.testing.assert_allclose(found.drop[:, i, j], expected, atol=2e-5)
    raw = keras.ops.convert_to_numpy(model({"image": images})["shape"])[:, 1]
    np.testing.assert_allclose(found.score, raw, rtol=1e-5)


def test_sky_has_level_and_noise_of_the_border(linear):
    model, w = linear
    rng = np.random.default_rng(1)
    sky = 5 + 0.1 * rng.standard_normal((2, 9, 9, 2)).astype(np.float32)
    bright = sky.copy()
    bright[:, 3:6, 3:6] = 50
    kept = {"size": 3, "stride": 3}
    found = occlusion(model, bright, SPIRAL, **kept).drop[:, 1, 1]
    weight = w[3:6, 3:6]
    noise = 0.1 * np.sqrt((weight**2).sum())
    assert np.abs(found - 45 * weight.sum()).max() < 6 * noise + 0.1 * np.abs(weight.sum())
    again = occlusion(model, bright, SPIRAL, **kept).drop[:, 1, 1]
    other = occlusion(model, bright, SPIRAL, seed=1, **kept).drop[:, 1, 1]
    np.testing.assert_array_equal(again, found)
    assert (other != found).all()


def test_pixels_have_the_mean_of_the_squares_that_hide_them(linear, images):
    found = occlusion(linear[0], images, SPIRAL, size=2, stride=1, fill="zero")
    pixels = found.on_pixels(9, 9)
    np.testing.assert_allclose(pixels[:, 0, 0], found.drop[:, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(
        pixels[:, 3, 5], found.drop[:, 2:4, 4:6].mean(axis=(1, 2)), rtol=1e-5, atol=1e-7
    )


def test_activation_of_a_layer_drops(linear, images):
    one = occlusion(linear[0], images, ExplainTarget(layer="shape", channel=1), size=3)
    np.testing.assert_allclose(one.drop, occlusion(linear[0], images, SPIRAL, size=3).drop)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"size": 10}, "larger than the image"),
        ({"size": 0}, "size"),
        ({"stride": 0}, "stride"),
        ({"fill": "grey"}, "Unknown `fill`"),
    ],
)
def test_invalid_arguments_are_refused(linear, images, arguments, words):
    with pytest.raises(ModelError, match=words):
        occlusion(linear[0], images, SPIRAL, **arguments)
