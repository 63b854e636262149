"""Which tensors of a file become which weights of a network, in numbers made by hand."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn.errors import ModelError
from astrocnn.models.architectures.base import IMAGENET_MEAN, IMAGENET_STD, Published
from astrocnn.models.pretrained import (
    Pretrained,
    _endings,
    _find_prefix,
    load_pretrained,
    spread_bands,
)
from astrocnn.models.weight_files import WeightFile

LAYOUT = {"conv1": "stem.conv", "deep1": "stem.deep", "norm1": "stem.bn", "dense1": "fc.hidden"}
RNG = np.random.default_rng(5)
# In the order of PyTorch: (out, in, height, width).
TENSORS = {
    "stem.conv.weight": RNG.normal(size=(4, 3, 3, 2)).astype("f4"),
    "stem.deep.weight": RNG.normal(size=(4, 1, 2, 3)).astype("f4"),
    **{f"stem.bn.{name}": RNG.uniform(1, 2, 4).astype("f4") for name in ("weight", "bias")},
    **{f"stem.bn.running_{name}": RNG.uniform(1, 2, 4).astype("f4") for name in ("mean", "var")},
    "stem.bn.num_batches_tracked": np.array(7),
    "fc.hidden.weight": RNG.normal(size=(5, 4)).astype("f4"),
    "fc.hidden.bias": RNG.normal(size=5).astype("f4"),
    "fc.head.weight": RNG.normal(size=(10, 5)).astype("f4"),
}


def network(channels=3):
    image = layers.Input((8, 8, channels), name="image")
    x = layers.Conv2D(4, (3, 2), use_bias=False, name="conv1")(image)
    x = layers.DepthwiseConv2D((2, 3), use_bias=False, name="deep1")(x)
    x = layers.BatchNormalization(name="norm1")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    x = layers.Dense(5, name="dense1")(x)
    return keras.Model({"image": image}, {"z": layers.Dense(1, name="z")(x)}, name="small")


def published(tensors=None, kind="pytorch", layout=LAYOUT, **more):
    tensors = dict(TENSORS if tensors is None else tensors)
    file = WeightFile(Path("w"), tensors, kind, "0" * 64, **more)
    layouts = {"layouts": (layout,)} if kind == "pytorch" else {"keras_layouts": (layout,)}
    return Pretrained("w", file, Published(**layouts))


def weights(model, name):
    return model.get_layer(name).get_weights()


@pytest.mark.parametrize("prefix", ["", "encoder.", "model.encoder."])
def test_axes_are_turned_and_prefixes_found(prefix):
    model = network()
    given = published({prefix + name: value for name, value in TENSORS.items()})
    summary, left_out = load_pretrained(model, given, n_bands=3)
    # Blue first here, red first there.
    kernel = TENSORS["stem.conv.weight"]
    (found,) = weights(model, "conv1")
    assert found[2, 1, 0, 3] == kernel[3, 2, 2, 1] and found[0, 1, 2, 0] == kernel[0, 0, 0, 1]
    (found,) = weights(model, "deep1")
    assert (
        found.shape == (2, 3, 4, 1) and found[1, 2, 3, 0] == TENSORS["stem.deep.weight"][3, 0, 1, 2]
    )
    for value, name in zip(
        weights(model, "norm1"), ("weight", "bias", "running_mean", "running_var"), strict=True
    ):
        np.testing.assert_array_equal(value, TENSORS[f"stem.bn.{name}"])
    np.testing.assert_array_equal(weights(model, "dense1")[0], TENSORS["fc.hidden.weight"].T)
    assert summary == (("conv1", "deep1", "norm1", "dense1"), (), ("z",))
    # Counters of batches say nothing.
    assert left_out == (f"{prefix}fc.head.weight",)


def test_a_dense_layer_may_be_a_convolution_of_one_pixel_there():
    model = network()
    tensors = {**TENSORS, "fc.hidden.weight": TENSORS["fc.hidden.weight"][..., None, None]}
    load_pretrained(model, published(tensors), n_bands=3)
    np.testing.assert_array_equal(weights(model, "dense1")[0], TENSORS["fc.hidden.weight"].T)


@pytest.mark.parametrize(("bands", "masks"), [(1, 0), (2, 1), (2, 2), (4, 0), (3, 3)])
def test_the_first_kernels_are_spread_over_bands_and_zero_for_masks(bands, masks):
    model = network(bands + masks)
    summary, _ = load_pretrained(model, published(), n_bands=bands)
    kernel = TENSORS["stem.conv.weight"].transpose(2, 3, 1, 0)
    (found,) = weights(model, "conv1")
    assert not found[:, :, bands:].any()
    np.testing.assert_allclose(found.sum(axis=2), kernel.sum(axis=2), atol=1e-5)
    if bands == 3:
        np.testing.assert_array_equal(found[:, :, :3], kernel[:, :, ::-1])
    assert summary.adapted == ("conv1",) and "conv1" not in summary.taken


def without(*names, **others):
    return {**{k: v for k, v in TENSORS.items() if k not in names}, **others}


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (without("stem.deep.weight"), "deep1: there is no stem.deep.weight"),
        (without("fc.hidden.bias"), "dense1: there is no fc.hidden.bias"),
        (without(**{"stem.conv.bias": np.zeros(4)}), "'stem.conv.bias' there, nothing here"),
        (
            without(**{"fc.hidden.weight": np.zeros((6, 4), "f4")}),
            "dense1: shapes [(4, 6), (5,)] there, [(4, 5), (5,)] here",
        ),
        ({"other.weight": np.zeros(3)}, "Nothing in the weights 'w' fits the network 'small'"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(tensors, words):
    model = network()
    before = model.get_weights()
    with pytest.raises(ModelError) as caught:
        load_pretrained(model, published(tensors), n_bands=3)
    assert words in str(caught.value)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_in_the_own_names_need_no_layout():
    source, model = network(), network()
    for layer in source.layers:
        layer.set_weights([w + k + 1 for k, w in enumerate(layer.get_weights())])
    tensors = {f"{x.name}/{k}": w for x in source.layers for k, w in enumerate(x.get_weights())}
    given = published(tensors, "keras")
    summary, left_out = load_pretrained(model, given, n_bands=3)
    for name in LAYOUT:
        for one, other in zip(weights(source, name), weights(model, name), strict=True):
            np.testing.assert_array_equal(one, other)
    assert not summary.adapted and left_out == ("z/0", "z/1")
    assert given.limits(3) is None


def test_the_prefix_is_the_most_common_beginning():
    names = ("a.b.conv.weight", "a.b.fc.weight", "ema.conv.weight")
    file = WeightFile(Path("w"), dict.fromkeys(names, np.zeros(1)), "pytorch", "")
    assert _find_prefix(file, ["conv", "fc"]) == "a.b."
    assert _find_prefix(file, ["nothing"]) == ""
    assert list(_endings("a.b/c")) == ["a.b/c", "b/c", "c"]


def test_limits_are_black_and_white_in_the_units_of_the_weights():
    given = published(mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.1))
    # Blue first: (0 - 0.3) / 0.1 and (1 - 0.3) / 0.1.
    np.testing.assert_allclose(given.limits(3), [(-3, 7), (-2, 3), (-2, 2)])
    np.testing.assert_allclose(given.limits(5), [(-7 / 3, 4)] * 5)
    low, high = np.transpose(published().limits(3))
    np.testing.assert_allclose(low, -np.divide(IMAGENET_MEAN, IMAGENET_STD)[::-1])
    np.testing.assert_allclose(high - low, 1 / np.array(IMAGENET_STD)[::-1])


@pytest.mark.parametrize("n", range(1, 9))
def test_spread_kernels_differ_as_those_of_their_channels(n):
    kernel = np.array([2.0, -1.0, 5.0]).reshape(1, 1, 3, 1)
    spread = spread_bands(kernel, n).ravel()
    chosen = kernel.ravel()[np.arange(n) % 3]
    np.testing.assert_allclose(np.diff(spread), np.diff(chosen) * 3 / n, atol=1e-12)
    assert spread.sum() == pytest.approx(6)
