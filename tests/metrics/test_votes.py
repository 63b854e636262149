from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from astrocnn import metrics
from astrocnn.errors import ConfigError


@given(seed=st.integers(0, 10**6), k=st.integers(2, 5))
def test_likelihood_equals_scipy(seed, k):
    rng = np.random.default_rng(seed)
    votes = rng.integers(0, 20, (3, k))
    alpha = rng.gamma(2.0, 2.0, (1, 3, k)) + 0.01
    expected = [
        -stats.dirichlet_multinomial(a, v.sum()).logpmf(v)
        for a, v in zip(alpha[0], votes, strict=True)
    ]
    found = metrics.dirichlet_multinomial_nll(votes, alpha)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    # A mean over equal draws is the draw itself; over different ones, the mean of probabilities.
    two = np.concatenate([alpha, 3 * alpha])
    each = [np.exp(-metrics.dirichlet_multinomial_nll(votes, a[None])) for a in two]
    np.testing.assert_allclose(
        np.exp(-metrics.dirichlet_multinomial_nll(votes, two)), np.mean(each, axis=0)
    )


def test_no_votes_have_probability_one():
    assert metrics.dirichlet_multinomial_nll([[0, 0]], [[[3.0, 1.0]]])[0] == pytest.approx(0)


def test_credible_numbers_of_votes():
    """Two answers, flat beta: all numbers of votes are equally probable."""
    before, within = metrics.votes_credible([[2, 1]], [[[1.0, 1.0]]])
    np.testing.assert_allclose(before, 0, atol=1e-12)
    np.testing.assert_allclose(within, 1)
    before, within = metrics.votes_credible([[3, 7]], [[[2.0, 5.0]]])
    p = stats.betabinom.pmf(np.arange(11), 10, 2, 5)
    assert before[0, 0] == pytest.approx(p[p > p[3]].sum())
    assert within[0, 0] == pytest.approx(p[3])
    q = stats.betabinom.pmf(np.arange(11), 10, 5, 2)
    assert before[0, 1] == pytest.approx(q[q > q[7]].sum())


def test_votes_drawn_from_the_prediction_are_covered():
    rng = np.random.default_rng(0)
    alpha = rng.gamma(3, 2, (1500, 3)) + 0.2
    total = rng.integers(1, 41, 1500)
    votes = np.stack(
        [rng.multinomial(n, rng.dirichlet(a)) for n, a in zip(total, alpha, strict=True)]
    )
    stand = metrics.votes_credible(votes, alpha[None])
    sharp = metrics.votes_credible(votes, 10 * alpha[None])
    for level in (0.68, 0.95):
        covered = metrics.credible_coverage(stand[0].ravel(), stand[1].ravel(), level).mean()
        assert covered == pytest.approx(level, abs=0.03)
        over = metrics.credible_coverage(sharp[0].ravel(), sharp[1].ravel(), level).mean()
        assert over < level - 0.08


def test_mean_deviation_by_hand():
    p, y = [[0.5, 0.5], [0.1, 0.9]], [[0.7, 0.3], [0.1, 0.9]]
    assert metrics.mean_deviation(p, y) == pytest.approx(0.1)
    assert metrics.mean_deviation(p, y, [0, 1]) == 0
    np.testing.assert_allclose(metrics.mean_deviation(p, y, np.eye(2)), [0.2, 0])


@pytest.mark.parametrize(
    ("votes", "alpha"),
    [([[-1, 2]], [[[1, 1]]]), ([[1, 2]], [[[0, 1]]]), ([[1, 2]], [[[1, 1, 1]]])],
)
def test_refusals(votes, alpha):
    with pytest.raises(ConfigError, match="Votes must not be negative"):
        metrics.dirichlet_multinomial_nll(votes, alpha)
