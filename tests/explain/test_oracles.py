"""Agreement with independent implementations, where they are installed (`astrocnn[oracles]`).

tf-keras-vis 0.8.7 and xplique 1.3.3 run under TensorFlow 2.21 and Keras 3.15 as they are, and the
pins of xplique 1.3.3 allow that (those of later ones do not).  Without them these tests are
skipped.  Both wheels put a folder ``tests`` at the top of the environment, which hides this one
from ``python -m tests.benchmarks``; beside the environment they do no harm:

    pip install --no-deps --target DIR tf-keras-vis xplique==1.3.3 opencv-python
    PYTHONPATH=DIR pytest tests/explain/test_oracles.py

Both want a network of one tensor in and one out, and explain one number of it, as here.  Tolerances
are parts of the largest value of a map; where they say rounding, less than 3e-7 was found.
"""

from __future__ import annotations

import importlib
import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn.explain import (
    ExplainTarget,
    grad_cam,
    integrated_gradients,
    occlusion,
    saliency,
    smooth_grad,
)
from astrocnn.explain.checks import deletion
from astrocnn.explain.methods.deconvnet import deconvnet
from astrocnn.targets import Categorical

SIZE, BANDS, CLASS = 12, 2, 1
OUTPUT = ExplainTarget(SimpleNamespace(name="shape", family=Categorical(("a", "b", "c"))), "b")


def imported(name):
    """A module of an optional package, or the test is skipped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy.ndimage.interpolation, in tf-keras-vis
        pytest.importorskip(name.partition(".")[0], exc_type=ImportError)
        return importlib.import_module(name)


@pytest.fixture(scope="module", params=["relu", "tanh"])
def network(request):
    """``(model, plain, images)``: two convolutions, and the same with one tensor in and out."""
    keras.utils.set_random_seed(5)
    image = layers.Input((SIZE, SIZE, BANDS), name="image")
    x = layers.Conv2D(4, 3, activation=request.param, bias_initializer="normal")(image)
    x = layers.BatchNormalization(
        moving_mean_initializer="normal", gamma_initializer=keras.initializers.RandomNormal(1, 0.3)
    )(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(5, 3, padding="same", activation=request.param, name="last")(x)
    raw = layers.Dense(3, name="shape")(layers.Flatten()(x))
    model = keras.Model({"image": image}, {"shape": raw})
    images = np.random.default_rng(3).normal(size=(4, SIZE, SIZE, BANDS)).astype(np.float32)
    return model, keras.Model(image, raw), images


def one_hot(n):
    return np.eye(3, dtype=np.float32)[np.full(n, CLASS)]


def listed(plain):
    """The same network as tf-keras-vis calls it, with lists of one tensor."""
    return keras.Model(plain.inputs, plain.outputs)


def agree(found, expected, tolerance):
    """Equal up to a part of the largest value of the map."""
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_saliency_of_tf_keras_vis(network):
    """Signed gradients of the raw output, to float32 rounding (1e-5 of the largest)."""
    vis = imported("tf_keras_vis.saliency")
    model, plain, images = network
    expected = vis.Saliency(listed(plain))(
        lambda out: out[:, CLASS],
        images,
        keepdims=True,
        gradient_modifier=None,
        normalize_map=False,
    )
    agree(saliency(model, images, OUTPUT), expected, 1e-5)


def test_smooth_grad_of_tf_keras_vis(network, monkeypatch):
    """Mean signed gradients over the same noise, which is put in its hands, to 1e-5."""
    vis = imported("tf_keras_vis.saliency")
    model, plain, images = network
    draws, noise = 6, 0.2
    patterns = np.random.default_rng(9).standard_normal((draws, SIZE, SIZE, BANDS), np.float32)
    monkeypatch.setattr(
        np.random,
        "normal",
        lambda mean, sigma, shape: np.broadcast_to(sigma * patterns[:, None], shape),
    )
    expected = vis.Saliency(listed(plain))(
        lambda out: out[:, CLASS],
        images,
        smooth_samples=draws,
        smooth_noise=noise,
        keepdims=True,
        gradient_modifier=None,
        normalize_map=False,
    )
    found = smooth_grad(model, images, OUTPUT, draws=draws, noise=noise, seed=9)
    agree(found, expected, 1e-5)


def test_grad_cam_of_tf_keras_vis(network):
    """Maps of the last convolution, not enlarged, to float32 rounding (1e-5)."""
    vis = imported("tf_keras_vis.gradcam")
    model, plain, images = network
    expected = vis.Gradcam(listed(plain))(
        lambda out: out[:, CLASS],
        images,
        penultimate_layer="last",
        expand_cam=False,
        normalize_cam=False,
    )
    agree(grad_cam(model, images, OUTPUT, layer="last"), expected, 1e-5)


def test_saliency_of_xplique(network):
    """Absolute gradients, largest over the bands, to float32 rounding (1e-5)."""
    xplique = imported("xplique.attributions")
    model, plain, images = network
    expected = xplique.Saliency(plain, reducer="max")(images, one_hot(4))
    found = np.abs(saliency(model, images, OUTPUT)).max(axis=3, keepdims=True)
    agree(found, expected, 1e-5)


def test_integrated_gradients_of_xplique(network):
    """Zero baseline, 401 trapezoids against 200 Gauss-Legendre points, to 1 % of the largest.

    Maxima change places on the way, and ReLU has a kink: there both converge only in proportion
    to the number of points.
    """
    xplique = imported("xplique.attributions")
    model, plain, images = network
    explainer = xplique.IntegratedGradients(
        plain, steps=401, baseline_value=0.0, reducer=None, batch_size=401
    )
    expected = explainer(images, one_hot(4))
    found = integrated_gradients(model, images, OUTPUT, baseline="zero", steps=200).attribution
    agree(found, expected, 0.01)


def test_occlusion_of_xplique(network):
    """Squares side by side, filled with zeros: drops on the pixels, to 1e-5 of the largest."""
    xplique = imported("xplique.attributions")
    model, plain, images = network
    explainer = xplique.Occlusion(plain, patch_size=3, patch_stride=3, occlusion_value=0.0)
    expected = np.asarray(explainer(images, one_hot(4)))[..., 0]
    found = occlusion(model, images, OUTPUT, size=3, stride=3, fill="zero")
    agree(found.on_pixels(SIZE, SIZE), expected, 1e-5)


@pytest.mark.parametrize(
    ("rule", "name"), [("deconvnet", "DeconvNet"), ("guided", "GuidedBackprop")]
)
def test_deconvnet_of_xplique(network, rule, name):
    """The response of one number of the head, sent back, to 1e-5.

    xplique sends back a one instead of the response; tanh it treats as any derivative does.
    """
    xplique = imported("xplique.attributions")
    model, plain, images = network
    score = np.asarray(plain(images))[:, CLASS]
    spoken = score > 0
    assert spoken.any()
    explainer = getattr(xplique, name)(plain, reducer=None)
    expected = np.asarray(explainer(images, one_hot(4))) * score[:, None, None, None]
    found = deconvnet(model, images, "shape", CLASS, rule=rule)
    agree(found[spoken], expected[spoken], 1e-5)


@pytest.mark.parametrize("name", ["deletion", "insertion"])
def test_deletion_and_insertion_of_xplique(network, name):
    """Curves by the signed mean over the bands, zeros for what is gone, to 1e-5."""
    metrics = imported("xplique.metrics")
    model, plain, images = network
    maps = np.random.default_rng(2).normal(size=images.shape)  # without ties
    oracle = getattr(metrics, name.title())(
        plain, images, one_hot(4), steps=12, baseline_mode=0.0, batch_size=64
    )
    expected = oracle.detailed_evaluate(maps)
    found = deletion(model, images, OUTPUT, maps, order="signed", fill="zero", steps=12, draws=1)
    # It has means over the objects only.
    agree(getattr(found, name).mean(axis=0), list(expected.values()), 1e-5)
    assert found.areas[name].mean() == pytest.approx(oracle.evaluate(maps), abs=1e-5)
