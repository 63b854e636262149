"""Comparisons of models against scipy and against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from astrocnn.errors import ConfigError, PredictionError
from astrocnn.evaluation import Contestant, compare_models, evaluate_target
from astrocnn.targets import Bernoulli, Categorical, Gaussian, Target

N = 400


def number(text):
    return float(text.split()[0].replace("\u00a0%", "").replace("+", ""))


def interval(text):
    low, high = text[text.index("[") + 1 : -1].split(",\u00a0")
    return float(low), float(high)


@pytest.fixture(scope="module")
def truth():
    return np.random.default_rng(0).random(N) < 0.4


def contestant(name, truth, accuracy, *, seed, ids=None, target=None, score="accuracy"):
    rng = np.random.default_rng(seed)
    correct = rng.random(len(truth)) < accuracy
    p = np.where(truth == correct, 0.8, 0.2)[None, :, None]
    target = target or Target("q", Bernoulli(), "q")
    evaluation = evaluate_target(target, *target.encode(truth.astype(float)), p)
    ids = np.arange(len(truth)) if ids is None else ids
    return Contestant(name, score, ids, evaluation), correct


def test_two_classifiers_equal_the_paired_bootstrap_of_scipy_and_the_exact_mcnemar_test(truth):
    (one, first), (two, second) = (
        contestant(name, truth, accuracy, seed=seed)
        for name, accuracy, seed in (("one", 0.9, 1), ("two", 0.8, 2))
    )
    (scores, pairs), note = compare_models([one, two])
    assert scores.caption == "Accuracy of q"
    for row, name, correct in zip(scores.rows, ("one", "two"), (first, second), strict=True):
        assert row[1] == name and row[3] == str(N)
        assert number(row[2]) == pytest.approx(100 * correct.mean(), abs=0.05)
    ((runs, difference, only_first, only_second, p),) = pairs.rows
    assert runs == "1 - 2" and difference.startswith("+")
    assert number(difference) == pytest.approx(100 * (first.mean() - second.mean()), abs=0.05)
    expected = stats.bootstrap(
        (first.astype(float), second.astype(float)),
        lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=5000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert interval(difference) == pytest.approx((100 * expected.low, 100 * expected.high), abs=0.5)
    counts = int((first & ~second).sum()), int((second & ~first).sum())
    assert (int(only_first), int(only_second)) == counts
    assert float(p) == pytest.approx(stats.binomtest(counts[0], sum(counts)).pvalue, rel=0.05)
    assert note.startswith(f"on the {N} test objects") and "corrected" not in note


def test_only_common_objects_are_compared_whatever_their_order(truth):
    rng = np.random.default_rng(3)
    one, first = contestant("one", truth, 0.9, seed=1)
    order = rng.permutation(N)[:300]
    part, second = contestant("two", truth[order], 0.7, seed=2, ids=order)
    (scores, pairs), note = compare_models([one, part])
    assert "on the 300 test objects" in note and "(of 400, 300)" in note
    assert [row[3] for row in scores.rows] == ["400", "300"]
    assert number(scores.rows[0][2]) == pytest.approx(100 * first[order].mean(), abs=0.05)
    assert int(pairs.rows[0][2]) == int((first[order] & ~second).sum())


def test_a_model_compared_with_itself_has_no_difference(truth):
    one, _ = contestant("one", truth, 0.9, seed=1)
    (_, pairs), _ = compare_models([one, one, one])
    assert [row[0] for row in pairs.rows] == ["1 - 2", "1 - 3", "2 - 3"]
    for row in pairs.rows:
        assert number(row[1]) == 0 and interval(row[1]) == (0, 0) and row[2:] == ["0", "0", "1"]


def test_three_models_warn_about_multiple_tests(truth):
    models = [contestant(str(k), truth, 0.8, seed=k)[0] for k in range(3)]
    assert "not corrected for the number of pairs" in compare_models(models)[1]


def test_densities_are_compared_without_mcnemar():
    rng = np.random.default_rng(4)
    z = rng.uniform(0.1, 0.3, 200)
    target = Target("z", Gaussian(0.0, 0.4, 40, relative_errors=True), "z")
    labels = target.encode(z)
    models = []
    for name, sigma in (("sharp", 0.005), ("blurred", 0.03)):
        samples = np.stack([rng.normal(z, sigma), np.full(200, sigma)], axis=1)[None]
        evaluation = evaluate_target(target, *labels, samples)
        models.append(Contestant(name, "crps", np.arange(200), evaluation))
    (_, pairs), _ = compare_models(models)
    assert list(pairs.columns) == ["models", "difference"]
    values = [m.evaluation.densities.crps(m.evaluation.truth).mean() for m in models]
    assert number(pairs.rows[0][1]) == pytest.approx(values[0] - values[1], abs=1e-4)
    assert interval(pairs.rows[0][1])[1] < 0  # the sharp one is better


def test_refusals(truth):
    one, _ = contestant("one", truth, 0.9, seed=1)
    with pytest.raises(ConfigError, match="at least two models"):
        compare_models([one])
    other = Target("q", Categorical(("no", "yes", "maybe")), "q")
    samples = np.full((1, N, 3), 1 / 3)
    labels = other.encode(np.where(truth, "yes", "no"))
    three = Contestant("three", "accuracy", one.ids, evaluate_target(other, *labels, samples))
    with pytest.raises(ConfigError, match="same quantity") as error:
        compare_models([one, three])
    assert "no, yes, maybe" in str(error.value)
    with pytest.raises(ConfigError, match="same quantity"):
        compare_models([one, contestant("auc", truth, 0.9, seed=1, score="auc")[0]])
    elsewhere, _ = contestant("two", truth, 0.9, seed=1, ids=np.arange(N) + N)
    with pytest.raises(PredictionError, match="No object was tested by all"):
        compare_models([one, elsewhere])
    flipped, _ = contestant("two", ~truth, 0.9, seed=1)
    with pytest.raises(ConfigError, match="different labels") as error:
        compare_models([one, flipped])
    assert f"{N} of {N}" in str(error.value)
    unknown = [contestant(n, truth, 0.9, seed=1, score="beauty")[0] for n in ("one", "two")]
    with pytest.raises(ConfigError, match="has no bootstrap"):
        compare_models(unknown)
