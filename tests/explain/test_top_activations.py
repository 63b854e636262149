"""Top activations against sorting everything; receptive fields against gradients."""

from __future__ import annotations

import weakref

import keras
import numpy as np
import pytest
from keras import layers, ops

from astrocnn.errors import InputsError, ModelError
from astrocnn.explain import deconvnet, feature_maps, patches, saliency, top_activations
from astrocnn.explain.receptive_field import compute_receptive_field
from astrocnn.models import Options, build_model
from astrocnn.targets import Categorical, Target, Task

from .networks import make_images

SIZE = 21


class AtPlace:
    """The sum over channels of a layer in one place, as a number to be explained."""

    choice = None

    def __init__(self, layer, y, x):
        self.layer, self.place = layer, (y, x)

    def tensor(self, model):
        return model.get_layer(self.layer).output

    def value(self, values, choice=None):
        y, x = self.place
        return ops.sum(values[:, y, x], axis=tuple(range(1, len(values.shape) - 2)))


@pytest.fixture(scope="module")
def positive():
    """A network of strides, padding, dilation and branches, of which all weights are positive."""
    like = {"kernel_initializer": "ones", "padding": "same"}
    image = layers.Input((SIZE, SIZE, 1), name="image")
    first = layers.Conv2D(2, 3, strides=2, name="first", **like)(image)
    wide = layers.Conv2D(2, 3, dilation_rate=2, **like)(first)
    deep = layers.Conv2D(2, 2, **like)(layers.Conv2D(2, 1, **like)(first))
    beside = layers.Concatenate(name="beside")([wide, deep, first])
    pooled = layers.AveragePooling2D(3, strides=2, padding="same", name="pooled")(beside)
    across = layers.DepthwiseConv2D(2, depthwise_initializer="ones", name="across")(pooled)
    summed = layers.Add(name="sum")([across, layers.Dense(6, kernel_initializer="ones")(across)])
    flat = layers.Flatten(name="flat")(summed)
    return keras.Model({"image": image}, {"y": layers.Dense(4, name="y")(flat)})


@pytest.mark.parametrize("layer", ["first", "beside", "pooled", "across", "sum"])
def test_receptive_field_is_where_the_gradient_is_not_zero(positive, layer):
    side = positive.get_layer(layer).output.shape[1]
    field = compute_receptive_field(positive, layer)
    image = np.ones((1, SIZE, SIZE, 1), np.float32)
    for place in ([side // 2, side // 3], [0, side - 1]):
        seen = saliency(positive, image, AtPlace(layer, *place))[0, :, :, 0] != 0
        y0, y1, x0, x1 = np.clip(field.boxes(place), 0, SIZE)
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        assert (y0, y1, x0, x1) == (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1)


def test_the_receptive_field_counts_the_padding_before_a_stride():
    target = Target("y", Categorical(("a", "b")), "y")
    how = {"size": 112, "n_channels": 1, "options": Options(width=0.1)}
    model = build_model("resnet18", Task("y", (target,), "y.accuracy"), **how)
    # 7x7 pixels in steps of 2 with 3 pixels around, then 3x3 in steps of 2 with one around.
    for layer, first, size, step in (("conv1", -3, 7, 2), ("pool1", -5, 11, 4)):
        field = compute_receptive_field(model, layer)
        assert (field.y.start, field.y.size, field.y.step) == (first, size, step)


def test_the_receptive_field_of_a_vector_is_the_image(positive):
    field = compute_receptive_field(positive, "y")
    np.testing.assert_array_equal(field.boxes([0, 0]), [0, SIZE, 0, SIZE])


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(4)
    image, scalars = layers.Input((9, 9, 2), name="image"), layers.Input((1,), name="scalars")
    x = layers.Conv2D(5, 3, activation="relu", padding="same", name="conv")(image)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Concatenate()([layers.Flatten()(x), scalars])
    return keras.Model(
        {"image": image, "scalars": scalars}, {"y": layers.Dense(3, name="y")(x)}, name="net"
    )


@pytest.fixture(scope="module")
def data():
    images, scalars = make_images(41), np.linspace(-1, 1, 41, dtype=np.float32)[:, None]
    # Equal images, so that rows decide.
    images[30], scalars[30] = images[7], scalars[7]
    return images, scalars


def blocks(data, size):
    images, scalars = data
    for start in range(0, len(images), size):
        yield images[start : start + size].copy(), scalars[start : start + size]


@pytest.mark.parametrize("layer", ["pool", "y"])
def test_top_activations_agree_with_sorting_all(net, data, layer):
    images, scalars = data
    maps = feature_maps(net, images, layer, scalars=scalars)
    flat = maps.reshape(len(images), -1, maps.shape[-1])
    peaks = flat.max(axis=1)
    order = np.argsort(-peaks, axis=0, kind="stable")[:4]
    found = top_activations(net, blocks(data, 10), layer, count=4, batch_size=8)
    assert found.layer == layer
    np.testing.assert_array_equal(found.channels, np.arange(maps.shape[-1]))
    np.testing.assert_array_equal(found.rows, order.T)
    np.testing.assert_allclose(found.values, np.take_along_axis(peaks, order, 0).T, rtol=1e-5)
    assert found.values.shape == (maps.shape[-1], 4)
    width = 4 if layer == "pool" else 1
    for f, rows in enumerate(found.rows):
        for k, row in enumerate(rows):
            y, x = found.places[f, k]
            assert flat[row, y * width + x, f] == flat[row, :, f].max()
            box = [2 * y - 1, 2 * y + 3, 2 * x - 1, 2 * x + 3] if layer == "pool" else [0, 9, 0, 9]
            np.testing.assert_array_equal(found.boxes[f, k], box)


def test_results_do_not_depend_on_block_size_and_filters(net, data):
    whole = top_activations(net, [data], "pool", count=6, batch_size=8)
    # Two equal images stand in the order of their rows.
    twins = [list(rows).index(7) for rows in whole.rows if {7, 30} <= set(rows)]
    assert twins and all(
        rows[list(rows).index(7) + 1] == 30 for rows in whole.rows if {7, 30} <= set(rows)
    )
    for size in (1, 7, 8, 40):
        found = top_activations(net, blocks(data, size), "pool", count=6, batch_size=8)
        for one, other in zip(whole[1:], found[1:], strict=True):
            np.testing.assert_array_equal(one, other)
    some = top_activations(net, [data], "pool", channels=[3, 1], count=6, batch_size=8)
    np.testing.assert_array_equal(some.channels, [3, 1])
    np.testing.assert_array_equal(some.rows, whole.rows[[3, 1]])
    np.testing.assert_array_equal(some.values, whole.values[[3, 1]])


def test_one_block_is_held_at_a_time(net):
    given, most = [], 0

    def made():
        nonlocal most
        for i in range(12):
            most = max(most, sum(one() is not None for one in given))
            block = make_images(10, seed=i)
            given.append(weakref.ref(block))
            yield block, np.zeros((10, 1))
            del block

    found = top_activations(net, made(), "pool", count=200, batch_size=8)
    # Fewer images than asked for: all of them.
    assert found.rows.shape == (5, 120)
    np.testing.assert_array_equal(np.sort(found.rows, axis=1), np.tile(np.arange(120), (5, 1)))
    assert len(given) == 12 and most == 0


def test_patches_and_reconstructions_belong_together(net, data):
    images, scalars = data
    top = top_activations(net, [data], "pool", count=3)
    rows, channel = top.rows.ravel(), np.repeat(top.channels, 3)
    places = top.places.reshape(-1, 2)
    made = deconvnet(net, images[rows], "pool", channel, scalars=scalars[rows], place=places)
    strongest = deconvnet(net, images[rows], "pool", channel, scalars=scalars[rows])
    np.testing.assert_array_equal(made, strongest)
    boxes = top.boxes.reshape(-1, 4)
    cut = patches(made, boxes)
    assert cut.shape == (15, 4, 4, 2)
    # All that was sent back lies in the boxes.
    np.testing.assert_allclose(np.nansum(np.abs(cut)), np.abs(made).sum(), rtol=1e-5)
    np.testing.assert_array_equal(patches(images[top.rows], top.boxes).shape, (5, 3, 4, 4, 2))


def test_patches_are_slices_and_nothing_outside():
    images = make_images(3)
    boxes = np.array([[2, 6, 3, 8], [-1, 3, 6, 11], [20, 24, 20, 25]])
    found = patches(images, boxes)
    np.testing.assert_array_equal(found[0], images[0, 2:6, 3:8])
    np.testing.assert_array_equal(found[1, 1:, :3], images[1, :3, 6:])
    assert np.isnan(found[1, 0]).all() and np.isnan(found[1, :, 3:]).all()
    assert np.isnan(found[2]).all()
    with pytest.raises(InputsError, match="one box for each image"):
        patches(images, boxes[:2])
    with pytest.raises(InputsError, match="one size"):
        patches(images, np.array([[0, 2, 0, 2], [0, 3, 0, 2], [0, 2, 0, 2]]))


def test_unknown_layers_channels_and_places_are_refused(net, data):
    with pytest.raises(ModelError, match="no layer 'poll'"):
        top_activations(net, [data], "poll")
    with pytest.raises(ModelError, match="no such channel"):
        top_activations(net, [data], "pool", channels=[0, 5])
    with pytest.raises(ModelError, match="must be a list of channels"):
        top_activations(net, [data], "pool", channels=[[0]])
    with pytest.raises(ModelError, match="count"):
        top_activations(net, [data], "pool", count=0)
    with pytest.raises(InputsError, match="no images"):
        top_activations(net, [], "pool")
    with pytest.raises(InputsError, match="`scalars`"):
        top_activations(net, [data[0]], "pool")
