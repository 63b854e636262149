"""Joined catalogues and divided files against pandas and sets, for any cut and any order."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocnn.catalog import (
    FILE,
    SPLITS,
    Catalog,
    assign_file_splits,
    assign_splits,
    join_catalogs,
)
from astrocnn.errors import CatalogError

NAMES = tuple(f"{number}.fits" for number in range(4))
IDS = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=4, max_size=12, unique=True)


def build(ids, **more):
    n = len(ids)
    table = Table({"id": ids, "ra": np.linspace(0, 359, n), "dec": np.linspace(-90, 90, n)})
    for name, values in more.items():
        table[name] = values
    return table


def catalogs(*tables):
    return [Catalog.from_table(table) for table in tables]


@settings(max_examples=25)
@given(IDS, st.data())
def test_a_catalogue_cut_in_pieces_is_joined_again(ids, data):
    ends = data.draw(st.lists(st.integers(1, len(ids) - 1), unique=True, max_size=3).map(sorted))
    names = [f"J{value}é" for value in ids]
    mag = MaskedColumn(np.arange(len(ids)) / 7, mask=[value % 2 == 0 for value in ids])
    whole = build(np.array(ids), name=names, mag=mag)
    edges = [0, *ends, len(ids)]
    pieces = [whole[a:b] for a, b in itertools.pairwise(edges)]
    joined = join_catalogs(catalogs(*pieces), NAMES[: len(pieces)])
    alone = Catalog.from_table(whole)
    assert joined.ids.tolist() == ids and joined.ids.dtype == np.int64
    np.testing.assert_array_equal(joined.ra, alone.ra)
    np.testing.assert_array_equal(joined.dec, alone.dec)
    for name in ("name", "mag"):
        for one, other in zip(joined.column(name), alone.column(name), strict=True):
            np.testing.assert_array_equal(
                one[~alone.column(name)[1]], other[~alone.column(name)[1]]
            )
        np.testing.assert_array_equal(joined.column(name)[1], alone.column(name)[1])
    assert np.bincount(joined.column(FILE)[0]).tolist() == np.diff(edges).tolist()


@settings(max_examples=15)
@given(IDS, st.sets(st.sampled_from("abc")), st.sets(st.sampled_from("abc")))
def test_columns_that_one_lacks_are_missing_as_in_pandas(ids, one, other):
    half = len(ids) // 2
    tables = []
    for part, names in ((ids[:half], one), (ids[half:], other)):
        columns = {name: np.arange(len(part)) + 0.5 for name in sorted(names)}
        tables.append(build(np.array(part), **columns))
    joined = join_catalogs(catalogs(*tables), NAMES[:2])
    expected = pd.concat([table.to_pandas() for table in tables], ignore_index=True)
    assert set(joined.table.colnames) == {*expected.columns, FILE}
    for name in one | other:
        np.testing.assert_array_equal(joined.numbers(name), expected[name])


@given(IDS, st.data())
def test_identifiers_in_common_are_those_of_sets(ids, data):
    others = data.draw(st.lists(st.sampled_from(ids), min_size=1, unique=True))
    shared = sorted(set(ids) & set(others))
    with pytest.raises(CatalogError) as caught:
        join_catalogs(catalogs(build(np.array(ids)), build(np.array(others))), NAMES[:2])
    assert f"'0.fits' and '1.fits' have {len(shared)} identifiers" in str(caught.value)
    more = ", ..." if len(shared) > 3 else ""
    assert caught.value.received == ", ".join(map(str, shared[:3])) + more


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.remove_columns(["ra", "dec"]), "only one has positions"),
        (lambda t: t.replace_column("id", [str(i) for i in t["id"]]), "of different types"),
        (lambda t: t.replace_column("x", np.zeros((2, 3))), r"another shape than in '0.fits'"),
        (lambda t: t.add_column([1, 2], name=FILE), f"has a column '{FILE}'"),
    ],
)
def test_catalogues_that_do_not_fit(change, sentence):
    one, other = build([1, 2], x=[0.0, 1.0]), build([3, 4], x=[0.0, 1.0])
    change(other)
    with pytest.raises(CatalogError, match=sentence):
        join_catalogs(catalogs(one, other), NAMES[:2])


FILES = st.lists(st.sampled_from(SPLITS), min_size=1, max_size=4)


@given(FILES, st.data())
def test_files_of_given_splits_are_kept_in_any_order_of_rows(files, data):
    file = np.array(data.draw(st.lists(st.integers(0, len(files) - 1), min_size=1, max_size=30)))
    keys = np.arange(len(file)) * 7 - 50
    split = assign_file_splits(keys, file, files)
    given_split = np.array([SPLITS.index(name) for name in files])[file]
    if "validation" in files:
        assert split.tolist() == given_split.tolist()
    else:
        fitted = assign_splits(keys, (8 / 9, 1 / 9, 0.0))
        assert split.tolist() == np.where(given_split == 0, fitted, given_split).tolist()
    order = np.array(data.draw(st.permutations(range(len(file)))))
    assert assign_file_splits(keys[order], file[order], files).tolist() == split[order].tolist()


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["", "a", "b"])), min_size=1))
def test_copies_go_to_the_first_split_that_has_one(rows):
    file = np.array([number for number, _ in rows])
    contents = np.array([text for _, text in rows])
    split = assign_file_splits(np.arange(len(rows)), file, SPLITS, contents=contents)
    for number, (own, text) in enumerate(rows):
        first = min(other for other, content in rows if content == text) if text else own
        assert split[number] == first
