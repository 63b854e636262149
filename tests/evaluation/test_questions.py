"""Many yes/no questions: together in figures and tables, one of them along columns, a selection."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest

from astrocnn.calibration.selection import Selection
from astrocnn.evaluation import evaluate, evaluate_target, score
from astrocnn.evaluation.calibration_chapters import selection_chapter
from astrocnn.evaluation.kinds import ClassEvaluation
from astrocnn.evaluation.report_chapters import (
    figure_chapters,
    gallery_chapter,
    scores_chapter,
)
from astrocnn.metrics import wilson
from astrocnn.targets import make

REASONS = ("ghost", "edge", "blend", "defocus")
N = 400


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


@pytest.fixture(scope="module")
def quality():
    """Half of the objects are unusable, for one reason each; severity makes them easy to see."""
    rng = np.random.default_rng(1)
    task = make("quality", reasons={name: f"has_{name}" for name in REASONS})
    why = np.where(rng.random(N) < 0.5, rng.integers(0, len(REASONS), N), -1)
    severity = np.where(why >= 0, 10 ** rng.uniform(-1, 1, N), 0)
    columns = {"usable": (why < 0).astype(float)}
    columns |= {f"has_{name}": (why == k).astype(float) for k, name in enumerate(REASONS)}
    encoded, weights = task.encode(columns)
    raw = {"usable": 2 - 3 * np.log10(1 + 9 * severity)}
    raw |= {name: np.where(why == k, 3.0, -3.0) for k, name in enumerate(REASONS)}
    samples = {}
    for name, logit in raw.items():
        noisy = logit + rng.normal(0, 1, N) + rng.normal(0, 0.2, (3, N))
        samples[name] = (1 / (1 + np.exp(-noisy)))[..., None].astype(np.float32)
    samples["usable"][:, 0] = np.nan
    return (task, encoded, weights, samples), severity


def test_many_questions_share_figures_table_and_gallery(quality):
    parts, _ = quality
    task, evaluations = parts[0], evaluate(*parts)
    chapters = {c.title: c for c in figure_chapters(task, evaluations)}
    captions = [p.caption for c in chapters.values() for p in c.figures]
    assert sum(c.startswith("usable: ") for c in captions) >= 7
    assert sum(c.startswith("all questions: ") for c in captions) == 2
    assert not any(c.startswith(REASONS) for c in captions)
    found = score(*parts, n_resamples=20)
    tables = {t.caption: t for t in scores_chapter(task, found).tables}
    (side,) = (t for caption, t in tables.items() if caption.startswith("Each question"))
    assert [row[0] for row in side.rows] == list(REASONS)
    assert len(side.columns) == 1 + len(ClassEvaluation.GROUP_SCORES)
    assert not any(caption.startswith(REASONS) for caption in tables)
    gallery = gallery_chapter(
        task, evaluations, lambda rows: np.ones((len(rows), 8, 8, 1)), count=2
    )
    assert {p.caption.partition(":")[0] for p in gallery.figures} == {"usable"}


def test_a_few_questions_keep_their_own_figures(case):
    evaluations = evaluate(case.task, case.encoded, case.weights, case.samples)
    chapters = figure_chapters(case.task, evaluations)
    captions = [p.caption for c in chapters for p in c.figures]
    assert any(c.startswith("bar: ") for c in captions)
    assert not any(c.startswith("all questions") for c in captions)


def test_areas_of_all_questions_are_their_scores(quality):
    parts, _ = quality
    evaluations = evaluate(*parts)
    _, figure = ClassEvaluation.plot_joint_figures(evaluations)["questions_roc_areas"]
    for e in evaluations:
        found = {s.name: s.value for s in e.scores(n_resamples=0)}
        yes = int(e.encoded[np.isfinite(e.samples[0, :, 0])].sum())
        assert f"{found['auc']:.3f}  ({yes})" in words(figure)
    assert ClassEvaluation.plot_joint_figures(evaluations[:1]) == {}


def test_probability_falls_along_the_severity_of_unusable_objects(quality):
    (task, encoded, weights, samples), severity = quality
    part = [x["usable"] for x in (encoded, weights, samples)]
    columns = {"severity": severity, "mag": np.linspace(18, 22, N), "none": np.full(N, np.nan)}
    drawn = evaluate_target(task.target("usable"), *part, threshold=0.5).figures(columns)
    panels = drawn["probability_by_column"].axes
    assert [axes.get_title() for axes in panels] == [f"severity ({int((severity > 0).sum())})"]
    median = panels[0].lines[1].get_ydata()
    assert median[0] > 0.6 > 0.2 > median[-1] and panels[0].get_xscale() == "log"
    linear = [axes for axes in drawn["probability_by_column_linear"].axes if axes.get_visible()]
    assert [axes.get_title().partition(" (")[0] for axes in linear] == ["mag, yes", "mag, no"]
    assert linear[0].get_xscale() == "linear"
    assert "$p \\geq 0.5$" in words(drawn["precision_recall"])
    without = evaluate_target(task.target("usable"), *part).figures()
    assert "p \\geq" not in words(without["precision_recall"])


def test_a_selection_is_scored_on_the_test_split(quality):
    parts, _ = quality
    task, encoded, weights, samples = parts
    achieved = dict.fromkeys(("completeness", "purity", "fpr"), (0.5, 0.4, 0.6))
    reasons = tuple((name, 0.5) for name in REASONS)
    selection = Selection(
        "usable", "usable", 0.5, "completeness", 0.9, achieved, 200, 200, 0.5, None, reasons
    )
    p = samples["usable"].mean(axis=0)[:, 0].astype(np.float32)
    usable, kept = encoded["usable"][:, 0] > 0, p >= 0.5
    n = int((usable & np.isfinite(p)).sum())
    got = selection.compute_rates(*parts)
    count = int((kept & usable).sum())
    assert got["completeness"] == pytest.approx((count / n, *map(float, wilson(count, n))))
    assert got["purity"][0] == pytest.approx(count / kept.sum())
    chapter = selection_chapter(selection, *parts)
    rates, why = chapter.tables
    assert rates.rows[0][2].startswith(f"{100 * count / n:.1f}")
    for name, rejected, truly, through in (row for row in why.rows if row[0] in REASONS):
        true = (encoded[name][:, 0] > 0) & np.isfinite(p)
        above = samples[name].mean(axis=0)[:, 0] >= 0.5
        assert int(rejected) == int((above & ~kept & np.isfinite(p)).sum())
        assert int(truly) == int((above & true & ~kept).sum())
        assert through == f"{int((kept & true).sum())} of {int(true.sum())}"
    everyone = {name: np.ones_like(e) for name, e in encoded.items()}
    assert selection.compute_rates(task, everyone, weights, samples) == {}
