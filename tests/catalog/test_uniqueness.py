"""Identifiers of partitions: what repeats is what pandas finds, in any order and any files."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocnn.catalog import uniqueness
from astrocnn.catalog.uniqueness import validate_unique
from astrocnn.errors import CatalogError

IDS = st.integers(-(2**63), 2**63 - 1) | st.integers(-4, 4)
TEXTS = st.text("ab é\u200b0", max_size=3)


def write(folder, parts, kind=None):
    files = [folder / f"{number}.parquet" for number in range(len(parts))]
    for file, part in zip(files, parts, strict=True):
        pq.write_table(pa.table({"id": pa.array(part, kind), "x": np.zeros(len(part))}), file)
    return files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("parts")


@settings(max_examples=25)
@given(st.data(), st.sampled_from([(IDS, pa.int64()), (TEXTS, pa.string())]))
def test_repetitions_are_those_of_pandas(folder, data, kind):
    values, arrow = kind
    parts = data.draw(st.lists(st.lists(values, max_size=6), min_size=1, max_size=3))
    together = pd.Series([value for part in parts for value in part], dtype=object)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uniqueness, "ROWS", 2)  # many scratch files
        patch.setattr(uniqueness, "BATCH", 3)
        if together.duplicated().any():
            with pytest.raises(CatalogError, match="'id' occur more than once"):
                validate_unique(write(folder, parts, arrow), "id", folder)
        else:
            assert validate_unique(write(folder, parts, arrow), "id", folder) == len(together)
    assert not list(folder.glob(".tmp-*"))


def test_the_smallest_repeated_integers_are_named(tmp_path):
    ids = np.arange(20) - 10
    files = write(tmp_path, [ids, ids[::2]])
    with pytest.raises(CatalogError) as caught:
        validate_unique(files, "id", tmp_path)
    assert caught.value.received == [-10, -8, -6, -4, -2]


def test_repeated_texts_are_counted(tmp_path):
    files = write(tmp_path, [["a", "b"], ["c", "b", "a", "b"]])
    with pytest.raises(CatalogError) as caught:
        validate_unique(files, "id", tmp_path)
    assert caught.value.received == "3 repetitions"


def test_integers_of_other_widths_are_the_same_numbers(tmp_path):
    files = write(tmp_path, [[1, 2]], pa.int16())
    (tmp_path / "wide").mkdir()
    other = write(tmp_path / "wide", [[2, 3]], pa.int64())
    with pytest.raises(CatalogError) as caught:
        validate_unique([*files, *other], "id", tmp_path)
    assert caught.value.received == [2]


def test_neighbours_beyond_the_range_of_floats_differ(tmp_path):
    ids = [2**63 - 1, 2**63 - 2, -(2**63), -(2**63) + 1, 2**53, 2**53 + 1]
    assert validate_unique(write(tmp_path, [ids[:3], ids[3:]]), "id", tmp_path) == 6


def test_no_partition_and_no_row(tmp_path):
    assert validate_unique([], "id", tmp_path) == 0
    assert validate_unique(write(tmp_path, [[], []], pa.int64()), "id", tmp_path) == 0


@pytest.mark.parametrize(
    ("parts", "column", "sentence"),
    [
        ([[1, None]], "id", "has rows without 'id'"),
        ([[1, 2]], "ID", "has no column 'ID'"),
        ([[1, 2], ["1", "2"]], "id", "are numbers in some partitions and text in others"),
    ],
)
def test_partitions_that_cannot_be_compared(tmp_path, parts, column, sentence):
    with pytest.raises(CatalogError, match=sentence):
        validate_unique(write(tmp_path, parts), column, tmp_path)
    assert not list(tmp_path.glob(".tmp-*"))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, min_size=1))
def test_mixing_is_one_to_one(ids):
    keys = np.array(ids, np.int64)
    mixed = uniqueness._mix(keys)
    assert len(np.unique(mixed)) == len(ids)
    np.testing.assert_array_equal(keys, ids)  # the keys themselves are left


def test_consecutive_integers_spread_over_the_files():
    counts = np.bincount(uniqueness._mix(np.arange(64_000)) % np.uint64(64), minlength=64)
    # Poisson: 1000 in each file, with a standard deviation of 32.
    assert np.all(np.abs(counts - 1000) < 5 * np.sqrt(1000))
