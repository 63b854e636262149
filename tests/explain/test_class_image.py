"""The image of the largest score: in closed form for linear scores, larger than at random else."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from scipy.ndimage import gaussian_filter

from astrocnn.errors import InputsError, ModelError
from astrocnn.explain import ExplainTarget, class_image
from astrocnn.explain.sky import SourceModel
from astrocnn.targets import Categorical

from .networks import CLASSES, SPIRAL, make_images, target


@pytest.mark.parametrize("steps", [1, 30])
def test_the_best_image_of_a_linear_score_is_its_weights_over_twice_the_penalty(linear, steps):
    model, w = linear
    found = class_image(model, SPIRAL, l2=0.25, seeing=0, adds=False, steps=steps)
    assert found.shape == w.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, w / 0.5, rtol=1e-5, atol=1e-7)


def test_light_only_adds_to_the_sky(linear):
    model, w = linear
    found = class_image(model, SPIRAL, l2=0.25, seeing=0, steps=3)
    np.testing.assert_allclose(found, np.maximum(w, 0) / 0.5, rtol=1e-5, atol=1e-7)
    low = class_image(model, SPIRAL, lowest=True, l2=0.25, seeing=0, steps=3)
    np.testing.assert_allclose(low, np.maximum(-w, 0) / 0.5, rtol=1e-5, atol=1e-7)


def test_seeing_blurs_there_and_back(linear):
    model, w = linear
    found = class_image(model, SPIRAL, l2=0.5, seeing=0.7, adds=False, steps=3)
    twice = gaussian_filter(w, (0.7 * np.sqrt(2), 0.7 * np.sqrt(2), 0), mode="constant", radius=4)
    inside = (slice(3, 6), slice(3, 6))
    np.testing.assert_allclose(found[inside], twice[inside], atol=0.04 * np.abs(twice).max())
    even = class_image(_sum(), ExplainTarget(layer="sum"), l2=0.5, seeing=0)
    np.testing.assert_allclose(even, 1, rtol=1e-6)


def objects(n=300, sky=3.0, noise=0.1):
    """Squares of one color on a sky: 4 in the first band, 2 in the second."""
    rng = np.random.default_rng(1)
    images = sky + noise * rng.standard_normal((n, 9, 9, 2)).astype(np.float32)
    images[:, 3:6, 3:6] += np.float32([4.0, 2.0])
    return images


def test_source_model_of_simulated_objects():
    looks = SourceModel.measure(objects())
    np.testing.assert_allclose(looks.level, 3, atol=0.01)
    np.testing.assert_allclose(looks.noise, 0.1, atol=0.01)
    # A ninth of the pixels have all the light, a mean square of (16 + 4) / 2 in each.
    assert looks.brightness == pytest.approx(np.sqrt(10 / 9), rel=1e-3)
    np.testing.assert_allclose(looks.place[3:6, 3:6], 3, rtol=0.01)
    assert looks.place[0].max() < 0.15
    np.testing.assert_allclose(looks.place, looks.place.transpose(1, 0, 2))
    # The root of the covariance of one color is that color twice.
    assert np.sum(looks.color**2) == pytest.approx(2)
    np.testing.assert_allclose(looks.color / looks.color[0, 0], [[1, 0.5], [0.5, 0.25]], atol=0.03)
    light = np.random.default_rng(0).normal(size=(2, 9, 9, 2))
    assert np.sum(looks.spread(light[0]) * light[1]) == pytest.approx(
        np.sum(light[0] * looks.gather(light[1]))
    )


def test_class_image_has_the_brightness_and_colors_of_given_images(linear):
    model, w = linear
    looks = SourceModel.measure(objects())
    found = class_image(model, SPIRAL, like=objects(), l2=0.25, seeing=0, adds=False)
    expected = looks.level + looks.spread(looks.gather(w.astype(float))) / 0.5
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    found = class_image(model, SPIRAL, like=objects(), seeing=0.5) - looks.level
    assert np.sqrt(np.mean(found**2)) == pytest.approx(looks.brightness, rel=1e-4)
    assert found.min() >= -1e-6
    assert found[4, 4, 0] == pytest.approx(2 * found[4, 4, 1], rel=0.02)


def test_class_image_without_given_images_has_unit_brightness(linear):
    alone = class_image(linear[0], SPIRAL)
    assert np.sqrt(np.mean(alone**2)) == pytest.approx(1, rel=1e-5)


def test_channels_of_masks_stay_unchanged(linear):
    model, _ = linear
    like = make_images(4)
    like[..., 1] = 1
    found = class_image(model, SPIRAL, like=like, bands=1, seeing=0)
    np.testing.assert_array_equal(found[..., 1], 1)
    assert found[..., 0].std() > 0.01


def test_a_curved_score_ends_where_its_slope_is_the_penalty():
    """S = sum of w log cosh I: the best image solves w tanh I = 2 l2 I."""
    image = layers.Input((6, 6, 1), name="image")
    raw = layers.Flatten()(keras.ops.log(keras.ops.cosh(image - 1.0) + 0.0))
    w = np.random.default_rng(0).uniform(0.5, 1, (36, 1)).astype(np.float32)
    dense = layers.Dense(1, use_bias=False, name="sum")
    model = keras.Model({"image": image}, {"sum": dense(raw)}, name="curved")
    dense.set_weights([w])
    found = class_image(
        model, ExplainTarget(layer="sum"), l2=2.0, seeing=0, adds=False, steps=300
    ).ravel()
    np.testing.assert_allclose(w[:, 0] * np.tanh(found - 1), 4 * found, atol=6e-3)


def test_class_image_of_an_architecture_and_its_seed(network):
    model, images, scalars, output = network
    if output.scale == "probability":
        output = ExplainTarget(target("shape", Categorical(CLASSES)), "spiral")
    one = None if scalars is None else scalars[0]
    found = class_image(model, output, scalars=one, adds=False, seeing=0.5, steps=12)

    def score(image):
        x = {"image": image} | ({} if scalars is None else {"scalars": scalars[:1]})
        return float(output.value(model(x, training=False)[output.target.name])[0])

    as_bright = [np.random.default_rng(s).permutation(found.ravel()) for s in range(3)]
    assert score(found[None]) > max(score(a.reshape(1, *found.shape)) for a in as_bright)
    first, again, other = (
        class_image(model, output, like=images, scalars=one, steps=2, seed=seed)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(other - first).max() > 0


def test_source_model_of_images_without_light(linear):
    empty = SourceModel.measure(np.full((3, 9, 9, 2), 2.0, np.float32))
    assert empty.level.tolist() == [2, 2] and empty.noise.tolist() == [0, 0]
    assert empty.brightness == 1


def test_invalid_arguments_are_refused(linear, images):
    model, _ = linear
    for words, arguments in {
        "`l2` must be > 0": {"l2": 0.0},
        "`seeing` must be >= 0": {"seeing": -1.0},
        "`bands` must not exceed": {"bands": 3},
        "`steps` must be at least 1": {"steps": 0},
    }.items():
        with pytest.raises(ModelError, match=words):
            class_image(model, SPIRAL, **arguments)
    with pytest.raises(InputsError, match="`image` must have the shape"):
        class_image(model, SPIRAL, like=images[:, :5])
    with pytest.raises(ModelError, match="no layer 'shaped'"):
        class_image(model, ExplainTarget(layer="shaped"))


def _sum():
    image = layers.Input((5, 5, 1), name="image")
    raw = layers.Dense(1, kernel_initializer="ones", name="sum")(layers.Flatten()(image))
    return keras.Model({"image": image}, {"sum": raw}, name="sum_of_pixels")
