"""Deletion and insertion of a linear network: running sums of w (x - fill)."""

from __future__ import annotations

import numpy as np
import pytest

from astrocnn.errors import InputsError, ModelError
from astrocnn.explain.checks import deletion
from astrocnn.explain.sky import sky

from .networks import SPIRAL


def parts_of(w, images, fill):
    empty = {
        "zero": np.zeros_like(images),
        "mean": images.mean(axis=(1, 2), keepdims=True) * np.ones_like(images),
        "sky": sky(images, 1, 0)[:, 0],
    }[fill]
    return w * (images - empty)


@pytest.mark.parametrize("fill", ["sky", "mean", "zero"])
def test_signed_order_of_a_linear_network_is_the_steepest(linear, images, fill):
    model, w = linear
    parts = parts_of(w, images, fill)
    found = deletion(model, images, SPIRAL, parts, fill=fill, order="signed", steps=27)
    sorted_parts = -np.sort(-parts.sum(axis=3).reshape(len(images), -1))
    lost = np.concatenate([np.zeros((5, 1)), np.cumsum(sorted_parts, axis=1)], axis=1)[:, ::3]
    np.testing.assert_allclose(found.fraction, np.linspace(0, 1, 28))
    np.testing.assert_allclose(found.deletion, found.deletion[:, :1] - lost, atol=2e-5)
    np.testing.assert_allclose(found.insertion, found.deletion[:, -1:] + lost, atol=2e-5)
    # No other order is below it, or above it, anywhere.
    assert (found.deletion <= found.random_deletion + 1e-5).all()
    assert (found.insertion >= found.random_insertion - 1e-5).all()
    other = deletion(model, images, SPIRAL, -parts, fill=fill, order="signed", steps=27)
    assert (other.areas["deletion"] > found.areas["deletion"]).all()
    areas = found.areas
    assert (areas["deletion"] < areas["random_deletion"] - 3 * found.random_area_std).all()


def test_absolute_order_of_a_linear_network(linear, images):
    model, w = linear
    parts = parts_of(w, images, "zero").sum(axis=3)
    found = deletion(model, images, SPIRAL, parts, fill="zero", steps=81)
    order = np.argsort(-np.abs(parts).reshape(5, -1), axis=1)
    lost = np.cumsum(np.take_along_axis(parts.reshape(5, -1), order, axis=1), axis=1)
    np.testing.assert_allclose(found.deletion[:, 1:], found.deletion[:, :1] - lost, atol=2e-5)


def test_random_orders_of_a_linear_network_lose_in_proportion_on_average(linear, images):
    model, w = linear
    found = deletion(model, images, SPIRAL, images, fill="zero", steps=4, draws=200)
    parts = parts_of(w, images, "zero").sum(axis=3).reshape(5, -1)
    k = np.array([20, 40, 61])  # pixels gone, of 81
    # Sampling without replacement: variance k (N - k) / (N - 1) of the variance of the parts.
    spread = np.sqrt(k * (81 - k) / 80) * parts.std(axis=1)[:, None]
    mean = found.deletion[:, :1] - k * parts.mean(axis=1)[:, None]
    assert np.abs((found.random_deletion[:, 1:-1] - mean) / spread).max() < 4 / np.sqrt(200)
    np.testing.assert_allclose(found.random_deletion_std[:, 1:-1], spread, rtol=0.2)
    assert (found.random_deletion_std[:, [0, -1]] == 0).all()
    np.testing.assert_allclose(found.random_insertion, found.random_deletion[:, ::-1])
    areas = found.areas
    np.testing.assert_allclose(areas["random_insertion"], areas["random_deletion"])


def test_ends_are_the_whole_and_the_empty_image(network):
    model, images, scalars, output = network
    found = deletion(model, images, output, np.abs(images), scalars=scalars, steps=3, draws=2)
    both = ({"image": images}, {"image": sky(images, 1, 0)[:, 0]})
    more = {} if scalars is None else {"scalars": scalars}
    whole, empty = (
        output.value(model({**x, **more}, training=False)[output.target.name]) for x in both
    )
    for curve in (found.deletion, found.random_deletion):
        np.testing.assert_allclose(curve[:, 0], whole, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(curve[:, -1], empty, rtol=1e-4, atol=1e-6)
    for curve in (found.insertion, found.random_insertion):
        np.testing.assert_allclose(curve[:, -1], whole, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(curve[:, 0], empty, rtol=1e-4, atol=1e-6)


def test_a_map_without_differences_is_a_random_order(linear, images):
    model, w = linear
    even = np.ones((5, 9, 9))
    found = deletion(model, images, SPIRAL, even, fill="zero", steps=9, seed=2)
    parts = parts_of(w, images, "zero").sum(axis=3).reshape(5, -1)
    by_rows = found.deletion[:, :1] - np.cumsum(parts, axis=1)[:, 8::9]
    assert np.abs(found.deletion[:, 1:-1] - by_rows[:, :-1]).max() > 0.01


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": 82}, "must not exceed the number of pixels"),
        ({"draws": 0}, "draws"),
        ({"fill": "grey"}, "Unknown `fill`"),
        ({"order": "up"}, "Unknown `order`"),
    ],
)
def test_invalid_arguments_are_refused(linear, images, arguments, words):
    with pytest.raises(ModelError, match=words):
        deletion(linear[0], images, SPIRAL, images, **arguments)


def test_maps_of_other_images_are_refused(linear, images):
    with pytest.raises(InputsError, match="must lie on the pixels"):
        deletion(linear[0], images, SPIRAL, images[:2])
