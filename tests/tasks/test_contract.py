"""What every kind of task must do, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from astrocnn import plugins, tasks
from astrocnn.errors import CatalogError, ConfigError
from astrocnn.families import Bernoulli, Categorical
from astrocnn.tasks import Target, Task, make

OPTIONS = {
    "morphology": {"classes": ["elliptical", "spiral"], "column": "kind"},
    "quality": {"reasons": {"ghost": "has_ghost"}},
}


@pytest.mark.parametrize("name", plugins.names("astrocnn.tasks"))
def test_every_task_is_made_by_name(name):
    task = make(name, **OPTIONS[name])
    assert isinstance(task, Task)
    assert task.name == name
    assert task.headline.partition(".")[0] in task.names
    assert tasks.storage.from_dict(json.loads(json.dumps(tasks.storage.to_dict(task)))) == task
    samples = {
        t.name: np.asarray(t.family.activate(np.zeros((3, 4, t.family.units), np.float32)))
        for t in task.targets
    }
    out = task.summarize(samples)
    assert list(out) == [column.name for column in task.columns()]
    assert len({name.lower() for name in out}) == len(out)
    with pytest.raises(ConfigError, match="no option 'colum'") as error:
        make(name, colum="x")
    assert "did you mean 'column'" in str(error.value)


def test_columns_are_named_after_the_target():
    task = make("morphology", classes=["edge-on", "face on"], column="kind", target="shape-1")
    assert [c.name for c in task.columns()] == [
        "shape_1_p_edge_on",
        "shape_1_p_face_on",
        "shape_1_p_edge_on_std",
        "shape_1_p_face_on_std",
        "shape_1_class",
        "shape_1_entropy",
        "shape_1_mutual_info",
    ]
    assert task.columns()[4].dtype == "U7"


def test_morphology_of_classes_and_questions_with_missing_labels():
    task = make(
        "morphology",
        classes=["elliptical", "spiral"],
        column="kind",
        map={"0": "elliptical", "1": "spiral", "2": "spiral", "5": ""},
        questions={
            "bar": "bar",
            "tidal": {"column": "tails", "map": {"A": "yes", "B": "no", "*": ""}, "weight": 0.5},
        },
    )
    table = Table(
        {
            "kind": [0, 1, 2, 5],
            "bar": MaskedColumn([1, 0, 1, 1], mask=[False, True, False, False]),
            "tails": ["A", "B", "star", ""],
        }
    )
    assert task.label_columns == ("kind", "bar", "tails")
    encoded, weights = task.encode(table)
    np.testing.assert_array_equal(encoded["morphology"], [[1, 0], [0, 1], [0, 1], [0, 0]])
    np.testing.assert_array_equal(weights["morphology"], [1, 1, 1, 0])
    np.testing.assert_array_equal(encoded["bar"].ravel(), [1, 0, 1, 1])
    np.testing.assert_array_equal(weights["bar"], [1, 0, 1, 1])
    np.testing.assert_array_equal(encoded["tidal"].ravel(), [1, 0, 0, 0])
    np.testing.assert_array_equal(weights["tidal"], [1, 1, 0, 0])
    assert task.target("tidal").weight == 0.5
    assert task.tally(encoded, weights)["morphology"] == {"elliptical": 1, "spiral": 2}
    pairs = {
        name: (table[name].filled(0) if name == "bar" else table[name], None)
        for name in table.colnames
    }
    pairs["bar"] = (pairs["bar"][0], [False, True, False, False])
    np.testing.assert_array_equal(task.encode(pairs)[1]["bar"], weights["bar"])


def test_map_passes_labels_through_and_the_star_takes_only_the_rest():
    target = Target("m", Categorical(("a", "b")), "kind", map={"B1": "b", "*": ""})
    encoded, weight = target.encode(["a", "B1", "b", "other", ""])
    np.testing.assert_array_equal(encoded, [[1, 0], [0, 1], [0, 1], [0, 0], [0, 0]])
    np.testing.assert_array_equal(weight, [1, 1, 1, 0, 0])
    missing = Target("m", Categorical(("a", "b")), "kind", map={"-1": None})
    np.testing.assert_array_equal(missing.encode(["a", "-1"])[1], [1, 0])


def test_unknown_label_names_the_column():
    task = make("morphology", classes=["elliptical", "spiral"], column="kind")
    with pytest.raises(CatalogError) as error:
        task.encode({"kind": np.array(["spiral", "eliptical", "eliptical"])})
    assert "Column 'kind': 2 labels" in str(error.value)
    assert "did you mean 'elliptical'" in str(error.value)
    with pytest.raises(CatalogError, match="'kind' of target 'morphology'") as error:
        task.encode({"kin": np.array(["spiral"])})
    assert "did you mean 'kin'" in str(error.value)


def test_handedness_is_noticed():
    wound = make("morphology", classes=["clockwise", "anticlockwise"], column="w")
    assert wound.sensitive_to == {"handedness"}
    merged = make("morphology", classes=["elliptical", "spiral"], column="w")
    assert merged.sensitive_to == frozenset()
    by_question = make(
        "morphology",
        classes=["elliptical", "spiral"],
        column="w",
        questions={"winding": {"column": "w", "classes": ["left", "right"], "symmetric": False}},
    )
    assert by_question.sensitive_to == {"handedness"}
    assert by_question.target("morphology").symmetric


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs classes, questions, or both"),
        ({"classes": ["a", "b"]}, "need the column"),
        ({"column": "kind"}, "needs the list of its classes"),
        ({"classes": ["a", "b"], "column": "k", "map": {"x": "c"}}, "leads to a label"),
        ({"classes": ["a", "b"], "column": "k", "weight": 0}, "positive number"),
        ({"classes": ["a", "b"], "column": "k", "target": "2m"}, "begin with a letter"),
        ({"questions": {"bar": {"colum": "x"}}}, "no option 'colum'"),
        ({"questions": {"bar": {}}}, "needs the column that holds its answers"),
        ({"questions": {"bar": 3}}, "name of its column"),
        ({"questions": {"bar": "x", "Bar": "x"}}, "same target twice"),
        ({"questions": {"bar": "x", "bar_p": "y"}, "headline": "baz.accuracy"}, "names no target"),
        ({"questions": {"q" * 60: {"column": "x", "classes": ["abcdefgh", "b"]}}}, "more than 68"),
    ],
)
def test_bad_morphology_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        make("morphology", **options)


def test_columns_of_two_targets_must_not_collide():
    a, b = Target("bar", Bernoulli(), "x"), Target("bar_p", Bernoulli(), "y")
    odd = Target("m", Categorical(("class", "other")), "x")
    with pytest.raises(ConfigError, match="same column twice"):
        Task("morphology", (odd, Target("m_p", Categorical(("a", "b")), "y")), "m.accuracy")
    with pytest.raises(ConfigError, match="no target 'bars'"):
        Task("morphology", (a, b), "bar.accuracy").target("bars")
    with pytest.raises(ConfigError, match="has no target"):
        Task("morphology", (), "bar.accuracy")


def test_unknown_task():
    with pytest.raises(ConfigError, match="no 'morpholgy' among the tasks"):
        tasks.make("morpholgy")
