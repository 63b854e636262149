"""Deconvnet: closed forms in numpy, and every architecture."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy.signal import convolve2d

from astrocnn.errors import ModelError
from astrocnn.explain import ExplainTarget, deconvnet, feature_maps, weights
from astrocnn.explain.methods import get_method
from astrocnn.explain.receptive_field import compute_receptive_field
from astrocnn.models import Options, with_precision
from astrocnn.models.build import ARCHITECTURES, build_model
from astrocnn.models.custom_layers import L2Pooling, Maxout, SumPooling
from astrocnn.models.monte_carlo_dropout import build_sampler
from astrocnn.plugins import load_module, module_names

from .networks import BANDS, SIZE, SPIRAL, make_images

WITH_IMAGES = [
    a for a in module_names(ARCHITECTURES) if getattr(load_module(ARCHITECTURES, a), "IMAGE", True)
]


def network(*stack, size=SIZE, bands=BANDS):
    """A network of layers one after the other, the last of them called "last"."""
    keras.utils.set_random_seed(5)
    image = layers.Input((size, size, bands), name="image")
    x = image
    for layer in stack:
        x = layer(x)
    return keras.Model({"image": image}, layers.Activation("linear", name="last")(x))


def numbers(tensor):
    return ops.convert_to_numpy(tensor).astype(float)


def transposed(maps, kernel, stride, padding, size):
    """What a convolution sends back, by a full convolution of maps with zeros between."""
    spread = np.zeros((maps.shape[0] * stride, maps.shape[1] * stride, maps.shape[2]))
    spread[::stride, ::stride] = maps
    window = kernel.shape[0]
    missing = max((len(maps) - 1) * stride + window - size, 0) if padding == "same" else 0
    made = np.stack(
        [
            sum(convolve2d(spread[..., f], kernel[:, :, band, f]) for f in range(maps.shape[2]))
            for band in range(kernel.shape[2])
        ],
        axis=-1,
    )
    made = np.pad(made, ((0, size), (0, size), (0, 0)))
    return made[missing // 2 :, missing // 2 :][:size, :size]


@pytest.mark.parametrize(("stride", "padding"), [(1, "valid"), (2, "same")])
def test_a_linear_network_sends_back_through_transposed_filters(stride, padding, images):
    model = network(
        layers.Conv2D(3, 4, strides=stride, padding=padding, name="first"),
        layers.Conv2D(4, 2, bias_initializer="normal", name="second"),
    )
    maps = feature_maps(model, images, "second")
    k1, k2 = (weights(model, name).transpose(2, 3, 0, 1) for name in ("first", "second"))
    inner = maps.shape[1] + 1
    found = deconvnet(model, images, "second", 2, place="all")
    one = deconvnet(model, images, "second", 2)
    for i, every in enumerate(maps):
        only = np.where(np.arange(4) == 2, every, 0)
        for seed, made in ((only, found[i]), (only * (only == every[..., 2].max()), one[i])):
            inside = transposed(seed, k2, 1, "valid", inner)
            expected = transposed(inside, k1, stride, padding, SIZE)
            np.testing.assert_allclose(made, expected, atol=1e-5)


def test_the_strongest_channel_and_any_place_on_request(images):
    model = network(layers.Conv2D(3, 3, name="conv"))
    maps = feature_maps(model, images, "conv")
    best = maps.max(axis=(1, 2)).argmax(axis=1)
    assert len(set(best)) > 1
    found = deconvnet(model, images, "conv")
    np.testing.assert_array_equal(found, deconvnet(model, images, "conv", best, batch_size=2))
    kernel = weights(model).transpose(1, 2, 3, 0)
    for i, f in enumerate(best):
        y, x = np.unravel_index(maps[i, :, :, f].argmax(), maps.shape[1:3])
        expected = np.zeros((SIZE, SIZE, BANDS))
        expected[y : y + 3, x : x + 3] = maps[i, y, x, f] * kernel[f]
        np.testing.assert_allclose(found[i], expected, atol=1e-5)
    places = np.array([[0, 0], [6, 6], [1, 2], [3, 0], [0, 5]])
    chosen = deconvnet(model, images, "conv", 1, place=places)
    for i, (y, x) in enumerate(places):
        corner = maps[i, y, x, 1] * kernel[1]
        np.testing.assert_allclose(chosen[i, y : y + 3, x : x + 3], corner, atol=1e-5)


def test_maxima_go_back_to_where_they_were():
    model = network(layers.MaxPooling2D(2), size=4, bands=1)
    image = np.array([[5, 1, 2, 2.5], [3, 4, 8, 0], [0, -1, -3, -4], [-2, -5, -6, -1]], float)
    expected = np.array([[5, 0, 0, 0], [0, 0, 8, 0], [0, 0, 0, 0], [0, 0, 0, -1]], float)
    found = deconvnet(model, image[None, :, :, None], "last", 0, place="all")
    np.testing.assert_array_equal(found[0, :, :, 0], expected)
    found = deconvnet(model, image[None, :, :, None], "last", 0)
    np.testing.assert_array_equal(found[0, :, :, 0], np.where(expected == 8, 8, 0))


@pytest.mark.parametrize(
    ("pool", "share"),
    [
        (layers.AveragePooling2D(2), lambda x: np.full_like(x, 0.25)),
        (SumPooling((2, 2)), np.ones_like),
        # The root of the sum of squares sends each pixel its share of it.
        (
            L2Pooling((2, 2)),
            lambda x: (
                x / np.sqrt((x.reshape(2, 2, 2, 2) ** 2).sum((1, 3))).repeat(2, 0).repeat(2, 1)
            ),
        ),
    ],
)
def test_other_poolings_go_back_to_all_pixels(pool, share):
    model = network(pool, size=4, bands=1)
    image = np.arange(1.0, 17).reshape(1, 4, 4, 1)
    found = deconvnet(model, image, "last", 0, place="all")[0, :, :, 0]
    pooled = feature_maps(model, image, "last")[0, :, :, 0].repeat(2, 0).repeat(2, 1)
    np.testing.assert_allclose(found, pooled * share(image[0, :, :, 0]), rtol=1e-5)


RECTIFIED = {
    "inside": [layers.Conv2D(6, 1, activation="relu", name="conv")],
    "activation": [layers.Dense(6, name="conv"), layers.Activation("relu")],
    "layer": [layers.Conv2D(6, 1, name="conv"), layers.ReLU()],
    "nested": [
        layers.Conv2D(6, 1, name="conv"),
        keras.Sequential([layers.Input((SIZE, SIZE, 6)), layers.ReLU(), layers.Dropout(0.5)]),
    ],
}


@pytest.mark.parametrize("how", RECTIFIED)
def test_the_backward_signal_is_rectified_instead_of_the_forward_one(how, images):
    model = network(*RECTIFIED[how], layers.Conv2D(3, 1, name="top"))
    w1 = numbers(model.get_layer("conv").kernel).reshape(BANDS, 6)
    w2 = numbers(model.get_layer("top").kernel).reshape(6, 3)
    went = images @ w1
    seed = (np.maximum(went, 0) @ w2) * (np.arange(3) == 1)
    back = np.maximum(seed @ w2.T, 0)
    found = deconvnet(model, images, "top", 1, place="all")
    np.testing.assert_allclose(found, back @ w1.T, atol=1e-5)
    guided = deconvnet(model, images, "top", 1, place="all", rule="guided")
    np.testing.assert_allclose(guided, (back * (went > 0)) @ w1.T, atol=1e-5)
    assert np.abs(guided - found).max() > 0.1


@pytest.mark.parametrize("name", ["leaky_relu", "gelu", "softplus"])
def test_relatives_of_relu_are_rectified_alike(name, images):
    model = network(layers.Activation(name))
    maps = feature_maps(model, images, "last")
    found = deconvnet(model, images, "last", 0, place="all")
    np.testing.assert_allclose(found, np.maximum(maps, 0) * (np.arange(2) == 0), atol=1e-6)


def test_a_learned_slope_is_rectified_alike_and_tanh_keeps_its_derivative(images):
    one = np.arange(2) == 0
    found = deconvnet(network(layers.PReLU()), images, "last", 0, place="all")
    np.testing.assert_allclose(found, np.maximum(images, 0) * one, atol=1e-6)
    found = deconvnet(network(layers.Activation("tanh")), images, "last", 0, place="all")
    expected = np.tanh(images) * (1 - np.tanh(images) ** 2) * one
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_maxout_sends_the_signal_to_the_larger_map(images):
    found = deconvnet(network(Maxout()), images, "last", 0, place="all")
    larger = images.max(axis=-1, keepdims=True)
    np.testing.assert_array_equal(found, np.where(images == larger, larger, 0))


def test_addition_and_concatenation_of_branches(images):
    image = layers.Input((SIZE, SIZE, BANDS), name="image")
    conv = layers.Conv2D(BANDS, 3, padding="same", use_bias=False)
    summed = layers.Add(name="sum")([image, conv(image)])
    beside = layers.Concatenate(name="beside")([layers.Conv2D(3, 1, name="one")(image), summed])
    model = keras.Model({"image": image}, beside)
    maps = feature_maps(model, images, "sum")
    found = deconvnet(model, images, "sum", 1, place="all")
    for made, every in zip(found, maps, strict=True):
        seed = every * (np.arange(BANDS) == 1)
        expected = seed + transposed(seed, numbers(conv.kernel), 1, "same", SIZE)
        np.testing.assert_allclose(made, expected, atol=1e-5)
    np.testing.assert_allclose(deconvnet(model, images, "beside", 4, place="all"), found)
    np.testing.assert_allclose(
        deconvnet(model, images, "beside", 2), deconvnet(model, images, "one", 2)
    )


@pytest.mark.parametrize(
    "norm",
    [
        layers.BatchNormalization(),
        layers.LayerNormalization(),
        layers.GroupNormalization(2),
        layers.GroupNormalization(-1, scale=False),
    ],
    ids=["batch", "layer", "group", "instance"],
)
def test_normalizations_send_back_by_their_scale(norm, images):
    model = network(norm, bands=4)
    x = make_images(3, bands=4, seed=8)
    for weight in norm.weights:
        values = np.random.default_rng(1).uniform(0.5, 2, weight.shape)
        weight.assign(values)
    slope = np.ones((1, 1, 1, 4))
    if norm.gamma is not None:
        slope = slope * numbers(norm.gamma)
    if isinstance(norm, layers.BatchNormalization):
        variance = numbers(norm.moving_variance)
    elif isinstance(norm, layers.LayerNormalization):
        variance = x.var(axis=-1, keepdims=True)
    else:
        groups = x.reshape(3, SIZE, SIZE, norm.groups, -1)
        variance = groups.var(axis=(1, 2, 4)).repeat(4 // norm.groups, axis=-1)[:, None, None]
    slope = slope / np.sqrt(variance + norm.epsilon)
    maps = feature_maps(model, x, "last")
    found = deconvnet(model, x, "last", 3, place="all")
    np.testing.assert_allclose(found, maps * slope * (np.arange(4) == 3), atol=1e-4)


@pytest.mark.parametrize("name", WITH_IMAGES)
def test_reconstructions_of_every_architecture_stay_in_the_receptive_field(name):
    size = 68 if name == "alexnet" else 32
    keras.utils.set_random_seed(0)
    model = build_model(
        name,
        SimpleNamespace(targets=(SPIRAL.target,)),
        size=size,
        n_channels=BANDS,
        n_scalars=1,
        options=Options(width=0.15, stem="small"),
    )
    images, scalars = make_images(2, size), np.zeros((2, 1))
    layer, place = deepest_that_sees_a_part(model, size)
    found = deconvnet(model, images, layer, scalars=scalars, place=[place] * 2)
    y0, y1, x0, x1 = np.clip(compute_receptive_field(model, layer).boxes(place), 0, size)
    assert np.isfinite(found).all() and np.abs(found).max() > 0
    outside = np.ones((size, size), bool)
    outside[y0:y1, x0:x1] = False
    assert outside.any() and not found[:, outside].any()


def deepest_that_sees_a_part(model, size):
    """A layer and the middle of its maps, from which one does not see the whole image."""
    image = model.input["image"]
    for layer in reversed(model.layers):
        shape = layer.output.shape
        if len(shape) > 3 and layer.output is not image:
            place = [shape[1] // 2, shape[2] // 2]
            y0, y1, x0, x1 = compute_receptive_field(model, layer.name).boxes(place)
            if y0 > 0 or y1 < size or x0 > 0 or x1 < size:
                return layer.name, place
    raise AssertionError("every layer sees the whole image")


def test_bfloat16_agrees_with_float32(images):
    model = network(
        layers.Conv2D(8, 3, activation="relu"),
        layers.GroupNormalization(2),
        layers.LayerNormalization(),
        layers.ReLU(),
        layers.Conv2D(4, 3, name="conv"),
    )
    exact = deconvnet(model, images, "conv", 1, place="all")
    rounded = deconvnet(with_precision(model, "bfloat16"), images, "conv", 1, place="all")
    assert rounded.dtype == np.float32
    assert np.corrcoef(exact.ravel(), rounded.ravel())[0, 1] > 0.999


def test_a_network_that_returns_draws(images):
    image = layers.Input((SIZE, SIZE, BANDS), name="image")
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model({"image": image}, {"shape": layers.Dense(3, name="shape")(x)})
    found = deconvnet(build_sampler(model, 3), images, "conv", 1)
    np.testing.assert_array_equal(found, deconvnet(model, images, "conv", 1))


def test_the_network_is_unchanged(images):
    model = network(*RECTIFIED["inside"], layers.Activation("gelu"), layers.PReLU())
    own = [getattr(layer, "activation", None) for layer in model.layers]
    before = feature_maps(model, images, "last")
    deconvnet(model, images, "last")
    assert own == [getattr(layer, "activation", None) for layer in model.layers]
    np.testing.assert_array_equal(feature_maps(model, images, "last"), before)


def test_the_map_of_a_target_is_of_the_most_relevant_channel(images):
    keras.utils.set_random_seed(2)
    images = images + np.linspace(-2, 2, 5, dtype=np.float32)[:, None, None, None]
    image = layers.Input((SIZE, SIZE, BANDS), name="image")
    maps = layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    mean = layers.GlobalAveragePooling2D()(maps)
    model = keras.Model({"image": image}, {"shape": layers.Dense(3, name="shape")(mean)})
    kernel = model.get_layer("shape").kernel
    kernel.assign(ops.abs(kernel))
    pixel_map = get_method("deconvnet")
    # The output is linear in the mean of each map.
    mean = feature_maps(model, images, "conv").mean(axis=(1, 2))
    share = mean * numbers(kernel)[:, 1]
    assert len(set(share.argmax(axis=1))) > 1
    expected = deconvnet(model, images, "conv", share.argmax(axis=1))
    np.testing.assert_allclose(pixel_map(model, images, SPIRAL), expected, atol=1e-6)
    response = pixel_map(model, images, ExplainTarget(layer="conv", channel=2))
    np.testing.assert_allclose(response, deconvnet(model, images, "conv", 2))


def test_unknown_layers_channels_and_places_are_refused(images):
    model = network(layers.Conv2D(3, 3, name="conv"))
    with pytest.raises(ModelError, match="no layer 'cnov'") as caught:
        deconvnet(model, images, "cnov", 0)
    assert "conv (7, 7, 3)" in str(caught.value) and "did you mean 'conv'" in str(caught.value)
    with pytest.raises(ModelError, match="no such channel") as caught:
        deconvnet(model, images, "conv", 3)
    assert "0 to 2" in str(caught.value)
    with pytest.raises(ModelError, match="must be integers"):
        deconvnet(model, images, "conv", 0.5)
    with pytest.raises(ModelError, match="one for each image"):
        deconvnet(model, images, "conv", [0, 1])
    with pytest.raises(ModelError, match="Unknown `place`"):
        deconvnet(model, images, "conv", 0, place="center")
    with pytest.raises(ModelError, match="must be pixels") as caught:
        deconvnet(model, images, "conv", 0, place=[[7, 0]] * 5)
    assert "7 x 7 pixels" in str(caught.value)
    with pytest.raises(ModelError, match="Unknown backward rule"):
        deconvnet(model, images, "conv", 0, rule="lrp")


def test_a_layer_that_sees_no_image_is_refused(images):
    image, scalars = layers.Input((9, 9, 2), name="image"), layers.Input((3,), name="scalars")
    joined = layers.Concatenate()([layers.Flatten()(image), layers.Dense(2, name="side")(scalars)])
    model = keras.Model({"image": image, "scalars": scalars}, joined)
    with pytest.raises(ModelError, match="'side' sees nothing of the image"):
        deconvnet(model, images, "side", 0, scalars=np.zeros((5, 3)))
