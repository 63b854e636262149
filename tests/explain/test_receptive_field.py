"""Boxes of pixels by hand, and the pixels that a gradient finds."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn.errors import ModelError
from astrocnn.explain.receptive_field import (
    compute_receptive_field,
    flatten_maps,
    to_pixels,
    validate_channels,
    validate_places,
)

SIZE = 16


def network(*steps, size=SIZE):
    image = x = layers.Input((size, size, 1), name="image")
    for step in steps:
        x = step(x)
    return keras.Model({"image": image}, x)


def conv(size, step=1, padding="valid", dilation=1, name="last"):
    options = {"padding": padding, "dilation_rate": dilation, "kernel_initializer": "ones"}
    return layers.Conv2D(1, size, step, name=name, **options)


@pytest.mark.parametrize(
    ("steps", "start", "size", "step"),
    [
        ([conv(5)], 0, 5, 1),
        ([conv(5, padding="same")], -2, 5, 1),
        ([conv(3, 2)], 0, 3, 2),
        # 16 pixels in 8 steps of 2 need one pixel of padding, which goes to the end.
        ([conv(3, 2, "same")], 0, 3, 2),
        ([conv(3, dilation=4)], 0, 9, 1),
        ([conv(3, name="a"), layers.MaxPooling2D(2), conv(3)], 0, 8, 2),
        ([conv(3, padding="same", name="a"), conv(5, padding="same")], -3, 7, 1),
        ([layers.ZeroPadding2D(((3, 0), (3, 0))), conv(4)], -3, 4, 1),
        ([layers.Cropping2D(((2, 1), (2, 1))), conv(3)], 2, 3, 1),
        ([layers.AveragePooling2D(4), conv(2)], 0, 8, 4),
    ],
)
def test_windows_by_hand(steps, start, size, step):
    model = network(*steps)
    field = compute_receptive_field(model, "last")
    assert field.x == field.y == type(field.x)(start, size, step)
    boxes = field.boxes([[0, 0], [2, 1]])
    y, x = start + 2 * step, start + step
    assert boxes.tolist() == [
        [start, start + size, start, start + size],
        [y, y + size, x, x + size],
    ]


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("window", [(2, 1), (3, 2), (5, 3)])
def test_boxes_hold_the_pixels_that_count(padding, window):
    size, step = window
    model = network(conv(size, step, padding, name="a"), conv(2, 1, padding))
    boxes = compute_receptive_field(model, "last").boxes([[1, 2]])[0]
    changed = np.zeros((SIZE, SIZE), bool)
    impulses = np.eye(SIZE * SIZE, dtype="f4").reshape(-1, SIZE, SIZE, 1)
    changed.flat[:] = keras.ops.convert_to_numpy(model({"image": impulses}))[:, 1, 2, 0] != 0
    y, x = np.nonzero(changed)
    y0, y1, x0, x1 = np.clip(boxes, 0, SIZE)
    assert (y.min(), y.max() + 1, x.min(), x.max() + 1) == (y0, y1, x0, x1)


def test_the_larger_field_of_branches_counts():
    image = layers.Input((SIZE, SIZE, 1), name="image")
    branches = [conv(k, padding="same", name=f"c{k}")(image) for k in (3, 7)]
    model = keras.Model({"image": image}, layers.Add(name="last")(branches))
    field = compute_receptive_field(model, "last")
    assert (field.x.start, field.x.size) == (-3, 7)


def test_vectors_see_the_whole_image_and_scalars_none_of_it():
    image, scalars = layers.Input((SIZE, SIZE, 1), name="image"), layers.Input((2,), name="scalars")
    flat = layers.Flatten(name="flat")(conv(3)(image))
    dense = layers.Dense(2, name="alone")(scalars)
    inputs = {"image": image, "scalars": scalars}
    model = keras.Model(inputs, layers.Concatenate(name="join")([flat, dense]))
    for name in ("flat", "join"):
        boxes = compute_receptive_field(model, name).boxes([[0, 0], [0, 0]])
        assert boxes.tolist() == [[0, SIZE, 0, SIZE]] * 2
    with pytest.raises(ModelError, match="sees nothing of the image"):
        compute_receptive_field(model, "alone")


def test_places_of_flat_maps_are_pixels():
    maps = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    flat = keras.ops.convert_to_numpy(flatten_maps(maps))
    assert flat.shape == (2, 12, 5)
    for place, (y, x) in enumerate(to_pixels(maps, np.arange(12))):
        np.testing.assert_array_equal(flat[:, place], maps[:, y, x])
    # Eight orientations of a pixel are beside each other.
    oriented = np.zeros((1, 3, 4, 8, 5))
    assert to_pixels(oriented, [0, 7, 8, 95]).tolist() == [[0, 0], [0, 0], [0, 1], [2, 3]]
    assert to_pixels(np.zeros((2, 9)), [0]).tolist() == [[0, 0]]


def test_places_and_channels_must_exist():
    maps = np.zeros((2, 3, 4, 5))
    assert validate_places(maps, [[0, 0], [2, 3]], 2).tolist() == [[0, 0], [2, 3]]
    for places in ([[0, 0], [3, 0]], [[0, -1], [0, 0]], [[0, 0]], [[0.0, 0.0], [1.0, 1.0]]):
        with pytest.raises(ModelError, match="must be pixels"):
            validate_places(maps, places, 2)
    model = network(layers.Conv2D(3, 1, name="last"))
    assert validate_channels(model, "last", [2, 0]).tolist() == [2, 0]
    with pytest.raises(ModelError, match="no such channel"):
        validate_channels(model, "last", 3)
    with pytest.raises(ModelError, match="must be integers"):
        validate_channels(model, "last", 1.5)
