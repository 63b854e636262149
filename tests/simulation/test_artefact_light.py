"""Light of stars, halos, spikes, lines and disks, and affected pixels, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from astrocnn.simulation import PRESETS, inject
from astrocnn.simulation.artefacts import ARTEFACTS, COUNTS, Camera, get_artefact, optics, stars
from astrocnn.simulation.artefacts.base import offsets
from astrocnn.simulation.artefacts.stars import FAINTEST_SATURATED, SATURATED

CAMERA = Camera(sigma=1.0, fwhm=3.0, gain=1e6, full_well=1e5)
SKY = np.zeros((120, 120), np.float32)


def apply(name, seed, strength=1.0, image=SKY, camera=CAMERA):
    return get_artefact(name).apply(image, camera, np.random.default_rng(seed), strength)


def test_camera_of_a_band_has_its_numbers_in_pixels():
    band = PRESETS["euclid"].band("VIS")
    camera = Camera.from_band(band)
    assert camera.fwhm == pytest.approx(1.3) and camera.sigma == band.sky_sigma
    assert camera.full_well * camera.gain == pytest.approx(2e5)  # electrons
    assert camera.tolerance == camera.sigma / 2


def test_halo_has_the_growth_curve_of_its_profile():
    """Flux within R of (1 + r^2 / a^2)^-beta is 1 - (1 + R^2 / a^2)^(1 - beta)."""
    image = stars.halo((401, 401), 200, 200, CAMERA)
    r = np.hypot(*offsets(image.shape, 200, 200))
    a = stars.HALO_CORE * CAMERA.fwhm
    for radius in (30, 80, 190):
        expected = stars.HALO_FRACTION * (1 - (1 + (radius / a) ** 2) ** (1 - stars.HALO_BETA))
        assert image[r < radius].sum() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("vanes", [3, 4])
def test_spikes_have_their_share_of_the_light(vanes):
    """Along a spike the brightness is a Lorentzian: half of the light lies within its core."""
    camera = Camera(1.0, 3.0, 5.0, 4e4, vanes=vanes)
    image = stars.spikes((801, 801), 400, 400, 20.0, camera)
    r = np.hypot(*offsets(image.shape, 400, 400))
    core = stars.SPIKE_CORE * camera.fwhm / 1.3
    for radius in (core, 5 * core, 20 * core):
        expected = stars.SPIKE_FRACTION * np.arctan(radius / core) / (np.pi / 2)
        assert image[r < radius].sum() == pytest.approx(expected, rel=0.06)


def test_line_is_the_projection_of_the_star():
    """Across a line the profile is the integral of the Moffat profile, by numerical integration."""
    narrow = optics.line((41, 41), 20, 20, 0.0, 0.0, CAMERA)
    a2 = (CAMERA.fwhm / 2) ** 2 / (2 ** (1 / 3.5) - 1)

    def star(x, y):
        return 2.5 / (np.pi * a2) * (1 + (x * x + y * y) / a2) ** -3.5

    for offset in (0, 2, 5):
        projected = np.mean(
            [quad(star, -200, 200, args=(offset + (s - 4) / 9,))[0] for s in range(9)]
        )
        assert narrow[20 + offset, 20] == pytest.approx(projected, rel=1e-6)


@pytest.mark.parametrize(("radius", "ratio"), [(6.0, 1.0), (10.0, 0.4)])
def test_disk_has_unit_flux_and_half_of_it_within_its_radius(radius, ratio):
    image = stars.disk((301, 301), 150, 150, radius, ratio, 30.0, CAMERA)
    assert image.sum() == pytest.approx(1, abs=0.02)
    dx, dy = offsets(image.shape, 150, 150)
    angle = np.radians(30)
    along = dx * np.cos(angle) + dy * np.sin(angle)
    across = dy * np.cos(angle) - dx * np.sin(angle)
    inside = np.hypot(along, across / ratio) < radius
    # The core of the point spread function moves some light outwards.
    assert 0.4 < image[inside].sum() < 0.51


def test_affected_pixels_are_half_a_sigma_or_a_fifth_of_the_peak():
    change = np.array([[0.0, 0.4, 0.6, -0.7, 3.0]])
    np.testing.assert_array_equal(CAMERA.affected_pixels(change), [[0, 0, 1, 1, 1]])
    faint = np.array([[0.0, 0.01, 0.021, 0.1]])
    np.testing.assert_array_equal(CAMERA.affected_pixels(faint), [[0, 0, 1, 1]])


def test_trail_affects_a_band_as_wide_as_its_profile():
    """At 12 sigma per pixel of length, a trail of 3 pixels FWHM exceeds half a sigma over ~10."""
    for seed in range(10):
        mask = apply("satellite_trail", seed).mask
        # Mean width across: area over the length of the chord, at most the diagonal.
        rows, columns = np.nonzero(mask)
        length = np.hypot(np.ptp(rows), np.ptp(columns))
        assert 3 < mask.sum() / length < 14


def test_ghost_is_a_ring_of_the_stated_brightness():
    for seed in range(10):
        result = apply("ghost", seed, strength=2.0)
        brightness = result.image[result.mask].astype(float)
        # Sloped by up to 0.3 and brighter at the limb by up to 0.5, dimmer under vanes.
        assert np.quantile(brightness, 0.5) == pytest.approx(2.0, rel=0.4)
        assert brightness.max() < 2.0 * 1.3 * 1.5 + 0.1
        largest = np.pi * (0.36 * 120) ** 2 * 1.15
        assert 0.02 * SKY.size < result.mask.sum() < largest


def test_step_covers_the_side_of_its_border():
    fractions = []
    for seed in range(200):
        mask = apply("background_step", seed).mask
        uniform = mask.all(axis=0) | (~mask).all(axis=0)
        assert uniform.all() or (mask.all(axis=1) | (~mask).all(axis=1)).all()
        fractions.append(mask.mean())
    # The border is uniform between 0.15 and 0.85 of the side, and either side is changed.
    assert min(fractions) > 0.14 and max(fractions) < 0.86
    assert np.mean(fractions) == pytest.approx(0.5, abs=4 * 0.2 / np.sqrt(200))


def test_hot_pixels_and_columns_have_the_stated_excess():
    peaks, columns = [], 0
    for seed in range(200):
        change = apply("hot_pixels", seed).image
        changed = np.count_nonzero(change, axis=0)
        columns += changed.max() > 50
        peaks.append(change.max())
    # Half of the images have a column of half the side or more.
    assert columns / 200 == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(200))
    assert 15 < np.median(peaks) < 60  # a maximum of several exponentials of 15 sigma


def test_blend_adds_the_stated_fraction_of_the_target():
    y, x = np.mgrid[:120, :120] - 59.5
    target = (500 * np.exp(-(x**2 + y**2) / 18) / (18 * np.pi)).astype(np.float32)
    added = [apply("blend", seed, 0.5, target).image.sum() - target.sum() for seed in range(30)]
    # A disk or a star near the center: little of it falls outside of the stamp.
    assert np.median(added) == pytest.approx(0.5 * target.sum(), rel=0.05)
    # Without a target, one of 40 sigma is assumed.
    alone = [apply("blend", seed, 0.5).image.sum() for seed in range(30)]
    assert np.median(alone) == pytest.approx(0.5 * 40, rel=0.15)


def test_severity_of_a_saturated_star_is_its_signal_to_noise():
    """Proportional to the flux: in the stated full wells above the faintest one."""
    low, high = (apply("saturated", 3, strength).severity for strength in (0.5, 2.0))
    ratio = (FAINTEST_SATURATED + 2.0 * SATURATED) / (FAINTEST_SATURATED + 0.5 * SATURATED)
    assert high / low == pytest.approx(ratio, rel=1e-6)


def test_cosmic_rays_do_not_exceed_the_full_well():
    camera = Camera(sigma=1.0, fwhm=3.0, gain=1.0, full_well=500.0)
    bright = np.full((60, 60), 700.0, np.float32)  # saturated before
    for seed in range(5):
        changed = apply("cosmic_ray", seed, image=np.zeros((60, 60), np.float32), camera=camera)
        assert changed.image.max() <= 500
        np.testing.assert_array_equal(
            apply("cosmic_ray", seed, image=bright, camera=camera).image, bright
        )


def test_strengths_are_log_uniform():
    """The severity of an edge is strength / (1 + strength): its odds have a log-uniform law."""
    images = np.zeros((400, 100, 100), np.float32)
    truth = inject(images, CAMERA, seed=2, fraction=1.0, kinds=["edge"]).truth
    severity = np.array(truth["severity_edge"], float)
    low, high = np.log(get_artefact("edge").strengths)
    uniform = (np.log(severity / (1 - severity)) - low) / (high - low)
    assert stats.kstest(uniform, "uniform").pvalue > 0.001


def test_numbers_and_kinds_of_artefacts_have_the_stated_frequencies():
    # Without pairs that exclude each other, and without the star that brings spikes.
    kinds = [name for name in ARTEFACTS if name not in ("defocus", "saturated")]
    truth = inject(np.zeros((600, 16, 16)), CAMERA, seed=5, fraction=1.0, kinds=kinds).truth
    has = np.array([np.array(truth[f"has_{name}"]) for name in kinds])
    counts = np.bincount(has.sum(axis=0), minlength=4)[1:]
    assert stats.chisquare(counts, 600 * np.array(COUNTS)).pvalue > 0.001
    assert stats.chisquare(has.sum(axis=1)).pvalue > 0.001


def test_masks_cover_the_changed_pixels_of_an_injection():
    images = np.random.default_rng(0).normal(size=(40, 64, 64)).astype(np.float32)
    result = inject(images, CAMERA, seed=8, fraction=1.0)
    # Three artefacts may each change a pixel by the tolerance of its own mask.
    changed = ~np.isclose(result.images, images, atol=3 * CAMERA.tolerance + 0.02)
    assert not (changed & (result.masks == 0)).any()
