"""Figures of a selection: what they draw is what the ranking says."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest

from astrocnn.errors import PredictionError
from astrocnn.evaluation.figures import selection as figures
from astrocnn.metrics import Ranking, wilson


@pytest.fixture
def ranking() -> Ranking:
    rng = np.random.default_rng(3)
    usable = np.arange(400) % 2 == 0
    return Ranking(usable, 1 / (1 + np.exp(-(4.0 * usable - 2 + rng.normal(0, 1.5, 400)))))


def words(figure):
    return [
        text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip()
    ]


def test_the_threshold_lies_on_the_precision_recall_curve(ranking):
    figure = figures.plot_precision_recall(ranking, 0.6)
    (mark,) = figure.axes[0].containers
    chosen = ranking.probability >= 0.6
    complete = (chosen & ranking.positive).sum() / ranking.positive.sum()
    pure = (chosen & ranking.positive).sum() / chosen.sum()
    np.testing.assert_allclose(mark[0].get_xydata(), [[complete, pure]])
    low, high = wilson((chosen & ranking.positive).sum(), chosen.sum())
    (bar,) = mark[2]
    np.testing.assert_allclose(bar.get_segments()[0][:, 1], [low, high])
    assert any(f"{complete:.3f}, {pure:.3f}" in text for text in words(figure))


def test_false_positive_rates_at_95_and_99_percent(ranking):
    figure = figures.plot_completeness_fpr(ranking, 0.6)
    said = " ".join(words(figure))
    for level in (0.95, 0.99):
        assert f"FPR {float(ranking.fpr_at_tpr(level)):.3f} at {100 * level:.0f} %" in said
    got = ((ranking.probability >= 0.6) & ~ranking.positive).sum() / (~ranking.positive).sum()
    assert f"FPR {got:.3f}" in said


def test_a_perfect_ranking_fits_on_the_logarithmic_axis():
    usable = np.arange(60) < 30
    figure = figures.plot_completeness_fpr(Ranking(usable, usable.astype(float)), 1.0)
    assert "FPR 0.000 at 99 %" in " ".join(words(figure))
    assert figure.axes[0].get_xlim()[0] > 0


def test_areas_are_sorted_and_reasons_without_examples_left_out(ranking):
    none = Ranking(np.zeros(400, bool), ranking.probability)
    noise = Ranking(ranking.positive, np.random.default_rng(0).random(400))
    figure = figures.plot_roc_areas({"seen": ranking, "never": none, "hot_pixels": noise})
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["hot pixels", "seen"]
    assert f"{float(ranking.auc()):.3f}  (200)" in words(figure)
    with pytest.raises(PredictionError, match="No ranking"):
        figures.plot_roc_areas({"never": none})


def test_medians_along_severity_are_those_of_the_bins():
    x = np.geomspace(1, 1000, 56)
    p = 1 / (1 + x / 30)
    panels = {"ghost": (x, p), "gone": (np.full(3, np.nan), np.ones(3)), "two": (x[:2], p[:2])}
    figure = figures.plot_probability_by_column(panels, ylabel="P", xlabels="S/N", threshold=0.5)
    first, second = (axes for axes in figure.axes if axes.get_visible())
    assert first.get_title() == "ghost (56)" and second.get_title() == "two (2)"
    middle = next(line for line in first.lines if line.get_marker() == "o")
    np.testing.assert_allclose(middle.get_ydata(), np.median(p.reshape(7, 8), axis=1))
    np.testing.assert_allclose(middle.get_xdata(), np.median(x.reshape(7, 8), axis=1))
    with pytest.raises(PredictionError, match="No object"):
        figures.plot_probability_by_column({"gone": panels["gone"]}, ylabel="P")
