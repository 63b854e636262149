from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from astrocnn.errors import PredictionError
from astrocnn.evaluation import (
    baseline_scores,
    compute_peak_brightness,
    fit_cut,
    fit_majority,
    fit_mean,
    fit_neighbors,
    fit_prior,
    score,
)
from astrocnn.targets import Bernoulli, Binned, Categorical, Gaussian, Target, Task


def accuracy_of(cut, x, labels):
    p = cut.family.to_probabilities(cut.sample(x))[0]
    return (p.argmax(axis=1) == labels).mean()


def best_single_cut(x, labels, k):
    best = 0.0
    for t in [-np.inf, *np.unique(x)]:
        sides = [np.bincount(labels[side], minlength=k).max() for side in (x <= t, x > t)]
        best = max(best, sum(sides) / len(x))
    return best


@given(seed=st.integers(0, 10**6), k=st.integers(2, 4), n=st.integers(3, 60))
def test_no_single_threshold_does_better_in_training(seed, k, n):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    x = np.round(rng.normal(labels * rng.normal(), 1), 1)  # ties, either direction
    names = tuple("abcd"[:k])
    target = Target("m", Categorical(names), "kind")
    encoded, weight = target.encode(np.array(names)[labels])
    cut = fit_cut(target, "x", x, encoded, weight)
    assert accuracy_of(cut, x, labels) == pytest.approx(best_single_cut(x, labels, k))
    assert "x" in cut.description


@pytest.mark.parametrize("sign", [1, -1])
def test_two_classes_follow_isotonic_regression(sign):
    rng = np.random.default_rng(0)
    yes = rng.random(300) < 0.4
    x = sign * (rng.normal(0, 1, 300) + 1.5 * yes)
    target = Target("q", Bernoulli(), "q")
    cut = fit_cut(target, "x", x, *target.encode(yes))
    oracle = IsotonicRegression(increasing=sign > 0).fit(x, yes)
    np.testing.assert_allclose(cut.sample(x)[0, :, 0], oracle.predict(x), atol=1e-12)
    low = "no" if sign > 0 else "yes"
    assert cut.description.startswith(f"'{low}' where x < {cut.threshold:.4g}")


def test_missing_numbers_and_labels(case):
    target = Target("q", Bernoulli(), "q")
    encoded, weight = target.encode([1.0, 0.0, np.nan, 1.0, 0.0])
    cut = fit_cut(target, "x", [5.0, 1.0, 99.0, np.nan, 2.0], encoded, weight)
    assert cut.threshold == 3.5
    sample = cut.sample([np.nan, 4.0, -np.inf, 100.0])
    np.testing.assert_array_equal(sample[0, :, 0], [np.nan, 1, np.nan, 1])
    with pytest.raises(PredictionError, match="needs at least one training object"):
        fit_cut(target, "x", np.full(5, np.nan), encoded, weight)


def test_a_cut_on_a_constant_is_the_majority_class():
    target = Target("q", Bernoulli(), "q")
    encoded, weight = target.encode([1, 1, 0])
    cut = fit_cut(target, "x", [3.0, 3.0, 3.0], encoded, weight)
    assert cut.description.startswith("always 'yes'")
    np.testing.assert_allclose(cut.sample([3.0, 0.0])[0, :, 0], 2 / 3)


def test_majority_is_scored_like_a_network():
    target = Target("m", Categorical(("a", "b", "c")), "kind")
    train = target.encode(["a"] * 5 + ["b"] * 3 + ["c"] * 2 + [""] * 4)
    majority = fit_majority(target, *train)
    np.testing.assert_allclose(majority.parameters, [0.5, 0.3, 0.2])
    assert "always 'a'" in majority.description
    test = target.encode(["a", "a", "b", "c"])
    task = Task("t", (target,), "m.accuracy")
    found = score(task, {"m": test[0]}, {"m": test[1]}, {"m": majority.sample(4)}, n_resamples=0)
    values = {s.name: s.value for s in found}
    assert values["accuracy"] == values["majority_fraction"] == 0.5
    assert values["auc"] == 0.5
    assert values["ece"] == pytest.approx(0)
    assert values["mutual_info"] == 0
    entropy = -(0.5 * np.log(0.5) + 0.3 * np.log(0.3) + 0.2 * np.log(0.2))
    assert values["entropy"] == pytest.approx(entropy)
    with pytest.raises(PredictionError, match="needs at least one training object"):
        fit_majority(target, *target.encode(["", ""]))


def test_peak_brightness():
    images = np.full((3, 5, 5, 2), 10.0)
    images[0, 2, 2] = [30.0, 50.0]
    images[1, 2, 2] = [90.0, np.nan]
    images[2] = np.nan
    np.testing.assert_array_equal(compute_peak_brightness(images), [30.0, 0.0, np.nan])


@pytest.mark.parametrize(
    "family", [Binned(0.0, 1.0, 50), Gaussian(0.0, 1.0, 50, relative_errors=True)]
)
def test_the_prior_has_the_moments_of_the_labels(family):
    rng = np.random.default_rng(0)
    z = rng.beta(2, 4, 600)
    z[:10] = np.nan
    target = Target("z", family, "z")
    prior = fit_prior(target, *target.encode(z)).sample(3)
    assert prior.shape == (1, 3, family.units)
    table = family.summarize(prior)
    np.testing.assert_allclose(table["mean"], np.nanmean(z), atol=0.005)
    np.testing.assert_allclose(table["std"], np.nanstd(z), rtol=0.05)
    sure = family.summarize(fit_mean(target, *target.encode(z)).sample(2))
    np.testing.assert_allclose(sure["mean"], np.nanmean(z), atol=0.005)
    assert np.all(sure["std"] < 0.03)
    with pytest.raises(PredictionError, match="needs at least one training object"):
        fit_prior(target, *target.encode([np.nan]))


def test_neighbors_are_the_nearest():
    rng = np.random.default_rng(1)
    mag, z = rng.normal(size=60), rng.random(60)
    mag[3], z[4] = np.nan, np.nan
    target = Target("z", Gaussian(0.0, 1.0, 50), "z")
    fitted = fit_neighbors(target, "r", mag, *target.encode(z))
    known = np.isfinite(mag) & np.isfinite(z)
    asked = np.r_[rng.normal(size=20), -9.0, 9.0]
    sample = fitted.sample(np.r_[asked, np.nan])
    assert np.isnan(sample[0, -1]).all()
    for x, (mean, _) in zip(asked, sample[0], strict=False):
        nearest = np.argsort(np.abs(mag[known] - x))[: fitted.count]
        assert mean == pytest.approx(z[known][nearest].mean(), abs=1e-6)


def test_baselines_of_unlike_targets_stand_side_by_side():
    targets = (
        Target("m", Categorical(("a", "b")), "kind"),
        Target("z", Gaussian(0.0, 1.0, 50, relative_errors=True), "z"),
    )
    task = Task("t", targets, "z.sigma_mad")
    rng = np.random.default_rng(2)
    columns = {"kind": np.array(["a", "b"])[rng.integers(0, 2, 80)], "z": rng.random(80)}
    labels = task.encode(columns)
    scores, descriptions = baseline_scores(
        task, labels, labels, column=("z", columns["z"], columns["z"]), n_resamples=0
    )
    assert set(scores) == {"Majority", "Prior", "Cut on z", "z alone"} == set(descriptions)
    assert {s.target for s in scores["Majority"]} == {"m"}
    assert {s.target for s in scores["z alone"]} == {"z"}
