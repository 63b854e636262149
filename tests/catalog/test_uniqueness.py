"""Identifiers of partitions: what repeats is what pandas finds, in any order and any files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocnn.catalog import uniqueness
from astrocnn.catalog.uniqueness import KeyWriter, validate_unique
from astrocnn.errors import CatalogError

IDS = st.integers(-(2**63), 2**63 - 1) | st.integers(-4, 4)
TEXTS = st.text("ab é\u200b0", max_size=3)


def check(folder: Path, parts: list[np.ndarray], n_processes: int = 2) -> None:
    """Compare partitions that several processes wrote in turn."""
    writers = [KeyWriter(folder, sum(map(len, parts))) for _ in range(n_processes)]
    for number, part in enumerate(parts):
        writers[number % n_processes].add(part, number)
    validate_unique(folder, "id")


@settings(max_examples=25)
@given(st.data(), st.sampled_from([(IDS, np.int64), (TEXTS, np.str_)]))
def test_repetitions_are_those_of_pandas(data, kind):
    values, dtype = kind
    # Within a partition the catalogue itself compares them.
    part = st.lists(values, max_size=6, unique=True)
    parts = data.draw(st.lists(part, min_size=1, max_size=4))
    together = pd.Series([value for part in parts for value in part], dtype=object)
    arrays = [np.array(part, dtype) for part in parts]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        patch.setattr(uniqueness, "ROWS", 2)  # many scratch files
        if together.duplicated().any():
            with pytest.raises(CatalogError, match="'id' occur more than once"):
                check(Path(name), arrays)
        else:
            check(Path(name), arrays)
            # A partition that was written twice, by another process, is no repetition.
            KeyWriter(Path(name), len(together)).add(arrays[0], 0)
            validate_unique(Path(name), "id")


def test_the_smallest_repeated_integers_are_named(tmp_path):
    ids = np.arange(20) - 10
    with pytest.raises(CatalogError) as caught:
        check(tmp_path, [ids, ids[::2]])
    assert caught.value.received == [-10, -8, -6, -4, -2]


def test_repeated_texts_are_counted(tmp_path):
    with pytest.raises(CatalogError) as caught:
        check(tmp_path, [np.array(["a", "b"]), np.array(["c", "b", "a"])])
    assert caught.value.received == "2 of them"


def test_integers_of_other_widths_are_the_same_numbers(tmp_path):
    with pytest.raises(CatalogError) as caught:
        check(tmp_path, [np.array([1, 2], np.int16), np.array([2, 3], np.int64)])
    assert caught.value.received == [2]


def test_neighbours_beyond_the_range_of_floats_differ(tmp_path):
    ids = np.array([2**63 - 1, 2**63 - 2, -(2**63), -(2**63) + 1, 2**53, 2**53 + 1])
    check(tmp_path, [ids[:3], ids[3:]])


def test_no_row(tmp_path):
    check(tmp_path, [np.array([], np.int64)] * 2)


def test_numbers_and_text_are_refused(tmp_path):
    with pytest.raises(CatalogError, match="are numbers in some partitions and text in others"):
        check(tmp_path, [np.array([1, 2]), np.array(["1", "2"])])


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
