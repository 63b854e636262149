"""Fractions of bands on linear networks, and the pointing game on maps made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from astrocnn.errors import InputsError, ModelError
from astrocnn.explain import integrated_gradients, saliency
from astrocnn.explain.checks import band_fractions, pointing

from .networks import SPIRAL


def test_fractions_of_a_linear_network(linear, images):
    model, w = linear
    expected = np.abs(w).sum(axis=(0, 1)) / np.abs(w).sum()
    fraction = band_fractions(saliency(model, images, SPIRAL))
    np.testing.assert_allclose(fraction, np.tile(expected, (5, 1)), rtol=1e-5)
    np.testing.assert_allclose(fraction.sum(axis=1), 1, rtol=1e-12)


def test_contributions_do_not_depend_on_the_unit_of_a_band(linear, images):
    """A band ten times as bright with weights ten times as small counts as much."""
    model, w = linear
    scale = np.array([1, 10], np.float32)
    before = integrated_gradients(model, images, SPIRAL, baseline="zero", steps=1).attribution
    np.testing.assert_allclose(
        band_fractions((w / scale) * (images * scale)), band_fractions(before), rtol=1e-4
    )


def test_a_map_of_zeros_has_no_fractions():
    maps = np.zeros((2, 3, 3, 2))
    maps[1, 1, 1, 0] = -1
    fraction = band_fractions(maps)
    assert np.isnan(fraction[0]).all()
    np.testing.assert_array_equal(fraction[1], [1, 0])


def test_maps_without_bands_are_refused():
    with pytest.raises(InputsError, match="must have an axis of bands"):
        band_fractions(np.ones((2, 3, 3)))


@pytest.fixture
def masks():
    made = np.zeros((3, 8, 8), bool)
    made[0, 2:4, 2:4] = made[1, 6:, 6:] = made[2, 0, 0] = True
    return made


def test_a_map_of_known_fractions(masks):
    maps = np.zeros((3, 8, 8))
    maps[0, 2, 2], maps[0, 0, 5] = -6, 2  # three quarters inside, the maximum too
    maps[1, 7, 7], maps[1, 0, 0] = 1, 4  # a fifth inside, the maximum outside
    maps[2, 0, 0] = 1
    found = pointing(maps, masks)
    np.testing.assert_allclose(found.inside, [0.75, 0.2, 1])
    np.testing.assert_allclose(found.expected, [4 / 64, 4 / 64, 1 / 64])
    np.testing.assert_array_equal(found.hit, [1, 0, 1])
    scores = found.scores()
    assert scores["inside"].value == pytest.approx(0.65)
    assert scores["gain"].value == pytest.approx(0.65 / (3 / 64))
    assert scores["hit"].value == pytest.approx(2 / 3)
    assert all(s.low <= s.value <= s.high and s.n_used == 3 for s in scores.values())


def test_bands_are_added_up(masks):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(3, 8, 8, 2))
    found, summed = pointing(maps, masks), pointing(np.abs(maps).sum(axis=3), masks)
    for a, b in zip(found, summed, strict=True):
        np.testing.assert_allclose(a, b)


def test_a_uniform_map_has_the_expected_fraction(masks):
    found = pointing(np.full((3, 8, 8), -0.1), masks)
    np.testing.assert_allclose(found.inside, found.expected)
    np.testing.assert_allclose(found.hit, found.expected)


def test_a_margin_makes_masks_wider(masks):
    maps = np.zeros((3, 8, 8))
    maps[0, 1, 4] = maps[1, 5, 6] = maps[2, 1, 2] = 1
    found = pointing(maps, masks, margin=1)
    np.testing.assert_array_equal(found.hit, [1, 1, 0])
    np.testing.assert_allclose(found.expected, [16 / 64, 9 / 64, 4 / 64])
    np.testing.assert_array_equal(pointing(maps, masks, margin=2).hit, [1, 1, 1])
    assert not masks[0, 1, 4]


def test_objects_without_mask_or_attribution_are_excluded_and_counted(masks):
    maps = np.ones((3, 8, 8))
    maps[0] = 0
    masks[1] = False
    found = pointing(maps, masks)
    for values in found:
        np.testing.assert_array_equal(np.isnan(values), [True, True, False])
    score = found.scores()["inside"]
    assert (score.n_used, score.n_excluded) == (1, 2)
    assert score.reason == "no attribution or no mask"


def test_intervals_cover_the_truth():
    """Maps of independent noise hold in the mask what the area gives."""
    rng = np.random.default_rng(1)
    mask = np.zeros((60, 8, 8), bool)
    mask[:, 1:5, 2:6] = True
    held = []
    for _ in range(40):
        score = pointing(rng.normal(size=(60, 8, 8)), mask).scores(n_resamples=200)["hit"]
        held.append(score.low <= 0.25 <= score.high)
    assert np.mean(held) > 0.85


def test_masks_of_other_shapes_are_refused(masks):
    with pytest.raises(InputsError, match="a mask for each map"):
        pointing(np.ones((3, 8, 9)), masks)
    with pytest.raises(ModelError, match="must be >= 0"):
        pointing(np.ones((3, 8, 8)), masks, margin=-1)
