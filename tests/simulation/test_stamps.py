"""Stamps as arrays, and their truth table."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from astrocnn.errors import ConfigError, MissingDependency
from astrocnn.simulation import PRESETS, get_preset, simulate_stamps
from astrocnn.simulation.objects import sample_object
from astrocnn.simulation.spectra import extinction, relative_magnitude


def test_shapes_and_truth():
    images, truth = simulate_stamps(4, size=32, bands=("z", "g"), seed=2)
    assert images.shape == (4, 32, 32, 2) and images.dtype == np.float32
    assert np.isfinite(images).all()
    assert {"id", "morphology", "mag_z", "mag_g", "ebv"} <= set(truth.colnames)
    assert not {"ra", "mag_r"} & set(truth.colnames)


def test_objects_do_not_depend_on_their_number():
    few, truth = simulate_stamps(2, size=32, seed=9)
    many, more = simulate_stamps(5, size=32, seed=9)
    np.testing.assert_array_equal(few, many[:2])
    for name in truth.colnames:
        np.testing.assert_array_equal(truth[name], more[name][:2])
    other, _ = simulate_stamps(2, size=32, seed=10)
    assert not np.allclose(few, other)


def test_objects_do_not_depend_on_the_bands():
    one, _ = simulate_stamps(3, size=32, bands=("i",), seed=9)
    # The canvas follows the worst seeing of the chosen bands, so only rounding may differ.
    all_bands, _ = simulate_stamps(3, size=32, bands=("i", "z"), seed=9)
    np.testing.assert_allclose(one[..., 0], all_bands[..., 0], atol=1e-3 * np.abs(one).max())


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


def test_magnitudes_of_stars_are_black_bodies_behind_galactic_dust():
    """The truth table against the closed forms of spectrum and dust."""
    _, truth = simulate_stamps(5, size=8, seed=6, class_fractions={"star": 1}, noise=False)
    preset = PRESETS["ground"]
    for index, row in enumerate(truth):
        item = sample_object(6, index, get_preset("ground", fractions={"star": 1}))
        (component,) = item.shape.components
        wavelengths = preset.wavelengths
        magnitude = item.magnitude + relative_magnitude(
            component.spectrum, wavelengths, component.tilt
        )
        magnitude += extinction(wavelengths, 3.1 * item.ebv)
        observed = [row[f"mag_{band.name}"] for band in preset.bands]
        np.testing.assert_allclose(observed, magnitude, atol=1e-5)
        assert row["ebv"] == pytest.approx(item.ebv)


def test_difference_of_noisy_and_noiseless_stamps_is_the_stated_noise():
    options = {"size": 96, "bands": ("g",), "seed": 5, "neighbors": 1.0}
    noisy, _ = simulate_stamps(12, **options)
    clean, _ = simulate_stamps(12, noise=False, **options)
    band = PRESETS["ground"].band("g")
    sigma = np.sqrt(band.sky_sigma**2 + np.maximum(clean, 0) / band.gain)
    pull = (noisy - clean) / sigma
    n = pull.size
    assert np.mean(pull) == pytest.approx(0, abs=4 / np.sqrt(n))
    assert np.var(pull) == pytest.approx(1, abs=4 * np.sqrt(2 / n))
    # White: neighboring pixels are independent.
    assert np.mean(pull[:, :, 1:] * pull[:, :, :-1]) == pytest.approx(0, abs=4 / np.sqrt(n))


def test_mean_number_of_neighbors():
    """Flux besides the object: none without neighbors, more with more of them."""
    options = {"size": 64, "bands": ("r",), "seed": 8, "noise": False}
    light = [
        simulate_stamps(6, neighbors=mean, **options)[0].sum(dtype=np.float64)
        for mean in (0.0, 1.0, 4.0)
    ]
    assert light[0] < light[1] < light[2]


def test_class_fractions_are_those_requested():
    preset = get_preset("ground", fractions={"star": 3, "merger": 1})
    labels = [sample_object(0, index, preset).shape.label for index in range(600)]
    assert set(labels) == {"star", "merger"}
    assert labels.count("star") / 600 == pytest.approx(0.75, abs=4 * np.sqrt(0.1875 / 600))
    fractions = {"star": 3, "merger": 1}
    _, truth = simulate_stamps(20, size=1, bands=("r",), noise=False, class_fractions=fractions)
    assert list(truth["morphology"]) == labels[:20]


def test_undefined_properties_are_nan_or_zero():
    _, truth = simulate_stamps(60, size=1, bands=("r",), noise=False, neighbors=0, seed=3)
    label = np.array(truth["morphology"])
    np.testing.assert_array_equal(np.isfinite(truth["pitch"]), label == "spiral")
    np.testing.assert_array_equal(np.array(truth["n_arms"]) > 0, label == "spiral")
    np.testing.assert_array_equal(np.isfinite(truth["separation"]), label == "merger")
    np.testing.assert_array_equal(np.isnan(truth["r_e"]), label == "star")
    disks = np.isin(label, ["spiral", "edge_on"])
    np.testing.assert_array_equal(np.isfinite(truth["inclination"]), disks)
    assert truth["r_e"].unit == "arcsec" and truth["pitch"].unit == "deg"
    assert all(truth[name].description for name in ("morphology", "ebv", "b_over_t"))


@pytest.mark.parametrize("arguments", [{"n_objects": 0}, {"n_objects": 1, "size": 0}])
def test_empty_stamps_are_refused(arguments):
    with pytest.raises(ConfigError, match="must be positive"):
        simulate_stamps(**arguments)


def test_missing_galsim_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "galsim":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependency, match=r"simulate a survey[\s\S]*astrocnn\[sim\]"):
        simulate_stamps(1)
