from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from astrocnn.errors import CatalogError, ConfigError
from astrocnn.targets import DirichletMultinomial
from astrocnn.targets.families.dirichlet_multinomial import log_gamma

THREE = DirichletMultinomial(("smooth", "featured-or-disk", "artifact"))


def test_log_gamma_equals_scipy():
    x = np.concatenate([np.linspace(1, 12, 500), np.geomspace(12, 1e5, 200)])
    x = x.astype(np.float32).astype(float)
    got = np.asarray(log_gamma(x), float)
    np.testing.assert_allclose(got, special.gammaln(x), rtol=3e-6, atol=3e-6)


def test_loss_equals_scipy():
    rng = np.random.default_rng(0)
    raw = rng.normal(3, 3, (60, 3)).astype(np.float32)
    alpha = np.array(THREE.activate(raw), float)
    assert (alpha >= 1).all() and (alpha <= 100).all()
    votes = rng.multinomial(40, [0.5, 0.3, 0.2], 60)
    expected = [
        -stats.dirichlet_multinomial.logpmf(v, a, n=40) for v, a in zip(votes, alpha, strict=True)
    ]
    loss = np.asarray(THREE.loss(THREE.encode(votes)[0], raw))
    np.testing.assert_allclose(loss, expected, atol=2e-3)


def test_loss_of_raw_zero():
    np.testing.assert_allclose(np.asarray(THREE.activate(np.zeros((1, 3)))), 2, rtol=1e-5)
    encoded, _ = THREE.encode(np.eye(3))
    loss = np.asarray(THREE.loss(encoded, np.zeros((3, 3), np.float32)))
    np.testing.assert_allclose(loss, THREE.initial_loss, rtol=1e-5)


def test_loss_and_gradient_stay_finite():
    tf = pytest.importorskip("tensorflow")
    raw = tf.constant(np.random.default_rng(0).normal(0, 3e4, (50, 3)), tf.float32)
    votes = np.random.default_rng(1).integers(0, 500, (50, 3)).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(raw)
        loss = THREE.loss(votes, raw)
    assert np.isfinite(loss.numpy()).all()
    assert np.isfinite(tape.gradient(loss, raw).numpy()).all()


def test_more_votes_have_a_larger_gradient():
    tf = pytest.importorskip("tensorflow")
    raw = tf.zeros((3, 2), tf.float32)
    votes = np.array([[3, 1], [30, 10], [0, 0]], np.float32)
    with tf.GradientTape() as tape:
        tape.watch(raw)
        loss = DirichletMultinomial(("yes", "no")).loss(votes, raw)
    # Digammas in place of log gammas; the activation has the slope 98 / 99 at zero.
    psi = special.digamma
    slope = psi(4 + votes.sum(axis=1, keepdims=True)) - psi(4) - psi(2 + votes) + psi(2)
    gradient = tape.gradient(loss, raw).numpy()
    np.testing.assert_allclose(gradient, slope * 98 / 99, atol=2e-5)
    assert np.all(np.abs(gradient[1]) > 1.5 * np.abs(gradient[0]))
    assert abs(float(loss[2])) < 1e-5


def test_votes_are_read_however_they_are_stored():
    counts = np.array([[3, 1, 0], [0, 0, 0], [5, 5, 2]])
    missing = np.array([[False] * 3, [False] * 3, [False, True, False]])
    for values in (
        counts,
        counts.astype(">f4"),
        counts.astype(str),
        counts.tolist(),
        counts.astype(object),
    ):
        encoded, weight = THREE.encode(values)
        np.testing.assert_array_equal(encoded, counts)
        np.testing.assert_array_equal(weight, [1, 0, 1])
        encoded, weight = THREE.encode(values, missing)
        np.testing.assert_array_equal(weight, [1, 0, 0])
        assert np.isfinite(encoded).all()
    masked = np.ma.array(counts, mask=missing)
    np.testing.assert_array_equal(THREE.encode(masked)[1], [1, 0, 0])
    with_nan = np.where(missing, np.nan, counts)
    np.testing.assert_array_equal(THREE.encode(with_nan)[1], [1, 0, 0])
    encoded, weight = THREE.encode(counts)
    assert THREE.tally(encoded, weight) == {"smooth": 2, "featured-or-disk": 0, "artifact": 0}
    np.testing.assert_allclose(THREE.to_truth(encoded)[0], [0.75, 0.25, 0])
    assert np.isnan(THREE.to_truth(encoded)[1]).all()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([[1, 2, -1], [1, 1, 1]], "1 objects have votes that are not counts"),
        ([[0.5, 0.2, 0.3]], "not those of fractions"),
        ([[1, 2, np.inf]], "not counts"),
        ([["1", "two", "3"]], "not numbers"),
        ([[1, 2]], "must be one count for each answer"),
        ([1, 2, 3], "must be one count for each answer"),
    ],
)
def test_votes_that_are_none_are_refused(values, words):
    with pytest.raises(CatalogError) as error:
        THREE.encode(values)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("answers", "words"),
    [(("a",), "at least 2 names"), ("yes", "list of names"), (("a b", "a-b"), "same column")],
)
def test_bad_answers_are_refused(answers, words):
    with pytest.raises(ConfigError, match=words):
        DirichletMultinomial(answers)


def test_summaries_of_one_draw_equal_scipy():
    alpha = np.array([[2.0, 5.0, 3.0], [90.0, 1.0, 9.0], [1.0, 1.0, 1.0]])
    out = THREE.summarize(alpha[None])
    total = alpha.sum(axis=1)
    for k, name in enumerate(("smooth", "featured_or_disk", "artifact")):
        beta = stats.beta(alpha[:, k], total - alpha[:, k])
        np.testing.assert_allclose(out[f"{name}_fraction"], alpha[:, k] / total, rtol=1e-6)
        np.testing.assert_allclose(out[f"{name}_fraction_low"], beta.ppf(0.16), rtol=1e-6)
        np.testing.assert_allclose(out[f"{name}_fraction_high"], beta.ppf(0.84), rtol=1e-6)
    fractions = alpha / total[:, None]
    np.testing.assert_allclose(out["entropy"], stats.entropy(fractions, axis=1), rtol=1e-6)


def test_intervals_of_many_draws_hold_their_probability():
    rng = np.random.default_rng(0)
    alpha = 1 + 99 * rng.beta(0.5, 2, (8, 200, 3))
    out = THREE.summarize(alpha)
    rest = alpha.sum(axis=-1, keepdims=True) - alpha
    for k, name in enumerate(("smooth", "featured_or_disk", "artifact")):
        for end, level in (("low", 0.16), ("high", 0.84)):
            x = out[f"{name}_fraction_{end}"].astype(float)
            held = special.betainc(alpha[..., k], rest[..., k], x).mean(axis=0)
            np.testing.assert_allclose(held, level, atol=1e-4)
