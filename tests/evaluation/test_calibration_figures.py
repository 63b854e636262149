from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from astrocnn.evaluation.figures import pit_compared, reliability_compared, svg


def _legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_reliability_of_several_predictors_with_their_counts():
    p = np.r_[np.full(40, 0.95), np.full(20, 0.55)]
    right = np.r_[np.ones(30), np.zeros(10), np.ones(11), np.zeros(9)]
    figure = reliability_compared({"before": (p, right), "after": (p - 0.2, right)}, n_bins=10)
    top, bottom = figure.axes
    first, second = top.containers
    np.testing.assert_allclose(first[0].get_xydata(), [[0.55, 0.55], [0.95, 0.75]])
    np.testing.assert_allclose(second[0].get_xydata(), [[0.35, 0.55], [0.75, 0.75]])
    assert _legend(top) == ["before: ECE 0.133", "after: ECE 0.067"]
    assert [patch.get_data().values.sum() for patch in bottom.patches] == [60, 60]


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_pit_histogram_and_its_distance_from_even(power):
    u = np.random.default_rng(0).random(500) ** power
    figure = pit_compared({"one": u, "other": 1 - u}, n_bins=10)
    top, bottom = figure.axes
    density = top.patches[1].get_data().values
    np.testing.assert_allclose(density, np.histogram(u, 10, (0, 1))[0] / 50)
    largest = kstest(u, "uniform").statistic
    assert _legend(top)[0] == f"one: KS {largest:.3f}"
    assert np.abs(bottom.lines[1].get_ydata()).max() == pytest.approx(largest, abs=0.01)
    low, high = (bottom.patches[0].get_extents().transformed(bottom.transData.inverted()).y0, 0)
    assert low == pytest.approx(-1.358 / np.sqrt(500), rel=0.02) and high == 0
    assert svg(figure) == svg(pit_compared({"one": u, "other": 1 - u}, n_bins=10))
