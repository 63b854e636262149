from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from astrocnn.errors import ConfigError
from astrocnn.metrics import Score, average, bootstrap, resamples, wilson
from astrocnn.metrics.classification import accuracy


@given(n=st.integers(1, 2000), k=st.integers(0, 2000))
def test_wilson_equals_scipy(n, k):
    k = min(k, n)
    low, high = wilson(k, n)
    expected = binomtest(k, n).proportion_ci(method="wilson")
    np.testing.assert_allclose([low, high], [expected.low, expected.high], atol=1e-12)


def test_wilson_published_example():
    # Newcombe (1998), Statistics in Medicine 17, 857, table I: 81 of 263 -> 0.2553 to 0.3662.
    np.testing.assert_allclose(wilson(81, 263), [0.2553, 0.3662], atol=5e-5)
    # and 0 of 20 -> 0 to 0.1611
    np.testing.assert_allclose(wilson(0, 20), [0, 0.1611], atol=5e-5)
    assert np.isnan(wilson(0, 0)).all()


def test_resamples_are_counts_of_a_seed_however_they_are_chunked(monkeypatch):
    whole = np.concatenate(list(resamples(37, 50, seed=4)))
    assert whole.shape == (50, 37)
    np.testing.assert_array_equal(whole.sum(axis=1), 37)
    monkeypatch.setattr("astrocnn.metrics.intervals._ELEMENTS_AT_ONCE", 100)
    chunks = list(resamples(37, 50, seed=4))
    assert len(chunks) == 25
    np.testing.assert_array_equal(np.concatenate(chunks), whole)
    assert not np.array_equal(next(resamples(37, 2, seed=5)), whole[:2])
    # Each count is binomial(n, 1/n): mean 1, variance 1 - 1/n.
    many = np.concatenate(list(resamples(50, 4000)))
    np.testing.assert_allclose([many.mean(), many.var()], [1, 1 - 1 / 50], rtol=0.01)


def test_interval_of_a_mean_matches_the_central_limit():
    values = np.random.default_rng(0).normal(5, 2, 4000)
    score = bootstrap({"mean": lambda w: w @ values / w.sum(-1)}, 4000, n_resamples=4000)["mean"]
    half = 1.96 * values.std() / np.sqrt(4000)
    assert score.value == pytest.approx(values.mean())
    np.testing.assert_allclose(
        [score.low, score.high], values.mean() + half * np.array([-1, 1]), atol=0.05 * half
    )


def test_interval_covers_as_promised():
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(300):
        right = (rng.random(200) < 0.8).astype(int)
        s = bootstrap(
            {"a": lambda w, r=right: accuracy(r, np.ones(200, int), w)},
            200,
            n_resamples=300,
            seed=trial,
        )["a"]
        covered += s.low <= 0.8 <= s.high
    assert 0.90 <= covered / 300 <= 0.98


def test_equal_seeds_equal_intervals_and_none_without_resamples():
    y = np.arange(30) % 3
    stat = {"a": lambda w: accuracy(y, np.zeros(30, int), w)}
    assert bootstrap(stat, 30, seed=1) == bootstrap(stat, 30, seed=1)
    assert np.isnan(bootstrap(stat, 30, n_resamples=0)["a"].low)


def test_one_object_has_a_value_and_no_interval():
    score = bootstrap({"a": lambda w: average([0.25], w)}, 1)["a"]
    assert score.value == 0.25 and np.isnan([score.low, score.high]).all()
    assert "[" not in str(score) and score.note == ""
    assert np.isfinite(bootstrap({"a": lambda w: average([0.25, 0.5], w)}, 2)["a"].low)


def test_undefined_resamples_are_left_out_with_a_note():
    rare = np.zeros(40, bool)
    rare[0] = True

    def share(w):
        top = w @ rare
        return np.where(top > 0, top / np.where(top > 0, w @ rare, 1), np.nan)

    score = bootstrap({"s": share}, 40, n_resamples=500)["s"]
    assert "resamples that define it" in score.note
    assert (score.low, score.high) == (1, 1)
    empty = bootstrap({"s": share}, 0)["s"]
    assert np.isnan(empty.value) and empty.n_used == 0
    assert "not defined" in str(empty)


def test_invalid_levels_and_counts_are_refused():
    for options in ({"level": 1.0}, {"level": 95}, {"n_resamples": -1}):
        with pytest.raises(ConfigError, match="level between 0 and 1"):
            bootstrap({}, 3, **options)


def test_text_of_a_score():
    score = Score(
        "accuracy",
        0.875,
        0.84,
        0.91,
        200,
        3,
        "2 without label, 1 without prediction",
        target="shape",
    )
    text = str(score)
    assert text == (
        "shape.accuracy = 0.875 [0.84, 0.91] "
        "(n = 200, 3 excluded: 2 without label, 1 without prediction)"
    )
