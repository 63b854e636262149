"""Scores of predictors whose scores are known: closed forms, other libraries, simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as oracle

from astrocnn.evaluation import evaluate_target, fit_cut, fit_majority, fit_mean, fit_prior, score
from astrocnn.metrics import change_prior
from astrocnn.targets import (
    Bernoulli,
    Binned,
    Categorical,
    DirichletMultinomial,
    Gaussian,
    Mixture,
    Target,
    Task,
)


def by_name(scores):
    return {s.name: s for s in scores}


def question(positive, probability):
    target = Target("q", Bernoulli(), "q")
    samples = np.asarray(probability, float).reshape(-1, len(positive), 1)
    return evaluate_target(target, *target.encode(np.asarray(positive, float)), samples)


# Classes


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("base_rate", [0.25, 0.6])
def test_a_constant_probability_has_closed_forms(p, base_rate):
    n = 400
    positive = np.arange(n) < base_rate * n
    found = by_name(question(positive, np.full(n, p)).scores(n_resamples=0))
    predicted_yes = p > 0.5
    accuracy = base_rate if predicted_yes else 1 - base_rate
    cross_entropy = -(base_rate * np.log(p) + (1 - base_rate) * np.log(1 - p))
    expected = {
        "accuracy": accuracy,
        "majority_fraction": max(base_rate, 1 - base_rate),
        "auc": 0.5,
        "average_precision": base_rate,
        "fpr_at_tpr95": 1.0,
        "precision_at_recall95": base_rate,
        "brier": 2 * (base_rate * (1 - p) ** 2 + (1 - base_rate) * p**2),
        "nll": cross_entropy,
        "ece": abs(max(p, 1 - p) - accuracy),
        "entropy": -(p * np.log(p) + (1 - p) * np.log(1 - p)),
        "mutual_info": 0.0,
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, abs=1e-6), name


def test_a_perfect_classifier_has_perfect_scores():
    positive = np.arange(100) % 3 == 0
    found = by_name(question(positive, positive.astype(float)).scores(n_resamples=50))
    for name in ("accuracy", "macro_f1", "auc", "average_precision", "completeness_yes"):
        assert (found[name].value, found[name].low, found[name].high) == (1, 1, 1), name
    for name in ("brier", "ece", "fpr_at_tpr95", "risk_coverage_area", "entropy"):
        assert found[name].value == 0, name
    # A rate that never happened still has an upper limit.
    upper = stats.binomtest(0, 66).proportion_ci(method="wilson").high
    assert found["fpr_at_tpr95"].high == pytest.approx(upper) and upper > 0.05


@pytest.mark.parametrize("seed", range(3))
def test_scores_of_random_classes_equal_sklearn(seed):
    rng = np.random.default_rng(seed)
    n, names = 300, ("a", "b", "c", "d")
    truth = rng.integers(0, 4, n)
    p = rng.dirichlet(np.ones(4), n) + 0.5 * np.eye(4)[truth] * rng.random((n, 1))
    p /= p.sum(axis=1, keepdims=True)
    target = Target("m", Categorical(names), "kind")
    labels = target.encode(np.array(names)[truth])
    found = by_name(evaluate_target(target, *labels, p[None]).scores(n_resamples=0))
    predicted = p.argmax(axis=1)
    expected = {
        "accuracy": oracle.accuracy_score(truth, predicted),
        "macro_f1": oracle.f1_score(truth, predicted, average="macro"),
        "auc": oracle.roc_auc_score(truth, p, multi_class="ovr"),
        "nll": oracle.log_loss(truth, p),
        "brier": oracle.brier_score_loss(truth, p, scale_by_half=False),
    }
    for k, name in enumerate(names):
        expected[f"completeness_{name}"] = oracle.recall_score(
            truth, predicted, labels=[k], average="macro"
        )
        expected[f"purity_{name}"] = oracle.precision_score(
            truth, predicted, labels=[k], average="macro"
        )
        expected[f"auc_{name}"] = oracle.roc_auc_score(truth == k, p[:, k])
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, rel=1e-5), name


def test_two_opposite_draws_are_pure_epistemic_uncertainty():
    positive = np.arange(10) % 2 == 0
    draws = np.stack([np.full(10, 1 - 1e-9), np.full(10, 1e-9)])
    found = by_name(question(positive, draws).scores(n_resamples=0))
    assert found["entropy"].value == pytest.approx(np.log(2), abs=1e-6)
    assert found["mutual_info"].value == pytest.approx(np.log(2), abs=1e-6)
    assert found["expected_entropy"].value == pytest.approx(0, abs=1e-6)


def test_the_expected_calibration_error_of_a_shifted_probability_is_the_shift():
    rng = np.random.default_rng(0)
    n = 40_000
    p = rng.uniform(0.6, 0.9, n)
    positive = rng.random(n) < p - 0.1
    found = by_name(question(positive, p).scores(n_resamples=0))
    assert found["ece"].value == pytest.approx(0.1, abs=0.01)
    assert found["ece_equal_count"].value == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("prior", [0.01, 0.2, 0.8])
def test_a_changed_prior_is_bayes_rule(prior):
    """Two normal distributions a distance 1.5 apart, half of each in training."""
    x = np.linspace(-3, 4, 50)
    yes, no = stats.norm.pdf(x, 1.5), stats.norm.pdf(x, 0)
    trained = yes / (yes + no)
    expected = prior * yes / (prior * yes + (1 - prior) * no)
    np.testing.assert_allclose(change_prior(trained, 0.5, prior), expected, rtol=1e-12)


# Intervals


def test_bootstrap_intervals_of_an_accuracy_cover_the_truth():
    rng = np.random.default_rng(1)
    true_accuracy, covered, repeats = 0.8, 0, 150
    for k in range(repeats):
        positive = rng.random(120) < 0.5
        correct = rng.random(120) < true_accuracy
        p = np.where(positive == correct, 0.9, 0.1)
        evaluation = question(positive, p)
        statistics = {"accuracy": evaluation.statistics()["accuracy"]}
        evaluation.statistics = lambda statistics=statistics: statistics
        evaluation.get_binomial_trials = dict
        (found,) = (s for s in evaluation.scores(n_resamples=200, seed=k) if s.name == "accuracy")
        covered += found.low <= true_accuracy <= found.high
    # 95 % of 150 within three standard deviations, and what the percentile method lacks.
    assert 0.88 <= covered / repeats <= 1.0


def test_the_interval_of_a_mean_is_that_of_the_central_limit_theorem():
    rng = np.random.default_rng(2)
    z = rng.uniform(0.1, 0.3, 900)
    target = Target("z", Gaussian(0.0, 0.4, 80, relative_errors=True), "z")
    error = rng.normal(0.002, 0.01, 900)
    samples = np.stack([z + error * (1 + z), np.full(900, 0.01)], axis=1)[None]
    evaluation = evaluate_target(target, *target.encode(z), samples)
    found = by_name(evaluation.scores(n_resamples=1000))["bias"]
    half = 1.96 * evaluation.error.std() / 30
    assert found.value == pytest.approx(evaluation.error.mean())
    assert (found.low, found.high) == pytest.approx(
        (found.value - half, found.value + half), abs=0.1 * half
    )


def test_fractions_have_the_wilson_interval_of_scipy():
    rng = np.random.default_rng(3)
    z = rng.uniform(0.1, 0.3, 300)
    off = np.where(np.arange(300) < 7, 0.1, 0.0)
    target = Target("z", Gaussian(0.0, 1.0, 80, relative_errors=True), "z")
    samples = np.stack([z + off * (1 + z), np.full(300, 0.02)], axis=1)[None]
    found = by_name(evaluate_target(target, *target.encode(z), samples).scores(n_resamples=50))
    for name, count in (("eta_005", 7), ("eta_015", 0)):
        interval = stats.binomtest(count, 300).proportion_ci(method="wilson")
        assert found[name].value == pytest.approx(count / 300)
        assert (found[name].low, found[name].high) == pytest.approx((interval.low, interval.high))
        assert "Wilson interval" in found[name].note


# Densities


@pytest.fixture(scope="module")
def gaussian():
    rng = np.random.default_rng(4)
    n, sigma = 1500, 0.4
    mean = rng.uniform(-2, 2, n)
    truth = rng.normal(mean, sigma)
    target = Target("t", Gaussian(-5.0, 5.0, 1000), "t")
    samples = np.stack([mean, np.full(n, sigma)], axis=1)[None]
    return evaluate_target(target, *target.encode(truth), samples), mean, truth, sigma


def test_scores_of_normal_densities_equal_closed_forms_and_scipy(gaussian):
    evaluation, mean, truth, sigma = gaussian
    found = by_name(evaluation.scores(n_resamples=0))
    # Gneiting & Raftery 2007, the closed form below their equation 20.
    t = (truth - mean) / sigma
    parts = t * (2 * stats.norm.cdf(t) - 1) + 2 * stats.norm.pdf(t) - 1 / np.sqrt(np.pi)
    crps = sigma * parts.mean()
    assert found["crps"].value == pytest.approx(crps, rel=2e-3)
    nll = -stats.norm.logpdf(truth, mean, sigma).mean()
    assert found["nll"].value == pytest.approx(nll, abs=2e-3)
    # The integral of the squared density is 1 / (2 sqrt(pi) sigma).
    cde = 1 / (2 * np.sqrt(np.pi) * sigma) - 2 * stats.norm.pdf(truth, mean, sigma).mean()
    assert found["cde_loss"].value == pytest.approx(cde, abs=2e-3)
    pit = stats.norm.cdf(truth, mean, sigma)
    np.testing.assert_allclose(evaluation.pit, pit, atol=1e-4)
    assert found["pit_ks"].value == pytest.approx(stats.kstest(pit, "uniform").statistic, abs=1e-3)
    cvm = stats.cramervonmises(pit, "uniform")
    assert found["pit_cvm"].value == pytest.approx(cvm.statistic, rel=0.02)
    assert float(found["pit_cvm"].note.split()[2]) == pytest.approx(cvm.pvalue, rel=0.05)
    assert found["spread"].value == pytest.approx(sigma, rel=1e-3)
    assert found["spread_epistemic"].value == 0
    inside = np.abs(truth - mean) < stats.norm.ppf(0.975) * sigma
    assert found["coverage_95"].value == pytest.approx(inside.mean(), abs=0.01)


def test_point_scores_of_residuals_equal_sklearn_and_scipy(gaussian):
    evaluation, mean, truth, _ = gaussian
    found = by_name(evaluation.scores(n_resamples=0))
    rmse = oracle.root_mean_squared_error(truth, mean)
    assert found["rmse"].value == pytest.approx(rmse, rel=1e-3)
    assert found["mean_absolute"].value == pytest.approx(
        oracle.mean_absolute_error(truth, mean), rel=1e-3
    )
    mad = stats.median_abs_deviation(mean - truth, scale="normal")
    assert found["sigma_mad"].value == pytest.approx(mad, rel=1e-3)
    assert found["median_sigma_mad"].value == pytest.approx(mad, rel=0.02)


def test_equal_shifts_of_draws_are_the_epistemic_spread():
    n, delta, sigma = 50, 0.3, 0.4
    mean = np.linspace(-1, 1, n)
    target = Target("t", Gaussian(-5.0, 5.0, 400), "t")
    samples = np.stack([np.c_[mean + s * delta, np.full(n, sigma)] for s in (-1, 1)])
    found = by_name(evaluate_target(target, *target.encode(mean), samples).scores(n_resamples=0))
    assert found["spread_epistemic"].value == pytest.approx(delta, rel=1e-3)
    assert found["spread"].value == pytest.approx(np.hypot(delta, sigma), rel=1e-3)
    assert found["bias"].value == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("family", [Binned(0.0, 1.0, 50), Mixture(0.0, 1.0, 3, n_bins=50)])
def test_relative_errors_are_divided_by_one_plus_truth(family):
    truth = np.linspace(0.1, 0.5, 60)
    target = Target("z", family, "z")
    samples = family.from_values((truth * 1.1)[:, None] + np.linspace(-0.01, 0.01, 9))[None]
    evaluation = evaluate_target(target, *target.encode(truth), samples)
    predicted = family.summarize(samples)["mean"].astype(float)
    encoded = truth.astype(np.float32).astype(float)
    np.testing.assert_allclose(evaluation.error, (predicted - encoded) / (1 + encoded), atol=1e-7)
    found = by_name(evaluation.scores(n_resamples=0))
    assert found["eta_005"].value == (np.abs(evaluation.error) > 0.05).mean()
    assert "rmse" not in found


# Baselines


def test_the_majority_class_has_the_accuracy_of_its_fraction_and_the_entropy_of_all():
    fractions = np.array([0.6, 0.3, 0.1])
    kinds = np.repeat(["a", "b", "c"], (1000 * fractions).astype(int))
    target = Target("m", Categorical(("a", "b", "c")), "kind")
    labels = target.encode(kinds)
    baseline = fit_majority(target, *labels)
    found = by_name(evaluate_target(target, *labels, baseline.sample(1000)).scores(n_resamples=0))
    assert found["accuracy"].value == pytest.approx(0.6)
    assert found["nll"].value == pytest.approx(stats.entropy(fractions))
    assert found["brier"].value == pytest.approx(1 - (fractions**2).sum())


def test_the_prior_has_the_crps_of_half_the_mean_difference_of_two_labels():
    """CRPS of the sample distribution: half of Gini's mean absolute difference."""
    rng = np.random.default_rng(5)
    z = rng.beta(2, 5, 1500)
    target = Target("z", Binned(0.0, 1.0, 200), "z")
    labels = target.encode(z)
    baseline = fit_prior(target, *labels)
    found = by_name(evaluate_target(target, *labels, baseline.sample(1500)).scores(n_resamples=0))
    gini = np.abs(z[:, None] - z[None]).mean() / 2
    assert found["crps"].value == pytest.approx(gini, rel=0.01)
    assert found["bias"].value == pytest.approx(((z.mean() - z) / (1 + z)).mean(), abs=1e-3)
    assert float(found["pit_ks"].note.split()[2]) > 0.05


def test_the_training_mean_has_the_rmse_of_the_standard_deviation():
    rng = np.random.default_rng(6)
    values = rng.normal(1, 0.8, 500)
    target = Target("t", Gaussian(-5.0, 5.0, 200), "t")
    labels = target.encode(values)
    baseline = fit_mean(target, *labels)
    found = by_name(evaluate_target(target, *labels, baseline.sample(500)).scores(n_resamples=0))
    assert found["rmse"].value == pytest.approx(values.std(), rel=1e-3)
    assert found["mean_absolute"].value == pytest.approx(
        np.abs(values - values.mean()).mean(), rel=1e-3
    )
    assert f"{values.mean():.4g}" in baseline.description


def test_a_cut_between_two_normal_distributions_has_the_auc_of_their_distance():
    rng = np.random.default_rng(7)
    n, distance = 20_000, 1.2
    positive = rng.random(n) < 0.5
    x = rng.normal(distance * positive, 1)
    target = Target("q", Bernoulli(), "q")
    labels = target.encode(positive.astype(float))
    cut = fit_cut(target, "x", x, *labels)
    found = by_name(evaluate_target(target, *labels, cut.sample(x)).scores(n_resamples=0))
    assert found["auc"].value == pytest.approx(stats.norm.cdf(distance / np.sqrt(2)), abs=0.01)
    assert found["accuracy"].value == pytest.approx(stats.norm.cdf(distance / 2), abs=0.01)
    assert cut.threshold == pytest.approx(distance / 2, abs=0.15)
    assert found["ece"].value < 0.01  # isotonic regression is calibrated


# Votes


def test_votes_of_known_concentrations_have_the_scatter_of_the_beta_binomial():
    """Two answers: the variance of the vote fraction is p q (total + s) / (total (1 + s))."""
    rng = np.random.default_rng(8)
    n, total, alpha = 4000, 20, np.array([3.0, 5.0])
    fractions = rng.dirichlet(alpha, n)
    yes = rng.binomial(total, fractions[:, 0])
    target = Target("bar", DirichletMultinomial(("yes", "no")), ("a", "b"))
    labels = target.encode(np.stack([yes, total - yes], axis=1))
    samples = np.broadcast_to(alpha, (1, n, 2))
    found = by_name(evaluate_target(target, *labels, samples).scores(n_resamples=0))
    variance = stats.betabinom(total, *alpha).var() / total**2
    assert found["rmse"].value == pytest.approx(np.sqrt(variance), rel=0.03)
    assert found["nll"].value == pytest.approx(stats.betabinom(total, *alpha).entropy(), rel=0.02)
    for level in (68, 95):
        assert found[f"coverage_{level}"].value == pytest.approx(level / 100, abs=0.02)
    assert found["entropy"].value == pytest.approx(stats.entropy(alpha / alpha.sum()))


# A family from outside


class Step(Categorical):
    """A family of the kind "classes" that this package does not know."""


def test_a_new_family_of_a_known_kind_has_scores_tables_and_figures():
    family = Step(("a", "b", "c"))
    target, known = Target("m", family, "kind"), Target("m", Categorical(family.classes), "kind")
    rng = np.random.default_rng(9)
    kinds = np.array(family.classes)[rng.integers(0, 3, 90)]
    samples = rng.dirichlet(np.ones(3), (4, 90))
    task = Task("t", (target,), "m.accuracy")
    found, expected = (
        score(Task("t", (t,), "m.accuracy"), *_encode(t, kinds), {"m": samples}, n_resamples=20)
        for t in (target, known)
    )
    assert found == expected
    encoded, weights = _encode(target, kinds)
    evaluation = evaluate_target(task.target("m"), encoded["m"], weights["m"], samples)
    assert len(evaluation.figures()) == 6


def _encode(target, kinds):
    encoded, weight = target.encode(kinds)
    return {"m": encoded}, {"m": weight}
