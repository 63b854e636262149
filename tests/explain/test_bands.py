"""Shares of bands: exact on linear networks."""

from __future__ import annotations

import numpy as np
import pytest

from astrocnn.errors import InputsError
from astrocnn.explain import integrated_gradients, saliency
from astrocnn.explain.checks import band_share

from .networks import SPIRAL


def test_shares_of_a_linear_network(linear, images):
    model, w = linear
    expected = np.abs(w).sum(axis=(0, 1)) / np.abs(w).sum()
    share = band_share(saliency(model, images, SPIRAL))
    np.testing.assert_allclose(share, np.tile(expected, (5, 1)), rtol=1e-5)
    np.testing.assert_allclose(share.sum(axis=1), 1, rtol=1e-12)


def test_contributions_do_not_depend_on_the_unit_of_a_band(linear, images):
    """A band ten times as bright with weights ten times as small counts as much."""
    model, w = linear
    scale = np.array([1, 10], np.float32)
    before = integrated_gradients(model, images, SPIRAL, baseline="zero", steps=1).attribution
    np.testing.assert_allclose(
        band_share((w / scale) * (images * scale)), band_share(before), rtol=1e-4
    )


def test_a_map_of_nothing_has_no_shares():
    maps = np.zeros((2, 3, 3, 2))
    maps[1, 1, 1, 0] = -1
    share = band_share(maps)
    assert np.isnan(share[0]).all()
    np.testing.assert_array_equal(share[1], [1, 0])


def test_maps_without_bands_are_refused():
    with pytest.raises(InputsError, match="do not tell bands apart"):
        band_share(np.ones((2, 3, 3)))
