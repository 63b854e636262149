"""Each check passes on what is well and speaks up on what was broken on purpose."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from astrocnn.training import diagnostics as d

from .networks import FAMILIES, LOSSES, network, sample


def batch(n=60):
    return tf.nest.map_structure(tf.constant, sample(n))


@pytest.fixture(scope="module")
def model():
    return network()


def test_the_initial_loss_of_a_zero_head_is_log_k(model):
    names = ("kind", "barred")
    saved = model.get_weights()
    for name in names:
        model.get_layer(name).set_weights([0 * w for w in model.get_layer(name).get_weights()])
    silent = d.check_initial_loss(model, batch(), FAMILIES)
    assert all(f.passed for f in silent)
    assert f"kind: {math.log(3):.3f}" in silent[0].message
    assert f"barred: {math.log(2):.3f}" in silent[1].message
    for name in names:
        model.get_layer(name).set_weights([w + 40 for w in model.get_layer(name).get_weights()])
        model.get_layer(name).bias.assign(np.linspace(0, 60, model.get_layer(name).units))
    assert not d.check_initial_loss(model, batch(), FAMILIES)[0].passed
    model.set_weights(saved)


def test_layers_are_measured_as_they_are(model):
    x, y, w = batch()
    found = d.compute_layer_statistics(model, (x, y, w), LOSSES)
    conv = np.asarray(model.get_layer(found[0].name)(x["image"]))
    assert found[0].mean == pytest.approx(conv.mean(), rel=1e-4)
    assert found[0].std == pytest.approx(conv.std(), rel=1e-4)
    # The gradient of the binary cross-entropy in the last layer is (p - y) times its input.
    raw = np.asarray(model(x)["barred"])
    p = 1 / (1 + np.exp(-raw))
    error = (p - np.asarray(y["barred"])).mean()
    hidden = np.asarray(keras.Model(model.inputs, model.get_layer("barred").input)(x))
    kernel = ((p - np.asarray(y["barred"])) * hidden).mean(axis=0)
    expected = np.sqrt(np.mean(np.append(kernel, error) ** 2))
    (barred,) = (s for s in found if s.name == "barred")
    assert barred.gradient == pytest.approx(expected, rel=1e-3)
    assert all(f.passed for f in d.check_layers(found))
    assert np.isnan([s.gradient for s in found if "flatten" in s.name]).all()


def test_dead_units_and_vanishing_gradients_are_named():
    image = keras.Input((8, 8, 2), name="image")
    x = keras.layers.Flatten()(image)
    for _ in range(9):
        x = keras.layers.Dense(8, activation="sigmoid", kernel_initializer="glorot_normal")(x)
    heads = {k: keras.layers.Dense(f.units, name=k)(x) for k, f in FAMILIES.items()}
    deep = keras.Model({"image": image}, heads)
    findings = {
        f.check: f for f in d.check_layers(d.compute_layer_statistics(deep, batch(), LOSSES))
    }
    assert not findings["gradients"].passed and "ReLU" in findings["gradients"].message
    killed = network()
    conv = next(v for v in killed.layers if "conv" in v.name)
    conv.bias.assign(np.full(6, -100.0))
    findings = {
        f.check: f for f in d.check_layers(d.compute_layer_statistics(killed, batch(), LOSSES))
    }
    assert not findings["dead units"].passed and "100 %" in findings["dead units"].message


def test_constant_weights_are_found_and_random_ones_are_not(model):
    assert d.check_symmetry(model, batch(), LOSSES).passed
    same = network()
    for layer in same.layers:
        layer.set_weights([np.full_like(w, 0.05) for w in layer.get_weights()])
    found = d.check_symmetry(same, batch(), LOSSES)
    assert not found.passed and "8 units, 1 different" in found.message


def test_the_first_layer_without_numbers_is_named(model):
    x, _, _ = batch()
    assert d.check_finite(model, x).passed
    broken = network()
    dense = next(v for v in broken.layers if v.name.startswith("dense"))
    kernel, bias = dense.get_weights()
    kernel[3, 2] = np.nan
    dense.set_weights([kernel, bias])
    message = d.check_finite(broken, x).message
    assert f"'{dense.name}'" in message and "weights are not finite" in message
    assert "input 'image'" in d.check_finite(model, {"image": x["image"] * np.inf}).message


def test_twenty_examples_can_be_overfitted(model):
    before = model.get_weights()
    assert d.check_overfit(model, batch(20), FAMILIES, rate=1e-2).passed
    for got, want in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, want)
    x, y, w = batch(20)
    blind = {"image": 0 * x["image"]}
    assert not d.check_overfit(model, (blind, y, w), FAMILIES, steps=40).passed
    alike = {k: v[:1] * tf.ones((20, 1)) for k, v in y.items()}
    w = {k: tf.ones(20) for k in w}
    assert (
        "all labels are equal" in d.check_overfit(model, (x, alike, w), FAMILIES, steps=1).message
    )


def test_inputs_far_from_zero_and_one():
    rng = np.random.default_rng(0)
    good = rng.normal(size=(30, 8, 8, 2))
    assert d.check_inputs({"image": good}).passed
    assert not d.check_inputs({"image": 1e4 + good}).passed
    assert not d.check_inputs({"image": good * [1.0, 0.0]}).passed


def test_labels():
    content = np.array(["a", "a", "b", "b", "", ""])
    y, w = np.eye(2)[[0, 1, 0, 0, 0, 1]], np.ones(6)
    found = d.check_contradictions(content, y, w)
    assert not found.passed and "2 images occur more than once, 1 with" in found.message
    assert d.check_contradictions(content, y, np.array([1, 0, 1, 1, 1, 1])).passed
    assert d.check_balance({"a": 30, "b": 40}).passed
    assert "1 : 50" in d.check_balance({"a": 1, "b": 50}).message
    assert not d.check_balance({"a": 0, "b": 50}).passed


def test_leakage_by_pixels_and_by_place():
    split = np.array([0, 0, 1, 2])
    apart = np.array(["a", "b", "c", "d"])
    assert d.check_leakage(split, apart).passed
    assert not d.check_leakage(split, np.array(["a", "b", "a", "d"])).passed
    assert d.check_leakage(split, np.array(["a", "a", "", ""])).passed
    # Across RA = 0 at Dec = 60, where 1.2 arcsec of RA are 0.6 arcsec on the sky.
    ra = np.array([359.9999, 10.0, 359.9999 + 1.2 / 3600, np.nan])
    found = d.check_leakage(split, apart, ra % 360, np.full(4, 60.0))
    assert not found.passed and "1 pairs within 1 arcsec" in found.message
    assert d.check_leakage(split, apart, ra, np.zeros(4)).passed
