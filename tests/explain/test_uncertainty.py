"""The number for what draws do not agree on: that of the table, and its gradient."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn.errors import ModelError
from astrocnn.explain import Output, Uncertainty, integrated_gradients, occlusion, saliency
from astrocnn.explain.checks import randomization
from astrocnn.models.monte_carlo_dropout import build_sampler
from astrocnn.plugins import load_module, module_names
from astrocnn.targets import Bernoulli, Binned, Categorical

from .networks import CLASSES, make_images, target

PLACE = "astrocnn.targets.families"
FAMILIES = [f for n in module_names(PLACE) for f in load_module(PLACE, n).examples()]
DRAWS = 6


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(2)
    image = layers.Input((9, 9, 2), name="image")
    x = layers.Conv2D(4, 3, activation="softplus", name="conv")(image)
    x = layers.Dropout(0.4, name="drop")(layers.Flatten()(x))
    outputs = {
        "shape": layers.Dense(3, name="shape")(x),
        "z": layers.Dense(8, name="z")(x),
        "usable": layers.Dense(1, name="usable")(x),
    }
    return build_sampler(keras.Model({"image": image}, outputs), DRAWS)


TARGETS = {
    "shape": target("shape", Categorical(CLASSES)),
    "z": target("z", Binned(0.0, 0.4, 8)),
    "usable": target("usable", Bernoulli()),
}


def number(family, raw):
    return keras.ops.convert_to_numpy(Uncertainty(target("t", family)).number(raw))


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_it_is_that_of_the_table(family):
    raw = np.random.default_rng(1).normal(size=(7, 20, family.units)).astype(np.float32) * 2
    samples = keras.ops.convert_to_numpy(family.activate(raw)).swapaxes(0, 1)
    said = family.summarize(samples)
    expected = said["mutual_info"] if "mutual_info" in said else said["std_epistemic"] ** 2
    np.testing.assert_allclose(number(family, raw), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_draws_that_agree_know_all_there_is(family):
    one = np.random.default_rng(1).normal(size=(7, 1, family.units)).astype(np.float32)
    np.testing.assert_allclose(number(family, np.repeat(one, 30, axis=1)), 0, atol=1e-7)


@pytest.mark.parametrize("k", [2, 3])
def test_draws_certain_of_different_classes_know_nothing(k):
    family = Categorical(tuple("abc"[:k]))
    np.testing.assert_allclose(number(family, 200 * np.eye(k)[None]), np.log(k), rtol=1e-6)


def test_two_opposite_certain_answers_are_a_bit():
    raw = np.array([[[80.0], [-80.0]], [[80.0], [80.0]]], np.float32)
    np.testing.assert_allclose(number(Bernoulli(), raw), [np.log(2), 0], atol=1e-7)


def test_variance_of_a_quantity():
    family = Binned(0.0, 1.0, 2)  # means of 1/4 and 3/4 when certain
    raw = 100.0 * np.array([[[1.0, 0.0], [0.0, 1.0]]])
    np.testing.assert_allclose(number(family, raw), 0.25**2, rtol=1e-6)


@pytest.mark.parametrize("name", TARGETS)
def test_its_gradient_is_that_of_finite_differences(model, name):
    images, output = make_images(2), Uncertainty(TARGETS[name])
    slope = saliency(model, images, output)
    scale = np.abs(slope).max()
    assert scale > 0
    step = 1e-2
    for y, x, band in [(4, 4, 0), (2, 6, 1), (0, 0, 0)]:
        ends = []
        for sign in (1, -1):
            moved = images.copy()
            moved[:, y, x, band] += sign * step
            ends.append(keras.ops.convert_to_numpy(output.number(model({"image": moved})[name])))
        found = (ends[0].astype(float) - ends[1]) / (2 * step)
        np.testing.assert_allclose(slope[:, y, x, band], found, atol=0.01 * scale)


@pytest.mark.parametrize("name", TARGETS)
def test_every_method_maps_it(model, name):
    images, output = make_images(3), Uncertainty(TARGETS[name])
    said = keras.ops.convert_to_numpy(output.number(model({"image": images})[name]))
    assert said.min() > 0
    parts = integrated_gradients(model, images, output, baseline="zero", steps=32)
    np.testing.assert_allclose(parts.score, said, rtol=1e-5)
    np.testing.assert_allclose(parts.residual, 0, atol=2e-3 * said.max())
    hidden = occlusion(model, images, output, size=9, stride=9, fill="zero")
    np.testing.assert_allclose(hidden.drop[:, 0, 0], said - parts.baseline_score, atol=1e-6)


def test_an_output_of_draws_is_their_mean(model):
    images, output = make_images(2), Output(TARGETS["shape"], "spiral", "probability")
    drawn = keras.ops.convert_to_numpy(keras.ops.softmax(model({"image": images})["shape"]))
    found = integrated_gradients(model, images, output, baseline="zero", steps=1).score
    np.testing.assert_allclose(found, drawn[..., 1].mean(axis=1), rtol=1e-5)


def test_methods_on_maps_see_the_layers_before_dropout(model):
    found = load_module("astrocnn.explain.methods", "grad_cam").grad_cam(
        model, make_images(2), Uncertainty(TARGETS["shape"])
    )
    assert found.shape == (2, 7, 7)


def test_the_network_behind_the_draws_forgets():
    keras.utils.set_random_seed(2)
    image = layers.Input((9, 9, 2), name="image")
    x = layers.Conv2D(4, 3, activation="softplus", name="conv")(image)
    x = layers.Dropout(0.4)(layers.Flatten()(x))
    network = keras.Model({"image": image}, {"shape": layers.Dense(3, name="shape")(x)})
    images, output = make_images(2), Uncertainty(TARGETS["shape"])

    def of_draws(model, given, _, **how):
        return saliency(build_sampler(model, DRAWS), given, output, **how)

    found = randomization(of_draws, network, images, output.one_draw())
    assert found.stages == ("shape", "conv")
    assert np.abs(found.correlation).max() < 4 / np.sqrt(161)
    with pytest.raises(ModelError, match="cannot be made anew"):
        randomization(saliency, build_sampler(network, DRAWS), images, output)


def test_labels_say_what_is_explained():
    assert Uncertainty(TARGETS["shape"]).label == "mutual information of shape [nat]"
    assert Uncertainty(TARGETS["z"]).label == "variance over draws of the mean of z"


def test_a_network_without_draws_is_refused(linear, model, images):
    with pytest.raises(ModelError, match="without draws") as caught:
        saliency(linear[0], images, Uncertainty(TARGETS["shape"]))
    assert "received: shape (n, 3,)" in str(caught.value)
    with pytest.raises(ModelError, match="does not predict 'form'"):
        saliency(model, images, Uncertainty(target("form", Categorical(CLASSES))))
    with pytest.raises(ModelError, match="cannot be explained"):
        Uncertainty(target("t", object()))
