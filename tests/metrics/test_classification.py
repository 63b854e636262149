from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from astrocnn.errors import ConfigError
from astrocnn.metrics import (
    accuracy,
    change_prior,
    completeness,
    confusion_matrix,
    f1,
    macro_f1,
    majority_fraction,
    purity,
    rmse,
)


@given(seed=st.integers(0, 10**6), n=st.integers(2, 80), k=st.integers(2, 5))
def test_equal_to_sklearn_with_and_without_weights(seed, n, k):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, k, n), rng.integers(0, k, n)
    weights = rng.integers(0, 4, n).astype(float)
    weights[0] = 1
    for w in (None, weights):
        m = confusion_matrix(truth, predicted, k, w)
        labels = list(range(k))
        np.testing.assert_allclose(
            m, oracle.confusion_matrix(truth, predicted, labels=labels, sample_weight=w)
        )
        expected = oracle.accuracy_score(truth, predicted, sample_weight=w)
        assert accuracy(truth, predicted, w) == pytest.approx(expected)
        p, r, f, _ = oracle.precision_recall_fscore_support(
            truth, predicted, labels=labels, sample_weight=w, zero_division=np.nan
        )
        np.testing.assert_allclose(purity(m), p)
        np.testing.assert_allclose(completeness(m), r)
        present = m.sum(axis=0) + m.sum(axis=1) > 0
        np.testing.assert_allclose(f1(m)[present], np.nan_to_num(f[present]), atol=1e-12)
        assert np.isnan(f1(m)[~present]).all()
        assert macro_f1(m) == pytest.approx(np.nan_to_num(f[present]).mean())


def test_stacked_weights_give_stacked_scores():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 3, 40), rng.integers(0, 3, 40)
    w = rng.integers(0, 3, (5, 2, 40)).astype(float)
    m = confusion_matrix(truth, predicted, 3, w)
    assert m.shape == (5, 2, 3, 3)
    np.testing.assert_allclose(m[3, 1], confusion_matrix(truth, predicted, 3, w[3, 1]))
    np.testing.assert_allclose(
        accuracy(truth, predicted, w)[4, 0], accuracy(truth, predicted, w[4, 0])
    )
    assert purity(m).shape == (5, 2, 3)


def test_hand_computed():
    m = confusion_matrix([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 0], 4)
    np.testing.assert_array_equal(m[:3, :3], [[2, 1, 0], [1, 1, 0], [1, 0, 0]])
    np.testing.assert_allclose(completeness(m), [2 / 3, 1 / 2, 0, np.nan])
    np.testing.assert_allclose(purity(m), [1 / 2, 1 / 2, np.nan, np.nan])
    assert majority_fraction([0, 0, 0, 1, 1, 2], 4) == 0.5
    assert rmse([[0.5, 0.0], [1.0, 1.0]], [[0.0, 0.0], [1.0, 0.0]]) == pytest.approx(
        np.sqrt(1.25 / 4)
    )


def test_no_objects_is_not_a_number():
    assert np.isnan(accuracy(np.zeros(0, int), np.zeros(0, int)))
    assert np.isnan(completeness(confusion_matrix(np.zeros(0, int), np.zeros(0, int), 2))).all()


def test_change_of_prior_is_bayes():
    # Two Gaussian classes at -1 and +1 of unit width: the posterior is known for any share.
    x = np.linspace(-3, 3, 61)

    def posterior(share):
        return share * np.exp(2 * x) / (share * np.exp(2 * x) + (1 - share))

    np.testing.assert_allclose(change_prior(posterior(0.5), 0.5, 0.01), posterior(0.01))
    np.testing.assert_allclose(change_prior(posterior(0.2), 0.2, 0.2), posterior(0.2))
    np.testing.assert_array_equal(change_prior([0.0, 1.0], 0.5, 0.1), [0, 1])
    with pytest.raises(ConfigError, match="between 0 and 1"):
        change_prior([0.5], 0.0, 0.5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: confusion_matrix([0, 3], [0, 1], 3), "out of range"),
        (lambda: confusion_matrix([0.0, np.nan], [0, 1], 3), "whole number"),
        (lambda: accuracy([0, 1], [0, 1], [1.0, -1.0]), "not negative"),
        (lambda: accuracy([0, 1], [0, 1], [1.0, np.nan]), "finite"),
        (lambda: accuracy([0, 1], [0, 1], [1.0]), "shape"),
        (lambda: rmse([np.nan, 1], [0, 1]), "not finite in 1 rows"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ConfigError, match=words):
        call()
