"""Options are checked when they are made."""

from __future__ import annotations

import dataclasses
import json

import pytest

from astrocnn.errors import ConfigError
from astrocnn.models.options import ALLOWED, Options


@pytest.mark.parametrize(("name", "value"), [(n, v) for n in ALLOWED for v in ALLOWED[n]])
def test_each_allowed_name_is_accepted(name, value):
    assert getattr(Options.from_dict({name: value}), name) == value


def test_a_misspelt_key_or_value_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'normalization'"):
        Options.from_dict({"normalisation": "batch"})
    with pytest.raises(ConfigError, match="did you mean 'average'"):
        Options(pooling="avrage")


@pytest.mark.parametrize(
    "values",
    [
        {"dropout": -0.1},
        {"dropout": float("nan")},
        {"dropout": "much"},
        {"dropout": (0.2, 1.0)},
        {"head_dropout": 1.0},
        {"head_dropout": True},
        {"l2": -1e-3},
        {"l2": float("inf")},
    ],
)
def test_numbers_out_of_range_are_refused(values):
    with pytest.raises(ConfigError, match="out of range"):
        Options(**values)


def test_rates_from_a_run_file_become_a_tuple():
    assert Options.from_dict({"dropout": [0.1, 0]}).dropout == (0.1, 0.0)
    assert hash(Options(dropout=[0.1])) == hash(Options(dropout=(0.1,)))


def test_chosen_options_are_those_that_differ_from_the_paper():
    assert Options().chosen == {}
    assert Options(width=0.5, dropout=(0.1, 0.2), l2=0.0).chosen == {
        "dropout": (0.1, 0.2),
        "width": 0.5,
    }


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ({"width": 2}, {"width": 2.0}),
        ({"dropout": 0}, {"dropout": 0.0}),
        ({"dropout": [0, 0.5]}, {"dropout": (0.0, 0.5)}),
        ({"head_dropout": 0, "l2": 0, "auxiliary": 1}, {"head_dropout": 0.0, "auxiliary": 1.0}),
    ],
)
def test_whole_numbers_of_a_run_file_are_those_of_a_stored_model(given, same):
    """Fingerprints are made of the text of options, where 2 and 2.0 would differ."""
    assert repr(Options.from_dict(given)) == repr(Options.from_dict(same))
    stored = json.loads(json.dumps(dataclasses.asdict(Options.from_dict(given))))
    assert repr(Options.from_dict(stored)) == repr(Options.from_dict(given))


def test_integers_that_count_stay_integers():
    options = Options(normalization="group", groups=4, strides=2, dilation=3)
    assert [type(v) for v in (options.groups, options.strides, options.dilation)] == [int] * 3
