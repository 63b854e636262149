"""Scores as text: digits that fit the interval, percent, and the labels of scores."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.evaluation import format_interval, format_score, format_value, get_label
from astrocnn.evaluation.kinds import KINDS
from astrocnn.evaluation.labels import get_class_labels, split_class_score
from astrocnn.metrics import Score

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def _score(name, value, half):
    return Score(name, value, value - half, value + half, 100)


@pytest.mark.parametrize(
    ("name", "value", "half", "text"),
    [
        # Two digits of an uncertainty that begins with 1 or 2, else one; at least three decimals.
        ("rmse", 0.12345, 0.0123, "0.123 [0.111,\u00a00.136]"),
        ("rmse", 0.12345, 0.00012, "0.12345 [0.12333,\u00a00.12357]"),
        ("rmse", 0.12342, 0.0005, "0.1234 [0.1229,\u00a00.1239]"),
        ("rmse", 12.345, 4.0, "12.3 [8.3,\u00a016.3]"),
        ("rmse", 123.42, 0.4, "123.4 [123.0,\u00a0123.8]"),
        ("bias", 0.00123, 0.0002, "0.00123 [0.00103,\u00a00.00143]"),
        # Fractions in percent, with one more digit near 0 and 100 %.
        ("accuracy", 0.8767, 0.01, "87.7\u00a0% [86.7,\u00a088.7]"),
        ("accuracy", 0.9956, 0.002, "99.56\u00a0% [99.36,\u00a099.76]"),
        ("pit_outliers", 0.0004, 0.0003, "0.04\u00a0% [0.01,\u00a00.07]"),
        ("completeness_spiral", 0.5, 0.1, "50.0\u00a0% [40.0,\u00a060.0]"),
        ("auc_spiral", 0.5, 0.1, "0.500 [0.400,\u00a00.600]"),
    ],
)
def test_examples(name, value, half, text):
    assert format_score(_score(name, value, half)) == text


@pytest.mark.parametrize("name", ["rmse", "accuracy"])
def test_numbers_without_an_interval_and_undefined_ones(name):
    alone = Score(name, 0.25, math.nan, math.nan, 10)
    assert format_interval(alone) == ""
    assert (
        format_score(alone) == format_value(alone) == ("0.250" if name == "rmse" else "25.0\u00a0%")
    )
    undefined = Score(name, math.nan, math.nan, math.nan, 0)
    assert format_score(undefined) == format_value(undefined) == "–"


def test_a_rounded_zero_has_no_sign():
    assert format_value(_score("bias", -1e-7, 0.01)) == "0.000"


@given(
    value=st.floats(-50, 50),
    half=st.floats(1e-4, 5),
    name=st.sampled_from(["rmse", "bias", "crps", "an unknown score"]),
)
def test_rounding_is_small_beside_the_interval(value, half, name):
    score = _score(name, value, half)
    shown = [float(text) for text in NUMBER.findall(format_score(score))]
    assert len(shown) == 3
    for number, exact in zip(shown, (value, score.low, score.high), strict=True):
        assert abs(number - exact) <= max(half / 6, 0.5e-5) * 1.0001
    decimals = {len(text.partition(".")[2]) for text in NUMBER.findall(format_score(score))}
    # Value and limits have the same digits, neither too few nor absurdly many.
    assert len(decimals) == 1 and 1 <= decimals.pop() <= 5


@given(fraction=st.floats(0, 1), n=st.integers(5, 100_000))
def test_percent_is_exact_to_half_of_the_last_digit(fraction, n):
    score = _score("accuracy", fraction, np.sqrt(fraction * (1 - fraction) / n))
    text = NUMBER.findall(format_value(score))[0]
    digits = len(text.partition(".")[2])
    assert digits in (1, 2)
    assert float(text) == pytest.approx(100 * fraction, abs=0.5001 * 10.0**-digits)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_labels_of_every_kind(kind):
    for name, label in KINDS[kind].SCORES.items():
        assert split_class_score(name) == ("", "")
        assert get_label(name) == label.label
    for name, label in KINDS[kind].CLASS_SCORES.items():
        assert split_class_score(f"{name}_edge_on") == (name, "edge_on")
        assert get_label(f"{name}_edge_on") == f"{get_class_labels()[name].label} of edge_on"
        assert get_class_labels()[name].percent == label.percent
    assert get_label("something_else") == "something else"
