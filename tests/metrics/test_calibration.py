from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle
from sklearn.calibration import calibration_curve

from astrocnn.errors import ConfigError
from astrocnn.metrics import brier, classwise_ece, ece, log_loss, reliability
from astrocnn.metrics.calibration import NLL_FLOOR


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@given(seed=st.integers(0, 10**6), n=st.integers(3, 90), k=st.integers(2, 5))
def test_proper_scores_equal_sklearn(seed, n, k):
    rng = np.random.default_rng(seed)
    p = softmax(rng.normal(0, 2, (n, k)))
    truth = rng.integers(0, k, n)
    y, w = np.eye(k)[truth], rng.random(n) + 0.1
    for weights in (None, w):
        expected = oracle.log_loss(truth, p, labels=range(k), sample_weight=weights)
        assert log_loss(p, y, weights) == pytest.approx(expected)
    if k == 2:
        # sklearn counts the positive class alone: half of Brier's own definition.
        assert brier(p, y) == pytest.approx(2 * oracle.brier_score_loss(truth, p[:, 1]))
    assert brier(p, y, w) == pytest.approx(np.average(((p - y) ** 2).sum(1), weights=w))
    assert 0 <= brier(p, y) <= 2
    assert brier(1.0 * (y == 0) / (k - 1), y) >= 1
    assert brier(y, y) == 0 and log_loss(y, y) == 0


def test_brier_published_extremes():
    # Brier (1950): 0 for perfect forecasting, 2 for the worst possible.
    y = np.eye(2)[[0, 1, 1]]
    assert brier(1 - y, y) == 2
    assert log_loss(1 - y, y) == pytest.approx(-np.log(NLL_FLOOR))


@given(seed=st.integers(0, 10**6), binning=st.sampled_from(["width", "count"]))
def test_bins_equal_sklearn(seed, binning):
    rng = np.random.default_rng(seed)
    p, outcome = rng.random(500), rng.random(500) < 0.5
    mine = reliability(p, outcome, n_bins=15, binning=binning)
    strategy = {"width": "uniform", "count": "quantile"}[binning]
    observed, predicted = calibration_curve(outcome, p, n_bins=15, strategy=strategy)
    full = mine.count > 0
    np.testing.assert_allclose(mine.observed[full], observed)
    np.testing.assert_allclose(mine.predicted[full], predicted)
    expected = np.average(np.abs(observed - predicted), weights=mine.count[full])
    assert ece(p, outcome, binning=binning) == pytest.approx(expected)
    assert mine.count.sum() == 500
    if binning == "count":
        assert mine.count.max() - mine.count.min() <= 1
    inside = (mine.low <= mine.observed) & (mine.observed <= mine.high)
    assert inside[full].all()


def test_ece_closed_form():
    # 80 % predicted, 60 % true: the gap is 0.2 whatever the binning.
    p, outcome = np.full(10, 0.8), np.arange(10) < 6
    for binning in ("width", "count"):
        assert ece(p, outcome, binning=binning) == pytest.approx(0.2)
    assert ece([0.0, 1.0], [False, True]) == 0
    # Two bins with gaps of opposite sign must not cancel.
    assert ece([0.2, 0.2, 0.8, 0.8], [1, 0, 1, 0]) == pytest.approx(0.3)


def test_ece_of_a_calibrated_sample_vanishes():
    rng = np.random.default_rng(0)
    p = rng.random(400_000)
    assert ece(p, rng.random(400_000) < p) < 0.005


def test_ece_stacks_weights_and_counts_them_as_repetitions():
    rng = np.random.default_rng(0)
    p, y = rng.random(50), rng.random(50) < 0.5
    w = rng.integers(0, 3, (4, 50)).astype(float)
    repeat = np.repeat(np.arange(50), w[2].astype(int))
    assert ece(p, y, w)[2] == pytest.approx(ece(p[repeat], y[repeat]))


def test_classwise_ece_is_the_ece_of_each_column():
    rng = np.random.default_rng(0)
    p = softmax(rng.normal(0, 1, (300, 3)))
    y = np.eye(3)[rng.integers(0, 3, 300)]
    np.testing.assert_allclose(classwise_ece(p, y), [ece(p[:, k], y[:, k]) for k in range(3)])


def test_refusals():
    with pytest.raises(ConfigError, match="not finite in 1 rows"):
        ece([0.5, np.nan], [1, 0])
    with pytest.raises(ConfigError, match="not finite in 1 rows"):
        brier([[0.5, np.inf]], [[1, 0]])
    with pytest.raises(ConfigError, match="between 0 and 1"):
        ece([0.5, 1.5], [1, 0])
    with pytest.raises(ConfigError, match="Unknown binning"):
        ece([0.5, 0.5], [1, 0], binning="log")
