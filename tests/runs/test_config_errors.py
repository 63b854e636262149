"""Values of run files that are out of range, and the places of names that are not known."""

from __future__ import annotations

import pytest

from astrocnn.errors import ConfigError
from astrocnn.models import Options
from astrocnn.runs.config import parse_run
from astrocnn.runs.config_errors import fields_at, suggest_place
from astrocnn.runs.sections import RunConfig

NAN, INF = float("nan"), float("inf")
GOOD = {
    "catalog": {"file": "catalog.fits"},
    "survey": {"name": "s", "bands": [{"name": "r"}]},
    "task": {"name": "morphology", "classes": ["a", "b"]},
}


@pytest.mark.parametrize(
    ("section", "values", "place"),
    [
        ("training", {"learning_rate": INF}, "training.learning_rate"),
        ("training", {"warmup": INF}, "training.warmup"),
        ("split", {"fractions": [NAN, 0.1, 0.1]}, "split.fractions.0"),
        ("split", {"resolution": INF}, "split.resolution"),
        ("augmentation", {"rotation": NAN}, "augmentation.rotation"),
        ("augmentation", {"gain": INF}, "augmentation.gain"),
    ],
)
def test_numbers_are_finite(section, values, place):
    with pytest.raises(ConfigError) as caught:
        parse_run({**GOOD, section: values})
    message = str(caught.value)
    assert message.startswith("One mistake") and f"  {place}: " in message
    assert "finite number" in message


def test_values_that_mean_no_value_may_be_anything():
    config = parse_run({**GOOD, "catalog": {"file": "c.csv", "missing": [INF, -99]}})
    assert config.catalog.missing == (INF, -99)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"split": {"fractions": [0.8, 0.3, -0.1]}}, "must be positive and sum to 1"),
        ({"split": {"fractions": [0.8, 0.1]}}, "split.fractions"),
        ({"split": {"files": ["train"]}}, "names 1 splits, catalog.file a list of 1"),
        ({"selection": {"completeness": 0.9, "purity": 0.9}}, "not for both"),
        ({"model": {"method": "forest", "architecture": "lenet"}}, "a method or an architecture"),
        ({"model": {"architecture": "lenet", "features": ["photometry"]}}, "are for a method"),
        ({"training": {"recipe": "probe"}}, "training.recipe is for a network with initial"),
        ({"training": {"strategy": "mirorred"}}, "did you mean 'mirrored'"),
        ({"catalog": {"file": []}}, "name one file or more"),
        ({"catalog": {"file": ["a", "a"]}}, "name one file or more"),
        ({"catalog": {"file": ["a", "b"]}, "split": {"files": ["test", "test"]}}, "no file for tr"),
        ({"survey": None}, "give a survey, or inputs.scalars"),
        ({"inputs": {"scalars": "mag"}}, "inputs.scalars: should be a list in brackets"),
        ({"inputs": {"size": 3}}, "inputs.size: input should be greater than or equal to 4"),
        ({"seed": 2**32 + 1}, "less than 4294967296 (received 4294967297)"),
        ({"model": {"options": {"width": -1, "dropot": 1}}}, "model.options"),
    ],
)
def test_values_that_do_not_go_together(raw, words):
    with pytest.raises(ConfigError) as caught:
        parse_run({**GOOD, **raw})
    assert words in str(caught.value)


def test_names_of_each_table():
    assert fields_at(RunConfig, ())[:3] == ["title", "seed", "root"]
    assert set(fields_at(RunConfig, ("model", "options"))) == set(Options.__dataclass_fields__)
    assert fields_at(RunConfig, ("selection",)) == ["completeness", "purity", "prior"]
    # Any key is allowed in a survey.
    assert fields_at(RunConfig, ("survey",)) == []


@pytest.mark.parametrize(
    ("place", "suggestion"),
    [
        (("purity",), "it belongs in [selection]: selection.purity"),
        (("training", "momentum"), "it belongs in [training.parameters]: training.parameters.mom"),
        (("model", "seed"), "it belongs at the top of the file, before any table: seed"),
        (("selection", "puritty"), "did you mean 'purity'?"),
        (("selection", "qqqq"), "known here: completeness, purity, prior"),
    ],
)
def test_unknown_names_are_sent_to_their_tables(place, suggestion):
    assert suggest_place(place, RunConfig).startswith(suggestion)
