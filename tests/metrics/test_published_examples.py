"""Worked examples of the papers that define the scores."""

from __future__ import annotations

import numpy as np
import pytest

from astrocnn.metrics import (
    Ranking,
    accuracy,
    brier,
    change_prior,
    completeness,
    confusion_matrix,
    f1,
    mcnemar,
    purity,
    reliability,
)

# Fawcett (2006), Pattern Recognition Letters 27, 861, figure 3: twenty instances by their score.
FAWCETT_SCORES = np.array(
    [
        [0.9, 0.8, 0.7, 0.6, 0.55, 0.54, 0.53, 0.52, 0.51, 0.505],
        [0.4, 0.39, 0.38, 0.37, 0.36, 0.35, 0.34, 0.33, 0.30, 0.1],
    ]
).ravel()
FAWCETT_POSITIVE = np.array(list("ppnpppnnpnpnpnnnpnpn")) == "p"


def test_brier_1950_rain_forecasts():
    """Table 1: ten forecasts of rain with the verification score 0.19."""
    rain = np.array([0.7, 0.9, 0.8, 0.4, 0.2, 0, 0, 0, 0, 0.1])
    occurred = np.array([0, 1, 1, 1, 0, 0, 0, 0, 0, 0.0])
    two_classes = [np.stack([x, 1 - x], axis=1) for x in (rain, occurred)]
    assert brier(*two_classes) == pytest.approx(0.19)


def test_hanley_mcneil_1982_tomograms():
    """Table I: 58 normal and 51 abnormal images in five ratings have the area 0.893."""
    normal, abnormal = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    ratings = np.r_[np.repeat(range(5), normal), np.repeat(range(5), abnormal)]
    positive = np.arange(len(ratings)) >= sum(normal)
    assert Ranking(positive, ratings).auc() == pytest.approx(0.893, abs=5e-4)
    # The same table as weights of ten rows.
    weights = np.array([*normal, *abnormal], float)
    rows = Ranking(np.arange(10) >= 5, np.tile(np.arange(5.0), 2))
    assert rows.auc(weights) == pytest.approx(Ranking(positive, ratings).auc())


def test_fawcett_2006_roc_curve():
    """The most accurate threshold is 0.54, at the ROC point (0.1, 0.5), with 70 % correct."""
    ranking = Ranking(FAWCETT_POSITIVE, FAWCETT_SCORES)
    fpr, tpr = ranking.roc()
    correct = (10 * tpr[1:] + 10 * (1 - fpr[1:])) / 20
    best = int(correct.argmax())
    assert ranking.thresholds[best] == 0.54
    assert (fpr[best + 1], tpr[best + 1]) == pytest.approx((0.1, 0.5))
    assert correct[best] == pytest.approx(0.7)
    predicted = (FAWCETT_SCORES >= 0.54).astype(int)
    assert accuracy(FAWCETT_POSITIVE.astype(int), predicted) == pytest.approx(0.7)
    # With a threshold of one half, as in his section 4: 6 of 10 positives, 9 of 14 selected.
    assert tpr[ranking.thresholds.tolist().index(0.51) + 1] == pytest.approx(0.6)
    assert ranking.completeness_purity()[1][8] == pytest.approx(6 / 9)


def test_fawcett_2006_area_by_pairs():
    ranking = Ranking(FAWCETT_POSITIVE, FAWCETT_SCORES)
    positive, negative = FAWCETT_SCORES[FAWCETT_POSITIVE], FAWCETT_SCORES[~FAWCETT_POSITIVE]
    pairs = (positive[:, None] > negative).sum()
    assert ranking.auc() == pytest.approx(pairs / 100)
    assert ranking.tpr_at_fpr(0.1) == pytest.approx(0.5)
    assert ranking.fpr_at_tpr(0.6) == pytest.approx(0.3)
    assert ranking.precision_at_recall(0.2) == pytest.approx(1.0)


def test_confusion_matrix_of_a_rare_class():
    """90 % accuracy and no use: all of 90 and 10 objects are called the frequent class."""
    truth = np.repeat([0, 1], [90, 10])
    matrix = confusion_matrix(truth, np.zeros(100, int), 2)
    assert accuracy(truth, np.zeros(100, int)) == 0.9
    np.testing.assert_array_equal(completeness(matrix), [1, 0])
    np.testing.assert_allclose(purity(matrix), [0.9, np.nan])
    np.testing.assert_allclose(f1(matrix), [180 / 190, 0])


def test_murphy_1973_partition_of_the_brier_score():
    """For a few forecast values: reliability - resolution + uncertainty, J. Appl. Met. 12, 595."""
    rng = np.random.default_rng(0)
    p = rng.choice([0.1, 0.3, 0.5, 0.7, 0.9], 2000)
    occurred = rng.random(2000) < p**1.5
    bins = reliability(p, occurred, n_bins=5)
    share, base = bins.count / 2000, occurred.mean()
    np.testing.assert_allclose(bins.predicted, [0.1, 0.3, 0.5, 0.7, 0.9])
    parts = (
        share @ (bins.predicted - bins.observed) ** 2,
        share @ (bins.observed - base) ** 2,
        base * (1 - base),
    )
    two_classes = [np.stack([x, 1 - x], axis=1) for x in (p, occurred.astype(float))]
    # The score over both classes is twice that of one event.
    assert brier(*two_classes) / 2 == pytest.approx(parts[0] - parts[1] + parts[2])


def test_change_of_prior_keeps_the_ranking_and_its_inverse_undoes_it():
    p = np.linspace(0, 1, 101)
    rare = change_prior(p, 0.5, 0.01)
    assert (np.diff(rare) > 0).all()
    np.testing.assert_allclose(change_prior(rare, 0.01, 0.5), p, atol=1e-12)
    # A likelihood ratio of 99 makes an object of a class with 1 % as probable as not.
    assert change_prior(0.99, 0.5, 0.01) == pytest.approx(0.5)


def test_mcnemar_of_many_objects_approaches_the_chi_squared_test():
    """McNemar (1947): (b - c)^2 / (b + c) is chi squared with one degree of freedom."""
    only_first, only_second = 530, 470
    first = np.repeat([True, False], [only_first, only_second])
    p = mcnemar(first, ~first)[2]
    # With Yates's correction, chi^2 = 59^2 / 1000 = 3.481, whose tail probability is 0.0621.
    assert p == pytest.approx(0.0621, abs=5e-4)
