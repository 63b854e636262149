"""Artefacts against closed forms: flux, spikes, charge, noise, blur."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from astrocnn.errors import ConfigError
from astrocnn.simulation.artefacts import Camera, get_artefact, optics, stars
from astrocnn.simulation.artefacts.base import offsets
from astrocnn.simulation.artefacts.detector import PER_PIXEL, _add_track
from astrocnn.simulation.artefacts.stars import bleed

WHITE = Camera(sigma=2.0, fwhm=3.0, gain=4.0, full_well=2e4)
SHARP = Camera(sigma=1.43, fwhm=1.3, gain=5.0, full_well=4e4, correlation=0.4)


def apply(name, image, seed, strength=1.0, camera=WHITE):
    return get_artefact(name).apply(image, camera, np.random.default_rng(seed), strength)


def lag(field: np.ndarray) -> float:
    return float(np.mean(field[:, 1:] * field[:, :-1]) / np.mean(field**2))


@pytest.mark.parametrize("camera", [WHITE, SHARP])
def test_a_point_has_the_growth_curve_of_moffat(camera):
    image = stars.star((121, 121), 60.3, 59.8, camera)
    r = np.hypot(*offsets(image.shape, 60.3, 59.8))
    a2 = (camera.fwhm / 2) ** 2 / (2 ** (1 / 3.5) - 1)
    # Averaging over pixels widens the profile by a twelfth in the variance, less than this.
    for radius in (12, 25, 50):
        inside = 1 - (1 + radius**2 / a2) ** -2.5
        assert image[r < radius].sum() == pytest.approx(inside, abs=0.004)


@settings(max_examples=15)
@given(st.floats(0, 180), st.floats(0, 6))
def test_a_line_has_unit_flux_per_length(angle, width):
    image = optics.line((151, 151), 75, 75, angle, width, WHITE)
    r = np.hypot(*offsets(image.shape, 75, 75))
    inside = image[r < 60].sum()
    assert inside == pytest.approx(120, rel=0.03)


@pytest.mark.parametrize(("vanes", "spikes"), [(3, 6), (4, 4), (1, 2), (2, 2)])
def test_each_vane_makes_two_spikes_and_opposite_vanes_share_them(vanes, spikes):
    camera = Camera(1.0, 2.0, 5.0, 4e4, vanes=vanes)
    assert camera.spikes == spikes
    image = stars.spikes((161, 161), 80, 80, 11.0, camera)
    around = np.radians(np.arange(720) / 2)
    ring = image[
        np.rint(80 + 50 * np.sin(around)).astype(int),
        np.rint(80 + 50 * np.cos(around)).astype(int),
    ]
    bright = ring > 0.4 * ring.max()
    assert (bright & ~np.roll(bright, 1)).sum() == spikes


@given(arrays(np.float64, (17, 3), elements=st.floats(0, 40)), st.floats(1, 50))
def test_bleeding_keeps_the_charge_and_respects_the_full_well(image, full_well):
    # Wide margins, so that no charge runs off the ends.
    padded = np.pad(image, ((800, 800), (0, 0)))
    out = bleed(padded, full_well)
    assert out.max() <= full_well * (1 + 1e-12)
    np.testing.assert_allclose(out.sum(axis=0), image.sum(axis=0))
    np.testing.assert_allclose(bleed(out, full_well), out, rtol=1e-12)


def test_charge_bleeds_up_and_down_alike_and_stops_where_there_are_no_pixels():
    column = np.zeros((41, 1))
    column[20] = 9 * 5.0
    np.testing.assert_allclose(np.flatnonzero(bleed(column, 5.0)), np.arange(16, 25))
    column[30:] = np.nan
    column[29] = 55.0
    out = bleed(column, 5.0)
    # Of the 50 too many, the half that goes up is lost.
    assert np.isnan(out[30:]).all() and np.nansum(out) == pytest.approx(45 + 5 + 25)


def test_a_saturated_star_bleeds_along_its_column_only():
    image = np.zeros((150, 150), np.float32)
    for seed in range(4):
        result = apply("saturated", image, seed, 3.0)
        full = result.image >= WHITE.full_well
        rows, columns = np.nonzero(full)
        assert result.image.max() <= WHITE.full_well
        assert np.ptp(rows) > 1.5 * np.ptp(columns)
        assert set(result.secondary) == {"diffraction_spike"}


@pytest.mark.parametrize("camera", [WHITE, SHARP], ids=["white", "correlated"])
def test_noise_has_unit_variance_and_the_correlation_of_the_kernel(camera):
    field = camera.noise((500, 400), np.random.default_rng(0))
    assert np.std(field) == pytest.approx(1, abs=0.01)
    k = np.exp(-0.5 * (np.arange(-3, 4) / max(camera.correlation, 1e-3)) ** 2)
    assert lag(field) == pytest.approx(k[1:] @ k[:-1] / (k @ k), abs=0.012)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.5, 0.8])
def test_noise_is_measured_beneath_objects(correlation):
    camera = Camera(3.0, 2.0, 5.0, 4e4, correlation)
    image = 3.0 * camera.noise((300, 300), np.random.default_rng(1))
    y, x = np.mgrid[:300, :300]
    image += 0.02 * x + 400 * np.exp(-np.hypot(x - 150, y - 140) / 9)
    image[:, :20] = np.nan
    found = Camera.from_images(image, fwhm=2.0, gain=5.0, full_well=4e4)
    assert found.sigma == pytest.approx(3.0, rel=0.03)
    fields = [c.noise((500, 500), np.random.default_rng(2)) for c in (found, camera)]
    assert lag(fields[0]) == pytest.approx(lag(fields[1]), abs=0.025)


def test_added_light_has_the_noise_of_its_photons():
    flat = np.full((400, 400), 50.0)
    white = WHITE.add_light(np.zeros_like(flat), flat, np.random.default_rng(0)).image
    smooth = SHARP.add_light(np.zeros_like(flat), flat, np.random.default_rng(0)).image
    assert np.var(white) == pytest.approx(50 / WHITE.gain, rel=0.02)
    assert np.var(smooth) == pytest.approx(50 / SHARP.gain, rel=0.02)
    assert white.mean() == pytest.approx(50, abs=0.05)


@pytest.mark.parametrize("seed", range(6))
def test_blur_keeps_flux_and_adds_its_own_variance(seed):
    quiet = Camera(1e-6, 3.0, 4.0, 2e4)
    y, x = np.mgrid[:141, :141] - 70.0
    image = np.exp(-(x**2 + y**2) / (2 * 5.0**2))
    result = apply("defocus", image, seed, 2.0, quiet)
    blurred = result.image.astype(np.float64)
    assert blurred.sum() == pytest.approx(image.sum(), rel=1e-4)
    before = 2 * 5.0**2
    after = np.sum(blurred * (x**2 + y**2)) / blurred.sum()
    radius = 1.5 * 2.0 * 3.0
    drift, ring = (3.3 * radius) ** 2 / 12, radius**2 * (1 + 0.38**2) / 2
    assert min(abs(after - before - v) / v for v in (drift, ring)) < 0.01
    # Severity is the width of the blur, per axis for the ring, over that of a star.
    expected = {drift: np.sqrt(drift), ring: np.sqrt(ring / 2)}
    nearest = min(expected, key=lambda v: abs(after - before - v))
    assert result.severity == pytest.approx(expected[nearest] * 2.355 / 3.0)


@pytest.mark.parametrize("camera", [WHITE, SHARP], ids=["white", "correlated"])
def test_blur_leaves_the_noise_as_it_was(camera):
    sky = camera.sigma * camera.noise((400, 400), np.random.default_rng(7))
    for seed in range(3):
        blurred = apply("defocus", sky.astype(np.float32), seed, 1.5, camera).image
        assert np.std(blurred) == pytest.approx(camera.sigma, rel=0.012)
        assert lag(blurred) == pytest.approx(lag(sky), abs=0.015)


def test_tracks_have_the_length_and_charge_of_particles_from_all_sides():
    lengths, charges = [], []
    for seed in range(400):
        charge = np.zeros((300, 300))
        _add_track(charge, np.array([150.0, 150.0]), 3.3, np.random.default_rng(seed))
        rows, columns = np.nonzero(charge)
        lengths.append(np.hypot(np.ptp(rows), np.ptp(columns)))
        charges.append(charge.sum())
    # sin^2 t uniform up to 0.999: median tan t is 1, mean 1 / cos t is 2 (1 - sqrt 0.001) / 0.999.
    assert np.median(lengths) == pytest.approx(3.3, abs=1.2)
    worms = 1 + 0.2 * 0.75
    mean = PER_PIXEL * 3.3 * 2 * (1 - np.sqrt(0.001)) / 0.999 * worms
    assert np.mean(charges) == pytest.approx(mean, rel=0.12)


def test_tracks_are_sharper_than_stars():
    star = stars.star((61, 61), 30, 30, WHITE).max()
    shares = []
    for seed in range(200):
        charge = np.zeros((300, 300))
        _add_track(charge, np.array([150.0, 150.0]), 3.3, np.random.default_rng(seed))
        shares.append(charge.max() / charge.sum())
    assert np.quantile(shares, 0.4) > 2 * star


@pytest.mark.parametrize("strength", [0.05, 0.5, 1.2])
def test_edge_removes_the_stated_fraction(strength):
    for seed in range(5):
        result = apply("edge", np.zeros((150, 150), np.float32), seed, strength)
        assert result.severity == np.isnan(result.image).mean()
        assert result.severity == pytest.approx(strength / (1 + strength), abs=0.008)


def test_step_has_the_stated_height():
    result = apply("background_step", np.zeros((90, 90), np.float32), 0, 0.7)
    assert np.abs(result.image).max() == pytest.approx(0.7 * WHITE.sigma, rel=1e-6)
    assert (result.image[~result.mask] == 0).all()


def test_severity_of_added_light_is_its_signal_to_noise():
    change = np.zeros((20, 20))
    change[3:7, 5] = 6.0
    assert WHITE.signal_to_noise(change) == pytest.approx(np.sqrt(4) * 6 / 2)


def test_a_camera_without_noise_is_refused():
    with pytest.raises(ConfigError, match="`sigma` must be positive"):
        Camera(0.0, 1.0, 1.0, 1.0)
    with pytest.raises(ConfigError, match="no measurable noise"):
        Camera.from_images(np.zeros((30, 30)), fwhm=1.0, gain=1.0, full_well=1.0)
