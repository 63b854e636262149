"""The eight symmetries of the square, against numpy and as a group."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from astrocnn.datasets.symmetry import ELEMENTS, UPSIDE_DOWN, d4_tables, get_d4_views, view
from astrocnn.errors import InputsError


def test_views_are_turns_and_mirrored_turns() -> None:
    images = np.random.default_rng(0).normal(size=(3, 5, 5, 2))
    views = list(get_d4_views(images))
    assert len(views) == ELEMENTS and np.shares_memory(views[7], images)
    for k in range(4):
        for i in range(3):
            turned = np.rot90(images[i], k)
            np.testing.assert_array_equal(views[k][i], turned)
            np.testing.assert_array_equal(views[k + 4][i], np.fliplr(turned))
    np.testing.assert_array_equal(views[0], images)
    np.testing.assert_array_equal(views[UPSIDE_DOWN], images[:, ::-1])


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_tables_are_the_views(size: int) -> None:
    image = np.random.default_rng(0).normal(size=(1, size, size, 1))
    tables = d4_tables(size)
    for element in range(ELEMENTS):
        got = image.reshape(-1)[tables[element]]
        np.testing.assert_array_equal(got, view(image, element).reshape(-1))


def test_the_elements_form_the_dihedral_group() -> None:
    tables = [tuple(table) for table in d4_tables(3)]
    assert len(set(tables)) == 8
    products = {
        (a, b): tuple(np.array(tables[a])[list(tables[b])])
        for a, b in itertools.product(range(8), repeat=2)
    }
    assert all(product in tables for product in products.values())
    identity = tables[0]
    for a in range(8):
        assert any(products[a, b] == identity for b in range(8))
    squares_to_one = sum(products[a, a] == identity for a in range(8))
    assert squares_to_one == 6  # identity, half turn, four mirrors; Z8 and Q8 have 2
    assert products[1, 4] != products[4, 1]


def test_oblong_images_have_other_symmetries() -> None:
    with pytest.raises(InputsError, match="square images"):
        get_d4_views(np.zeros((1, 4, 5, 2)))
