"""Figures of a selection: what they draw is what the ranking says."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as oracle

from astrocnn.errors import PredictionError
from astrocnn.evaluation import figures
from astrocnn.evaluation.figures import plot_parallel_coordinates
from astrocnn.metrics import Ranking, wilson
from astrocnn.report import COLORS


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
    text = " ".join(words(figure))
    for level in (0.95, 0.99):
        assert f"FPR {float(ranking.fpr_at_tpr(level)):.3f} at {100 * level:.0f} %" in text
    got = ((ranking.probability >= 0.6) & ~ranking.positive).sum() / (~ranking.positive).sum()
    assert f"FPR {got:.3f}" in text


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
    figure = figures.plot_probability_by_column(panels, ylabel="P", threshold=0.5)
    first, second = (axes for axes in figure.axes if axes.get_visible())
    assert first.get_title() == "ghost (56)" and second.get_title() == "two (2)"
    middle = next(line for line in first.lines if line.get_marker() == "o")
    np.testing.assert_allclose(middle.get_ydata(), np.median(p.reshape(7, 8), axis=1))
    np.testing.assert_allclose(middle.get_xdata(), np.median(x.reshape(7, 8), axis=1))
    with pytest.raises(PredictionError, match="No object"):
        figures.plot_probability_by_column({"gone": panels["gone"]}, ylabel="P")


def test_completeness_against_false_positives_is_the_roc_curve_of_sklearn(ranking):
    figure = figures.plot_completeness_fpr(ranking)
    fpr, tpr, _ = oracle.roc_curve(ranking.positive, ranking.probability, drop_intermediate=False)
    shown = figure.axes[0].lines[0].get_xydata()
    negatives = (~ranking.positive).sum()
    np.testing.assert_allclose(shown, np.c_[np.maximum(fpr, 0.5 / negatives), tpr])
    marks = {float(c[0].get_ydata()[0]): c for c in figure.axes[0].containers}
    for level, container in marks.items():
        rate = fpr[tpr >= level - 1e-9].min()
        assert container[0].get_xdata()[0] == pytest.approx(rate)
        interval = stats.binomtest(round(rate * negatives), negatives).proportion_ci(
            method="wilson"
        )
        (bar,) = container[2][0].get_segments()
        np.testing.assert_allclose(bar[:, 0], [interval.low, interval.high])
    assert set(marks) == {0.95, 0.99}


def test_bars_of_roc_areas_are_those_of_sklearn_with_the_standard_error_of_hanley(ranking):
    rng = np.random.default_rng(5)
    noisy = ranking.probability + rng.normal(0, 0.5, 400)
    rankings = {"sharp": ranking, "noisy": Ranking(ranking.positive, noisy)}
    figure = figures.plot_roc_areas(rankings)
    (axes,) = figure.axes
    start = axes.patches[0].get_x()
    areas = [start + bar.get_width() for bar in axes.patches]
    expected = [oracle.roc_auc_score(ranking.positive, p) for p in (noisy, ranking.probability)]
    np.testing.assert_allclose(areas, expected)
    (errors,) = (c for c in axes.containers if hasattr(c, "has_xerr") and c.has_xerr)
    for segment, a in zip(errors[2][0].get_segments(), expected, strict=True):
        # Hanley and McNeil (1982), equation 1, with 200 objects of each sort.
        q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
        variance = (a * (1 - a) + 199 * (q1 - a * a) + 199 * (q2 - a * a)) / 200**2
        assert np.ptp(segment[:, 0]) == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.25)


def test_bands_along_a_column_are_the_16_and_84_percent_quantiles():
    rng = np.random.default_rng(6)
    x, p = rng.uniform(-3, 3, 160), rng.random(160)
    x[0], p[1] = np.nan, np.nan
    figure = figures.plot_probability_by_column({"mag": (x, p)}, ylabel="P", log=False)
    (axes,) = figure.axes
    good = np.isfinite(x) & np.isfinite(p)
    parts = np.array_split(p[good][np.argsort(x[good])], 7)
    vertices = axes.collections[0].get_paths()[0].vertices
    for part in parts:
        for q in (0.16, 0.84):
            assert np.abs(vertices[:, 1] - np.quantile(part, q)).min() < 1e-12
    assert axes.get_title() == "mag (158)" and axes.get_xscale() == "linear"


def test_parallel_coordinates_pass_through_the_values_of_each_run():
    values = {"training.rate": [1e-4, 1e-3, 1e-2], "model.name": ["b", "a", "b"]}
    figure = plot_parallel_coordinates(
        values,
        [0.5, 0.1, 0.9],
        objective_name="val_loss",
        log=["training.rate"],
        limits={"training.rate": (1e-4, 1e-2)},
        incomplete=[False, False, True],
    )
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 2]
    worst, second, best = lines  # the best run is drawn last, on top
    assert best.get_color() == COLORS[1] and best.get_linestyle() == "-"
    assert worst.get_linestyle() != "-"
    heights = {0: [1.0, 0.0, 0.5], 2: [1.0, 0.5, 0.0]}
    for axis, expected in heights.items():
        shown = [np.interp(axis, *line.get_data()) for line in (worst, second, best)]
        np.testing.assert_allclose(shown, expected, atol=1e-12)
    names = [np.interp(1, *line.get_data()) for line in (worst, second, best)]
    assert names[2] == pytest.approx(0.25)  # the only run with the first of two choices
    assert names[0] > names[1] > 0.5  # of the same choice the better run is lower
    assert "dashed lines: not finished" in words(figure)
    with pytest.raises(PredictionError, match="No run has a finite score"):
        plot_parallel_coordinates(values, [np.nan] * 3, objective_name="loss")
