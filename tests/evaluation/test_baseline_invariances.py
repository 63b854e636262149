"""Baselines under changes of the column, and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import dirichlet_multinomial

from astrocnn.errors import PredictionError
from astrocnn.evaluation import (
    fit_cut,
    fit_majority,
    fit_mean,
    fit_neighbors,
    fit_prior,
    fit_votes,
)
from astrocnn.targets import Bernoulli, Binned, Categorical, DirichletMultinomial, Target

KIND = Target("kind", Categorical(("a", "b", "c")), "kind")
QUESTION = Target("q", Bernoulli(), "q")
Z = Target("z", Binned(0.0, 1.0, 40), "z")
VOTES = Target("v", DirichletMultinomial(("x", "y")), ("x", "y"))


@given(seed=st.integers(0, 10**6), k=st.integers(2, 3))
def test_a_cut_depends_on_the_order_of_the_column_alone(seed, k):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, 50)
    target = QUESTION if k == 2 else KIND
    encoded = labels[:, None].astype(float) if k == 2 else np.eye(3)[labels]
    x = rng.normal(labels, 1)
    cut = fit_cut(target, "x", x, encoded, np.ones(50))
    stretched = fit_cut(target, "x", np.exp(x), encoded, np.ones(50))
    np.testing.assert_allclose(stretched.sample(np.exp(x)), cut.sample(x))
    order = rng.permutation(50)
    shuffled = fit_cut(target, "x", x[order], encoded[order], np.ones(50))
    np.testing.assert_array_equal(shuffled.sample(x), cut.sample(x))


def test_a_cut_of_separate_classes_is_in_the_middle_of_the_gap():
    x = np.r_[np.linspace(0, 1, 20), np.linspace(3, 4, 30)]
    encoded = (np.arange(50) >= 20).astype(float)[:, None]
    cut = fit_cut(QUESTION, "x", x, encoded, np.ones(50))
    assert cut.threshold == 2.0 and cut.name == "Cut on x"
    np.testing.assert_array_equal(cut.sample([1.99, 2.01])[0, :, 0], [0, 1])
    falling = fit_cut(QUESTION, "x", -x, encoded, np.ones(50))
    assert falling.threshold == -2.0
    assert falling.description == "'yes' where x < -2, else 'no'"


@given(seed=st.integers(0, 10**6), shift=st.floats(-5, 5), scale=st.floats(0.1, 10))
def test_neighbors_do_not_depend_on_the_unit_of_the_column(seed, shift, scale):
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=40), rng.random(40)
    new = rng.normal(size=9)
    labels = Z.encode(z)
    one = fit_neighbors(Z, "x", x, *labels).sample(new)
    other = fit_neighbors(Z, "x", scale * x + shift, *labels).sample(scale * new + shift)
    np.testing.assert_allclose(other, one, atol=1e-6)


@pytest.mark.parametrize(("n", "count"), [(3, 3), (10, 5), (25, 5), (100, 10), (1000, 32)])
def test_the_number_of_neighbors_is_the_square_root(n, count):
    rng = np.random.default_rng(0)
    fitted = fit_neighbors(Z, "x", rng.normal(size=n), *Z.encode(rng.random(n)))
    assert fitted.count == count
    assert fitted.description == f"true values of the {count} training objects nearest in x"


def test_the_prior_is_the_distribution_of_the_labels():
    z = np.random.default_rng(1).random(500)
    z[:100] = np.nan
    prior = fit_prior(Z, *Z.encode(z))
    p = prior.sample(3)[0]
    np.testing.assert_array_equal(p, np.tile(p[0], (3, 1)))
    below = (z[100:, None] < np.linspace(0, 1, 41)[1:]).mean(axis=0)
    # Smoothed, because the labels are a sample.
    np.testing.assert_allclose(np.cumsum(p[0]), below, atol=0.02)
    mean = fit_mean(Z, *Z.encode(z)).sample(1)[0, 0]
    assert mean.argmax() == int(np.nanmean(z) * 40) and mean.max() > 0.4


def test_the_majority_has_the_fractions_of_the_labels():
    encoded = np.eye(3)[[0, 1, 1, 1, 2, 2]]
    majority = fit_majority(KIND, encoded, [1, 1, 1, 0, 1, 1])
    np.testing.assert_allclose(majority.parameters, [0.2, 0.4, 0.4])
    assert majority.sample(4).shape == (1, 4, 3)
    # A fractional label counts by its fractions.
    shared = fit_majority(QUESTION, [[0.25], [0.75], [0.5]], np.ones(3))
    np.testing.assert_allclose(shared.parameters, 0.5)


def test_the_scatter_of_votes_has_the_largest_likelihood():
    rng = np.random.default_rng(2)
    votes = np.stack([rng.multinomial(20, rng.dirichlet([3, 6])) for _ in range(300)]).astype(float)
    fitted = fit_votes(VOTES, votes, np.ones(300)).parameters
    assert fitted[1] / fitted.sum() == pytest.approx(votes[:, 1].sum() / votes.sum(), rel=1e-3)
    assert fitted.sum() == pytest.approx(9, rel=0.15)

    def likelihood(total):
        return (
            dirichlet_multinomial(total * fitted / fitted.sum(), 20).logpmf(votes.astype(int)).sum()
        )

    best = likelihood(fitted.sum())
    for factor in (0.9, 0.97, 1.03, 1.1):
        assert likelihood(factor * fitted.sum()) < best


@pytest.mark.parametrize(
    ("fit", "allowed"),
    [
        (lambda: fit_majority(Z, np.zeros((2, 1)), np.ones(2)), "ClassFamily"),
        (lambda: fit_cut(Z, "x", [1, 2], np.zeros((2, 1)), np.ones(2)), "ClassFamily"),
        (lambda: fit_prior(KIND, np.eye(3), np.ones(3)), "QuantityFamily"),
        (lambda: fit_mean(VOTES, np.ones((2, 2)), np.ones(2)), "QuantityFamily"),
        (lambda: fit_neighbors(KIND, "x", [1, 2, 3], np.eye(3), np.ones(3)), "QuantityFamily"),
        (lambda: fit_votes(Z, np.zeros((2, 1)), np.ones(2)), "DiscreteFamily"),
    ],
    ids=["majority", "cut", "prior", "mean", "neighbors", "votes"],
)
def test_a_baseline_of_another_family_is_refused(fit, allowed):
    with pytest.raises(PredictionError, match=rf"(?s)does not suit the family.*{allowed}"):
        fit()


@pytest.mark.parametrize("fit", [fit_majority, fit_prior, fit_votes], ids=lambda f: f.__name__)
def test_no_labelled_object_is_refused(fit):
    target = {fit_majority: KIND, fit_prior: Z, fit_votes: VOTES}[fit]
    with pytest.raises(PredictionError, match="at least one training object"):
        fit(target, np.zeros((4, 3)), np.zeros(4))
