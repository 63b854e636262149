"""Classes of objects: contract of all, and shapes against their truth."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from astrocnn.simulation import CLASSES
from astrocnn.simulation.canvas import Canvas
from astrocnn.simulation.morphology import Shape, sample_shape

CANVAS = Canvas(96, 0.3, 2)


def sample(label: str, seed: int, r_e: float = 1.5) -> Shape:
    return sample_shape(label, np.random.default_rng(seed), r_e)


def render(shape: Shape, seed: int = 1, canvas: Canvas = CANVAS) -> np.ndarray:
    return shape.render(canvas, np.random.default_rng(seed))


def to_image(transform: np.ndarray) -> np.ndarray:
    return np.fft.fftshift(np.fft.irfft2(transform))


def centroid(transform: np.ndarray) -> np.ndarray:
    """First moments [arcsec], from the gradient of the phase at zero frequency."""
    image = to_image(transform)
    return np.array([(CANVAS.x * image).sum(), (CANVAS.y * image).sum()]) / image.sum()


def test_class_names():
    assert CLASSES == ("edge_on", "elliptical", "merger", "spiral", "star")


@pytest.mark.parametrize("label", CLASSES)
@pytest.mark.parametrize("seed", range(4))
def test_contract(label, seed):
    shape = sample(label, seed)
    assert shape.label == label
    components = render(shape, seed)
    assert components.shape == (len(shape.components), 192, 97)
    assert components.dtype == np.complex64
    np.testing.assert_allclose(components[:, 0, 0], 1, atol=1e-5)  # unit flux
    assert all(component.weight >= 0 for component in shape.components)
    np.testing.assert_array_equal(components, render(shape, seed))


@pytest.mark.parametrize("label", CLASSES)
def test_light_lies_within_the_extent(label):
    shape = sample(label, 8, 1.0)
    weights = [component.weight for component in shape.components]
    image = to_image(np.tensordot(weights, render(shape, 9), axes=1))
    outside = np.hypot(CANVAS.x, CANVAS.y) > max(shape.extent, 3 * CANVAS.cell)
    assert abs(image[outside].sum() / image.sum()) < 0.05


@pytest.mark.parametrize("label", [c for c in CLASSES if c != "star"])
def test_weights_sum_to_one_and_bulge_fraction_is_the_truth(label):
    for seed in range(20):
        shape = sample(label, seed)
        weights = np.array([component.weight for component in shape.components])
        assert weights.sum() == pytest.approx(1)
        if label != "merger":
            assert weights[0] == pytest.approx(shape.b_over_t)


def test_sizes_scale_with_the_typical_radius():
    for label, factor in {
        "elliptical": 0.8,
        "spiral": 1.0,
        "edge_on": 1.25,
        "merger": 0.85,
    }.items():
        assert sample(label, 3, 2.0).r_e == pytest.approx(2.0 * factor)


def arm_phases(shape: Shape, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logarithmic radius and phase of the arm harmonic of a face-on spiral, ring by ring."""
    face_on = dataclasses.replace(shape, inclination=0.0)
    arms = to_image(render(face_on, seed)[2])
    major, minor = CANVAS.axes(shape.position_angle)
    radius, azimuth = np.hypot(major, minor), np.arctan2(minor, major)
    edges = np.linspace(1.2, 3.0, 16) * shape.r_e / 1.678
    phases = [
        np.angle(np.sum(arms[ring] * np.exp(1j * shape.n_arms * azimuth[ring])))
        for low, high in itertools.pairwise(edges)
        for ring in [(radius >= low) & (radius < high)]
    ]
    return np.log((edges[1:] + edges[:-1]) / 2), np.unwrap(phases)


@pytest.mark.parametrize("seed", range(6))
def test_handedness_of_arms_is_the_truth(seed):
    # Along an arm the phase grows outwards when it turns counterclockwise.
    shape = sample("spiral", seed, 4.0)
    _, phases = arm_phases(shape, seed)
    assert np.sign(phases[-1] - phases[0]) == shape.handedness


def test_pitch_angle_of_the_arms_is_the_truth():
    """A logarithmic spiral has d(phase) / d(ln r) = n_arms / tan(pitch)."""
    ratios = []
    for seed in range(24):
        shape = sample("spiral", seed, 4.0)
        slope = np.polyfit(*arm_phases(shape, seed), 1)[0]
        expected = shape.handedness * shape.n_arms / np.tan(np.radians(shape.pitch))
        ratios.append(slope / expected)
    # Single arms wander by up to 0.3 rad; patches disturb the phase of flocculent ones.
    assert np.median(ratios) == pytest.approx(1, abs=0.06)
    assert np.mean(np.abs(np.array(ratios) - 1) < 0.3) > 0.85


def test_inclination_flattens_disks():
    """Second moments of an inclined disk: the minor axis shrinks by the cosine."""
    shape = dataclasses.replace(sample("spiral", 2), inclination=60.0, position_angle=0.0)
    image = to_image(render(shape)[1])
    # A radius where neither cells nor the canvas truncate the moments.
    inside = np.hypot(CANVAS.x / 0.5, CANVAS.y) < 8
    width, height = (np.sum(image[inside] * axis[inside] ** 2) for axis in (CANVAS.x, CANVAS.y))
    assert np.sqrt(width / height) == pytest.approx(0.5, abs=0.02)


def test_edge_on_disk_is_thin_and_its_lane_dark():
    """The lane takes light from the plane of the front disk; behind it, all lies in the plane."""
    shape = next(s for s in (sample("edge_on", k, 3.0) for k in range(30)) if s.dust_lane)
    shape = dataclasses.replace(shape, position_angle=90.0, inclination=90.0)
    _, front, behind = (to_image(component) for component in render(shape))
    column = np.abs(CANVAS.x[0]) < 0.5
    profile_front, profile_behind = front[:, column].sum(axis=1), behind[:, column].sum(axis=1)
    middle = CANVAS.cells // 2
    assert profile_front[middle] < 0.5 * profile_front.max()
    assert abs(int(np.argmax(profile_behind)) - middle) <= 1

    def height(profile):
        return np.sqrt(np.average(CANVAS.y[:, 0] ** 2, weights=np.maximum(profile, 0)))

    assert height(profile_behind) < height(profile_front) < 0.3 * shape.r_e


def test_nuclei_of_mergers_have_the_separation_and_center_of_the_truth():
    for seed in range(8):
        shape = sample("merger", seed)
        first, second = (centroid(component) for component in render(shape, seed)[:2])
        assert np.hypot(*(second - first)) == pytest.approx(shape.separation, rel=0.02)
        weights = [component.weight for component in shape.components[:2]]
        np.testing.assert_allclose(
            np.average([first, second], axis=0, weights=weights), 0, atol=0.03
        )
        direction = (second - first) / shape.separation
        angle = np.radians(90 + shape.position_angle)
        np.testing.assert_allclose(direction, [np.cos(angle), np.sin(angle)], atol=0.04)


def test_frequencies_of_bars_arms_lanes_and_handedness():
    """Binomial intervals of four standard deviations about the declared probabilities."""
    n = 600
    spirals = [sample("spiral", seed) for seed in range(n)]
    lanes = [sample("edge_on", seed).dust_lane for seed in range(n)]
    s0 = [len(sample("elliptical", seed).components) > 1 for seed in range(n)]
    for observed, p in (
        ([s.handedness == 1 for s in spirals], 0.5),
        ([s.bar for s in spirals], 1 / 3),
        ([s.n_arms == 2 for s in spirals], 0.7),
        (lanes, 0.65),
        (s0, 1 / 3),
    ):
        assert np.mean(observed) == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / n))
    cosines = np.cos(np.radians([s.inclination for s in spirals]))
    # Disks are oriented at random, up to 70 degrees: the cosine is uniform.
    assert cosines.min() >= 0.35 - 1e-9
    assert np.mean(cosines) == pytest.approx(0.675, abs=4 * 0.65 / np.sqrt(12 * n))


def test_temperatures_of_stars_follow_the_triangle():
    """Mean and variance of a triangular distribution from 3,300 over 4,500 to 9,000 K."""
    a, c, b = 3300.0, 4500.0, 9000.0
    kelvin = np.array([sample("star", seed).components[0].spectrum for seed in range(800)])
    assert a <= kelvin.min() and kelvin.max() <= b
    variance = (a * a + b * b + c * c - a * b - a * c - b * c) / 18
    assert kelvin.mean() == pytest.approx((a + b + c) / 3, abs=4 * np.sqrt(variance / 800))
    assert kelvin.std() == pytest.approx(np.sqrt(variance), rel=0.1)
