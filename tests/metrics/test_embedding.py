"""Spread, effective rank and neighbors of embeddings."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.neighbors import KNeighborsClassifier

from astrocnn.metrics import (
    compute_effective_rank,
    compute_neighbor_accuracy,
    compute_relative_std,
)

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("d", [2, 16, 128])
def test_directions_that_are_equally_likely_have_a_relative_deviation_of_1(d):
    assert compute_relative_std(7 * RNG.normal(size=(4000, d))) == pytest.approx(1, abs=0.02)


def test_one_direction_has_no_deviation():
    alike = RNG.uniform(1, 5, (50, 1)) * RNG.normal(size=8)
    assert compute_relative_std(alike) == pytest.approx(0, abs=1e-7)
    assert compute_relative_std(np.zeros((5, 3))) == 0


@pytest.mark.parametrize("k", [1, 3, 6])
def test_the_rank_of_k_equal_axes_is_k(k):
    vectors = np.concatenate([np.eye(8)[:k], -np.eye(8)[:k]])
    assert compute_effective_rank(vectors) == pytest.approx(k)
    # It depends neither on the length of the vectors, nor on the axes, nor on the origin.
    turned = vectors @ np.linalg.qr(RNG.normal(size=(8, 8)))[0]
    assert compute_effective_rank(1e3 * turned + 5) == pytest.approx(k)


def test_the_rank_is_the_exponential_of_the_entropy_of_the_spectrum():
    vectors = RNG.normal(size=(40, 6)) * np.arange(1, 7)
    spectrum = np.sqrt(np.linalg.eigvalsh(np.cov(vectors.T)))
    assert compute_effective_rank(vectors) == pytest.approx(np.exp(entropy(spectrum)))
    assert compute_effective_rank(np.ones((9, 4), np.float32) * 0.1) == 0


def test_neighbors_are_those_of_scikit_learn():
    known, vectors = RNG.normal(size=(60, 4)), RNG.normal(size=(30, 4))
    labels, truth = RNG.integers(0, 3, 60), RNG.integers(0, 3, 30)
    for k in (1, 5, 100):
        other = KNeighborsClassifier(min(k, 60), metric="cosine", algorithm="brute")
        expected = other.fit(known, labels).score(vectors, truth)
        assert compute_neighbor_accuracy(known, labels, vectors, truth, k=k) == expected
