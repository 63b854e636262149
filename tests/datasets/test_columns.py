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
    (back,) = all_through_fits(tmp_path_factory, [column])
    return back


def all_through_fits(tmp_path_factory, columns) -> list[Column]:
    """Columns written to one file and read back."""
    path = tmp_path_factory.mktemp("table") / "t.fits"
    encoded = [encode("a column", f"column_{i}", column) for i, column in enumerate(columns)]
    fields = [stored.fits_column(values) for stored, values in encoded]
    table = fits.BinTableHDU.from_columns(fields, name="OBJECTS")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    raw = read_table(path)
    kept = [parse_json(json.dumps(asdict(s)), StoredColumn, "column") for s, _ in encoded]
    return [decode(stored, raw[f"column_{i}"]) for i, stored in enumerate(kept)]


def same(back: Column, column: np.ndarray) -> None:
    mask = np.ma.getmaskarray(column)
    np.testing.assert_array_equal(np.ma.getmaskarray(back), mask)
    values = np.asarray(np.ma.getdata(back))
    np.testing.assert_array_equal(values[~mask], np.asarray(np.ma.getdata(column))[~mask])
    assert values.dtype.isnative


TYPES = {
    "signed": ("i1", "i2", "i4", "i8"),
    "unsigned": ("u1", "u2", "u4", "u8"),
    "floats": ("f2", "f4", "f8"),
    "others": (">i4", ">f8", "?"),
}


@pytest.mark.parametrize("types", TYPES.values(), ids=TYPES)
@pytest.mark.parametrize("masked", [False, True])
@given(data=st.data())
def test_numbers(tmp_path_factory, types: tuple[str, ...], masked: bool, data) -> None:
    n = data.draw(st.sampled_from([2, 4, 5]))
    columns: list[np.ndarray] = []
    for dtype in map(np.dtype, types):
        shape = (n, *data.draw(st.sampled_from([(), (3,), (2, 3)])))
        elements = {"allow_nan": False} if dtype.kind == "f" else None
        values = data.draw(hnp.arrays(dtype, shape, elements=elements))
        if masked and dtype != np.dtype("u8"):
            values = MaskedColumn(values, mask=data.draw(hnp.arrays("?", shape)))
        columns.append(values)
    for back, column in zip(all_through_fits(tmp_path_factory, columns), columns, strict=True):
        same(back, column)
        assert np.asarray(np.ma.getdata(back)).dtype == column.dtype.newbyteorder("=")


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
