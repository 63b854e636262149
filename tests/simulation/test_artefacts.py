"""Every artefact keeps the contract: its mask, its noise, its seed, its severity."""

from __future__ import annotations

import numpy as np
import pytest

from astrocnn.errors import ConfigError
from astrocnn.simulation.artefacts import ARTEFACTS, Camera, get_artefact, in_order
from astrocnn.simulation.artefacts.base import STAGES

VIS = Camera(sigma=1.43, fwhm=1.3, gain=5.0, full_well=4e4, correlation=0.4)
WHITE = Camera(sigma=2.0, fwhm=3.0, gain=4.0, full_well=2e4)
CAMERAS = {"VIS": VIS, "white": WHITE}
SEEDS = range(4)


def stamp(camera: Camera, size: int = 96) -> np.ndarray:
    """A round galaxy in noise."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    light = 30 * camera.sigma * np.exp(-(x**2 + y**2) / (2 * 4.0**2))
    noise = camera.noise((size, size), np.random.default_rng(99))
    return (light + camera.sigma * noise).astype(np.float32)


def drawn(name, camera, seed, strength=1.0, image=None):
    leaf = get_artefact(name)
    image = stamp(camera) if image is None else image
    return leaf.draw(image, camera, np.random.default_rng(seed), strength)


def test_the_ten_artefacts():
    assert set(ARTEFACTS) == {
        "background_step",
        "blend",
        "cosmic_ray",
        "defocus",
        "diffraction_spike",
        "edge",
        "ghost",
        "hot_pixels",
        "satellite_trail",
        "saturated",
    }
    with pytest.raises(ConfigError, match="did you mean 'ghost'"):
        get_artefact("gost")


def test_light_meets_the_optics_before_the_detector():
    order = in_order(ARTEFACTS)
    assert order.index("blend") < order.index("defocus") < order.index("cosmic_ray")
    assert order.index("cosmic_ray") < order.index("background_step") < order.index("edge")


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
@pytest.mark.parametrize("name", ARTEFACTS)
class TestContract:
    def test_declares_stage_strengths_and_severity(self, name, camera):
        leaf = get_artefact(name)
        low, high = leaf.STRENGTHS
        assert leaf.STAGE in STAGES and 0 < low < high and leaf.SEVERITY

    @pytest.mark.parametrize("seed", SEEDS)
    def test_form_and_mask(self, name, camera, seed):
        image = stamp(camera)
        before = image.copy()
        made = drawn(name, camera, seed, image=image)
        np.testing.assert_array_equal(image, before)
        assert made.image.shape == image.shape and made.image.dtype == np.float32
        assert made.mask.shape == image.shape and made.mask.dtype == bool and made.mask.any()
        assert np.isfinite(made.severity) and made.severity > 0
        np.testing.assert_array_equal(np.isnan(made.image), (name == "edge") & made.mask)
        for mask, severity in made.brought.values():
            assert mask.any() and severity > 0

    @pytest.mark.parametrize("seed", SEEDS)
    def test_pixels_outside_the_mask_stay_within_the_tolerance(self, name, camera, seed):
        made = drawn(name, camera, seed)
        change = np.abs(made.image - stamp(camera))[~made.mask]
        photons = np.sqrt(camera.tolerance / camera.gain)
        assert change.max(initial=0) <= camera.tolerance + 5.5 * photons

    def test_seed(self, name, camera):
        one, again, other = (drawn(name, camera, seed) for seed in (5, 5, 6))
        np.testing.assert_array_equal(one.image, again.image)
        np.testing.assert_array_equal(one.mask, again.mask)
        assert one.severity == again.severity
        assert not np.array_equal(one.image, other.image, equal_nan=True)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_severity_grows_with_strength(self, name, camera, seed):
        low, high = get_artefact(name).STRENGTHS
        strengths = np.geomspace(low, high, 5)
        severities = [drawn(name, camera, seed, s).severity for s in strengths]
        assert np.all(np.diff(severities) > 0)

    def test_pixels_without_data_stay_without(self, name, camera):
        image = stamp(camera)
        image[:, :7] = np.nan
        made = drawn(name, camera, 3, image=image)
        assert np.isnan(made.image[:, :7]).all()
        assert name == "edge" or np.isfinite(made.image[:, 7:]).all()
