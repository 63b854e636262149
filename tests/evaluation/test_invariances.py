"""What must not change a score, and what must change it by a known factor, for every kind."""

from __future__ import annotations

import numpy as np
import pytest

from astrocnn.evaluation import evaluate_target
from astrocnn.targets import Bernoulli, Categorical, DirichletMultinomial, Gaussian, Target

N, DRAWS = 90, 3
# Bins and the most certain objects are chosen once, from the sample itself.
CHOSEN_ON_THE_SAMPLE = {"ece_equal_count", "accuracy_at_coverage80"}


def _classes():
    rng = np.random.default_rng(0)
    target = Target("kind", Categorical(("a", "b", "c")), "kind")
    p = rng.dirichlet([1, 1, 1], (DRAWS, N))
    return target, np.eye(3)[rng.integers(0, 3, N)], p


def _question():
    rng = np.random.default_rng(1)
    target = Target("q", Bernoulli(), "q")
    return target, rng.integers(0, 2, (N, 1)).astype(float), rng.random((DRAWS, N, 1))


def _density(relative=True):
    rng = np.random.default_rng(2)
    target = Target("z", Gaussian(0.0, 1.0, 60, relative_errors=relative), "z")
    z = rng.uniform(0.2, 0.8, N)
    mean = z + rng.normal(0, 0.05, (DRAWS, N))
    return target, z[:, None], np.stack([mean, np.full((DRAWS, N), 0.05)], axis=-1)


def _votes():
    rng = np.random.default_rng(3)
    target = Target("v", DirichletMultinomial(("x", "y", "z")), ("x", "y", "z"))
    return target, rng.integers(1, 9, (N, 3)).astype(float), rng.gamma(2, 2, (DRAWS, N, 3)) + 0.1


CASES = {"classes": _classes, "question": _question, "density": _density, "votes": _votes}


@pytest.fixture(params=CASES, ids=str)
def sample(request):
    return CASES[request.param]()


def _evaluate(target, encoded, samples, weight=None):
    weight = np.ones(len(encoded)) if weight is None else weight
    return evaluate_target(target, encoded, weight, samples.astype(np.float32))


def _values(evaluation):
    return {s.name: s.value for s in evaluation.scores(n_resamples=0)}


def test_a_resample_scores_as_its_objects_written_out(sample):
    """The weights of a bootstrap resample are repetitions, in every statistic of every kind."""
    target, encoded, samples = sample
    statistics = _evaluate(target, encoded, samples).statistics()
    weights = np.random.default_rng(4).multinomial(N, np.ones(N) / N, size=2).astype(float)
    for row, counts in enumerate(weights):
        rows = np.repeat(np.arange(N), counts.astype(int))
        repeated = _evaluate(target, encoded[rows], samples[:, rows]).statistics()
        assert repeated.keys() == statistics.keys()
        for name in statistics.keys() - CHOSEN_ON_THE_SAMPLE:
            together = statistics[name](weights)
            assert together.shape == (2,), name
            expected = repeated[name](np.ones((1, N)))[0]
            assert together[row] == pytest.approx(expected, rel=1e-9, abs=1e-12), name


def test_repeated_draws_and_their_order_do_not_matter(sample):
    target, encoded, samples = sample
    expected = _values(_evaluate(target, encoded, samples))
    for draws in (samples[::-1], np.concatenate([samples, samples])):
        found = _values(_evaluate(target, encoded, draws))
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-6, abs=1e-7), name


def test_equal_draws_have_no_epistemic_part(sample):
    target, encoded, samples = sample
    found = _values(_evaluate(target, encoded, np.repeat(samples[:1], 4, axis=0)))
    epistemic = [v for name, v in found.items() if name in ("mutual_info", "spread_epistemic")]
    assert epistemic == [pytest.approx(0, abs=1e-9)]


def test_rows_without_label_or_prediction_are_left_out_and_counted(sample):
    target, encoded, samples = sample
    expected = _values(_evaluate(target, encoded[5:], samples[:, 5:]))
    weight, lost = np.ones(N), samples.copy()
    weight[:3] = 0
    lost[1, 2:5] = np.nan
    evaluation = _evaluate(target, encoded, lost, weight)
    assert _values(evaluation) == pytest.approx(expected, nan_ok=True)
    assert evaluation.n_excluded == 5 and len(evaluation) == N - 5
    label = evaluation.describe_unlabelled()
    assert evaluation.reason == f"3 {label}, 2 without a prediction"
    # Without labels, a row can still be shown if it has a prediction.
    assert len(evaluation.with_unlabelled()) == N - 3


def test_classes_in_another_order_have_the_same_scores():
    target, encoded, samples = _classes()
    order = [2, 0, 1]
    names = tuple(target.family.classes[k] for k in order)
    other = Target("kind", Categorical(names), "kind")
    expected = _values(_evaluate(target, encoded, samples))
    found = _values(_evaluate(other, encoded[:, order], samples[..., order]))
    assert found == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_a_question_scores_as_two_classes():
    target, encoded, samples = _question()
    classes = Target("q", Categorical(("no", "yes")), "q")
    p = np.concatenate([1 - samples, samples], axis=-1)
    two = _values(_evaluate(classes, np.concatenate([1 - encoded, encoded], axis=1), p))
    assert _values(_evaluate(target, encoded, samples)) == pytest.approx(two, rel=1e-5)


def test_an_exchange_of_yes_and_no_exchanges_their_scores():
    target, encoded, samples = _question()
    found, other = (
        _values(_evaluate(target, y, p))
        for y, p in ((encoded, samples), (1 - encoded, 1 - samples))
    )
    for name in ("accuracy", "macro_f1", "auc", "ece", "brier", "nll", "entropy", "mutual_info"):
        assert other[name] == pytest.approx(found[name], rel=1e-5), name
    for kind in ("completeness", "purity"):
        assert other[f"{kind}_yes"] == pytest.approx(found[f"{kind}_no"])


@pytest.mark.parametrize("factor", [0.5, 4.0])
def test_scores_of_plain_residuals_scale_with_the_unit(factor):
    """Errors and the CRPS by the factor, the likelihood by its logarithm, the PIT not at all."""
    target, z, samples = _density(relative=False)
    scaled = Target("z", Gaussian(0.0, factor, 60), "z")
    before = _values(_evaluate(target, z, samples))
    after = _values(_evaluate(scaled, factor * z, factor * samples))
    assert after.keys() == before.keys()
    for name, value in before.items():
        if name == "nll":
            expected = value + np.log(factor)
        elif name == "cde_loss":
            expected = value / factor
        elif name.startswith(("pit", "coverage")):
            expected = value
        else:
            expected = factor * value
        assert after[name] == pytest.approx(expected, rel=1e-4, abs=1e-5), name


def test_a_constant_shift_of_predictions_is_the_bias_alone():
    target, z, samples = _density(relative=False)
    shifted = samples + np.array([0.03, 0.0])
    before, after = (_values(_evaluate(target, z, s)) for s in (samples, shifted))
    for name in ("bias", "bias_median", "median_bias"):
        assert after[name] == pytest.approx(before[name] + 0.03, abs=1e-4), name
    for name in ("sigma_mad", "spread", "spread_epistemic"):
        assert after[name] == pytest.approx(before[name], abs=1e-4), name
    assert after["rmse"] ** 2 - after["bias"] ** 2 == pytest.approx(
        before["rmse"] ** 2 - before["bias"] ** 2, abs=1e-5
    )


def test_answers_in_another_order_have_the_same_scores():
    target, votes, samples = _votes()
    order = [1, 2, 0]
    other = Target("v", DirichletMultinomial(("y", "z", "x")), ("y", "z", "x"))
    expected = _values(_evaluate(target, votes, samples))
    found = _values(_evaluate(other, votes[:, order], samples[..., order]))
    assert found == pytest.approx(expected, rel=1e-6)


def test_more_votes_of_the_same_fractions_change_the_likelihood_alone():
    target, votes, samples = _votes()
    once, thrice = (_values(_evaluate(target, k * votes, samples)) for k in (1, 3))
    for name in ("rmse", "mean_deviation", "entropy", "mutual_info", "rmse_x", "deviation_y"):
        assert thrice[name] == pytest.approx(once[name]), name
    assert thrice["nll"] > once["nll"]
