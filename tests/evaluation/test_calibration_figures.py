from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, kstest

from astrocnn.evaluation import figures
from astrocnn.report import render_svg


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_reliability_of_several_predictors_with_their_counts():
    p = np.r_[np.full(40, 0.95), np.full(20, 0.55)]
    right = np.r_[np.ones(30), np.zeros(10), np.ones(11), np.zeros(9)]
    predictors = {"before": (p, right), "after": (p - 0.2, right)}
    top, bottom = figures.plot_reliability(predictors, n_bins=10).axes
    first, second = top.containers
    np.testing.assert_allclose(first[0].get_xydata(), [[0.55, 0.55], [0.95, 0.75]])
    np.testing.assert_allclose(second[0].get_xydata(), [[0.35, 0.55], [0.75, 0.75]])
    assert legend(top) == ["before: ECE 0.133", "after: ECE 0.067"]
    assert [patch.get_data().values.sum() for patch in bottom.patches] == [60, 60]


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_pit_histogram_holds_densities_and_binomial_bands(power):
    u = np.random.default_rng(0).random(500) ** power
    figure = figures.plot_pit_histogram({"one": u, "other": 1 - u})
    (axes,) = figure.axes
    two_sigma, one_sigma, first, second = axes.patches
    np.testing.assert_allclose(first.get_data().values, np.histogram(u, 20, (0, 1))[0] / 25)
    np.testing.assert_allclose(second.get_data().values, first.get_data().values[::-1])
    for patch, level in ((two_sigma, 0.954), (one_sigma, 0.683)):
        low, high = binom.interval(level, 500, 0.05)
        assert (patch.get_y(), patch.get_y() + patch.get_height()) == pytest.approx(
            (low / 25, high / 25)
        )
    assert f"one: KS {kstest(u, 'uniform').statistic:.3f}" in legend(axes)
    assert render_svg(figure) == render_svg(figures.plot_pit_histogram({"one": u, "other": 1 - u}))


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_qq_plot_shows_the_largest_difference_from_uniform(power):
    u = np.random.default_rng(0).random(500) ** power
    top, bottom = figures.plot_qq({"one": u}).axes
    largest = kstest(u, "uniform").statistic
    grid, observed = top.lines[1].get_data()
    np.testing.assert_allclose(observed, [(u <= x).mean() for x in grid])
    difference = bottom.lines[-1].get_ydata()
    assert np.abs(difference).max() == pytest.approx(largest, abs=0.01)
    (dotted,) = [c for c in bottom.collections if len(c.get_paths()) == 2]
    low, high = (segment[0, 1] for segment in dotted.get_segments())
    # Kolmogorov's asymptotic quantile of 95 %.
    assert (low, high) == pytest.approx((-1.358 / np.sqrt(500), 1.358 / np.sqrt(500)), rel=0.02)
