"""Seeing, background, crops and ranges of noise: against scipy, moments, and places."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from astrocnn.datasets import Background, Blur, Crop, Noise, build_dataset, build_steps
from astrocnn.errors import ConfigError
from astrocnn.imaging import Inputs, Normalization

SEED = tf.constant([5, 6], tf.int32)
RNG = np.random.default_rng(3)


def test_blur_is_that_of_scipy_for_each_image():
    images = RNG.normal(size=(6, 24, 24, 2)).astype(np.float32)
    out = Blur(2.0)(tf.constant(images), SEED).numpy()
    sigma = 2.0 * tf.random.stateless_uniform((6, 1), SEED).numpy()[:, 0]
    for i in range(6):
        for band in range(2):
            # As far as the largest kernel reaches, with the mirror image beyond the border.
            expected = gaussian_filter(images[i, :, :, band], sigma[i], radius=6, mode="reflect")
            np.testing.assert_allclose(out[i, :, :, band], expected, atol=1e-5)


def test_blur_leaves_holes_and_constants():
    images = np.full((4, 16, 16, 1), -3.0, np.float32)
    images[:, 4:7, 5] = np.nan
    out = Blur(1.5)(tf.constant(images), SEED).numpy()
    np.testing.assert_array_equal(np.isnan(out), np.isnan(images))
    np.testing.assert_allclose(out[np.isfinite(out)], -3.0, rtol=1e-5)
    np.testing.assert_array_equal(Blur(0.0)(tf.constant(images), SEED), images)


def test_background_is_a_constant_for_each_object_and_band():
    images = RNG.normal(size=(3000, 3, 3, 2)).astype(np.float32)
    change = Background(0.5, sky=(1.0, 4.0))(tf.constant(images), SEED).numpy() - images
    assert np.ptp(change, axis=(1, 2)).max() < 1e-5
    np.testing.assert_allclose(change[:, 0, 0].std(axis=0), [0.5, 2.0], rtol=0.05)
    assert abs(np.corrcoef(change[:, 0, 0].T)[0, 1]) < 0.06


def test_noise_of_a_range_of_levels():
    images = tf.zeros((2000, 12, 12, 1))
    deviation = Noise((0.5, 2.0), sky=(1.0,))(images, SEED).numpy().std(axis=(1, 2, 3))
    np.testing.assert_allclose(
        np.quantile(deviation, [0.1, 0.5, 0.9]), [0.65, 1.25, 1.85], atol=0.1
    )
    with pytest.raises(ConfigError, match="pair"):
        Noise((2.0, 1.0))
    (step,) = build_steps({"noise": [0.0, 1.0]})
    assert step == Noise((0.0, 1.0))


def test_a_crop_stays_inside_and_is_enlarged():
    """Images of their own coordinates: what is seen are places of the old image."""
    size, n = 32, 500
    y, x = np.mgrid[:size, :size].astype(np.float32)
    images = tf.constant(np.broadcast_to(np.stack([x, y], -1), (n, size, size, 2)))
    out = Crop(0.4, size=size)(images, SEED).numpy()
    # The middle half of a pixel beyond the outermost centers is mirrored.
    assert out.min() >= 0 and out.max() <= size - 1
    scale = (out[:, 16, -3, 0] - out[:, 16, 2, 0]) / (size - 5)
    assert 0.6 <= scale.min() < 0.63 and 0.97 < scale.max() <= 1 + 1e-6
    assert abs(scale.mean() - 0.8) < 0.02
    middle = out[:, 15:17, 15:17].mean(axis=(1, 2)) - (size - 1) / 2
    # No further from the middle than half of what is cut off.
    assert (np.abs(middle) <= (1 - scale)[:, None] * size / 2 + 1e-3).all()
    assert np.abs(middle).max() > 4 and np.abs(middle.mean(axis=0)).max() < 0.3


def test_sky_and_size_come_from_the_inputs():
    normalization = Normalization.identity(2)
    inputs = Inputs(("g", "r"), 16, normalization=normalization)
    assert Crop(0.2).bind(inputs).size == 16
    with pytest.raises(ConfigError, match="needs the size"):
        Crop(0.2)(tf.zeros((1, 16, 16, 2)), SEED)
    with pytest.raises(ConfigError, match="sky noise"):
        Background(0.2)(tf.zeros((1, 16, 16, 2)), SEED)


def test_two_views_of_a_row_differ_and_stand_side_by_side(shards, inputs, images):
    raw = inputs.with_normalization(Normalization.identity(3))
    rows = np.array([5, 7, 9, 10, 12])
    plain = list(build_dataset(shards, rows, None, raw, batch_size=4, views=2))
    assert [len(b["image"]) for b in plain] == [8, 2]
    found = np.concatenate([b["image"].numpy() for b in plain])
    np.testing.assert_array_equal(found, np.nan_to_num(images[np.repeat(rows, 2)]))
    data = build_dataset(
        shards, rows, None, raw, augmentation=(Noise(1.0, (1.0,) * 3),), views=2, seed=8
    )
    (first,), (second,) = ([b["image"].numpy() for b in data] for _ in range(2))
    assert not np.allclose(first[0], first[1]) and not np.allclose(first, second)
    (again,) = [b["image"].numpy() for b in build_dataset(
        shards, rows, None, raw, augmentation=(Noise(1.0, (1.0,) * 3),), views=2, seed=8
    )]  # fmt: skip
    np.testing.assert_array_equal(first, again)
