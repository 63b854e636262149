"""Every kind of object keeps the contract; spirals wind the way their truth says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from astrocnn.simulation import CLASSES
from astrocnn.simulation.canvas import Canvas
from astrocnn.simulation.classes import class_named
from astrocnn.simulation.classes.spiral import _arms

CANVAS = Canvas(96, 0.3, 2)


def test_the_five_classes():
    assert set(CLASSES) == {"elliptical", "spiral", "edge_on", "merger", "star"}


@pytest.mark.parametrize("label", CLASSES)
@pytest.mark.parametrize("seed", range(4))
def test_contract(label, seed):
    module = class_named(label)
    shape = module.draw(np.random.default_rng(seed), 1.5)
    assert shape.label == label
    components = module.paint(shape, CANVAS, np.random.default_rng([seed, 1]))
    assert len(components) == len(shape.lights)
    for component in components:
        assert component.shape == (192, 97) and component.dtype == np.complex64
        assert component[0, 0] == pytest.approx(1, abs=1e-5)  # unit flux
    assert all(light.weight >= 0 for light in shape.lights)
    again = module.paint(shape, CANVAS, np.random.default_rng([seed, 1]))
    np.testing.assert_array_equal(components, again)


@pytest.mark.parametrize("label", CLASSES)
def test_light_lies_within_the_extent(label):
    module = class_named(label)
    shape = module.draw(np.random.default_rng(8), 1.0)
    total = sum(
        light.weight * component
        for light, component in zip(
            shape.lights, module.paint(shape, CANVAS, np.random.default_rng(9)), strict=True
        )
    )
    image = np.fft.fftshift(np.fft.irfft2(total))
    outside = np.hypot(CANVAS.x, CANVAS.y) > max(shape.extent, 3 * CANVAS.cell)
    assert abs(image[outside].sum() / image.sum()) < 0.05


@pytest.mark.parametrize("seed", range(6))
def test_arms_turn_as_the_truth_says(seed):
    spiral = class_named("spiral")
    shape = spiral.draw(np.random.default_rng(seed), 4.0)
    face_on = _arms(shape, CANVAS, 1.0, 0.7, np.random.default_rng(seed))
    major, minor = CANVAS.axes(shape.position_angle)
    radius, azimuth = np.hypot(major, minor), np.arctan2(minor, major)
    scale = shape.r_e / 1.678
    # Phase of the arm harmonic in rings: along an arm it grows outwards when the arm turns
    # counterclockwise (x to the right, y upwards).
    edges = np.linspace(1.2, 3.0, 16) * scale
    phases = [
        np.angle(np.sum(face_on[ring] * np.exp(1j * shape.n_arms * azimuth[ring])))
        for low, high in itertools.pairwise(edges)
        for ring in [(radius >= low) & (radius < high)]
    ]
    turn = np.unwrap(phases)[-1] - np.unwrap(phases)[0]
    assert np.sign(turn) == shape.handedness


def test_both_handednesses_are_equally_frequent():
    spiral = class_named("spiral")
    hands = [spiral.draw(np.random.default_rng(s), 1.0).handedness for s in range(400)]
    assert abs(np.mean(hands)) < 0.15  # three standard deviations
