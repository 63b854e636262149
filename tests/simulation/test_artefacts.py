"""Contract of all artefacts: mask, noise, seed and severity."""

from __future__ import annotations

import numpy as np
import pytest

from astrocnn.errors import ConfigError
from astrocnn.simulation.artefacts import ARTEFACTS, Camera, get_artefact
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


def apply(name, camera, seed, strength=1.0, image=None):
    image = stamp(camera) if image is None else image
    return get_artefact(name).apply(image, camera, np.random.default_rng(seed), strength)


def test_names():
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


def test_order_follows_the_light_path():
    order = sorted(ARTEFACTS, key=lambda name: get_artefact(name).order)
    assert order.index("blend") < order.index("defocus") < order.index("cosmic_ray")
    assert order.index("cosmic_ray") < order.index("background_step") < order.index("edge")


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
@pytest.mark.parametrize("name", ARTEFACTS)
class TestContract:
    def test_declares_stage_strengths_and_severity(self, name, camera):
        artefact = get_artefact(name)
        low, high = artefact.strengths
        assert artefact.stage in STAGES and 0 < low < high and artefact.severity

    @pytest.mark.parametrize("seed", SEEDS)
    def test_shape_dtype_and_mask(self, name, camera, seed):
        image = stamp(camera)
        before = image.copy()
        result = apply(name, camera, seed, image=image)
        np.testing.assert_array_equal(image, before)
        assert result.image.shape == image.shape and result.image.dtype == np.float32
        assert result.mask.shape == image.shape and result.mask.dtype == bool and result.mask.any()
        assert np.isfinite(result.severity) and result.severity > 0
        np.testing.assert_array_equal(np.isnan(result.image), (name == "edge") & result.mask)
        for mask, severity in result.secondary.values():
            assert mask.any() and severity > 0

    @pytest.mark.parametrize("seed", SEEDS)
    def test_pixels_outside_the_mask_stay_within_the_tolerance(self, name, camera, seed):
        result = apply(name, camera, seed)
        change = np.abs(result.image - stamp(camera))[~result.mask]
        photons = np.sqrt(camera.tolerance / camera.gain)
        assert change.max(initial=0) <= camera.tolerance + 5.5 * photons

    def test_result_depends_on_the_seed_alone(self, name, camera):
        one, again, other = (apply(name, camera, seed) for seed in (5, 5, 6))
        np.testing.assert_array_equal(one.image, again.image)
        np.testing.assert_array_equal(one.mask, again.mask)
        assert one.severity == again.severity
        assert not np.array_equal(one.image, other.image, equal_nan=True)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_severity_grows_with_strength(self, name, camera, seed):
        low, high = get_artefact(name).strengths
        strengths = np.geomspace(low, high, 5)
        severities = [apply(name, camera, seed, s).severity for s in strengths]
        assert np.all(np.diff(severities) > 0)

    def test_pixels_without_data_remain_nan(self, name, camera):
        image = stamp(camera)
        image[:, :7] = np.nan
        result = apply(name, camera, 3, image=image)
        assert np.isnan(result.image[:, :7]).all()
        assert name == "edge" or np.isfinite(result.image[:, 7:]).all()
