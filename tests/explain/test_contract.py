"""What holds for every method, listed or from a file."""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn import plugins
from astrocnn.errors import ConfigError, ModelError
from astrocnn.explain import (
    METHODS,
    AttributionMethod,
    ExplainTarget,
    InspectionMethod,
    as_strip,
    compute_attribution,
)
from astrocnn.explain.attribution import CHECKS
from astrocnn.explain.methods import get_method, get_title, select_methods
from astrocnn.targets import Categorical

from .networks import CLASSES, SPIRAL, make_images, target

NAMES = plugins.module_names(METHODS)
MAPS = [name for name in NAMES if isinstance(get_method(name), AttributionMethod)]
OF_SCALARS = [name for name in MAPS if get_method(name).scalars_meaning]

OUTSIDE = """
import numpy as np


def brightness(model, images, target, *, scalars=None, batch_size=64):
    return np.abs(np.asarray(images, np.float32))


def wrong_shape(model, images, target, *, scalars=None, batch_size=64):
    return np.ones((len(images), 2, 2))
"""


@pytest.mark.parametrize("name", NAMES)
def test_a_file_has_a_function_of_its_name_and_declares_a_method(name):
    module = plugins.load_module(METHODS, name)
    assert {name, "METHOD"} <= set(module.__all__)
    assert next(iter(inspect.signature(getattr(module, name)).parameters)) == "model"
    assert "References" in (module.__doc__ or "")
    assert isinstance(get_method(name), (AttributionMethod, InspectionMethod))


@pytest.mark.parametrize("name", MAPS)
def test_a_method_of_attribution_declares_what_its_maps_mean(name):
    method = get_method(name)
    assert method.meaning.endswith(".") and 0 < len(method.unit) <= 72
    assert bool(method.scalars_meaning) == bool(method.scalars_unit)
    assert len(method.scalars_unit) <= 68
    assert get_title(name).replace("-", " ").lower().replace(" ", "_") in (
        name,
        name.replace("_", ""),
    )


@pytest.mark.parametrize("name", MAPS)
def test_maps_lie_on_the_pixels_whatever_the_batch_and_the_order(name, network):
    model, images, scalars, explained = network
    method = get_method(name)
    found = method(model, images, explained, scalars=scalars)
    assert found.shape[:3] == images.shape[:3]
    assert found.shape[3:] in ((), images.shape[3:])
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    scale = np.abs(found).max()
    assert scale > 0
    back = [2, 0, 1]
    more = None if scalars is None else scalars[back]
    moved = method(model, images[back], explained, scalars=more, batch_size=50)
    np.testing.assert_allclose(moved, found[back], atol=2e-4 * scale)


@pytest.mark.parametrize("name", OF_SCALARS)
def test_methods_of_scalars_explain_strips(name):
    x = layers.Input((5,), name="scalars")
    raw = layers.Dense(3, activation="tanh", name="shape")(x)
    strip = as_strip(keras.Model({"scalars": x}, {"shape": raw}))
    values = np.random.default_rng(0).normal(size=(4, 1, 5, 1)).astype(np.float32)
    found = get_method(name)(strip, values, SPIRAL)
    assert found.shape[:3] == (4, 1, 5) and np.isfinite(found).all() and np.abs(found).max() > 0


@pytest.mark.parametrize("name", MAPS)
def test_a_target_the_network_lacks_is_refused(name, linear, images):
    other = ExplainTarget(target("form", Categorical(CLASSES)), "spiral")
    with pytest.raises(ModelError, match="does not predict 'form'"):
        get_method(name)(linear[0], images, other)


def test_default_methods_and_unknown_names():
    maps, inspections = select_methods()
    assert set(maps) == {
        "integrated_gradients", "occlusion", "grad_cam", "smooth_grad", "deconvnet",
    }  # fmt: skip
    assert "deep_dream" not in inspections and "weights" in inspections
    assert list(select_methods(["occlusion", "weights", "saliency"])[0]) == [
        "occlusion",
        "saliency",
    ]
    with pytest.raises(ConfigError, match="did you mean 'occlusion'"):
        select_methods(["oclusion"])


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A file with two methods on a machine that trusts nothing yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(plugins, "_trusted", set())
    path = tmp_path / "mine.py"
    path.write_text(OUTSIDE)
    return path


def test_a_method_of_a_file_goes_the_same_way_as_a_listed_one(outside, linear, images):
    with pytest.raises(ConfigError, match="not trusted"):
        get_method(f"{outside}:brightness")
    maps, _ = select_methods([f"{outside}:brightness", f"{outside}:wrong_shape", "saliency"])
    assert list(maps) == ["brightness", "wrong_shape", "saliency"]
    found, steps = compute_attribution(linear[0], images, SPIRAL, maps, checks=CHECKS)
    assert list(steps)[:3] == ["brightness", "brightness: deletion", "brightness: shift"]
    np.testing.assert_array_equal(found.maps["brightness"], np.abs(images))
    assert set(found.skipped) == {"wrong_shape"} and "(5, 2, 2)" in found.skipped["wrong_shape"]
    checks = found.checks["brightness"]
    # The image itself does not depend on the weights, and moves with the image.
    np.testing.assert_allclose(checks.randomization[np.isfinite(checks.randomization)], 1)
    np.testing.assert_allclose(checks.shift, 1, atol=1e-6)
    np.testing.assert_allclose(checks.fractions.sum(axis=1), 1)
    assert checks.residual is None and checks.curves.deletion.shape == (5, 13)
    # The maps of a linear network are its weights, whatever the image.
    kernel = found.maps["saliency"]
    np.testing.assert_allclose(kernel, np.broadcast_to(kernel[:1], kernel.shape), rtol=1e-6)
    np.testing.assert_allclose(found.scores, checks.curves.deletion[:, 0], rtol=1e-5)


def test_a_callable_is_a_method(linear, images):
    def doubled(model, images, target, *, scalars=None, batch_size=64):
        return 2 * np.asarray(images)

    found, steps = compute_attribution(
        linear[0], images, SPIRAL, {"doubled": AttributionMethod(doubled)}
    )
    assert list(steps) == ["doubled"]
    np.testing.assert_array_equal(found.maps["doubled"], 2 * images)
    assert found.label == "logit of shape = spiral" and found.labels == [found.label] * 5


@pytest.mark.parametrize("square", [0, 10])
def test_squares_outside_of_the_image_are_refused(linear, images, square):
    with pytest.raises(ModelError, match=r"`size`|larger than the image"):
        compute_attribution(
            linear[0], images, SPIRAL, select_methods(["occlusion"])[0], square=square
        )


def test_the_square_reaches_the_method(linear, images):
    maps = select_methods(["occlusion"])[0]
    found, steps = compute_attribution(linear[0], make_images(2), SPIRAL, maps, square=9)
    list(steps)
    # One square hides all of the image: all pixels lose the same.
    assert np.ptp(found.maps["occlusion"], axis=(1, 2)).max() == 0
