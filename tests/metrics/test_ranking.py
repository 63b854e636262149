from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm
from sklearn import metrics as oracle

from astrocnn.errors import ConfigError
from astrocnn.metrics import Ranking


def sample(seed, n, levels):
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.4
    y[:2] = [True, False]
    p = np.round(rng.random(n) * levels) / levels  # ties on purpose
    return y, p, rng.integers(1, 4, n).astype(float)


@given(seed=st.integers(0, 10**6), n=st.integers(2, 100), levels=st.sampled_from([1, 5, 1000]))
def test_equal_to_sklearn(seed, n, levels):
    y, p, w = sample(seed, n, levels)
    ranking = Ranking(y, p)
    assert ranking.auc() == pytest.approx(oracle.roc_auc_score(y, p))
    assert ranking.auc(w) == pytest.approx(oracle.roc_auc_score(y, p, sample_weight=w))
    assert ranking.average_precision() == pytest.approx(oracle.average_precision_score(y, p))
    assert ranking.average_precision(w) == pytest.approx(
        oracle.average_precision_score(y, p, sample_weight=w)
    )
    fpr, tpr, thresholds = oracle.roc_curve(y, p, drop_intermediate=False)
    np.testing.assert_allclose(ranking.roc(), (fpr, tpr))
    np.testing.assert_array_equal(ranking.thresholds, thresholds[1:])
    precision, recall, _ = oracle.precision_recall_curve(y, p)
    mine = ranking.completeness_purity()
    np.testing.assert_allclose(mine[0][::-1], recall[:-1])
    np.testing.assert_allclose(mine[1][::-1], precision[:-1])
    # Definitions by brute force over all thresholds.
    for level in (0.5, 0.95, 0.99):
        fits = tpr[1:] >= level - 1e-9
        assert ranking.fpr_at_tpr(level) == pytest.approx(fpr[1:][fits].min())
        assert ranking.precision_at_recall(level) == pytest.approx(mine[1][np.argmax(fits)])
        assert ranking.tpr_at_fpr(1 - level) == pytest.approx(tpr[fpr <= 1 - level + 1e-9].max())


def test_auc_is_the_mann_whitney_statistic():
    y, p, _ = sample(5, 200, 20)
    u = mannwhitneyu(p[y], p[~y]).statistic
    assert Ranking(y, p).auc() == pytest.approx(u / (y.sum() * (~y).sum()))


def test_two_gaussians_reach_the_closed_form():
    # Scores N(0, 1) and N(d, 1): AUC = Phi(d / sqrt 2), TPR at FPR f = Phi(d + Phi^-1(f)).
    rng = np.random.default_rng(7)
    n, d = 200_000, 2.0
    y = np.arange(n) % 2 == 0
    ranking = Ranking(y, rng.normal(0, 1, n) + d * y)
    assert ranking.auc() == pytest.approx(norm.cdf(d / np.sqrt(2)), abs=2e-3)
    assert ranking.tpr_at_fpr(0.01) == pytest.approx(norm.cdf(d + norm.ppf(0.01)), abs=0.01)
    assert ranking.fpr_at_tpr(0.95) == pytest.approx(norm.cdf(norm.ppf(0.95) - d), abs=0.01)


def test_weights_are_repetitions():
    y, p, w = sample(2, 60, 10)
    repeat = np.repeat(np.arange(60), w.astype(int))
    weighted, repeated = Ranking(y, p), Ranking(y[repeat], p[repeat])
    stacked = np.stack([w, np.ones(60)])
    for name, args in [
        ("auc", ()),
        ("average_precision", ()),
        ("fpr_at_tpr", (0.95,)),
        ("tpr_at_fpr", (0.1,)),
        ("precision_at_recall", (0.95,)),
    ]:
        both = getattr(weighted, name)(*args, stacked)
        assert both.shape == (2,)
        assert both[0] == pytest.approx(getattr(repeated, name)(*args))
        assert both[1] == pytest.approx(getattr(weighted, name)(*args))


def test_the_order_of_rows_does_not_matter():
    y, p, _ = sample(3, 80, 5)
    order = np.random.default_rng(0).permutation(80)
    a, b = Ranking(y, p), Ranking(y[order], p[order])
    assert a.auc() == b.auc() and a.average_precision() == b.average_precision()
    np.testing.assert_array_equal(a.roc(), b.roc())


def test_one_class_alone_or_nothing_is_not_a_number():
    for y in (np.ones(4, bool), np.zeros(4, bool)):
        assert np.isnan(Ranking(y, np.arange(4.0)).auc())
    assert np.isnan(Ranking(np.zeros(4, bool), np.arange(4.0)).precision_at_recall(0.95))
    assert np.isnan(Ranking(np.ones(4, bool), np.arange(4.0)).tpr_at_fpr(0.1))
    assert np.isnan(Ranking(np.zeros(0, bool), np.zeros(0)).auc())


def test_refusals():
    with pytest.raises(ConfigError, match="not finite in 1 rows"):
        Ranking([True, False], [0.5, np.nan])
    with pytest.raises(ConfigError, match="one boolean"):
        Ranking([1, 0], [0.5, 0.5])
