"""A column's values as FITS stores them, and back."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.column import Column, ascii_text, fits_name
from astrocnn.errors import PredictionError

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), min_size=1)


@given(TEXTS)
def test_exact_text_comes_back_and_no_two_become_one(texts):
    values = np.array(texts, dtype=np.str_)
    column = Column.like("name", values, exact=True)
    stored = column.encode(values, len(values))
    assert len(np.unique(stored)) == len(np.unique(values))
    raw = stored.astype(column.stored)
    assert all(code.isascii() for code in raw.tolist())
    np.testing.assert_array_equal(column.decode(raw), values)


@pytest.mark.parametrize("exact", [False, True])
def test_names_that_look_like_escapes_stay_apart(exact):
    values = np.array(["aé", r"a\xe9", "a\\"])
    column = Column.like("name", values, exact=exact)
    assert column.escaped
    assert column.encode(values, 3).tolist() == [rb"a\xe9", rb"a\\xe9", rb"a\\"]
    plain = np.array([r"a\xe9", "b"])
    assert not Column.like("name", plain).escaped
    assert Column.like("name", plain).encode(plain, 2).tolist() == [rb"a\xe9", b"b"]


def test_blanks_at_the_end_are_kept_only_where_asked():
    values = np.array(["a ", "a"])
    assert not Column.like("x", values).escaped
    column = Column.like("x", values, exact=True)
    assert column.encode(values, 2).tolist() == [rb"a\x20", b"a"]
    assert column.decode(column.encode(values, 2)).tolist() == ["a ", "a"]


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [
        ("i1", ">i2"),
        ("u2", ">i4"),
        ("u4", ">i8"),
        ("u8", ">i8"),
        ("f2", ">f4"),
        ("bool", "|u1"),
        ("i4", ">i4"),
        ("U3", "|S3"),
    ],
)
def test_types_that_fits_lacks_are_stored_in_wider_ones(dtype, stored):
    column = Column("x", dtype)
    assert column.stored == np.dtype(stored)
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        values = np.array([np.iinfo(kind).min, 7, np.iinfo(kind).max], kind)
    else:
        values = np.array([0, 1, 1]).astype(kind)
    back = column.decode(column.encode(values, 3).astype(column.stored))
    assert back.dtype.kind == kind.kind and back.dtype.itemsize <= kind.itemsize
    assert back.tolist() == values.tolist()


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "u4"])
def test_missing_integers_stand_apart_from_every_value(dtype):
    limits = np.iinfo(dtype)
    values = np.array([limits.min, limits.max, 0, 255, 3], dtype)
    column = np.ma.MaskedArray(values, mask=[0, 0, 0, 0, 1])
    declared = Column.like("x", column)
    raw = declared.encode(column, 5).astype(declared.stored)
    assert raw.tolist().count(declared.null) == 1
    back = declared.decode(raw)
    assert back.mask.tolist() == [False] * 4 + [True]
    assert back.compressed().tolist() == column.compressed().tolist()


def test_other_readers_see_unsigned_integers(tmp_path):
    values = np.array([0, 2**63, 2**64 - 1], np.uint64)
    column = Column.like("x", values, exact=True)
    encoded = column.encode(values, 3).astype(column.stored)
    table = fits.BinTableHDU.from_columns([column.fits_column(encoded)])
    table.writeto(tmp_path / "t.fits")
    assert Table.read(tmp_path / "t.fits")["x"].tolist() == values.tolist()
    raw = np.frombuffer((tmp_path / "t.fits").read_bytes()[5760:], ">i8", 3)
    assert column.decode(raw).tolist() == values.tolist()


def test_vectors_keep_their_shape():
    column = Column("x", "f4", shape=(2, 3), nullable=True)
    values = np.ma.MaskedArray(np.arange(12.0).reshape(2, 2, 3), mask=False)
    values[1, 0, 2] = np.ma.masked
    raw = column.encode(values, 2).astype(">f4")
    assert np.isnan(raw[1, 0, 2])
    back = column.decode(raw)
    assert back.shape == (2, 2, 3) and back.mask.sum() == 1 and back.mask[1, 0, 2]
    assert column.fits_column().dim == "(3,2)" and column.fits_column().format == "6E"


def test_what_cannot_be_stored_is_refused():
    for dtype in ("complex64", "object", "M8[s]", "no type"):
        with pytest.raises(PredictionError, match="a type a FITS table does not hold"):
            Column("x", dtype)
    with pytest.raises(PredictionError, match="wrong shape"):
        Column("x", "f4").encode(np.zeros(3), 4)
    with pytest.raises(PredictionError, match="integers from -1 to 40000"):
        Column("x", "i2").encode(np.array([-1, 40000]), 2)
    with pytest.raises(PredictionError, match="longer than 2 characters: 'abc'"):
        Column("x", "U2").encode(np.array(["abc"]), 1)
    with pytest.raises(PredictionError, match="nullable=True"):
        Column("x", "i2").encode(np.ma.MaskedArray([1, 2], mask=[0, 1]), 2)
    with pytest.raises(PredictionError, match="rounds"):
        Column("x", "f4").encode(np.array([2**24 + 1]), 1)


def test_names_and_text_of_headers():
    assert fits_name("smooth-or features") == "smooth_or_features"
    assert ascii_text(np.array(["", "é\n"])).tolist() == [b"", rb"\xe9\n"]
    assert ascii_text(np.zeros(0, "U3")).dtype.kind == "S"


def test_a_declaration_loads_no_vocabulary():
    code = (
        "import sys; from astrocnn.column import Column; Column('z', 'f4', ucd='src.redshift');"
        "print([name for name in sys.modules if 'votable' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
