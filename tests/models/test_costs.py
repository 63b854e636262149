"""Costs and receptive fields of layers, counted by hand."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from astrocnn.models.summary import summarize_layers


def last(layer, shape=(8, 8, 4)):
    image = layers.Input(shape)
    return summarize_layers(keras.Model(image, layer(image)))[-1]


@pytest.mark.parametrize(
    ("layer", "parameters", "multiply_adds"),
    [
        # 8 x 8 places, 9 pixels, 4 maps to 6.
        (layers.Conv2D(6, 3, padding="same"), 4 * 9 * 6 + 6, 64 * 9 * 4 * 6),
        (layers.Conv2D(6, 3, use_bias=False), 4 * 9 * 6, 36 * 9 * 4 * 6),
        (layers.Conv2D(6, (3, 1), strides=2), 4 * 3 * 6 + 6, 12 * 3 * 4 * 6),
        # Two groups of two maps each: half the kernels.
        (layers.Conv2D(6, 3, padding="same", groups=2), 2 * 9 * 6 + 6, 64 * 9 * 2 * 6),
        (layers.DepthwiseConv2D(3, padding="same"), 9 * 4 + 4, 64 * 9 * 4),
        (layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), 9 * 8 + 8, 64 * 9 * 8),
        # In each pixel.
        (layers.Dense(5), 4 * 5 + 5, 64 * 4 * 5),
        (layers.BatchNormalization(), 4 * 4, 0),
        (layers.MaxPooling2D(2), 0, 0),
    ],
)
def test_layers_by_hand(layer, parameters, multiply_adds):
    row = last(layer)
    assert (row.parameters, row.multiply_adds) == (parameters, multiply_adds)
    places = row.output_shape[0] * row.output_shape[1] * row.output_shape[2]
    assert row.memory == 4 * places and row.kind == type(layer).__name__


@pytest.mark.parametrize("window", [1, 2, 5])
@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_two_layers_see_what_the_formula_says(window, step, dilation):
    image = layers.Input((40, 40, 1))
    x = layers.Conv2D(1, 4, strides=step)(image)
    x = layers.Conv2D(1, window, dilation_rate=dilation)(x)
    first, second = summarize_layers(keras.Model(image, x))[1:]
    assert (first.receptive_field, first.stride) == (4, step)
    assert second.receptive_field == 4 + (window - 1) * dilation * step
    assert second.stride == step


def test_a_spectrum_has_the_cost_of_its_steps():
    row = last(layers.Conv1D(3, 5, strides=2), (21, 2))
    assert row.output_shape == (9, 3)
    assert row.multiply_adds == 9 * 5 * 2 * 3 and row.receptive_field == 5


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("float16", 2), ("bfloat16", 2)])
def test_memory_is_that_of_the_type(dtype, size):
    assert last(layers.Conv2D(3, 1, dtype=dtype)).memory == 64 * 3 * size


def test_vectors_have_no_receptive_field():
    image = layers.Input((8, 8, 4))
    x = layers.GlobalAveragePooling2D()(image)
    rows = summarize_layers(keras.Model(image, layers.Dense(2)(x)))
    assert [row.receptive_field for row in rows] == [row.stride for row in rows] == [1, None, None]
    assert rows[-1].multiply_adds == 8


def test_a_shared_layer_costs_each_time():
    one, two = layers.Input((8, 8, 1), name="a"), layers.Input((4, 4, 1), name="b")
    conv = layers.Conv2D(2, 3, padding="same", name="conv")
    x, y = layers.GlobalMaxPooling2D()(conv(one)), layers.GlobalMaxPooling2D()(conv(two))
    rows = {r.name: r for r in summarize_layers(keras.Model([one, two], layers.Add()([x, y])))}
    assert rows["conv"].parameters == 20
    assert rows["conv"].multiply_adds == (64 + 16) * 9 * 2
