"""Augmentation of fluxes has the stated statistics, and neither clips nor fills."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from astrocnn.datasets import BandDropout, Gain, Noise
from astrocnn.errors import ConfigError
from astrocnn.imaging import Inputs, Normalization

SEED = tf.constant([1, 2], tf.int32)
SKY = (1.0, 10.0, 0.1)


def sky(n: int = 500) -> np.ndarray:
    images = np.random.default_rng(0).normal(size=(n, 8, 8, 3)) * SKY
    images[0, 2, 3, 1] = np.nan
    return images.astype(np.float32)


def test_noise_has_the_stated_sigma_in_each_band() -> None:
    images = sky()
    added = Noise(0.5, SKY)(tf.constant(images), SEED).numpy() - images
    assert np.isnan(added).sum() == 1 and np.isnan(added[0, 2, 3, 1])
    added = added[1:] / np.array(SKY)
    n = added[..., 0].size
    assert np.abs(added.std(axis=(0, 1, 2)) / 0.5 - 1).max() < 5 / np.sqrt(2 * n)
    assert np.abs(added.mean(axis=(0, 1, 2))).max() < 5 * 0.5 / np.sqrt(n)
    assert np.abs(np.corrcoef(added.reshape(-1, 3).T) - np.eye(3)).max() < 5 / np.sqrt(n)


def test_noise_takes_the_sky_of_the_normalization() -> None:
    normalization = Normalization("linear", (0.0,) * 3, (1.0,) * 3, noise=SKY)
    inputs = Inputs(("g", "r", "i"), 8, normalization=normalization)
    assert Noise(0.5).bind(inputs) == Noise(0.5, SKY)
    assert Noise(0.5, (1.0, 1.0, 1.0)).bind(inputs).sky == (1.0, 1.0, 1.0)
    with pytest.raises(ConfigError, match="The sky noise, of which `level`"):
        Noise(0.5)(tf.constant(sky(2)), SEED)
    with pytest.raises(ConfigError, match="2 numbers"):
        Noise(0.5, (1.0, 1.0))(tf.constant(sky(2)), SEED)


def test_gain_is_in_magnitudes_and_keeps_signs() -> None:
    images = sky(4000)
    out = Gain(0.1)(tf.constant(images), SEED).numpy()
    ratio = np.nanmean(out / images, axis=(1, 2))
    np.testing.assert_allclose(np.nanstd(out / images, axis=(1, 2)), 0, atol=1e-5)
    magnitudes = -2.5 * np.log10(ratio)
    assert np.abs(magnitudes.std(axis=0) / 0.1 - 1).max() < 5 / np.sqrt(8000)
    assert np.abs(np.corrcoef(magnitudes.T) - np.eye(3)).max() < 5 / np.sqrt(4000)
    valid = np.isfinite(images)
    np.testing.assert_array_equal(np.sign(out[valid]), np.sign(images[valid]))  # TRAPS 6
    assert Gain().breaks == {"flux", "color"}


def test_dropped_bands_are_missing_as_a_whole_and_one_stays() -> None:
    images = sky(4000)
    out = BandDropout(0.3)(tf.constant(images), SEED).numpy()[1:]
    gone = np.isnan(out).all(axis=(1, 2))
    assert (np.isnan(out).any(axis=(1, 2)) == gone).all()
    assert not gone.all(axis=1).any()
    # Each band goes with probability 0.3, unless all three would and it is the luckiest of them.
    expected = 0.3 - 0.3**3 / 3
    assert np.abs(gone.mean(axis=0) - expected).max() < 5 * np.sqrt(expected * 0.7 / 4000)
    np.testing.assert_array_equal(out[~np.isnan(out)], images[1:][~np.isnan(out)])


def test_the_band_that_stays_is_one_with_data() -> None:
    images = sky(300)
    images[..., 0] = np.nan
    images[..., 2] = np.nan
    out = BandDropout(0.9)(tf.constant(images), SEED).numpy()
    assert np.isfinite(out[1:, ..., 1]).all()


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="more than one band"):
        BandDropout(0.1)(tf.zeros((2, 4, 4, 1)), SEED)
    for wrong in (lambda: Noise(-1.0), lambda: Gain(float("nan")), lambda: BandDropout(1.0)):
        with pytest.raises(ConfigError):
            wrong()


@pytest.mark.parametrize("step", [Noise(1.0, SKY), Gain(0.1), BandDropout(0.5)])
def test_the_seed_decides(step) -> None:
    images = tf.constant(sky(20))
    one = step(images, SEED).numpy()
    np.testing.assert_array_equal(one, step(images, SEED).numpy())
    assert not np.array_equal(one, step(images, SEED + 1).numpy(), equal_nan=True)
