"""Splits: of rows that can be learned from only, stable, and not broken by duplicates."""

from __future__ import annotations

import numpy as np
import pytest

from astrocnn.catalog import Catalog, assign_splits
from astrocnn.datasets import read_labels, split_rows, write_shards
from astrocnn.errors import CatalogError
from astrocnn.imaging import ArraySource
from astrocnn.targets.tasks.morphology import task as morphology

from .conftest import N

TASK = morphology(classes=("elliptical", "spiral"), column="kind")
LEFT_OUT = {3, 4, 8, 9}  # no band i; no data at all; no scalar; no label


def test_labels_are_those_of_the_rows_asked_for(shards) -> None:
    rows = np.array([9, 0, 7, 3])
    encoded, weights = read_labels(shards, TASK, rows)
    np.testing.assert_array_equal(weights["morphology"], [0, 1, 1, 1])
    np.testing.assert_array_equal(encoded["morphology"][1:], [[0, 1], [1, 0], [0, 1]])
    everything, _ = read_labels(shards, TASK)
    np.testing.assert_array_equal(everything["morphology"][rows], encoded["morphology"])
    with pytest.raises(CatalogError, match="no_such"):
        read_labels(shards, morphology(classes=("a", "b"), column="no_such"))


def test_every_good_row_is_in_one_split_and_no_other_row_is(shards) -> None:
    parts = split_rows(shards, TASK, fractions=(0.5, 0.25, 0.25))
    together = np.concatenate(parts)
    assert sorted(together) == [row for row in range(N) if row not in LEFT_OUT]
    assert all(len(part) > 3 and np.all(np.diff(part) > 0) for part in parts)
    by_id = assign_splits(shards.ids, (0.5, 0.25, 0.25))
    alone = [part[part != 6] for part in parts]  # 6 is a copy of 5 and follows it or leads it
    for number, part in enumerate(alone):
        part = part[part != 5]
        np.testing.assert_array_equal(by_id[part], number)


def test_identical_images_share_a_split_whatever_the_seed(shards) -> None:
    apart = 0
    for seed in range(20):
        halves = (0.5, 0.0, 0.5)
        parts = split_rows(shards, TASK, fractions=halves, seed=seed)
        assert [np.isin([5, 6], part).sum() for part in parts if np.isin(5, part)] == [2]
        apart += len(set(assign_splits(shards.ids, halves, seed)[[5, 6]])) - 1
    assert apart > 3, "without the grouping they would have been parted"


def test_a_division_of_ones_own_is_kept(shards) -> None:
    own = np.arange(N) % 3
    parts = split_rows(shards, TASK, split=own)
    for number, part in enumerate(parts):
        np.testing.assert_array_equal(own[part], number)
    assert set(np.concatenate(parts)) == set(range(N)) - LEFT_OUT


def test_shards_of_a_source_take_its_kind(tmp_path, images) -> None:
    catalog = Catalog.from_table({"id": np.arange(N), "kind": ["spiral"] * N})
    source = ArraySource(images, ("u", "v", "w"), pixel_scale=0.3, unit="Jy")
    inputs = write_shards(tmp_path, catalog, source).inputs
    assert (inputs.bands, inputs.size, inputs.pixel_scale) == (("u", "v", "w"), 12, 0.3)
    assert (inputs.unit, inputs.scalars, inputs.mask_channel) == ("Jy", (), False)
