"""Weights of another network for other bands and scalars, in numbers made by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from astrocnn.errors import ModelError
from astrocnn.models.transfer import (
    InputNames,
    _for_bands,
    find_first_layers,
    get_body_layers,
    transfer_weights,
)


def network(channels, scalars=0, *, name="small", units=1, head="z", size=4):
    """A convolution of one pixel, a dense layer of its mean and the scalars, a head."""
    image = layers.Input((size, size, channels), name="image")
    x = layers.Conv2D(1, 1, name="conv1")(image)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    inputs = {"image": image}
    if scalars:
        inputs["scalars"] = layers.Input((scalars,), name="scalars")
        x = layers.Concatenate(name="join")([x, inputs["scalars"]])
    x = layers.Dense(2, name="dense1")(x)
    return keras.Model(inputs, {head: layers.Dense(units, name=head)(x)}, name=name)


def kernel(model, name="conv1"):
    return keras.ops.convert_to_numpy(model.get_layer(name).kernel)


def set_bands(model, *values):
    weights = np.array(values, np.float32).reshape(1, 1, -1, 1)
    model.get_layer("conv1").set_weights([weights, np.array([0.5], np.float32)])


def move(old_bands, new_bands, values, **more):
    old, new = network(len(values)), network(len(values) // len(old_bands) * len(new_bands))
    set_bands(old, *values)
    summary = transfer_weights(
        old, new, old_inputs=InputNames(old_bands), new_inputs=InputNames(new_bands), **more
    )
    return kernel(new).ravel(), summary


@pytest.mark.parametrize(
    ("old", "new", "before", "after"),
    [
        # The mean of the old bands is 3; two of three bands are scaled by 3/2, then shifted to 9.
        ("gri", "gr", (1, 2, 6), (3.75, 5.25)),
        ("gri", "i", (1, 2, 6), (9,)),
        # (1, 3) and their mean 2, by 2/3, sum up to 4 as before: no shift.
        ("gr", "grz", (1, 3), (2 / 3, 2, 4 / 3)),
        # No band in common: each takes the mean, and the sum stays.
        ("gr", "JHK", (1, 3), (4 / 3, 4 / 3, 4 / 3)),
        # Another order moves kernels without a change.
        ("gri", "irg", (1, 2, 6), (6, 2, 1)),
        ("gri", "gri", (1, 2, 6), (1, 2, 6)),
    ],
)
def test_kernels_of_bands(old, new, before, after):
    found, summary = move(old, new, before)
    np.testing.assert_allclose(found, after, rtol=1e-6)
    same = tuple(after) == tuple(before)
    assert ("conv1" in summary.adapted) is not same
    assert ("conv1" in summary.taken) is same
    assert summary.fresh == ("z",)


def test_channels_of_masks_are_adapted_by_themselves():
    found, _ = move("gr", "rg", (1, 3, 10, 30))
    np.testing.assert_allclose(found, (3, 1, 30, 10))
    found, _ = move("gr", "r", (1, 3, 10, 30))
    np.testing.assert_allclose(found, (4, 40))


@given(
    values=st.lists(st.floats(-9, 9, width=32), min_size=3, max_size=3),
    new=st.permutations("grizJ").flatmap(lambda p: st.integers(1, 5).map(lambda k: p[:k])),
)
def test_the_sum_over_bands_is_kept(values, new):
    before = np.array(values, np.float32).reshape(1, 1, 3, 1)
    after = _for_bands(before, "gri", new)
    assert after.shape == (1, 1, len(new), 1)
    assert after.sum() == pytest.approx(before.sum(), abs=1e-4)


def test_rows_of_scalars_are_found_by_name():
    old, new = network(1, 2), network(1, 3)
    rows = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    old.get_layer("dense1").set_weights([rows, np.zeros(2, np.float32)])
    names = InputNames("g", ("mag", "color")), InputNames("g", ("color", "size", "mag"))
    summary = transfer_weights(old, new, old_inputs=names[0], new_inputs=names[1])
    # The feature stays; "size" is new.
    assert kernel(new, "dense1").tolist() == [[1, 2], [5, 6], [0, 0], [3, 4]]
    assert summary == (("conv1",), ("dense1",), ("z",))


def test_named_heads_are_taken():
    old, new = network(1), network(1)
    old.get_layer("z").set_weights([np.array([[2.0], [3.0]]), np.array([-1.0])])
    summary = transfer_weights(old, new, heads=["z", "elsewhere"])
    assert summary.taken == ("conv1", "dense1", "z") and not summary.fresh
    assert kernel(new, "z").ravel().tolist() == [2, 3]


@pytest.mark.parametrize(
    ("old", "words"),
    [
        (lambda: network(1, name="large"), "take the architecture 'large'"),
        (lambda: network(2), r"conv1: shapes \[\(1, 1, 2, 1\), \(1,\)\] there"),
        (lambda: network(1, 2), "dense1: shapes"),
    ],
)
def test_a_refusal_changes_nothing(old, words):
    new = network(1)
    before = [w.copy() for w in new.get_weights()]
    with pytest.raises(ModelError, match=words):
        transfer_weights(old(), new)
    for one, other in zip(before, new.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_body_ends_before_the_heads():
    model = network(2, 1)
    assert get_body_layers(model) == ("conv1", "dense1")
    assert find_first_layers(model, "image") == {"conv1"}
    assert find_first_layers(model, "scalars") == {"dense1"}
    assert find_first_layers(model, "spectrum") == set()
