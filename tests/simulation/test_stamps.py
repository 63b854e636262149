"""Stamps as arrays, and the mixture of objects they are drawn from."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.errors import ConfigError, MissingDependency
from astrocnn.simulation import PRESETS, simulate_stamps
from astrocnn.simulation.objects import sample_object, generator


def test_shapes_and_truth():
    images, truth = simulate_stamps(4, size=32, bands=("z", "g"), seed=2)
    assert images.shape == (4, 32, 32, 2) and images.dtype == np.float32
    assert np.isfinite(images).all()
    assert {"id", "morphology", "mag_z", "mag_g", "ebv"} <= set(truth.colnames)
    assert not {"ra", "mag_r"} & set(truth.colnames)


def test_an_object_does_not_depend_on_how_many_there_are():
    few, truth = simulate_stamps(2, size=32, seed=9)
    many, more = simulate_stamps(5, size=32, seed=9)
    np.testing.assert_array_equal(few, many[:2])
    np.testing.assert_array_equal(truth["id"], more["id"][:2])
    other, _ = simulate_stamps(2, size=32, seed=10)
    assert not np.allclose(few, other)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_flux_without_noise_is_the_magnitude(preset):
    images, truth = simulate_stamps(
        6,
        size=256,
        preset=preset,
        seed=4,
        noise=False,
        neighbors=0,
        class_fractions={"edge_on": 1, "spiral": 1, "star": 1, "merger": 1},
    )
    for channel, band in enumerate(PRESETS[preset].bands):
        flux = images[..., channel].sum(axis=(1, 2), dtype=np.float64)
        magnitude = 31.4 - 2.5 * np.log10(flux)
        np.testing.assert_allclose(magnitude, truth[f"mag_{band.name}"], atol=0.01)


def test_correlated_noise_has_the_stated_sigma_and_correlation():
    images, _ = simulate_stamps(
        1, size=512, preset="euclid", bands=("Y",), neighbors=0, class_fractions={"star": 1}
    )
    band = PRESETS["euclid"].band("Y")
    sky = images[0, :200, :, 0]
    # Neighbors are correlated, so that there are about 4 pi sigma^2 fewer independent pixels.
    assert np.std(sky) == pytest.approx(band.sky_sigma, rel=0.03)
    lag = np.mean(sky[:, :-1] * sky[:, 1:]) / np.mean(sky**2)
    assert lag == pytest.approx(np.exp(-1 / (4 * band.noise_correlation**2)), abs=0.02)


@given(st.sampled_from(sorted(PRESETS)), st.integers(0, 10_000), st.integers(0, 2**31))
def test_every_object_is_within_the_limits_of_the_preset(name, seed, index):
    preset = PRESETS[name]
    item = sample_object(seed, index, preset)
    bright, faint = preset.magnitudes
    assert bright <= item.magnitude <= faint and 0 <= item.ebv <= 0.3
    assert 10**18 <= item.id < 9 * 10**18
    assert np.isfinite(item.magnitudes(preset)).all()
    assert item == sample_object(seed, index, preset)


def test_counts_rise_with_the_stated_slope():
    preset = PRESETS["ground"]
    magnitudes = np.array([sample_object(0, index, preset).magnitude for index in range(3000)])
    middle, (bright, faint) = 19.0, preset.magnitudes
    share = (10 ** (preset.counts_slope * middle) - 10 ** (preset.counts_slope * bright)) / (
        10 ** (preset.counts_slope * faint) - 10 ** (preset.counts_slope * bright)
    )
    assert np.mean(magnitudes < middle) == pytest.approx(share, abs=3.5 * 0.5 / np.sqrt(3000))


def test_streams_of_random_numbers_never_meet():
    first = [generator(0, *key).random() for key in (("form", 1), ("paint", 1), ("form", 1, 0))]
    assert len(set(first)) == 3


def test_classes_are_not_told_by_brightness():
    preset = PRESETS["ground"]
    items = [sample_object(1, index, preset) for index in range(1500)]
    means = {
        label: np.mean([item.magnitude for item in items if item.shape.label == label])
        for label in preset.fractions
    }
    assert max(means.values()) - min(means.values()) < 0.35


def test_nothing_to_draw_is_refused():
    with pytest.raises(ConfigError, match="positive"):
        simulate_stamps(0)


def test_missing_galsim_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "galsim":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependency, match=r"simulate a survey[\s\S]*astrocnn\[sim\]"):
        simulate_stamps(1)
