"""Shapes, parameters, costs and receptive fields against formulas, papers and perturbation."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn.errors import ModelError
from astrocnn.models.blocks import Block
from astrocnn.models.build import build_model, count_parameters
from astrocnn.models.custom_layers import compute_extent
from astrocnn.models.options import Options
from astrocnn.models.summary import summarize_layers


def by_name(model):
    return {row.name: row for row in summarize_layers(model)}


@pytest.mark.parametrize(
    ("size", "window", "stride", "pad", "dilation"),
    [(32, 5, 1, 0, 1), (227, 11, 4, 0, 1), (33, 3, 2, 1, 1), (20, 3, 1, 2, 2)],
)
def test_layer_formulas(size, window, stride, pad, dilation):
    image = keras.Input((size, size, 3))
    padded = layers.ZeroPadding2D(pad)(image)
    conv = layers.Conv2D(32, window, strides=stride, dilation_rate=dilation, name="c")(padded)
    row = by_name(keras.Model(image, conv))["c"]
    seen = (window - 1) * dilation + 1
    side = compute_extent(size, seen, padding=pad, stride=stride)
    assert row.output_shape == (side, side, 32)
    assert row.parameters == (window**2 * 3 + 1) * 32
    assert row.multiply_adds == side**2 * window**2 * 3 * 32
    assert (row.receptive_field, row.stride) == (seen, stride)
    assert row.memory == 4 * side**2 * 32


def test_32_filters_of_5x5_on_3_bands():
    image = keras.Input((64, 64, 3))
    row = summarize_layers(keras.Model(image, Block().conv(image, 32, 5)))[-1]
    assert row.parameters == 2432


@pytest.mark.parametrize(
    ("name", "total", "tolerance"),
    [
        ("resnet18", 1.8e9, 0.05e9),  # He+16, table 1: "FLOPs" there are multiply-adds
        ("resnet34", 3.6e9, 0.1e9),
        ("resnet50", 4.1e9, 0.05e9),  # as in torchvision: the stride is in the 3x3 convolution
        ("googlenet", 1.5e9, 0.1e9),  # Szegedy+15, section 3: a budget of 1.5 billion
        ("convnext", 0.55e9, 0.02e9),
        ("efficientnetv2_b0", 0.7e9, 0.05e9),  # the list of models of the authors
        ("efficientnet_lite0", 407e6, 25e6),  # Liu 2020
        ("efficientnet_lite1", 631e6, 35e6),
        ("efficientnet_lite2", 899e6, 45e6),
    ],
)
def test_multiply_adds_are_those_of_the_papers(name, total, tolerance, published):
    model = published(name)
    rows = summarize_layers(model)
    assert sum(row.multiply_adds for row in rows) == pytest.approx(total, abs=tolerance)
    running = sum(2 * row.output_shape[-1] for row in rows if row.kind == "BatchNormalization")
    assert sum(row.parameters for row in rows) == count_parameters(model) + running


def test_receptive_fields_of_vgg16(task_of):
    model = build_model("vgg16", task_of(t=2), size=64, n_channels=1, options=Options(width=0.05))
    rows = by_name(model)
    # Two 3x3 convolutions see 5 pixels, three see 7 (Simonyan & Zisserman 2015, section 2.3).
    assert [rows[f"conv{i}"].receptive_field for i in (1, 2)] == [3, 5]
    assert rows["pool5"].receptive_field == 212
    assert rows["pool5"].stride == 32
    assert rows["dense1"].receptive_field is None and rows["dense1"].stride is None


@pytest.mark.parametrize("name", ["lenet", "resnet18", "googlenet", "equivariant"])
def test_receptive_fields_are_what_a_changed_pixel_reaches(name, task_of):
    """The pixels that move the middle number of a map, found by changing one at a time."""
    model = build_model(name, task_of(t=2), size=65, n_channels=1, options=Options(width=0.05))
    rows = [row for row in summarize_layers(model) if row.receptive_field]
    chosen = [row for row in rows if row.kind != "InputLayer" and row.receptive_field < 40][-1]
    part = keras.Model(model.input, model.get_layer(chosen.name).output)
    for weight in part.weights:  # nothing may cancel, saturate or be cut off
        if weight.path.endswith("kernel"):
            weight.assign(np.full(weight.shape, 1.0 / np.prod(weight.shape[:-1])))
    basis = np.ones((66, 65, 65, 1), "float32")
    basis[np.arange(65), :, np.arange(65), 0] += 1  # one column after the other
    maps = np.asarray(part({"image": basis}))
    middle = maps[:, maps.shape[1] // 2, maps.shape[2] // 2].reshape(66, -1)
    moved = np.flatnonzero((np.abs(middle[:65] - middle[65]) > 1e-7).any(axis=1))
    assert moved[-1] - moved[0] + 1 == chosen.receptive_field


def test_a_spectrum_is_seen_in_its_own_steps(task_of):
    model = build_model("spectra", task_of(t=2), size=0, n_channels=0, n_scalars=443)
    rows = by_name(model)
    assert [rows[f"conv{i}"].receptive_field for i in (1, 2, 3, 4)] == [10, 28, 64, 136]
    assert rows["conv4"].stride == 16
    assert rows["t"].receptive_field is None


def test_a_layer_used_twice_has_its_weights_once():
    vector = keras.Input((6,))
    layer = layers.Dense(6, name="d")
    row = by_name(keras.Model(vector, layer(layer(vector))))["d"]
    assert row.parameters == 42 and row.multiply_adds == 72


def test_what_is_no_plain_graph_is_refused():
    vector = keras.Input((6,))
    inner = keras.Model(vector, layers.Dense(2)(vector), name="inner")
    with pytest.raises(ModelError, match="inner"):
        summarize_layers(keras.Model(vector, inner(vector)))
    with pytest.raises(ModelError, match="Sequential"):
        summarize_layers(keras.Sequential([layers.Dense(2)]))
