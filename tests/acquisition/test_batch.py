"""Choice of batches: closed forms and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from astrocnn.acquisition import batch as module
from astrocnn.acquisition import choose_batch, choose_diverse, compute_score
from astrocnn.errors import PredictionError


def draw(n_draws=6, n=8, n_classes=3, seed=0):
    return np.random.default_rng(seed).dirichlet(0.4 * np.ones(n_classes), (n_draws, n))


def joint_information(samples, rows):
    """I(labels of some objects; draw), by enumeration of the definition."""
    total = 0.0
    for classes in itertools.product(range(samples.shape[2]), repeat=len(rows)):
        each = np.prod([samples[:, r, c] for r, c in zip(rows, classes, strict=True)], axis=0)
        mean = each.mean()
        total += np.mean(each * np.log(np.maximum(each, 1e-300))) - mean * np.log(max(mean, 1e-300))
    return total


def test_scores_of_single_objects():
    p = np.array([[[0.9, 0.1], [0.5, 0.5], [1, 0]], [[0.9, 0.1], [0.5, 0.5], [0, 1]]])
    entropy = -0.9 * np.log(0.9) - 0.1 * np.log(0.1)
    np.testing.assert_allclose(compute_score(p, "entropy"), [entropy, np.log(2), np.log(2)])
    np.testing.assert_allclose(compute_score(p, "bald"), [0, 0, np.log(2)], atol=1e-12)
    np.testing.assert_allclose(compute_score(p, "margin"), [0.2, 1, 1])
    with pytest.raises(PredictionError, match="Unknown score"):
        compute_score(p, "best")


def test_the_batch_is_that_of_greedy_enumeration():
    for seed in range(3):
        samples = draw(12, 7, seed=seed)
        chosen, gain = choose_batch(samples, 3)
        expected: list[int] = []
        for step in range(3):
            left = [r for r in range(7) if r not in expected]
            values = [joint_information(samples, [*expected, r]) for r in left]
            before = joint_information(samples, expected) if expected else 0.0
            expected.append(left[int(np.argmax(values))])
            np.testing.assert_allclose(gain[step], max(values) - before, rtol=1e-9)
        assert chosen.tolist() == expected
        assert chosen[0] == compute_score(samples, "bald").argmax()


def test_an_object_that_repeats_another_comes_late():
    rng = np.random.default_rng(1)
    first, second = (rng.integers(0, 2, 16) for _ in range(2))

    # Two questions on which the draws differ, each three times; the first tells more.
    def certain(bits, p):
        return np.stack([np.where(bits, p, 1 - p), np.where(bits, 1 - p, p)], axis=1)

    samples = np.stack([certain(first, 0.99)] * 3 + [certain(second, 0.98)] * 3, axis=1)
    chosen = choose_batch(samples, 2)[0].tolist()
    assert chosen[0] < 3 <= chosen[1]
    alone = np.argsort(-compute_score(samples, "bald"), kind="stable")[:2]
    assert (alone < 3).all()


def test_sampled_configurations_agree_with_all_of_them(monkeypatch):
    samples = draw(20, 12, seed=4)
    exact = choose_batch(samples, 6)[1]
    monkeypatch.setattr(module, "_CONFIGURATIONS", 500)  # three classes: from the sixth object on
    sampled = choose_batch(samples, 6)[1]
    np.testing.assert_allclose(sampled[:6], exact[:6], rtol=0.15, atol=0.01)
    p = np.moveaxis(samples, 0, 1)[:6]
    joint, weight = module._find_configurations(p, np.random.default_rng(0))
    assert len(joint) == 500
    own = joint.mean(axis=1)
    estimate = -(weight * own * np.log(own)).sum() + (p * np.log(p)).sum(axis=2).mean(axis=1).sum()
    assert abs(estimate - joint_information(samples, range(6))) < 0.1


def test_a_batch_larger_than_the_draws_can_tell_is_complete():
    samples = draw(4, 60, seed=2)
    chosen, gain = choose_batch(samples, 60)
    assert sorted(chosen.tolist()) == list(range(60))
    # No batch tells more than which of the four draws it is.
    assert (gain <= np.log(4) + 1e-9).all() and gain[0] == compute_score(samples, "bald").max()
    assert choose_batch(samples, 99)[0].tolist() == chosen.tolist()
    with pytest.raises(PredictionError, match="several draws"):
        choose_batch(samples[:1], 3)


def test_one_object_of_each_group():
    rng = np.random.default_rng(0)
    centers = np.repeat(np.eye(4) * 50, 10, axis=0)
    x = centers + rng.normal(size=centers.shape)
    scores = rng.uniform(0.1, 1, 40)
    chosen = choose_diverse(x, scores, 4)
    best = [10 * k + scores[10 * k : 10 * k + 10].argmax() for k in range(4)]
    assert sorted(chosen.tolist()) == sorted(best)
    assert (np.diff(scores[chosen]) <= 0).all()
    # Fewer different objects than are asked for: all the same.
    same = choose_diverse(np.zeros((5, 3)), np.arange(5.0), 4)
    assert same.tolist() == [4, 3, 2, 1]
