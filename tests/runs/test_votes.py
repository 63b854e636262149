"""Votes on a tree of questions, and a number that many objects lack, through a run file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from astrocnn.simulation import simulate

from .command import astrocnn

RUN = """
title = "votes of volunteers"
survey = "sky/survey.toml"

[catalog]
file = "voted.fits"

[inputs]
size = 32

[split]
fractions = [0.5, 0.2, 0.3]

[task]
name = "morphology"

[task.questions.form]
answers = { smooth = "votes_smooth", featured = "votes_featured", artifact = "votes_artifact" }
total = "votes_form"

[task.questions.bar]
answers = { yes = "votes_bar", no = "votes_no_bar" }
depends_on = "form.featured"

[task.values.t_type]
column = "t_type"
range = [-6, 11]

[model]
architecture = "lenet"
options = { width = 0.25, head_dropout = 0.2 }

[training]
epochs = 2
learning_rate = 2e-3

[prediction]
draws = 3
precision = "float32"
"""
FRACTIONS = {
    "elliptical": (0.85, 0.10, 0.05),
    "spiral": (0.15, 0.80, 0.05),
    "edge_on": (0.30, 0.65, 0.05),
    "merger": (0.20, 0.60, 0.20),
    "star": (0.05, 0.00, 0.95),
}
T_TYPES = {"elliptical": -5.0, "spiral": 4.0, "edge_on": 2.0}
FORM = ("smooth", "featured", "artifact")


def vote(table: Table) -> Table:
    """Forty volunteers each; those who saw features are asked for a bar."""
    rng = np.random.default_rng(0)
    kinds = np.asarray(table["morphology"]).astype(str)
    votes = np.stack([rng.multinomial(40, FRACTIONS[kind]) for kind in kinds])
    for answer, counts in zip(FORM, votes.T, strict=True):
        table[f"votes_{answer}"] = counts
    table["votes_form"] = votes.sum(axis=1)
    barred = np.where(np.asarray(table["bar"]) > 0, 0.9, 0.1)
    table["votes_bar"] = rng.binomial(votes[:, 1], barred)
    table["votes_no_bar"] = votes[:, 1] - table["votes_bar"]
    t_type = np.array([T_TYPES.get(kind, np.nan) for kind in kinds]) + rng.normal(
        0, 0.5, len(kinds)
    )
    t_type[rng.random(len(kinds)) < 0.2] = np.nan
    table["t_type"] = MaskedColumn(np.nan_to_num(t_type), mask=np.isnan(t_type))
    return table


@pytest.fixture(scope="module")
def voted(tmp_path_factory):
    """A survey with votes and its run, trained and scored."""
    folder = tmp_path_factory.mktemp("voted")
    simulate(folder / "sky", n_objects=90, bands=("g", "r"), seed=8, tile_size=600, invalid_rows=2)
    vote(Table.read(folder / "sky/catalog.fits")).write(folder / "voted.fits")
    (folder / "run.toml").write_text(RUN)
    astrocnn("train", folder / "run.toml", "--out", folder / "run")
    assert "RMSE over questions" in astrocnn("evaluate", folder / "run")
    return folder


def test_predicted_fractions_are_those_of_a_crowd(voted):
    astrocnn("predict", voted / "run", "--out", voted / "p.fits")
    table = Table.read(voted / "p.fits")
    good = ~np.isnan(np.ma.filled(table["form_smooth_fraction"], np.nan))
    assert 70 < good.sum() <= 90 < len(table)
    for question, answers in {"form": FORM, "bar": ("yes", "no")}.items():
        names = [f"{question}_{answer}_fraction" for answer in answers]
        total = sum(np.asarray(table[name])[good] for name in names)
        np.testing.assert_allclose(total, 1, atol=1e-5)
        for name in names:
            ends = [np.asarray(table[f"{name}_{end}"])[good] for end in ("low", "high")]
            assert np.all((ends[0] >= 0) & (ends[0] < ends[1]) & (ends[1] <= 1))
    # Those who come to the second question are those who gave the answer that leads there.
    np.testing.assert_allclose(
        np.asarray(table["bar_relevance"])[good],
        np.asarray(table["form_featured_fraction"])[good],
        atol=1e-6,
    )
    t_type = np.asarray(table["t_type_mean"])[good]
    assert np.all((t_type >= -6) & (t_type <= 11))


def test_what_has_no_votes_or_no_value_is_counted_apart(voted):
    truth = Table.read(voted / "voted.fits")
    scores = json.loads((voted / "run/scores.json").read_text())
    assert scores["headline"] == "form.mean_deviation"
    found = {(s["target"], s["name"]): s for s in scores["scores"]}
    used = {target: s["n_used"] for (target, _), s in found.items() if target}
    assert 15 < used["form"] < 40
    lost = found["bar", "mean_deviation"]
    assert used["bar"] + lost["n_excluded"] == used["form"]
    assert lost["n_excluded"] <= np.sum(truth["votes_featured"] == 0)
    assert 0 < used["t_type"] < used["form"] - 5
    assert used["t_type"] + found["t_type", "rmse"]["n_excluded"] == used["form"]


def test_the_report_has_a_chapter_for_each_target(voted, no_pictures):
    astrocnn("report", voted / "run")
    page = (voted / "run/report.html").read_text()
    for words in ("votes of volunteers", "featured", "t_type", "Votes"):
        assert words in page
