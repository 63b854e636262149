"""Maps and checks of linear networks in one computation, and captions of objects."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn.errors import ModelError
from astrocnn.explain import ExplainTarget
from astrocnn.explain.attribution import Attribution, ExplainedObjects, compute_attribution
from astrocnn.explain.checks import deletion
from astrocnn.explain.checks.sensitivity import _pearson, _translate, spearman
from astrocnn.explain.methods import select_methods
from astrocnn.explain.network import as_strip, band_mask, validate_square
from astrocnn.explain.sky import Blur, SourceModel, baselines, fill_pixels, select_border, sky
from astrocnn.targets import Bernoulli

USABLE = ExplainTarget(SimpleNamespace(name="usable", family=Bernoulli()))
WEIGHTS = np.array([4.0, -2.0, 1.0, 0.0], np.float32)


def linear(*shape):
    """A network whose logit is the sum of `WEIGHTS` times the inputs, plus 3."""
    x = layers.Input(shape, name="image" if len(shape) == 3 else "scalars")
    head = layers.Dense(1, name="usable")
    model = keras.Model({x.name: x}, {"usable": head(layers.Flatten()(x))}, name="linear")
    head.set_weights([WEIGHTS[:, None], np.array([3.0])])
    return model


def explain(model, images, methods, **options):
    chosen, _ = select_methods(methods)
    made, steps = compute_attribution(model, images, USABLE, chosen, **options)
    return made, list(steps)


# --- networks of which all is known


def test_scalars_of_a_linear_network():
    scalars = np.array([[1.0, 1, 1, 1], [0.5, -1, 2, 7]], np.float32)
    made, steps = explain(
        as_strip(linear(4)), scalars[:, None, :, None], ["saliency", "integrated_gradients"]
    )
    assert steps == ["saliency", "integrated_gradients"]
    np.testing.assert_allclose(made.scores, scalars @ WEIGHTS + 3, rtol=1e-6)
    assert made.labels == [made.label] * 2 and made.name == "usable"
    np.testing.assert_allclose(made.maps["saliency"].reshape(2, 4), [WEIGHTS] * 2)
    added = made.maps["integrated_gradients"].reshape(2, 4)
    np.testing.assert_allclose(added, scalars * WEIGHTS, atol=1e-6)
    checks = made.checks["integrated_gradients"]
    np.testing.assert_allclose(checks.residual, 0, atol=1e-5)
    np.testing.assert_allclose(checks.fractions[0], [4 / 7, 2 / 7, 1 / 7, 0], rtol=1e-6)
    assert set(made.check("residual")) == {"integrated_gradients"}
    assert set(made.check("fractions")) == set(made.maps)


def test_a_method_that_does_not_fit_is_skipped_with_its_reason():
    made, steps = explain(linear(2, 2, 1), np.zeros((1, 2, 2, 1)), ["saliency", "grad_cam"])
    assert steps == ["saliency", "grad_cam"]
    assert list(made.maps) == ["saliency"] and list(made.skipped) == ["grad_cam"]
    # An image of 2 pixels is too small for a shift.
    made, _ = explain(linear(2, 2, 1), np.zeros((1, 2, 2, 1)), ["saliency"], checks=["shift"])
    assert made.checks["saliency"].shift is None


def test_squares_must_fit_the_image():
    with pytest.raises(ModelError, match="larger than the image"):
        explain(linear(2, 2, 1), np.zeros((1, 2, 2, 1)), ["occlusion"], square=3)
    for height, longest in ((2, 2), (1, 5)):
        validate_square(longest, height, 5)
        with pytest.raises(ModelError, match=f"at most {longest}"):
            validate_square(longest + 1, height, 5)
    assert band_mask(2, 3).tolist() == [1, 1, 0] and band_mask(None, 2).tolist() == [1, 1]
    with pytest.raises(ModelError, match="1 to 3"):
        band_mask(4, 3)


def test_curves_of_a_known_order():
    image = np.ones((1, 2, 2, 1), np.float32)
    weights = WEIGHTS.reshape(1, 2, 2)
    run = {"steps": 4, "fill": "zero", "draws": 2}
    signed = deletion(linear(2, 2, 1), image, USABLE, weights, order="signed", **run)
    # 3 + 4 - 2 + 1 = 6; without 4, without 1, without 0, without -2.
    assert signed.deletion.tolist() == [[6, 2, 1, 1, 3]]
    assert signed.insertion.tolist() == [[3, 7, 8, 8, 6]]
    absolute = deletion(linear(2, 2, 1), image, USABLE, weights, **run)
    assert absolute.deletion.tolist() == [[6, 2, 4, 3, 3]]
    # Trapezoids of a quarter: (6 / 2 + 2 + 1 + 1 + 3 / 2) / 4.
    assert signed.areas["deletion"] == pytest.approx(8.5 / 4)
    assert signed.areas["insertion"] == pytest.approx(27.5 / 4)
    assert signed.areas["random_deletion"] == pytest.approx(signed.areas["random_insertion"])
    np.testing.assert_allclose(signed.deletion + signed.insertion, 9)
    # A reversed random order is a random order.
    np.testing.assert_array_equal(signed.random_insertion, signed.random_deletion[:, ::-1])
    assert signed.random_insertion[0, [0, -1]].tolist() == [3, 6]


# --- correlations, shifts, skies


def test_correlations_of_known_rows():
    a = np.array([[1.0, 2, 3], [1, 2, 3], [1, 2, 3], [5, 5, 5]])
    b = np.array([[2.0, 4, 6], [3, 2, 1], [1, 3, 2], [1, 2, 3]])
    np.testing.assert_allclose(_pearson(a, b), [1, -1, 0.5, np.nan])
    np.testing.assert_allclose(_pearson(1e-200 * a, b), [1, -1, 0.5, np.nan])
    # Ranks of absolute values: signs and steps do not count.
    np.testing.assert_allclose(spearman(a[:1], np.array([[-1.0, 50, -70]])), 1)


def test_a_shift_repeats_the_border():
    a = np.arange(9).reshape(1, 3, 3)
    assert _translate(a, (1, 0))[0].tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    assert _translate(a, (0, -1))[0].tolist() == [[1, 2, 2], [4, 5, 5], [7, 8, 8]]


@pytest.mark.parametrize(("side", "frame"), [(4, 1), (16, 2), (64, 8)])
def test_the_border_is_an_eighth_wide(side, frame):
    assert (~select_border(side, side)).sum() == (side - 2 * frame) ** 2


def test_fills_and_baselines_of_a_known_image():
    image = np.full((1, 8, 8, 2), 3.0, np.float32)
    image[0, 3, 3] = 67.0
    assert not fill_pixels(image, "zero", 0).any()
    np.testing.assert_allclose(fill_pixels(image, "mean", 0), 4.0)  # 3 + 64 / 64
    np.testing.assert_allclose(fill_pixels(image, "sky", 0), 3.0)  # no noise along the border
    assert baselines(image, "zero", 5, 0).shape == (1, 1, 8, 8, 2)
    assert baselines(image, "sky", 5, 0).shape == (1, 5, 8, 8, 2)
    # A blur keeps the light of an object far from the border.
    assert baselines(image, "blurred", 5, 0).sum() == pytest.approx(image.sum(), rel=1e-4)
    assert not sky(image[:, :1], 3, 0).any()


@pytest.mark.parametrize("sigma", [0.0, 0.7, 2.0])
def test_a_blur_and_its_transpose_are_adjoint(sigma):
    a, b = np.random.default_rng(0).normal(size=(2, 5, 7, 2))
    blur = Blur(5, 7, sigma)
    assert (a * blur(b)).sum() == pytest.approx((blur(a, transposed=True) * b).sum())
    np.testing.assert_allclose(blur(np.ones((5, 7, 1))), 1)
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ModelError, match="`seeing`"):
            Blur(5, 7, bad)


def test_light_is_measured_with_the_symmetries_of_a_square():
    rng = np.random.default_rng(1)
    images = rng.normal(size=(20, 16, 16, 2)).astype(np.float32)
    images[:, 5:8, 7:11] += [10, 20]
    found = SourceModel.measure(images)
    np.testing.assert_allclose(found.level, 0, atol=0.1)
    np.testing.assert_allclose(found.noise, 1, atol=0.2)
    place = found.place[..., 0]
    for other in (place[::-1], place[:, ::-1], place.T):
        np.testing.assert_allclose(place, other)
    assert (place**2).mean() == pytest.approx(1)
    # One color of light, twice as bright in the second channel.
    response = np.sqrt((found.color**2).sum(axis=1))
    assert response[1] / response[0] == pytest.approx(2, rel=0.05)
    a, b = rng.normal(size=(2, 16, 16, 2))
    assert (a * found.spread(b)).sum() == pytest.approx((found.gather(a) * b).sum())


# --- names and captions


def test_names_of_channels_are_those_that_fit():
    objects = ExplainedObjects([1], [0], bands=("g", "r"), channels=("g", "r", "mask"))
    assert objects.channel_names(3) == ("g", "r", "mask")
    assert objects.channel_names(2) == ("g", "r")
    assert objects.channel_names(1) == ["0"]


def test_captions_hold_identifier_label_and_prediction():
    objects = ExplainedObjects([7, "a" * 10 + "b" * 11], [0, 1])
    made = Attribution("z", objects, truths=["0.1", ""], predictions=["0.12 +- 0.01", "1"])
    assert made.captions == [
        "7\nlabel 0.1\npredicted 0.12 \u00b1 0.01",
        "aaaaaaaa...bbbbbbbb\npredicted 1",
    ]
    made.objects = None
    assert made.captions[1] == "predicted 1"
