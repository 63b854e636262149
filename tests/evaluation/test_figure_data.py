"""What figures of scores show is what the metrics return."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as oracle

from astrocnn.errors import PredictionError
from astrocnn.evaluation import figures
from astrocnn.metrics import Densities, Ranking


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(4)
    positive = rng.random(500) < 0.3
    probability = np.round(1 / (1 + np.exp(-(3 * positive - 1.5 + rng.normal(0, 1.5, 500)))), 2)
    return positive, probability  # with ties


def test_roc_curve_is_that_of_sklearn(scored):
    positive, probability = scored
    figure = figures.plot_roc({"yes": Ranking(positive, probability)})
    fpr, tpr, _ = oracle.roc_curve(positive, probability, drop_intermediate=False)
    shown = figure.axes[0].lines[1].get_xydata()
    np.testing.assert_allclose(shown, np.stack([fpr, tpr], axis=1), atol=1e-12)
    assert f"yes (AUC {oracle.roc_auc_score(positive, probability):.3f})" in words(figure)


def test_completeness_and_purity_are_recall_and_precision_of_sklearn(scored):
    positive, probability = scored
    figure = figures.plot_completeness_purity({"yes": Ranking(positive, probability)})
    complete, pure = figure.axes[0].lines[:2]
    precision, recall, thresholds = oracle.precision_recall_curve(positive, probability)
    np.testing.assert_allclose(complete.get_xdata(), thresholds[::-1])
    np.testing.assert_allclose(complete.get_ydata(), recall[:-1][::-1])
    np.testing.assert_allclose(pure.get_ydata(), precision[:-1][::-1])


def test_precision_recall_curve_and_its_area_are_those_of_sklearn(scored):
    positive, probability = scored
    figure = figures.plot_precision_recall(Ranking(positive, probability))
    precision, recall, _ = oracle.precision_recall_curve(positive, probability)
    shown = figure.axes[0].lines[0].get_xydata()
    np.testing.assert_allclose(shown, np.stack([recall, precision], axis=1)[:-1][::-1])
    area = oracle.average_precision_score(positive, probability)
    assert f"average precision {area:.3f}" in words(figure)
    assert f"purity {positive.mean():.2f}" in words(figure)


def test_risk_coverage_ends_at_the_error_rate_and_the_ideal_curve_is_its_closed_form():
    rng = np.random.default_rng(0)
    wrong = rng.random(200) < 0.2
    entropy = rng.random(200)
    figure = figures.plot_risk_coverage(wrong, entropy)
    ranked, ideal, mean = figure.axes[0].lines
    assert ranked.get_ydata()[-1] == pytest.approx(wrong.mean())
    order = np.argsort(entropy)
    np.testing.assert_allclose(ranked.get_ydata(), wrong[order].cumsum() / np.arange(1, 201))
    coverage, risk = ideal.get_data()
    np.testing.assert_allclose(risk, np.maximum(0, 1 - (1 - wrong.mean()) / coverage), atol=1e-12)
    assert mean.get_ydata()[0] == pytest.approx(wrong.mean())


def test_histograms_of_entropy_are_each_normalized_to_one():
    rng = np.random.default_rng(0)
    entropy = rng.uniform(0, np.log(3), 300)
    wrong = entropy > 0.9
    (axes,) = figures.plot_entropy(wrong, entropy, 3).axes
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == [f"correct ({(~wrong).sum()})", f"incorrect ({wrong.sum()})"]
    edges = np.linspace(0, np.log(3), 16)
    for color, chosen in ((0, ~wrong), (1, wrong)):
        outline = axes.patches[2 * color + 1].get_xy()
        expected = np.histogram(entropy[chosen], edges)[0] / chosen.sum()
        # The vertices of a step: both ends of each bin at its height.
        np.testing.assert_allclose(outline[1:-1:2, 1][:15], expected)
        assert expected.sum() == pytest.approx(1)


def test_error_rates_are_the_means_of_equally_filled_bins():
    rng = np.random.default_rng(1)
    magnitude = rng.uniform(14, 20, 400)
    wrong = rng.random(400) < (magnitude - 14) / 10
    magnitude[:3] = np.nan
    (axes,) = figures.plot_error_rate(wrong, magnitude, xlabel="r").axes
    (container,) = axes.containers
    points = container[0].get_xydata()
    known = np.isfinite(magnitude)
    edges = np.quantile(magnitude[known], np.linspace(0, 1, 11))
    place = np.searchsorted(edges[1:-1], magnitude[known], side="right")
    expected = [wrong[known][place == i].mean() for i in range(10)]
    np.testing.assert_allclose(points[:, 1], expected)
    bars = container[2][1].get_segments()
    for i, bar in enumerate(bars):
        n = int((place == i).sum())
        interval = stats.binomtest(round(expected[i] * n), n).proportion_ci(method="wilson")
        np.testing.assert_allclose(bar[:, 1], [interval.low, interval.high])


def test_vote_fractions_show_every_object_and_the_rmse_of_each_answer():
    rng = np.random.default_rng(2)
    predicted = rng.dirichlet([2, 3, 4], 150)
    observed = np.clip(predicted + rng.normal(0, 0.05, predicted.shape), 0, 1)
    panels = figures.plot_vote_fractions(predicted, observed, ("a", "b", "c")).axes
    for k, axes in enumerate(panels):
        np.testing.assert_allclose(axes.lines[1].get_xdata(), predicted[:, k])
        np.testing.assert_allclose(axes.lines[1].get_ydata(), observed[:, k])
        rmse = np.sqrt(((predicted - observed)[:, k] ** 2).mean())
        assert axes.texts[0].get_text() == f"{'abc'[k]}\nRMSE {rmse:.3f}"
        means = axes.containers[0][0].get_xydata()
        assert np.all(np.abs(means[:, 1] - means[:, 0]) < 0.05) and len(means) == 8


@pytest.mark.parametrize("n", [500, 5000])
def test_predicted_against_true_values_as_points_or_as_counts(n):
    rng = np.random.default_rng(3)
    truth = rng.uniform(0, 1, n)
    predicted = truth + rng.normal(0, 0.02, n)
    figure = figures.plot_against_truth(predicted, truth, limits=(0.1,), text="note")
    axes = figure.axes[0]
    if n == 500:
        np.testing.assert_allclose(axes.lines[0].get_xydata(), np.c_[truth, predicted])
    else:
        low, high = axes.get_xlim()
        inside = (np.c_[truth, predicted] >= low) & (np.c_[truth, predicted] <= high)
        assert axes.collections[0].get_array().sum() == inside.all(axis=1).sum() > 0.99 * n
    upper = axes.lines[-1]
    x, y = upper.get_data()
    np.testing.assert_allclose((y - x) / (1 + x), 0.1)
    assert "note" in words(figure)


def test_bias_and_scatter_are_those_of_each_bin():
    rng = np.random.default_rng(5)
    magnitude = rng.uniform(14, 18, 600)
    error = rng.normal(0.01 * (magnitude - 16), 0.02)
    figure = figures.plot_errors(error, magnitude, xlabel="r")
    top, bottom = figure.axes
    edges = np.quantile(magnitude, np.linspace(0, 1, 11))
    place = np.searchsorted(edges[1:-1], magnitude, side="right")
    bias = [error[place == i].mean() for i in range(10)]
    scatter = [stats.median_abs_deviation(error[place == i], scale="normal") for i in range(10)]
    np.testing.assert_allclose(top.containers[0][0].get_ydata(), bias)
    np.testing.assert_allclose(bottom.containers[0][0].get_ydata(), scatter, rtol=1e-4)
    centers = [np.median(magnitude[place == i]) for i in range(10)]
    np.testing.assert_allclose(top.containers[0][0].get_xdata(), centers)


def test_stacked_densities_and_true_histogram_hold_all_objects():
    rng = np.random.default_rng(6)
    edges = np.linspace(0, 1, 101)
    n, draws = 900, 7
    truth = rng.beta(2, 5, n)
    expected = n * np.diff(stats.beta.cdf(edges, 2, 5))
    stack = expected * rng.normal(1, 0.02, (draws, 1))
    figure = figures.plot_stacked_densities(stack, edges, truth)
    top, bottom = figure.axes
    true, stacked, band = (patch.get_data() for patch in top.patches)
    widths = np.diff(true.edges)
    assert (true.values * widths).sum() == pytest.approx(n)
    assert (stacked.values * widths).sum() == pytest.approx(stack.sum(axis=1).mean())
    np.testing.assert_allclose(true.values * widths, np.histogram(truth, true.edges)[0])
    spread = np.quantile(stack.sum(axis=1), [0.025, 0.975]) / stack.sum(axis=1).mean()
    np.testing.assert_allclose(band.baseline / stacked.values, spread[0])
    np.testing.assert_allclose(band.values / stacked.values, spread[1])
    pull = bottom.patches[-1].get_data().values
    mean, counts = stacked.values * widths, true.values * widths
    np.testing.assert_allclose(pull, (mean - counts) / np.sqrt(np.maximum(mean, 1)))
    assert pull.std() == pytest.approx(1, abs=0.4)  # Poisson noise


def test_densities_have_unit_area_and_at_most_thirty_draws():
    edges = np.linspace(0, 1, 41)
    rng = np.random.default_rng(7)
    draws = rng.dirichlet(np.ones(40), (35, 3))
    truth = np.array([0.25, np.nan, 0.75])
    figure = figures.plot_densities(draws, edges, truth, labels=["a", "b", "c"])
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == ["a", "b", "c"]
    for i, axes in enumerate(panels):
        assert len(axes.lines) == 30 + 1 + np.isfinite(truth[i])
        x, y = axes.lines[30].get_data()
        assert np.trapezoid(y, x) == pytest.approx(1)
        if np.isfinite(truth[i]):
            assert axes.lines[-1].get_xdata()[0] == truth[i]
    for wrong in (draws[:, :0], draws[0], draws[..., :-1]):
        with pytest.raises(PredictionError, match="must have the shape"):
            figures.plot_densities(wrong, edges)


def test_coverage_of_credible_sets_is_the_diagonal_for_true_densities():
    rng = np.random.default_rng(8)
    edges = np.linspace(0, 1, 51)
    masses = rng.dirichlet(np.ones(50), 4000)
    place = (rng.random((4000, 1)) > masses.cumsum(axis=1)).sum(axis=1).clip(0, 49)
    truth = edges[place] + rng.random(4000) * 0.02
    figure = figures.plot_credible_sets(*Densities(masses, edges).credible(truth))
    levels, coverage = figure.axes[0].lines[1].get_data()
    # The largest difference of a uniform sample: Kolmogorov's quantile of 0.1 %.
    assert np.abs(coverage - levels).max() < stats.kstwo.ppf(0.999, 4000)
    at_68 = coverage[np.argmin(np.abs(levels - 0.68))]
    assert f"68\u2009% sets cover {100 * at_68:.1f}\u2009%" in words(figure)
    wide = figures.plot_credible_sets(*Densities(masses, edges).credible(truth), n_independent=100)
    heights = [
        np.ptp(f.axes[0].collections[0].get_paths()[0].vertices[:, 1]) for f in (figure, wide)
    ]
    assert heights[1] >= heights[0]


def test_learning_curves_hold_the_history():
    history = {
        "epoch": [1, 2, 3],
        "loss": [3.0, 2.0, 1.0],
        "val_loss": [3.0, 2.5, 2.6],
        "accuracy": [0.1, 0.5, 0.9],
        "val_accuracy": [0.1, 0.4, 0.5],
    }
    figure = figures.plot_learning_curve(history, best_epoch=2)
    for axes, name in zip(figure.axes, ("loss", "accuracy"), strict=True):
        training, validation, best = axes.lines
        np.testing.assert_array_equal(training.get_xydata(), np.c_[[1, 2, 3], history[name]])
        np.testing.assert_array_equal(validation.get_ydata(), history[f"val_{name}"])
        assert best.get_xdata()[0] == 2 and axes.get_ylabel() == name
