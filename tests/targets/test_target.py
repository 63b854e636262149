"""One predicted quantity: its labels, its map of values, and its checks."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from astrocnn import targets
from astrocnn.errors import AstrocnnWarning, CatalogError, ConfigError
from astrocnn.targets import Bernoulli, Categorical, DirichletMultinomial, Gaussian, Target, Task

SHAPES = Categorical(("elliptical", "spiral"))
VOTES = DirichletMultinomial(("smooth", "featured"))


def test_a_map_renames_values_and_leaves_labels_alone():
    target = Target("shape", SHAPES, "type", map={"E": "elliptical", "2": "spiral", "?": None})
    encoded, weight = target.encode(["E", "spiral", "?", "2", ""])
    assert weight.tolist() == [1, 1, 0, 1, 0]
    assert encoded.argmax(axis=1)[weight > 0].tolist() == [0, 1, 1]


def test_keys_of_a_map_are_read_as_the_labels_are():
    """A key may be a number, as in TOML, or text."""
    target = Target("shape", SHAPES, "type", map={0: "elliptical", 1.0: "spiral"})
    for values in ([0, 1], np.array([0.0, 1.0]), ["0", "1"]):
        encoded, _ = target.encode(values)
        np.testing.assert_array_equal(encoded, np.eye(2))


def test_a_star_takes_what_is_neither_key_nor_label():
    target = Target("shape", SHAPES, "type", map={"E": "elliptical", "*": ""})
    _, weight = target.encode(["E", "elliptical", "spiral", "Irr", "?"])
    assert weight.tolist() == [1, 1, 1, 0, 0]
    numbers = Target("t", Gaussian(-5.0, 10.0), "t", map={"*": ""})
    with pytest.warns(AstrocnnWarning, match=r"^Column 't': 1 of 2 labels lie outside"):
        _, weight = numbers.encode(["3", "unknown", "99"])
    assert weight.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"map": {"x": "barred"}}, r"map of target 'shape'(.|\n)*'barred'(.|\n)*elliptical"),
        ({"name": "1st"}, "begin with a letter"),
        ({"name": "a b"}, "begin with a letter"),
        ({"name": ""}, "begin with a letter"),
        ({"weight": 0}, "positive number"),
        ({"weight": np.inf}, "positive number"),
        ({"weight": np.nan}, "positive number"),
        ({"column": ("a", "b", "c")}, "one column for each of its 2 answers"),
        ({"column": ("a", "b"), "map": {"x": "spiral"}}, "and no map"),
    ],
)
def test_invalid_targets_are_refused(arguments, words):
    with pytest.raises(ConfigError, match=words):
        Target(**{"name": "shape", "family": SHAPES, "column": "type", **arguments})


def test_errors_name_the_columns():
    one = Target("bar", Bernoulli(), "has_bar")
    with pytest.raises(CatalogError, match=r"^Column 'has_bar': 1 labels(.|\n)*'maybe'"):
        one.encode(["yes", "maybe"])
    votes = Target("s", VOTES, ("n_smooth", "n_featured"), total="n")
    assert votes.label_columns == ("n_smooth", "n_featured", "n")
    with pytest.raises(CatalogError, match=r"^Columns 'n_smooth', 'n_featured', 'n': 1 objects"):
        votes.encode([[0.5, 1, 2]])


def test_votes_must_not_exceed_their_total():
    votes = Target("s", VOTES, ("n_smooth", "n_featured"), total="n")
    encoded, weight = votes.encode([[3, 1, 4], [3, 1, 9], [0, 0, 5], [2, 2, np.nan]])
    np.testing.assert_array_equal(encoded, [[3, 1], [3, 1], [0, 0], [2, 2]])
    assert weight.tolist() == [1, 1, 0, 1]
    with pytest.raises(CatalogError, match=r"1 objects have more votes(.|\n)*row 1: 5 of 4"):
        votes.encode([[1, 1, 2], [2, 3, 4]])
    # A row with a missing count is not compared: it has no label.
    missing = np.array([[False] * 3, [False, True, False]])
    assert votes.encode([[1, 1, 2], [2, 3, 4]], missing)[1].tolist() == [1, 0]


def test_a_hyphen_is_an_underscore_in_columns():
    task = Task("t", (Target("edge-on", Bernoulli(), "e"),), "edge-on.accuracy")
    assert [c.name for c in task.columns()][:2] == ["edge_on_p", "edge_on_p_std"]


@pytest.mark.parametrize(
    ("made", "headline", "words"),
    [
        ((), "a.accuracy", "has no target"),
        ((Target("a", Bernoulli(), "x"),), "b.accuracy", r"names no target(.|\n)*a\.<score>"),
        ((Target("a", Bernoulli(), "x"), Target("A", Bernoulli(), "y")), "a.p", "target twice"),
        ((Target("a" * 68, Bernoulli(), "x"),), "a.p", "more than 68 characters"),
    ],
)
def test_invalid_tasks_are_refused(made, headline, words):
    with pytest.raises(ConfigError, match=words):
        Task("t", made, headline)


def test_a_missing_column_of_labels_is_named_with_the_nearest():
    task = Task("t", (Target("bar", Bernoulli(), "has_bar"),), "bar.accuracy")
    with pytest.raises(
        CatalogError, match=r"'has_bar' of target 'bar'(.|\n)*did you mean 'hasbar'"
    ):
        task.encode({"hasbar": [1, 0], "id": [1, 2]})
    with pytest.raises(ConfigError, match=r"no target 'bars'(.|\n)*did you mean 'bar'"):
        task.target("bars")


def test_a_stored_task_is_the_same_and_other_options_are_refused():
    made = (
        Target("s", VOTES, ("n_smooth", "n_featured"), total="n", weight=0.5),
        Target("t", Gaussian(-5.0, 10.0), "ttype", map={"E": "-5"}, symmetric=False),
    )
    task = Task("t", made, "s.mean_deviation")
    stored = json.loads(json.dumps(targets.storage.to_dict(task)))
    assert targets.storage.from_dict(stored) == task
    stored["targets"][1]["family"]["sigma"] = 1.0
    with pytest.raises(
        ConfigError, match=r"family 'gaussian' cannot be read(.|\n)*sigma: this version"
    ):
        targets.storage.from_dict(stored)
    assert task.sensitive_to == {"handedness"}
    assert dataclasses.replace(task, targets=made[:1]).sensitive_to == frozenset()
