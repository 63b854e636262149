"""Figures of a selection: what they draw is what the ranking says."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest

from astrocnn.errors import PredictionError
from astrocnn.evaluation.figures import selection as figures
from astrocnn.evaluation.figures.sheet import sheet
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
    figure = figures.precision_recall(ranking, 0.6)
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
    figure = figures.completeness_fpr(ranking, 0.6)
    said = " ".join(words(figure))
    for level in (0.95, 0.99):
        assert f"FPR {float(ranking.fpr_at_tpr(level)):.3f} at {100 * level:.0f} %" in said
    got = ((ranking.probability >= 0.6) & ~ranking.positive).sum() / (~ranking.positive).sum()
    assert f"FPR {got:.3f}" in said


def test_a_perfect_ranking_fits_on_the_logarithmic_axis():
    usable = np.arange(60) < 30
    figure = figures.completeness_fpr(Ranking(usable, usable.astype(float)), 1.0)
    assert "FPR 0.000 at 99 %" in " ".join(words(figure))
    assert figure.axes[0].get_xlim()[0] > 0


def test_areas_are_sorted_and_reasons_without_examples_left_out(ranking):
    none = Ranking(np.zeros(400, bool), ranking.probability)
    noise = Ranking(ranking.positive, np.random.default_rng(0).random(400))
    figure = figures.ranking_areas({"seen": ranking, "never": none, "hot_pixels": noise})
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["hot pixels", "seen"]
    assert f"{float(ranking.auc()):.3f}  (200)" in words(figure)
    with pytest.raises(PredictionError, match="No reason"):
        figures.ranking_areas({"never": none})


def test_medians_along_severity_are_those_of_the_bins():
    x = np.geomspace(1, 1000, 56)
    p = 1 / (1 + x / 30)
    panels = {"ghost": (x, p), "gone": (np.full(3, np.nan), np.ones(3)), "two": (x[:2], p[:2])}
    figure = figures.probability_along(panels, ylabel="P", xlabels="S/N", threshold=0.5)
    first, second = (axes for axes in figure.axes if axes.get_visible())
    assert first.get_title() == "ghost (56)" and second.get_title() == "two (2)"
    middle = next(line for line in first.lines if line.get_marker() == "o")
    np.testing.assert_allclose(middle.get_ydata(), np.median(p.reshape(7, 8), axis=1))
    np.testing.assert_allclose(middle.get_xdata(), np.median(x.reshape(7, 8), axis=1))
    with pytest.raises(PredictionError, match="no object"):
        figures.probability_along({"gone": panels["gone"]}, ylabel="P")


def test_a_sheet_shows_noise_alike_and_outlines_masks():
    rng = np.random.default_rng(0)
    images = np.stack([rng.normal(0, s, (20, 20)) for s in (1.0, 7.0)])
    images[1, :, :5] = np.nan
    masks = np.zeros(images.shape, bool)
    masks[0, 5:9, 5:9] = True
    figure = sheet(images, [1.0, 7.0], labels=["a", "b"], masks=masks, pixel_scale=0.1)
    first, second = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    one, two = (axes.images[0] for axes in (first, second))
    assert one.get_clim() == two.get_clim()
    assert np.ma.std(one.get_array()) == pytest.approx(np.ma.std(two.get_array()), rel=0.1)
    assert two.get_array().mask[:, :5].all() and not two.get_array().mask[:, 5:].any()
    assert len(first.collections) == 1 and not second.collections
    with pytest.raises(PredictionError, match="one label"):
        sheet(images, 1.0, labels=["a"])
