"""The population of objects, random streams and noise, against their declared distributions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from astrocnn.errors import ConfigError
from astrocnn.simulation import PRESETS, get_preset
from astrocnn.simulation.objects import (
    CANVAS_SIZES,
    add_noise,
    make_rng,
    render_objects,
    sample_object,
)

GROUND = PRESETS["ground"]
N = 3000


@pytest.fixture(scope="module")
def items():
    return [sample_object(0, index, GROUND) for index in range(N)]


@given(st.sampled_from(sorted(PRESETS)), st.integers(0, 10_000), st.integers(0, 2**31))
def test_every_object_is_within_the_limits_of_the_preset(name, seed, index):
    preset = PRESETS[name]
    item = sample_object(seed, index, preset)
    bright, faint = preset.magnitudes
    assert bright <= item.magnitude <= faint and 0 <= item.ebv <= 0.3
    assert 10**18 <= item.id < 9 * 10**18
    assert np.isfinite(item.magnitudes(preset)).all()
    assert item == sample_object(seed, index, preset)


def test_magnitudes_follow_the_stated_counts(items):
    """N(m) ~ 10^(slope m) between two ends, by Kolmogorov and Smirnov."""
    bright, faint = GROUND.magnitudes
    ends = 10 ** (GROUND.counts_slope * np.array([bright, faint]))

    def cdf(m):
        return (10 ** (GROUND.counts_slope * m) - ends[0]) / (ends[1] - ends[0])

    assert stats.kstest([item.magnitude for item in items], cdf).pvalue > 0.001


def test_classes_have_the_stated_fractions(items):
    labels = [item.shape.label for item in items]
    expected = {label: N * share for label, share in GROUND.fractions.items()}
    counts = [labels.count(label) for label in expected]
    assert stats.chisquare(counts, list(expected.values())).pvalue > 0.001


def test_radii_scatter_about_the_stated_relation(items):
    """log10 r_e of spirals is normal about a line in magnitude."""
    spirals = [item for item in items if item.shape.label == "spiral"]
    dex = np.log10([item.shape.r_e / GROUND.radius for item in spirals])
    middle = sum(GROUND.magnitudes) / 2
    dex += GROUND.radius_slope * (np.array([item.magnitude for item in spirals]) - middle)
    assert stats.kstest(dex / GROUND.radius_scatter, "norm").pvalue > 0.001


def test_reddening_is_exponential(items):
    assert stats.kstest([item.ebv for item in items], "expon", (0, 0.03)).pvalue > 0.001


def test_class_is_independent_of_brightness(items):
    means = {
        label: np.mean([item.magnitude for item in items if item.shape.label == label])
        for label in GROUND.fractions
    }
    assert max(means.values()) - min(means.values()) < 0.35


def test_total_flux_at_the_reference_wavelength_is_the_magnitude(items):
    """In a band at that wavelength and without Galactic dust."""
    item = next(item for item in items if item.ebv < 1e-3)
    observed = dict(zip("griz", item.magnitudes(GROUND), strict=True))
    dust = 3.1 * item.ebv * (GROUND.wavelength / 0.55) ** -1.3
    assert observed["r"] == pytest.approx(item.magnitude + dust, abs=1e-9)


def test_old_components_are_redder_than_young_ones(items):
    spiral = next(item for item in items if item.shape.label == "spiral")
    bulge, disk, arms = spiral.component_fluxes(GROUND)[:3]
    assert bulge[-1] / bulge[0] > disk[-1] / disk[0] > arms[-1] / arms[0]


def test_random_streams_differ():
    keys = (("form", 1), ("paint", 1), ("form", 1, 0), ("form", 2))
    first = [make_rng(0, *key).random() for key in keys]
    assert len(set(first)) == 4
    assert make_rng(0, "form", 1).random() == first[0]
    with pytest.raises(ConfigError, match="`seed` must be"):
        make_rng(-1, "form")


@pytest.mark.parametrize("flux", [0.0, 3000.0])
@pytest.mark.parametrize("band", [GROUND.band("r"), PRESETS["euclid"].band("Y")])
def test_noise_variance_is_that_of_sky_and_photons(band, flux):
    flat = np.full((400, 400), flux, np.float32)
    noise = add_noise(flat, band, 3, (0,)) - flat
    expected = band.sky_sigma**2 + flux / band.gain
    # Correlated noise has about 4 pi sigma^2 fewer independent pixels.
    n = flat.size / max(1.0, 4 * np.pi * band.noise_correlation**2)
    assert noise.mean() == pytest.approx(0, abs=6 * np.sqrt(expected / n))
    assert noise.var() == pytest.approx(expected, rel=5 * np.sqrt(2 / n))


@pytest.mark.parametrize("name", ["VIS", "Y"])
def test_noise_correlation_is_that_of_the_smoothing_kernel(name):
    """The autocorrelation of smoothed white noise is the kernel convolved with itself."""
    band = PRESETS["euclid"].band(name)
    noise = add_noise(np.zeros((500, 500), np.float32), band, 1, (0,))
    k = np.exp(-0.5 * (np.arange(-6, 7) / band.noise_correlation) ** 2)
    for lag in (1, 2):
        measured = np.mean(noise[:, lag:] * noise[:, :-lag]) / np.mean(noise**2)
        assert measured == pytest.approx(k[lag:] @ k[:-lag] / (k @ k), abs=0.015)


def test_noise_depends_on_seed_image_and_band():
    flat = np.zeros((16, 16), np.float32)
    first = add_noise(flat, GROUND.band("r"), 1, (0, 1))
    np.testing.assert_array_equal(first, add_noise(flat, GROUND.band("r"), 1, (0, 1)))
    for band, seed, numbers in (("g", 1, (0, 1)), ("r", 2, (0, 1)), ("r", 1, (1, 1))):
        assert not np.allclose(first, add_noise(flat, GROUND.band(band), seed, numbers))


def test_objects_at_the_border_are_cut_not_wrapped():
    """Half of a star on the left border, nothing on the right."""
    preset = get_preset("ground", ("r",), fractions={"star": 1})
    star = sample_object(0, 0, preset)
    flux = star.component_fluxes(preset).sum()
    (image,) = render_objects([star.rendered(preset)], np.array([[-0.5, 20.0]]), 41, preset.bands)
    assert image.sum(dtype=float) == pytest.approx(flux / 2, rel=0.02)
    assert np.abs(image[:, 30:]).max() < 1e-4 * flux
    (far,) = render_objects([star.rendered(preset)], np.array([[-200.0, 20.0]]), 41, preset.bands)
    assert not far.any()


def test_images_of_several_objects_add_up(items):
    few = [item.rendered(GROUND) for item in items[:3]]
    pixels = np.array([[20.0, 24.3], [31.7, 30.0], [40.0, 8.0]])
    together = render_objects(few, pixels, 64, GROUND.bands)
    apart = sum(
        render_objects([item], place[None], 64, GROUND.bands)
        for item, place in zip(few, pixels, strict=True)
    )
    np.testing.assert_allclose(together, apart, rtol=1e-4, atol=1e-2)


def test_canvas_grows_with_the_object_and_the_seeing(items):
    rendered = [item.rendered(GROUND) for item in items[:50]]
    for item in rendered:
        small, large = item.canvas(0.3, 0.8), item.canvas(0.3, 3.0)
        assert {small.size, large.size} <= set(CANVAS_SIZES) and small.size <= large.size
        assert small.size >= min(2 * item.shape.extent / 0.3, CANVAS_SIZES[-1])
