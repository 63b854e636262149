"""``astrocnn compare``, and run files that name features."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.runs.config import load_run
from astrocnn.runs.directory import RunDirectory

from .command import astrocnn

RUN = """
[catalog]
file = "objects.ecsv"
missing = [99.0]

[inputs]
scalars = ["a", "b"]

[split]
fractions = [0.5, 0.1, 0.4]

[task]
name = "morphology"
column = "kind"
classes = ["low", "high"]

[model]
method = "logistic_regression"

[prediction]
draws = 0
"""


def words(text: str) -> str:
    """Without the frames and line breaks of the terminal."""
    return " ".join(text.translate(dict.fromkeys(map(ord, "│┃"), " ")).split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A class that two numbers tell; the second is missing for one object in ten."""
    place = tmp_path_factory.mktemp("compared")
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 600))
    kind = np.where(a + b > rng.logistic(0, 0.2, 600), "high", "low")
    b[::10] = 99.0
    Table({"id": np.arange(600), "a": a, "b": b, "kind": kind}).write(place / "objects.ecsv")
    (place / "run.toml").write_text(RUN)
    for name, scalars in (("both", '["a", "b"]'), ("one", '["a"]')):
        how = ("--set", f"inputs.scalars={scalars}", "--out", place / name)
        astrocnn("train", place / "run.toml", *how)
        astrocnn("evaluate", place / name)
    return place


def test_a_pair_is_compared_on_common_objects(folder):
    said = words(astrocnn("compare", folder / "both", folder / "one"))
    assert said.endswith("next: astrocnn predict DIR")
    answers, tested = {}, {}
    for name in ("both", "one"):
        kept = np.load(folder / name / "evaluation" / "samples.npz")
        home = RunDirectory.open(folder / name)
        table = Table.read(folder / "objects.ecsv")
        p = kept["target/morphology"][0]
        known = np.isfinite(p).all(axis=1)
        tested[name] = set(kept["rows"][known].tolist())
        truth = (np.asarray(table["kind"])[kept["rows"]] == "high").astype(int)
        right = p.argmax(axis=1) == truth
        answers[name] = dict(zip(kept["rows"].tolist(), right.tolist(), strict=True))
        assert json.loads(home.scores.read_text())["times_scored"] == 1
    common = sorted(tested["both"] & tested["one"])
    assert 100 < len(common) < len(tested["one"])
    right = {name: np.array([answers[name][row] for row in common]) for name in answers}
    assert f"on the {len(common)} test objects" in said
    difference = 100 * (right["both"].mean() - right["one"].mean())
    assert difference > 5 and f"+{difference:.1f}" in said
    only = [(right[x] & ~right[y]).sum() for x, y in (("both", "one"), ("one", "both"))]
    assert f"{only[0]} {only[1]} " in said
    assert f"{100 * right['one'].mean():.1f}" in said


def test_what_cannot_be_compared_is_refused(folder):
    assert "needs at least two runs" in words(astrocnn("compare", folder / "both", code=2))
    how = ("--set", 'task.classes=["high", "low"]', "--out", folder / "turned")
    astrocnn("train", folder / "run.toml", *how)
    said = words(astrocnn("compare", folder / "both", folder / "turned", code=2))
    assert "astrocnn evaluate" in said
    astrocnn("evaluate", folder / "turned")
    said = words(astrocnn("compare", folder / "both", folder / "turned", code=2))
    assert "must predict the same quantity" in said


IMAGES = """
survey = "sky/survey.toml"

[catalog]
file = "sky/catalog.fits"

[inputs]
size = 24

[split]
fractions = [0.6, 0.2, 0.2]

[task]
name = "morphology"
column = "morphology"
classes = ["elliptical", "spiral", "edge_on", "merger", "star"]

[model]
method = "svm"
features = ["colors", "cnn:run"]

[prediction]
draws = 0
"""


def test_a_run_of_features_and_of_a_network(home):
    (home / "hybrid.toml").write_text(IMAGES)
    astrocnn("check", home / "hybrid.toml")
    astrocnn("train", home / "hybrid.toml", "--out", home / "hybrid")
    astrocnn("evaluate", home / "hybrid")
    astrocnn("predict", home / "hybrid", "--out", home / "hybrid.fits")
    assert (home / "hybrid" / "model" / "network-1" / "model.keras").is_file()
    other = ("--set", 'model.features=["cnn:run"]', "--set", "split.seed=1")
    said = words(astrocnn("train", home / "hybrid.toml", *other, "--out", home / "x", code=2))
    assert "another split" in said
    other = ("--set", 'model.features=["cnn:run#no_such"]')
    said = words(astrocnn("train", home / "hybrid.toml", *other, "--out", home / "y", code=2))
    assert "The network has no layer 'no_such'" in said
    other = ("--set", 'model.features=["colours"]')
    said = words(astrocnn("train", home / "hybrid.toml", *other, "--out", home / "x", code=2))
    assert "did you mean 'colors'" in said
    config = load_run(home / "hybrid.toml", ['model.features=["hog", "cas"]'])
    assert config.model.features == ("hog", "cas")


def test_features_are_for_methods(home):
    (home / "hybrid.toml").write_text(IMAGES.replace('method = "svm"\n', ""))
    said = words(astrocnn("check", home / "hybrid.toml", code=2))
    assert "features are for a method" in said
