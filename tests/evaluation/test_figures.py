from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from astrocnn.evaluation import evaluate_target, figures
from astrocnn.metrics import Ranking
from astrocnn.report import render_svg


def words(figure):
    return [
        text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip()
    ]


def part(case, name):
    target = case.task.target(name)
    return target, case.encoded[name], case.weights[name], case.samples[name]


@pytest.mark.parametrize("name", ["morphology", "bar"])
def test_figures_are_reproducible(case, name):
    settings = dict(matplotlib.rcParams)
    drawn = evaluate_target(*part(case, name)).figures()
    assert {"confusion", "roc", "completeness_purity", "reliability", "risk_coverage"} <= set(drawn)
    again = evaluate_target(*part(case, name)).figures()
    for kind, figure in drawn.items():
        assert isinstance(figure, Figure)
        text = render_svg(figure)
        assert text.startswith("<svg") and text == render_svg(again[kind])
    assert dict(matplotlib.rcParams) == settings


def test_confusion_matrix_shows_counts_completeness_and_purity():
    shown = words(figures.plot_confusion_matrix([[8, 2], [0, 0]], ("star", "galaxy")))
    thin = "\u2009"
    assert f"8\n80{thin}%" in shown
    assert f"100.0{thin}%" in shown and f"80.0{thin}%" in shown
    assert "-" in shown  # completeness of a class that is absent
    assert {"star", "galaxy", "predicted class", "true class"} <= set(shown)


def test_reliability_draws_every_full_bin_with_its_count():
    p = np.r_[np.full(30, 0.9), np.full(10, 0.55)]
    happened = np.r_[np.ones(27), np.zeros(3), np.ones(5), np.zeros(5)].astype(bool)
    figure = figures.plot_reliability({"": (p, happened)}, n_bins=10)
    top, bottom = figure.axes
    (points,) = top.containers
    np.testing.assert_allclose(points[0].get_xydata(), [[0.55, 0.5], [0.9, 0.9]])
    (steps,) = bottom.patches
    assert steps.get_data().values.tolist() == [0, 0, 0, 0, 0, 10, 0, 0, 30, 0]
    assert "ECE 0.013" in " ".join(words(figure))


def test_roc_names_the_area():
    y = np.array([False, False, True, True])
    figure = figures.plot_roc({"merger": Ranking(y, [0.1, 0.4, 0.35, 0.8])})
    assert "merger (AUC 0.750)" in words(figure)


def test_learning_curve_pairs_training_with_validation():
    history = {"epoch": [1, 2], "loss": [1, 0.5], "val_loss": [1, np.nan], "seconds": [3, 3]}
    figure = figures.plot_learning_curve(history, best_epoch=1)
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss"]
    assert {"training", "validation", "best epoch 1"} <= set(words(figure))
    assert len(figures.plot_learning_curve({"loss": [3.0, 2.0]}).axes) == 1


def test_stamps_are_the_extremes(case):
    target, encoded, weight, samples = part(case, "morphology")
    picked = evaluate_target(target, encoded, weight, samples).stamps(5)
    p = samples.astype(float).mean(axis=0)
    entropy = -(p * np.log(p)).sum(axis=1)
    order = np.argsort(entropy)[:159]  # row 10 has no prediction and sorts last
    assert 10 not in order
    assert [s.row for s in picked["most certain"]] == order[:5].tolist()
    assert [s.row for s in picked["most uncertain"]] == order[::-1][:5].tolist()
    worst = np.where((weight > 0) & np.isfinite(entropy), p[np.arange(160), case.truth], 2)
    worst[p.argmax(axis=1) == case.truth] = 2
    assert [s.row for s in picked["most confident errors"]] == np.argsort(worst)[:5].tolist()
    assert all(s.is_error for s in picked["most confident errors"])
    unlabelled = evaluate_target(target, encoded, 0 * weight, samples).stamps(5)
    assert unlabelled["most confident errors"] == []
    assert {s.label for s in unlabelled["most certain"]} == {""}
