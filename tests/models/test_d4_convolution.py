"""Networks that know the symmetry of the square."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest

from astrocnn.errors import ConfigError, ModelError
from astrocnn.models.blocks import Block
from astrocnn.models.build import build_model
from astrocnn.models.custom_layers import ORIENTATIONS, D4Conv, act_on_array, product
from astrocnn.models.monte_carlo_dropout import MonteCarloDropout
from astrocnn.models.options import ALLOWED, Options

RNG = np.random.default_rng(4)
ELEMENTS = range(ORIENTATIONS)


def moved(element, images):
    """Each image of (n, side, side, ...) moved by an element of the group."""
    return np.stack([act_on_array(element, image) for image in images]).astype("float32")


def test_the_eight_elements_are_a_group():
    probe = np.arange(9).reshape(3, 3)
    assert len({act_on_array(g, probe).tobytes() for g in ELEMENTS}) == 8
    for a, b in itertools.product(ELEMENTS, ELEMENTS):
        one_after_the_other = act_on_array(a, act_on_array(b, probe))
        np.testing.assert_array_equal(act_on_array(product(a, b), probe), one_after_the_other)
    for row in ([product(a, b) for b in ELEMENTS] for a in ELEMENTS):
        assert sorted(row) == list(ELEMENTS)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("side", [6, 7])
def test_turning_the_image_turns_the_maps_and_permutes_the_orientations(padding, side):
    image = keras.Input((side, side, 2))
    first = D4Conv(3, 3, padding=padding)
    second = D4Conv(4, 3, padding=padding, activation="relu")
    model = keras.Model(image, second(first(image)))
    first.bias.assign(RNG.normal(size=3))
    x = RNG.normal(size=(2, side, side, 2)).astype("float32")
    y = np.asarray(model(x))
    assert y.shape[-2:] == (8, 4)
    for g in ELEMENTS:
        turned = np.asarray(model(moved(g, x)))
        expected = moved(g, y)
        for h in ELEMENTS:
            np.testing.assert_allclose(
                turned[..., product(g, h), :], expected[..., h, :], rtol=1e-4, atol=1e-5
            )


def test_the_first_layer_is_a_convolution_with_the_filter_in_eight_orientations():
    image = keras.Input((7, 7, 2))
    layer = D4Conv(3, 3, use_bias=False)
    model = keras.Model(image, layer(image))
    x = RNG.normal(size=(1, 7, 7, 2)).astype("float32")
    kernel = np.asarray(layer.kernel)
    for g in ELEMENTS:
        expected = keras.ops.conv(x, act_on_array(g, kernel).copy(), padding="same")
        np.testing.assert_allclose(model(x)[..., g, :], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", [16, 19, 22])
def test_probabilities_are_the_same_for_the_eight_orientations(side, two_targets):
    keras.utils.set_random_seed(side)
    model = build_model("equivariant", two_targets, size=side, n_channels=3, n_scalars=1)
    for layer in model.layers:
        if layer.name.startswith("norm"):
            layer.set_weights([RNG.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    x = RNG.normal(size=(3, side, side, 3)).astype("float32")
    scalars = np.ones((3, 1), "float32")
    sample = MonteCarloDropout(model, 4, seed=3)
    reference = np.asarray(model({"image": x, "scalars": scalars})["morphology"])
    drawn = np.asarray(sample({"image": x, "scalars": scalars})["morphology"])
    assert np.ptp(reference, axis=0).min() > 1e-3
    for g in ELEMENTS:
        turned = {"image": moved(g, x), "scalars": scalars}
        np.testing.assert_allclose(model(turned)["morphology"], reference, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(sample(turned)["morphology"], drawn, rtol=1e-4, atol=1e-5)


def test_an_ordinary_network_is_not_invariant(two_targets):
    model = build_model("plain8", two_targets, size=16, n_channels=3, options=Options(width=0.25))
    x = RNG.normal(size=(3, 16, 16, 3)).astype("float32")
    before, after = model({"image": x}), model({"image": moved(1, x)})
    assert not np.allclose(before["morphology"], after["morphology"], atol=1e-3)


@pytest.mark.parametrize(
    "values",
    [
        *({"normalization": name} for name in ALLOWED["normalization"]),
        *({"pooling": name} for name in ALLOWED["pooling"]),
        *({"activation": name} for name in ("prelu", "maxout", "tanh")),
        {"padding": "valid"},
        {"dilation": 2},
        {"spatial_dropout": 0.3},
    ],
    ids=str,
)
def test_no_option_breaks_the_symmetry(values, two_targets):
    options = Options(**values, width=0.5)
    side = 62 if "padding" in values else 13
    model = build_model("equivariant", two_targets, size=side, n_channels=1, options=options)
    x = RNG.normal(size=(2, side, side, 1)).astype("float32")
    ask = MonteCarloDropout(model, 2) if "spatial_dropout" in values else model
    reference = ask({"image": x})["morphology"]
    for g in (1, 6):
        again = ask({"image": moved(g, x)})["morphology"]
        np.testing.assert_allclose(again, reference, rtol=1e-3, atol=1e-4)


def test_what_would_break_the_symmetry_is_refused(two_targets):
    with pytest.raises(ModelError, match="no center"):
        D4Conv(2, 4)
    with pytest.raises(ConfigError, match="steps of one pixel"):
        build_model("equivariant", two_targets, size=16, n_channels=1, options=Options(strides=2))


def test_short_floats_and_saving(two_targets, tmp_path):
    from astrocnn.models.precision import with_precision

    options = Options(width=0.5, l2=1e-4)
    model = build_model("equivariant", two_targets, size=16, n_channels=1, options=options)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    x = {"image": RNG.normal(size=(2, 16, 16, 1)).astype("float32")}
    np.testing.assert_array_equal(model(x)["merger"], again(x)["merger"])
    short = with_precision(model, "bfloat16")
    np.testing.assert_allclose(short(x)["merger"], model(x)["merger"], atol=0.05)
    block = Block()
    image = keras.Input((8, 8, 1))
    maps = block.conv(image, 2, 3, orientations=True)
    assert block.global_pool(block.dropout(maps, 0.5)).shape == (None, 2)
