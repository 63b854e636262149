"""Errors: four parts in one order, kept through processes, without the values of variables."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocnn import errors
from astrocnn.errors import (
    AstrocnnError,
    AstrocnnWarning,
    ConfigError,
    MissingDependency,
    register_alias,
    register_expansion,
)

CLASSES = [
    one
    for one in vars(errors).values()
    if isinstance(one, type) and issubclass(one, AstrocnnError) and one is not MissingDependency
]
PARTS = {"received": "  received: r", "allowed": "  allowed:  a", "hint": "  try:      h"}


@pytest.fixture(autouse=True)
def _own_expansions(monkeypatch):
    monkeypatch.setattr(errors, "_EXPANDED", {})


@given(st.sets(st.sampled_from(list(PARTS))))
def test_parts_stand_in_one_order_and_absent_ones_leave_no_line(given_parts):
    values = {name: name[0] for name in given_parts}
    expected = ["What.", *(line for name, line in PARTS.items() if name in given_parts)]
    assert str(ConfigError("What.", **values)).split("\n") == expected


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("text", "text"),
        (["g", "r"], "g, r"),
        ([], ""),
        (0, "0"),
        (False, "False"),
        (b"ab", "b'ab'"),
        ({"a": 1}, "{'a': 1}"),
        (range(20), ", ".join(map(str, range(20)))),
        (range(21), ", ".join(map(str, range(20))) + ", ... (21 in all)"),
        (np.array(7), "array(7)"),
        (np.array([7, 8]), "7, 8"),
    ],
)
def test_values_as_they_are_shown(value, shown):
    assert str(ConfigError("What.", received=value)) == f"What.\n  received: {shown}"


def test_an_iterator_is_shown_each_time():
    error = ConfigError("What.", received=iter("ab"), allowed=(str(i) for i in range(3)))
    for _ in range(2):
        assert str(error) == "What.\n  received: a, b\n  allowed:  0, 1, 2"


@pytest.mark.parametrize("kind", CLASSES)
def test_errors_pass_between_processes_whole(kind):
    error = kind("What.", received=[1, 2], allowed="a", hint="h")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind and str(again) == str(error)
    assert (again.what, again.received, again.allowed, again.hint) == ("What.", [1, 2], "a", "h")


def test_a_missing_package_passes_between_processes_whole():
    error = MissingDependency("mocpy", "survey", "draw a map")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is MissingDependency and str(again) == str(error)
    assert str(again) == (
        "The package 'mocpy' is needed to draw a map, and is not installed.\n"
        "  try:      pip install 'astrocnn[survey]'"
    )


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.CatalogError, ValueError),
        (errors.RemoteError, OSError),
        (errors.TrainingError, RuntimeError),
        (errors.MissingFileError, errors.ImageError),
    ],
)
def test_errors_can_be_caught_as_those_of_python(kind, builtin):
    assert issubclass(kind, builtin) and issubclass(kind, AstrocnnError)


def test_values_of_variables_are_shown_by_name_in_every_part():
    register_expansion("TOKEN", "s3cret")
    error = ConfigError("s3cret.", received=["s3cret", 1], allowed="x s3cret", hint="s3crets3cret")
    assert "s3cret" not in str(error) and str(error).count("$TOKEN") == 5
    assert error.what == error.args[0] == "$TOKEN."
    assert str(AstrocnnWarning("at s3cret")) == "at $TOKEN"


def test_the_longest_value_counts_and_short_ones_are_left():
    register_expansion("ROOT", "/data")
    register_expansion("HERE", "/data/sky")
    register_expansion("ONE", "tes")
    assert ConfigError("/data/sky/tes and /data/x").what == "$HERE/tes and $ROOT/x"


def test_an_alias_of_any_length_is_shown():
    register_alias("/c", "https://example.org/t.fits")
    assert str(ConfigError("File '/c'.")) == "File 'https://example.org/t.fits'."
