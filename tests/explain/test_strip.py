"""Networks of scalars: closed forms on linear ones, and what holds for every architecture."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn.errors import ModelError
from astrocnn.explain import (
    METHODS,
    ExplainTarget,
    as_strip,
    embedding,
    integrated_gradients,
    occlusion,
    saliency,
    smooth_grad,
)
from astrocnn.explain.checks import deletion, randomization
from astrocnn.explain.methods import AttributionMethod, get_method
from astrocnn.models import Options
from astrocnn.models.build import ARCHITECTURES, build_model
from astrocnn.models.monte_carlo_dropout import build_sampler
from astrocnn.plugins import load_module, module_names
from astrocnn.targets import Binned

from .networks import CLASSES, SPIRAL, target

OF_SCALARS = [
    n
    for n in module_names(ARCHITECTURES)
    if not getattr(load_module(ARCHITECTURES, n), "IMAGE", True)
]
REDSHIFT = ExplainTarget(target("z", Binned(0.0, 0.4, 12)))


def scalars(n, count, seed=0):
    return np.random.default_rng(seed).normal(size=(n, count)).astype(np.float32)


def strips(x):
    return x[:, None, :, None]


@pytest.fixture(scope="module")
def line():
    """A linear network of five scalars, and its weights for "spiral"."""
    x = layers.Input((5,), name="scalars")
    raw = layers.Dense(3, bias_initializer="normal", name="shape")(x)
    model = keras.Model({"scalars": x}, {"shape": raw})
    w, b = model.get_layer("shape").get_weights()
    return as_strip(model), w[:, 1], b[1]


@pytest.fixture(scope="module", params=OF_SCALARS)
def network(request):
    keras.utils.set_random_seed(3)
    targets = (REDSHIFT.target, SPIRAL.target)
    options = Options(width=0.25, head_dropout=0.3)
    return build_model(
        request.param,
        SimpleNamespace(targets=targets),
        size=0,
        n_channels=0,
        n_scalars=40,
        options=options,
    )


def test_a_linear_network_of_scalars(line):
    strip, w, b = line
    x = scalars(4, 5)
    found = integrated_gradients(strip, strips(x), SPIRAL, steps=1)
    np.testing.assert_allclose(found.attribution[:, 0, :, 0], w * x, rtol=1e-5, atol=1e-7)
    # The default baseline is the mean of the training set, not the noise of a border.
    np.testing.assert_allclose(found.baseline_score, b, rtol=1e-6)
    np.testing.assert_allclose(found.score, x @ w + b, rtol=1e-5)
    hidden = occlusion(strip, strips(x), SPIRAL)
    assert hidden.size == 1 and hidden.drop.shape == (4, 1, 5)
    np.testing.assert_allclose(hidden.drop[:, 0], w * x, atol=2e-6)
    np.testing.assert_allclose(hidden.on_pixels(1, 5)[:, 0], w * x, atol=2e-6)
    for slope in (saliency, smooth_grad):
        np.testing.assert_allclose(slope(strip, strips(x), SPIRAL)[2, 0, :, 0], w, rtol=1e-5)


@pytest.mark.parametrize(("size", "stride"), [(2, 1), (3, 2), (5, 1)])
def test_a_window_of_neighbors_is_cut_at_the_border_of_the_strip(line, size, stride):
    strip, w, _ = line
    x = scalars(3, 5)
    found = occlusion(strip, strips(x), SPIRAL, size=size, stride=stride, fill="zero")
    assert found.top.tolist() == [0] and found.left[-1] == 5 - size
    for j, first in enumerate(found.left):
        part = (w * x)[:, first : first + size].sum(axis=1)
        np.testing.assert_allclose(found.drop[:, 0, j], part, atol=2e-6)
    covered = found.on_pixels(1, 5)
    np.testing.assert_allclose(covered[:, 0, 0], found.drop[:, 0, 0], rtol=1e-6)
    with pytest.raises(ModelError, match="larger than the image"):
        occlusion(strip, strips(x), SPIRAL, size=6)


def test_a_long_strip_is_occluded_in_windows():
    x = layers.Input((443,), name="scalars")
    model = keras.Model({"scalars": x}, {"shape": layers.Dense(3, name="shape")(x)})
    found = occlusion(as_strip(model), strips(scalars(1, 443)), SPIRAL)
    assert found.size == 13 and found.drop.shape[2] == 73


def test_deletion_sets_scalars_to_the_mean_of_the_training_set(line):
    strip, w, b = line
    x = scalars(4, 5)
    found = deletion(strip, strips(x), SPIRAL, strips(w * x), steps=5)
    order = np.argsort(-np.abs(w * x), axis=1)
    gone = np.cumsum(np.take_along_axis(w * x, order, axis=1), axis=1)
    whole = x @ w + b
    np.testing.assert_allclose(found.deletion[:, 0], whole, rtol=1e-5)
    np.testing.assert_allclose(found.deletion[:, 1:], whole[:, None] - gone, atol=1e-5)
    np.testing.assert_allclose(found.insertion[:, 1:], b + gone, atol=1e-5)


@pytest.mark.parametrize("output", [REDSHIFT, SPIRAL], ids=["quantity", "class"])
def test_the_strip_is_the_same_network(network, output):
    strip, x = as_strip(network), scalars(6, 40)
    name = output.target.name
    ours, theirs = strip({"image": strips(x)}), network({"scalars": x})
    np.testing.assert_array_equal(ours[name], theirs[name])
    assert [id(w) for w in strip.weights] == [id(w) for w in network.weights]
    # Keras's own derivative with respect to the scalars.
    import tensorflow as tf

    given = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(given)
        total = tf.reduce_sum(output.value(network({"scalars": given}, training=False)[name]))
    slope = saliency(strip, strips(x), output)[:, 0, :, 0]
    assert np.abs(slope).max() > 0
    expected = tape.gradient(total, given).numpy()
    np.testing.assert_allclose(slope, expected, atol=1e-5 * np.abs(slope).max())


def test_attributions_add_up_to_the_difference_from_the_mean_object(network):
    strip, x = as_strip(network), scalars(4, 40)
    found = integrated_gradients(strip, strips(x), REDSHIFT, steps=64)
    mean = REDSHIFT.value(network({"scalars": np.zeros((1, 40))}, training=False)["z"])
    np.testing.assert_allclose(found.baseline_score, float(mean[0]), rtol=1e-5)
    change = np.abs(found.score - found.baseline_score).max()
    assert change > 1e-4 and np.abs(found.residual).max() < 0.02 * change


@pytest.mark.parametrize(
    "name", [n for n in module_names(METHODS) if isinstance(get_method(n), AttributionMethod)]
)
def test_methods_explain_scalars_or_name_the_reason(name, network):
    strip, x = as_strip(network), scalars(3, 40)
    pixel_map = get_method(name)
    if name in ("grad_cam", "deconvnet"):
        with pytest.raises(ModelError, match="no convolution that keeps maps of the image"):
            pixel_map(strip, strips(x), SPIRAL)
        return
    found = pixel_map(strip, strips(x), SPIRAL)
    assert found.shape[:3] == (3, 1, 40) and np.isfinite(found).all() and np.abs(found).max() > 0
    moved = pixel_map(strip, strips(x)[[2, 0, 1]], SPIRAL, batch_size=50)
    np.testing.assert_allclose(moved, found[[2, 0, 1]], atol=2e-4 * np.abs(found).max())


def test_randomization_and_embedding_of_scalars(network):
    strip, x = as_strip(network), scalars(3, 40)
    found = randomization(saliency, strip, strips(x), REDSHIFT, stages=2)
    assert found.correlation.shape == (3, 2) and np.abs(found.correlation).max() < 0.99
    assert found.stages[-1] in {layer.name for layer in network.layers}
    points = embedding(strip, strips(x)).points
    assert points.shape == (3, 2) and np.ptp(points, axis=0).min() > 0


def test_one_class_per_object_and_uncertainty(network):
    strip, x = as_strip(network), scalars(3, 40)
    classes = [CLASSES[0], CLASSES[2], CLASSES[0]]
    found = saliency(strip, strips(x), ExplainTarget(SPIRAL.target, classes=classes))
    for k, name in enumerate(classes):
        alone = saliency(strip, strips(x[k : k + 1]), ExplainTarget(SPIRAL.target, name))[0]
        np.testing.assert_allclose(found[k], alone, atol=1e-5 * np.abs(alone).max())
    sampler = build_sampler(strip, draws=4, seed=1)
    found = saliency(sampler, strips(x), ExplainTarget(SPIRAL.target, uncertainty=True))
    assert found.shape == (3, 1, 40, 1) and np.abs(found).max() > 0


def test_a_network_of_images_is_no_strip(linear):
    with pytest.raises(ModelError, match="scalars alone") as error:
        as_strip(linear[0])
    assert "image" in str(error.value)
