"""Information of batches by hand, invariants of the scores, and the pool."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from astrocnn.acquisition import batch, choose_batch, choose_diverse, compute_score
from astrocnn.acquisition import pool as module
from astrocnn.acquisition.pool import find_labelled_rows, find_target
from astrocnn.catalog import Catalog
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.imaging import ArraySource, Source
from astrocnn.targets import make

from .test_batch import draw, joint_information

BIT = np.eye(2)
"""Certain of one class or the other."""


def test_two_bits_tell_four_draws_apart():
    first, second = BIT[[0, 0, 1, 1]], BIT[[0, 1, 0, 1]]
    chosen, gain = choose_batch(np.stack([first, first, second], axis=1), 3)
    # The copy tells nothing beside the first; after both bits nothing is left to tell.
    assert chosen.tolist() == [0, 2, 1]
    np.testing.assert_allclose(gain, np.log(2))


@pytest.mark.parametrize("p", [0.6, 0.8, 0.95])
def test_a_noisy_bit_asked_twice(p):
    q = 1 - p
    samples = np.array([[[p, q], [p, q]], [[q, p], [q, p]]])
    single = entropy([p, q])
    # The joint table: both alike (p2 + q2) / 2 each, both different pq each.
    alike, different = (p * p + q * q) / 2, p * q
    joint = entropy([alike, alike, different, different])
    gain = choose_batch(samples, 2)[1]
    alone = np.log(2) - single
    assert gain[0] == pytest.approx(alone)
    assert gain[1] == pytest.approx(joint - 2 * single - alone) and gain[1] < gain[0]


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(2, 7), st.integers(2, 4))
def test_scores_against_scipy_and_scikit_learn(seed, n_draws, n_classes):
    samples = draw(n_draws, 5, n_classes, seed)
    mean = samples.mean(axis=0)
    np.testing.assert_allclose(compute_score(samples, "entropy"), entropy(mean, axis=1))
    bald = compute_score(samples, "bald")
    for k in range(5):
        # Draw and class as a table of counts, which scikit-learn rounds.
        table = samples[:, k] * 1e6
        expected = mutual_info_score(None, None, contingency=table)
        np.testing.assert_allclose(bald[k], expected, atol=2e-5)
    assert (bald <= np.log(min(n_draws, n_classes)) + 1e-9).all()
    assert (bald <= compute_score(samples, "entropy") + 1e-9).all()
    rng = np.random.default_rng(seed)
    mixed = samples[rng.permutation(n_draws)][..., rng.permutation(n_classes)]
    for score in batch.SCORES:
        np.testing.assert_allclose(
            compute_score(mixed, score), compute_score(samples, score), atol=1e-12
        )


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_gains_add_up_and_never_grow(seed):
    samples = draw(30, 6, seed=seed)
    chosen, gain = choose_batch(samples, 3)
    total = joint_information(samples, chosen.tolist())
    if total < 0.9 * np.log(30):
        np.testing.assert_allclose(gain.sum(), total, rtol=1e-9)
        assert (np.diff(gain) <= 1e-9).all()
    # Neither the order of objects nor that of draws matters.
    order = np.random.default_rng(seed).permutation(6)
    again = choose_batch(samples[::-1][:, order], 3)
    assert order[again[0]].tolist() == chosen.tolist()
    np.testing.assert_allclose(again[1], gain, atol=1e-12)


def test_blocks_of_candidates_do_not_matter(monkeypatch):
    samples = draw(10, 30, seed=7)
    chosen, gain = choose_batch(samples, 8)
    monkeypatch.setattr(batch, "_BLOCK", 4)
    again = choose_batch(samples, 8)
    assert again[0].tolist() == chosen.tolist()
    np.testing.assert_allclose(again[1], gain, rtol=1e-12)


def test_configurations_have_the_probabilities_of_their_product():
    p = np.moveaxis(draw(4, 3, 2, seed=1), 0, 1)
    joint, weight = batch._find_configurations(p, np.random.default_rng(0))
    assert joint.shape == (8, 4) and (weight == 1).all()
    np.testing.assert_allclose(joint.sum(axis=0), 1)
    np.testing.assert_allclose(joint[5], p[0, :, 1] * p[1, :, 0] * p[2, :, 1])
    empty, _ = batch._find_configurations(p[:0], np.random.default_rng(0))
    assert empty.tolist() == [[1.0] * 4]
    # A sample: each stands for so many that all are counted, 2 to the 12th.
    wide = np.moveaxis(0.3 + 0.4 * np.random.default_rng(2).uniform(size=(4, 12, 1)), 0, 1)
    wide = np.concatenate([wide, 1 - wide], axis=2)
    joint, weight = batch._find_configurations(wide, np.random.default_rng(0))
    assert len(joint) == batch._CONFIGURATIONS and weight.sum() == pytest.approx(4096, rel=0.05)
    np.testing.assert_allclose((weight[:, None] * joint).sum(axis=0), 1, rtol=0.05)


@pytest.mark.parametrize("shape", [(1, 4, 2), (4, 2)])
def test_samples_that_are_not_joint_are_refused(shape):
    with pytest.raises(PredictionError, match="several draws") as caught:
        choose_batch(np.full(shape, 0.5), 2)
    assert str(shape) in str(caught.value)


def test_groups_do_not_depend_on_units_and_small_pools_are_whole():
    x = np.random.default_rng(0).normal(size=(30, 3)) + 40 * np.eye(3)[np.arange(30) % 3]
    scores = np.random.default_rng(1).uniform(0.1, 1, 30)
    chosen = choose_diverse(x, scores, 3)
    best = [int(np.flatnonzero(np.arange(30) % 3 == k)[scores[k::3].argmax()]) for k in range(3)]
    assert sorted(chosen.tolist()) == sorted(best)
    moved = choose_diverse(x * [1e3, 1, -1e-3] + 5, scores, 3)
    assert moved.tolist() == chosen.tolist()
    everything = choose_diverse(x[:4], scores[:4], 99)
    assert everything.tolist() == np.argsort(-scores[:4]).tolist()


@settings(max_examples=15)
@given(st.integers(0, 99), st.integers(1, 45), st.booleans())
def test_the_largest_scores_are_kept_in_the_order_of_the_catalogue(seed, keep, by_class):
    rng = np.random.default_rng(seed)
    # Equal scores, so that ties are decided by the catalogue; -1 cannot be predicted.
    scores, classes = rng.integers(0, 6, 40) / 5, rng.integers(-1, 3, 40)
    scores[classes < 0] = np.nan
    kept = module._find_best(scores, classes, keep, by_class)
    ranked = sorted(np.flatnonzero(classes >= 0).tolist(), key=lambda row: (-scores[row], row))
    if by_class:
        best = {r for k in range(3) for r in [r for r in ranked if classes[r] == k][:keep]}
        assert kept.tolist() == [row for row in ranked if row in best]
    else:
        assert kept.tolist() == ranked[:keep]


def test_some_rows_of_a_source_follow_its_order():
    images = np.arange(50.0)[:, None, None, None] * np.ones((1, 2, 2, 1))
    source = ArraySource(images, ("r",))
    order = np.random.default_rng(0).permutation(50)
    source.order = lambda: order
    rows = np.arange(0, 50, 2)
    some = module._Subset(source, rows)
    assert len(some) == 25 and isinstance(some, Source)
    assert rows[some.order()].tolist() == [k for k in order.tolist() if k % 2 == 0]
    assert some.read([3, 1]).images[:, 0, 0, 0].tolist() == [6, 2]
    assert some.fingerprint != module._Subset(source, rows[1:]).fingerprint
    assert some.state([3]) == source.state([6])


def test_targets_and_labels():
    task = make("morphology", classes=("a", "b"), column="kind", questions={"bar": "has_bar"})
    assert find_target(task) == "morphology" and find_target(task, "bar") == "bar"
    for name in ("kind", ""):
        with pytest.raises(ConfigError, match="target with classes") as caught:
            find_target(task, name)
        assert "morphology" in str(caught.value)
    with pytest.raises(ConfigError, match="target with classes"):
        find_target(make("photoz"))
    catalog = Catalog.from_table(Table({"id": [1, 2, 3], "kind": ["a", "", "b"]}))
    assert find_labelled_rows(catalog, task, "morphology").tolist() == [True, False, True]
    assert find_labelled_rows(catalog, task, "bar").tolist() == [False] * 3
