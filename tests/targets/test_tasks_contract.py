"""What every kind of task must do, and what they refuse."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from astropy.io.votable.ucd import check_ucd
from astropy.table import MaskedColumn, Table

from astrocnn import plugins, targets
from astrocnn.errors import AstrocnnWarning, CatalogError, ConfigError
from astrocnn.targets import (
    Bernoulli,
    Categorical,
    DirichletMultinomial,
    Gaussian,
    Target,
    Task,
    make,
)

TREE = {
    "smooth-or-featured": {
        "answers": {"smooth": "n_smooth", "featured": "n_featured", "artifact": "n_artifact"},
        "total": "n_all",
    },
    "spiral": {
        "answers": {"yes": "n_spiral", "no": "n_not_spiral"},
        "depends_on": "smooth-or-featured.featured",
    },
    "bar": {"column": "bar", "depends_on": "spiral.yes"},
}
T_TYPE = {"column": "ttype", "range": [-5, 10]}
CASES = [
    ("morphology", {"classes": ["elliptical", "spiral"], "column": "kind"}),
    ("morphology", {"classes": "candels5", "column": "kind"}),
    ("morphology", {"questions": TREE}),
    ("morphology", {"values": {"t_type": T_TYPE}}),
    (
        "morphology",
        {
            "classes": "hubble",
            "column": "kind",
            "questions": TREE,
            "values": {"t_type": T_TYPE, "axis": {**T_TYPE, "family": "mixture", "components": 2}},
        },
    ),
    ("photoz", {}),
    ("photoz", {"family": "mixture", "range": [0, 6], "components": 3, "target": "redshift"}),
    ("photoz", {"family": "gaussian", "column": "z_spec", "map": {"-1": ""}}),
    ("photoz", {"loss": "crps", "n_bins": 50}),
    ("quality", {"reasons": {"ghost": "has_ghost"}}),
]


def test_every_kind_of_task_has_a_case():
    assert {name for name, _ in CASES} == set(plugins.module_names("astrocnn.targets.tasks"))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_every_task_is_made_by_name(name, options):
    task = make(name, **options)
    assert isinstance(task, Task)
    assert task.name == name
    assert task.headline.partition(".")[0] in task.names
    assert targets.storage.from_dict(json.loads(json.dumps(targets.storage.to_dict(task)))) == task
    samples = {
        t.name: np.asarray(t.family.activate(np.zeros((3, 4, t.family.units), np.float32)))
        for t in task.targets
    }
    out = task.summarize(samples)
    assert list(out) == [column.name for column in task.columns()]
    assert len({name.lower() for name in out}) == len(out)
    for column in task.columns():
        assert out[column.name].dtype == np.dtype(column.dtype)
        assert check_ucd(column.ucd, check_controlled_vocabulary=True)
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
        ({}, "needs classes, questions, or values"),
        ({"classes": ["a", "b"]}, "need the column"),
        ({"column": "kind"}, "needs the list of its classes"),
        ({"classes": ["a", "b"], "column": "k", "map": {"x": "c"}}, "leads to a label"),
        ({"classes": ["a", "b"], "column": "k", "weight": 0}, "positive number"),
        ({"classes": ["a", "b"], "column": "k", "target": "2m"}, "begin with a letter"),
        ({"classes": "hubbel", "column": "k"}, "no list of classes named 'hubbel'"),
        ({"questions": {"bar": {"colum": "x"}}}, "no option 'colum'"),
        ({"questions": {"bar": {"answers": ["a", "b"]}}}, "must be names with their columns"),
        ({"questions": {"bar": {"answers": {"a": "x"}}}}, "at least 2 names"),
        ({"questions": {"bar": {"answers": {"a": "x", "b": "y"}, "map": {}}}}, "no 'map'"),
        ({"questions": {"bar": {"column": "x", "total": "y"}}}, "total but no votes"),
        ({"questions": {"bar": {"column": "x", "depends_on": "spiral"}}}, "the answer of another"),
        ({"questions": {"bar": {"column": "x", "depends_on": "spirals.yes"}}}, "is not a question"),
        ({"questions": {"bar": {"column": "x", "depends_on": "bar.yes"}}}, "in a circle"),
        (
            {
                "questions": {
                    "a": {"column": "x", "depends_on": "b.yes"},
                    "b": {"column": "x", "depends_on": "a.no"},
                }
            },
            "in a circle",
        ),
        (
            {"questions": {**TREE, "odd": {"column": "x", "depends_on": "spiral.maybe"}}},
            "an answer 'maybe' that 'spiral' does not have",
        ),
        (
            {"values": {"t": T_TYPE}, "questions": {"a": {"column": "x", "depends_on": "t.5"}}},
            "an answer '5'",
        ),
        ({"values": {"t": {"column": "t"}}}, "needs the range"),
        ({"values": {"t": {"range": [0, 1]}}}, "needs the column"),
        ({"values": {"t": "ttype"}}, "table of options"),
        ({"values": {"t": {**T_TYPE, "rang": 1}}}, "no option 'rang'"),
        ({"values": {"t": {**T_TYPE, "family": "gausian"}}}, "no family 'gausian'"),
        ({"values": {"t": {**T_TYPE, "components": 3}}}, "has no option 'components'"),
        ({"questions": {"bar": {}}}, "needs the column of its labels"),
        ({"questions": {"bar": 3}}, "name of its column"),
        ({"questions": {"bar": "x", "Bar": "x"}}, "same target twice"),
        ({"questions": {"bar": "x", "bar_p": "y"}, "headline": "baz.accuracy"}, "names no target"),
        ({"questions": {"q" * 60: {"column": "x", "classes": ["abcdefgh", "b"]}}}, "more than 68"),
    ],
)
def test_bad_morphology_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        make("morphology", **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"range": [0.4, 0.0]}, "two finite numbers"),
        ({"range": 0.4}, "needs the range"),
        ({"family": "binnd"}, "no family 'binnd'"),
        ({"loss": "mse"}, "must be one of those allowed"),
        ({"loss": "crps", "family": "mixture"}, "has no option 'loss'"),
        ({"components": 5}, "has no option 'components'"),
        ({"map": {"a": "b"}}, "leads to a label"),
    ],
)
def test_bad_photoz_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        make("photoz", **options)


def test_redshifts_with_sentinels_and_missing_ones():
    task = make("photoz", column="z_spec", map={"0": ""})
    table = Table(
        {"z_spec": MaskedColumn([0.1, -99.0, 0.3, 0.0, 7.0, np.nan], mask=[0, 0, 1, 0, 0, 0])}
    )
    with pytest.warns(
        AstrocnnWarning, match="Column 'z_spec': 2 of 3 labels lie outside the range 0 to 0.4"
    ):
        encoded, weights = task.encode(table)
    np.testing.assert_array_equal(weights["z"], [1, 0, 0, 0, 0, 0])
    assert encoded["z"][0, 0] == np.float32(0.1)
    with pytest.raises(CatalogError, match="Column 'z_spec': 1 labels of a quantity are not"):
        task.encode({"z_spec": ["0.1", "n/a"]})


VOTES = {
    "n_smooth": [10, 2, 0, 5],
    "n_featured": np.array([5.0, 30.0, 0.0, np.nan]),
    "n_artifact": ["0", "1", "0", "2"],
    "n_all": [15, 40, 3, 9],
    "n_spiral": np.ma.array([4, 25, 0, 1], mask=[False, False, False, True]),
    "n_not_spiral": [1, 5, 0, 2],
    "bar": [1, 0, 1, 1],
}


def test_votes_over_a_tree_of_questions():
    task = make("morphology", questions=TREE)
    assert task.label_columns == tuple(VOTES)
    assert task.headline == "smooth-or-featured.mean_deviation"
    encoded, weights = task.encode(VOTES)
    np.testing.assert_array_equal(
        encoded["smooth-or-featured"][:3], [[10, 5, 0], [2, 30, 1], [0] * 3]
    )
    np.testing.assert_array_equal(weights["smooth-or-featured"], [1, 1, 0, 0])
    np.testing.assert_array_equal(weights["spiral"], [1, 1, 0, 0])
    assert task.tally(encoded, weights)["spiral"] == {"yes": 2, "no": 0}
    pairs = {
        name: (np.ma.getdata(values), np.ma.getmaskarray(np.ma.asarray(values)))
        for name, values in VOTES.items()
    }
    for name, found in task.encode(pairs)[0].items():
        np.testing.assert_array_equal(found, encoded[name])
    with pytest.raises(CatalogError) as error:
        task.encode({**VOTES, "n_all": [15, 30, 3, 9]})
    assert "1 objects have more votes than their total" in str(error.value)
    assert "row 1: 33 of 30" in str(error.value)
    with pytest.raises(CatalogError, match=r"'n_smooth', 'n_featured'.*not counts"):
        task.encode({**VOTES, "n_smooth": [10, -2, 0, 5]})
    with pytest.raises(CatalogError, match="Column 'n_smooth': 1 labels"):
        task.encode({**VOTES, "n_smooth": ["ten", "2", "0", "5"]})
    without = {name: values for name, values in VOTES.items() if name != "n_all"}
    with pytest.raises(CatalogError, match="'n_all' of target 'smooth-or-featured'"):
        task.encode(without)


def test_relevance_is_the_product_of_fractions_up_the_tree():
    task = make("morphology", questions=TREE)
    rng = np.random.default_rng(0)
    samples = {
        t.name: np.array(t.family.activate(rng.normal(2, 2, (6, 9, t.family.units))))
        for t in task.targets
    }
    samples["spiral"][3, 4] = np.nan
    out = task.summarize(samples)
    featured = samples["smooth-or-featured"][..., 1] / samples["smooth-or-featured"].sum(axis=-1)
    yes = samples["spiral"][..., 0] / samples["spiral"].sum(axis=-1)
    np.testing.assert_allclose(out["spiral_relevance"], featured.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(out["bar_relevance"], (featured * yes).mean(axis=0), rtol=1e-5)
    assert np.isnan(out["bar_relevance"]).tolist() == [i == 4 for i in range(9)]
    assert "smooth_or_featured_relevance" not in out
    part = replace(task, targets=task.targets[1:], headline="bar.accuracy")
    # Without the root of the tree the product would be another quantity.
    assert not [c.name for c in part.columns() if "relevance" in c.name]
    assert list(part.summarize(samples)) == [c.name for c in part.columns()]


def test_numbers_beside_classes_and_their_missing_labels():
    task = make(
        "morphology",
        classes="galaxy_zoo",
        column="kind",
        map={"dont_know_or_artefact": "star_or_dont_know"},
        values={"t_type": T_TYPE},
    )
    assert task.sensitive_to == {"handedness"}
    assert task.target("t_type").family == Gaussian(-5.0, 10.0)
    kinds = ["elliptical", "spiral_clockwise", "dont_know_or_artefact", ""]
    encoded, weights = task.encode({"kind": kinds, "ttype": [-4.5, np.nan, 10, -5]})
    np.testing.assert_array_equal(np.argmax(encoded["morphology"], axis=1)[:3], [0, 1, 4])
    np.testing.assert_array_equal(weights["morphology"], [1, 1, 1, 0])
    np.testing.assert_array_equal(weights["t_type"], [1, 0, 1, 1])


def test_several_columns_need_one_for_each_answer():
    family = DirichletMultinomial(("a", "b"))
    for column, mapping in ((("x",), None), (("x", "y"), {"1": "2"})):
        with pytest.raises(ConfigError, match="one column for each of its 2 answers"):
            Target("t", family, column, map=mapping)


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
    with pytest.raises(ConfigError, match="There is no task 'morpholgy'"):
        targets.make("morpholgy")
