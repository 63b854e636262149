"""What a column refuses at the limits of its type, and what comes back beside them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocnn.column import Column, ascii_text, fits_name
from astrocnn.errors import PredictionError

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def encode(column, values):
    return np.asarray(column.encode(values, len(values)), column.stored.base)


@given(st.sampled_from(INTEGERS), st.integers(-(2**63), 2**63 - 1))
def test_an_integer_comes_back_or_is_refused(dtype, value):
    """Never another integer: types that FITS lacks are stored in wider ones."""
    column, limits = Column("x", dtype), np.iinfo(dtype)
    values = np.array([value], np.int64)
    if limits.min <= value <= limits.max:
        back = column.decode(encode(column, values))
        assert back.dtype == dtype and back.tolist() == [value]
    else:
        with pytest.raises(PredictionError, match=f"integer.* {value}"):
            encode(column, values)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_both_limits_of_each_type_come_back(dtype):
    limits = np.iinfo(dtype)
    values = np.array([limits.min, 0, limits.max], dtype)
    column = Column("x", dtype)
    np.testing.assert_array_equal(column.decode(encode(column, values)), values, strict=True)


@pytest.mark.parametrize("dtype", [t for t in INTEGERS if t != "uint64"])
def test_the_integer_of_missing_values_is_refused_as_a_value(dtype):
    column = Column("x", dtype, nullable=True)
    masked = np.ma.MaskedArray([1, 2], mask=[True, False], dtype=dtype)
    back = column.decode(encode(column, masked))
    assert back.mask.tolist() == [True, False] and back[1] == 2
    if np.iinfo(dtype).min <= column.null <= np.iinfo(dtype).max:
        with pytest.raises(PredictionError, match="stands for a missing one"):
            encode(column, np.array([column.null], dtype))


def test_a_declared_integer_for_missing_values_may_lie_beyond_the_type():
    column = Column("x", "uint8", nullable=True, null=-1)
    assert column.stored == ">i2"
    values = np.ma.MaskedArray(np.arange(256, dtype=np.int16), mask=np.arange(256) == 255)
    back = column.decode(encode(column, values))
    assert back[:255].tolist() == list(range(255)) and back.mask.sum() == 1
    assert column.decode(encode(column, np.array([-1, 3]))).tolist() == [None, 3]
    with pytest.raises(PredictionError, match="integers from -2 to 3"):
        encode(column, np.array([-2, 3]))


def test_truth_values():
    column = Column("x", "bool", nullable=True)
    masked = np.ma.MaskedArray([True, False, True], mask=[False, False, True])
    assert encode(column, masked).tolist() == [1, 0, 255]
    assert column.decode(encode(column, masked)).tolist() == [True, False, None]
    with pytest.raises(PredictionError, match="integers from 0 to 2"):
        encode(Column("x", "bool"), np.array([0, 2]))


def test_unsigned_integers_of_64_bits_have_no_missing_values():
    column = Column("x", "uint64", nullable=True)
    values = np.ma.MaskedArray(np.array([1, 2], np.uint64), mask=[False, True])
    with pytest.raises(PredictionError, match="declare it as int64"):
        encode(column, values)


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_float_holds_an_integer_exactly_or_refuses_it(value):
    column = Column("x", "float64")
    if int(float(value)) == value:
        assert encode(column, np.array([value]))[0] == value
    else:
        with pytest.raises(PredictionError, match="that this type rounds"):
            encode(column, np.array([value]))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_that_are_no_numbers(dtype):
    values = np.array([np.nan, np.inf, -np.inf, -0.0, np.finfo(dtype).tiny], dtype)
    column = Column("x", dtype)
    back = column.decode(encode(column, values))
    np.testing.assert_array_equal(back, values, strict=True)
    assert np.signbit(back[3])


@pytest.mark.parametrize(
    ("dtype", "values"), [("int32", [1.0]), ("int32", ["1"]), ("float32", ["1"]), ("bool", [1.0])]
)
def test_values_of_another_kind_are_refused(dtype, values):
    with pytest.raises(PredictionError, match="values of type"):
        encode(Column("x", dtype), np.array(values))


@settings(max_examples=30)
@given(st.lists(st.text(st.characters(max_codepoint=0x2FF, exclude_characters="\0"), max_size=6)))
def test_plain_text_is_that_of_python(texts):
    """Printable ASCII is left; any other character is its Python escape."""
    stored = ascii_text(np.array(texts, "U6"))
    for text, code in zip(texts, stored.tolist(), strict=True):
        again = "".join(c if " " <= c <= "~" else ascii(c)[1:-1] for c in text)
        assert code.decode() == again


@given(st.text(max_size=12))
def test_names_are_clean_and_keep_their_length(name):
    clean = fits_name(name)
    assert len(clean) == len(name) and fits_name(clean) == clean
    assert all(c.isascii() and (c.isalnum() or c == "_") for c in clean)
    assert all(a == b for a, b in zip(name, clean, strict=True) if b != "_")


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool", "float16", "float32", "float64", "U5"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_astropy_reads_the_same_values(dtype, shape):
    values = (np.arange(4 * int(np.prod(shape))) % 2).reshape(4, *shape).astype(dtype)
    column = Column("x", dtype, shape=shape)
    table = fits.BinTableHDU.from_columns([column.fits_column(encode(column, values))])
    seen = np.asarray(table.data["x"])
    assert seen.shape == values.shape
    np.testing.assert_array_equal(seen.astype(dtype), values)
