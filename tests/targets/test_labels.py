"""Labels of any type as text and numbers, and the names of classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.errors import AstrocnnWarning, CatalogError, ConfigError
from astrocnn.targets.labels import (
    as_numbers,
    as_text,
    column_name,
    encode_numbers,
    match_labels,
    unknown_labels,
    validate_distinct,
    validate_names,
)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["a", " b ", ""], ["a", "b", ""]),
        (np.array([b"a", b"b ", b""]), ["a", "b", ""]),
        (np.array([1, -2, 0], "i2"), ["1", "-2", "0"]),
        (np.array([1.0, 2.5, np.nan]), ["1", "2.5", ""]),
        (np.array([True, False, True]), ["true", "false", "true"]),
        (np.array(["a", None, np.nan], object), ["a", "", ""]),
        (np.array([b"x", 3, 4.0], object), ["x", "3", "4"]),
        (np.ma.array(["a", "b", "c"], mask=[0, 1, 0]), ["a", "", "c"]),
        (np.ma.array([1, 2, 3], mask=[0, 0, 1]), ["1", "2", ""]),
    ],
)
def test_labels_as_text(values, text):
    found, missing = as_text(values)
    assert found.tolist() == text
    assert missing.tolist() == [not label for label in text]


def test_given_missing_labels_are_joined_to_those_found():
    text, missing = as_text(["a", "", "b"], [True, False, False])
    assert text.tolist() == ["", "", "b"] and missing.tolist() == [True, True, False]
    numbers, missing = as_numbers([1.5, np.nan, 2.0], [True, False, False])
    np.testing.assert_array_equal(numbers, [np.nan, np.nan, 2.0])
    assert missing.tolist() == [True, True, False]
    with pytest.raises(CatalogError, match="another length"):
        as_text(["a", "b"], [True])


@pytest.mark.parametrize("empty", [[], np.zeros(0), np.zeros(0, "U3"), np.zeros(0, object)])
def test_no_labels(empty):
    for convert in (as_text, as_numbers):
        values, missing = convert(empty)
        assert values.shape == missing.shape == (0,)


@pytest.mark.parametrize(
    "values",
    [
        ["0.1", " 1e3", "", "-inf"],
        np.array([b"0.1", b"1e3", b"", b"-inf"]),
        np.array([0.1, 1000, None, -np.inf], object),
        np.ma.array([0.1, 1000.0, 5.0, -np.inf], mask=[0, 0, 1, 0]),
    ],
)
def test_labels_as_numbers(values):
    numbers, missing = as_numbers(values)
    np.testing.assert_array_equal(numbers, [0.1, 1000.0, np.nan, -np.inf])
    assert missing.tolist() == [False, False, True, False]


def test_text_that_is_no_number_is_refused_with_all_examples():
    with pytest.raises(CatalogError, match=r"3 labels(.|\n)*'far', 'near'(.|\n)*no label"):
        as_numbers(["far", "0.1", "near", "far"])


def test_the_ends_of_a_range_are_those_of_float32():
    """A column of float32 holds 0.4 as 0.4000000059..., which is still within 0 to 0.4."""
    encoded, weight = encode_numbers(np.array([0.4, 0.0], "f4"), None, 0.0, 0.4)
    assert weight.tolist() == [1, 1]
    np.testing.assert_array_equal(encoded, np.array([[0.4], [0.0]], "f4"))


def test_labels_outside_the_range_are_counted_and_stay_finite():
    values = [-99.0, 0.1, np.nan, 0.5, np.inf, 1e300]
    with pytest.warns(AstrocnnWarning, match=r"4 of 5 labels.* 0 to 0\.4 .*-99, 0\.5, 1e\+300"):
        encoded, weight = encode_numbers(values, None, 0.0, 0.4)
    assert weight.tolist() == [0, 1, 0, 0, 0, 0]
    assert encoded[:, 0].tolist() == pytest.approx([0.2, 0.1, 0.2, 0.2, 0.2, 0.2])
    assert encoded.dtype == weight.dtype == np.float32


@given(
    st.lists(st.text("abc", max_size=3), unique=True, min_size=1),
    st.lists(st.text("abc", max_size=3), max_size=30),
)
def test_labels_are_found_as_in_a_dictionary(known, labels):
    places = {label: i for i, label in enumerate(known)}
    found = match_labels(np.array(labels, "U3"), tuple(known))
    assert found.tolist() == [places.get(label, -1) for label in labels]


def test_unknown_labels_come_with_their_number_and_the_nearest_class():
    text = np.array(["sprial", "disk", "?", "sprial"])
    error = unknown_labels(text, np.array([True, False, True, True]), ("spiral", "disk"), "map it")
    assert error.what.startswith("3 labels")
    assert list(error.received) == ["'sprial' (2 times)", "'?' (once)"]
    assert "'spiral'" in error.hint and error.hint.endswith("or map it")


def test_names_of_columns_hold_letters_digits_and_underscores():
    assert column_name("edge-on (both)") == "edge_on__both_"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("spiral", "`classes` must be a list"),
        (7, "`classes` must be a list"),
        (["spiral"], "at least 2"),
        (["a", " b"], "white space"),
        (["a", ""], "white space"),
        (["a", 3], "white space"),
        (["a", "é"], "printable ASCII"),
        (["a", "b\x00"], "printable ASCII"),
    ],
)
def test_bad_names_are_refused(names, words):
    with pytest.raises(ConfigError, match=words):
        validate_names(names, "class")
    assert validate_names(iter(["a", "b"]), "class") == ("a", "b")


def test_names_with_one_column_are_refused():
    validate_distinct(["p_a", "p_b"], ("a", "b"), "class")
    with pytest.raises(ConfigError, match=r"Two answers(.|\n)*p_a_b \(from answers a-b, A b\)"):
        validate_distinct(["p_a_b", "p_A_b"], ("a-b", "A b"), "answer")
