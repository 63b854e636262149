from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from astrocnn.evaluation import baseline_scores, evaluate_target, fit_votes, score
from astrocnn.targets import DirichletMultinomial, Target, Task

ANSWERS = ("smooth", "featured", "artifact")


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    n = 400
    alpha = rng.gamma(2, 3, (n, 3)) + 1
    total = rng.integers(5, 41, n)
    total[:6] = 0
    counts = np.stack(
        [rng.multinomial(k, rng.dirichlet(a)) for k, a in zip(total, alpha, strict=True)]
    )
    target = Target("shape", DirichletMultinomial(ANSWERS), ("a", "b", "c"))
    samples = (alpha * np.exp(rng.normal(0, 0.02, (4, n, 1)))).astype(np.float32)
    samples[:, 9] = np.nan
    return target, *target.encode(counts), samples


def by_name(scores):
    return {s.name: s for s in scores}


def test_scores_by_hand_and_by_scipy(case):
    _, encoded, _, samples = case
    found = by_name(evaluate_target(*case).scores(n_resamples=100))
    keep = np.setdiff1d(np.arange(6, 400), [9])
    alpha = samples[:, keep].astype(float)
    predicted = (alpha / alpha.sum(axis=-1, keepdims=True)).mean(axis=0)
    seen = encoded[keep] / encoded[keep].sum(axis=1, keepdims=True)
    assert found["rmse"].value == pytest.approx(np.sqrt(((predicted - seen) ** 2).mean()), rel=1e-6)
    assert found["mean_deviation"].value == pytest.approx(np.abs(predicted - seen).mean(), rel=1e-6)
    expected = np.sqrt(((predicted - seen)[:, 1] ** 2).mean())
    assert found["rmse_featured"].value == pytest.approx(expected, rel=1e-6)
    logs = np.array(
        [
            [
                stats.dirichlet_multinomial(a, int(v.sum())).logpmf(v.astype(int))
                for a, v in zip(draw, encoded[keep], strict=True)
            ]
            for draw in alpha
        ]
    )
    nll = -np.log(np.exp(logs).mean(axis=0)).mean()
    assert found["nll"].value == pytest.approx(nll, rel=1e-6)
    for level in (68, 95):
        assert found[f"coverage_{level}"].value == pytest.approx(level / 100, abs=0.05)
    for s in found.values():
        assert (s.n_used, s.n_excluded) == (393, 7), s.name
        assert s.reason == "6 without votes, 1 without a prediction"
        assert s.low <= s.value <= s.high


def test_the_prior_knows_the_mean_fractions_and_their_scatter(case):
    target, encoded, weight, _ = case
    task = Task("m", (target,), "shape.rmse")
    labels = {"shape": encoded}, {"shape": weight}
    scores, sentences = baseline_scores(task, labels, labels, n_resamples=0)
    prior, network = by_name(scores["Prior"]), by_name(evaluate_target(*case).scores(n_resamples=0))
    assert prior["rmse"].value > network["rmse"].value
    assert prior["nll"].value > network["nll"].value + 0.3
    assert prior["coverage_68"].value == pytest.approx(0.68, abs=0.05)
    assert "mean vote fractions" in sentences["Prior"]
    # No other scatter about the mean vote fractions would do better.
    alpha = fit_votes(target, encoded, weight).parameters
    for factor in (0.8, 1.25):
        samples = np.broadcast_to(factor * alpha, (1, 400, 3))
        other = evaluate_target(target, encoded, weight, samples).scores(n_resamples=0)
        assert by_name(other)["nll"].value > prior["nll"].value - 1e-6


def test_questions_together_count_where_they_have_votes():
    yes = DirichletMultinomial(("yes", "no"))
    targets = Target("bar", yes, ("a", "b")), Target("arm", yes, ("c", "d"))
    task = Task("m", targets, "bar.rmse")
    counts = {"bar": [[4, 0], [0, 0], [0, 0]], "arm": [[1, 1], [0, 2], [0, 0]]}
    pairs = {t.name: t.encode(np.array(counts[t.name])) for t in targets}
    samples = {t.name: np.full((1, 3, 2), 5.0) for t in targets}
    encoded, weights = ({k: p[i] for k, p in pairs.items()} for i in (0, 1))
    found = score(task, encoded, weights, samples, n_resamples=0)[-1]
    # Errors: bar 1/2 twice; arm 0 twice, and 1/2 twice: four halves of six.
    assert (found.name, found.n_used, found.n_excluded) == ("questions_rmse", 2, 1)
    assert found.value == pytest.approx(np.sqrt(4 * 0.25 / 6))


def test_figures_and_stamps(case):
    target, encoded, weight, samples = case
    drawn = evaluate_target(*case).figures({"r": np.linspace(15, 18, 400)})
    assert {"fractions", "credible_votes"} < set(drawn)
    panels = drawn["fractions"].axes
    assert [axes.texts[0].get_text().split("\n")[0] for axes in panels] == list(ANSWERS)
    few = evaluate_target(target, encoded[:60], weight[:60], samples[:, :60]).figures()
    assert set(few) == {"fractions", "credible_votes"}
    assert evaluate_target(target, encoded, 0 * weight, samples).figures() == {}
    picked = evaluate_target(*case).stamps(4)
    seen = encoded / np.maximum(encoded.sum(axis=1, keepdims=True), 1)
    predicted = samples[0] / samples[0].sum(axis=1, keepdims=True)
    off = np.where(weight > 0, np.nan_to_num(np.abs(predicted - seen).max(axis=1)), -1)
    assert picked["largest errors"][0].row == int(off.argmax())
    assert not {s.row for s in picked["largest errors"]} & set(range(6))
