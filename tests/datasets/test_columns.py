"""Catalogue columns survive the FITS table: values, masks, letters, types."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Column, MaskedColumn
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from astrocnn.column import Column as StoredColumn
from astrocnn.datasets.columns import decode, encode, stored_names
from astrocnn.datasets.shard_file import read_table
from astrocnn.errors import CatalogError
from astrocnn.stored_files import parse_json


def through_fits(tmp_path_factory, column) -> Column:
    stored, values = encode("a column", "a_column", column)
    path = tmp_path_factory.mktemp("table") / "t.fits"
    table = fits.BinTableHDU.from_columns([stored.fits_column(values)], name="OBJECTS")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    stored = parse_json(json.dumps(asdict(stored)), StoredColumn, "column")
    return decode(stored, read_table(path)["a_column"])


def same(back: Column, column: np.ndarray) -> None:
    mask = np.ma.getmaskarray(column)
    np.testing.assert_array_equal(np.ma.getmaskarray(back), mask)
    values = np.asarray(np.ma.getdata(back))
    np.testing.assert_array_equal(values[~mask], np.asarray(np.ma.getdata(column))[~mask])
    assert values.dtype.isnative


TYPES = [np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)]
TYPES += [np.dtype(t) for t in ("f2", "f4", "f8", ">i4", ">f8", "?")]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("masked", [False, True])
@given(data=st.data())
def test_numbers(tmp_path_factory, dtype: np.dtype, masked: bool, data) -> None:
    shape = data.draw(st.sampled_from([(5,), (4, 3), (2, 2, 3)]))
    elements = {"allow_nan": False} if dtype.kind == "f" else None
    values = data.draw(hnp.arrays(dtype, shape, elements=elements))
    column: np.ndarray = values
    if masked and dtype != np.dtype("u8"):
        column = MaskedColumn(values, mask=data.draw(hnp.arrays("?", shape)))
    back = through_fits(tmp_path_factory, column)
    same(back, column)
    assert np.asarray(np.ma.getdata(back)).dtype == dtype.newbyteorder("=")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1))
def test_text(tmp_path_factory, words: list[str]) -> None:
    values = np.array(words, dtype=np.str_)
    same(through_fits(tmp_path_factory, values), values)


def test_masked_text_and_text_objects(tmp_path_factory) -> None:
    masked = MaskedColumn(["spiral", "", "édge"], mask=[False, False, True])
    back = through_fits(tmp_path_factory, masked)
    assert np.ma.getmaskarray(back).tolist() == [False, True, True]  # empty text is no label
    objects = np.array(["a", None, "100% sûr "], dtype=object)
    back = through_fits(tmp_path_factory, objects)
    assert back[0] == "a" and back.mask.tolist() == [False, True, False] and back[2] == "100% sûr "
    bytes_ = np.array([b"ab", b"c"])
    assert through_fits(tmp_path_factory, bytes_).tolist() in (["ab", "c"], [b"ab", b"c"])


def test_extreme_integers_next_to_masked_ones(tmp_path_factory) -> None:
    """TRAPS 12: 999999 is a value like any other."""
    column = MaskedColumn(np.array([999999, -32768, 0], np.int32), mask=[False, False, True])
    same(through_fits(tmp_path_factory, column), column)


def test_names_are_unlike_without_case_and_clean() -> None:
    names = ["z", "Z", "smooth-or", "smooth or", "id", "é"]
    got = stored_names(names, ["id"])
    assert list(got) == names
    lowered = [name.lower() for name in got.values()]
    assert len(set(lowered)) == len(names) and "id" not in lowered
    assert all(name.isascii() and name.replace("_", "a").isalnum() for name in got.values())


@pytest.mark.parametrize(
    "values",
    [np.array([1j, 2j]), np.array(["2020-01-01"], dtype="M8[D]"), np.array([{}, 1], dtype=object)],
)
def test_what_fits_cannot_hold_is_refused_by_name(values: np.ndarray) -> None:
    with pytest.raises(CatalogError, match="the_column"):
        encode("the_column", "x", values)
