"""Selection: closed forms of threshold, intervals and prior; verdicts; what is refused."""

from __future__ import annotations

import json
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.calibration.selection import Selection, examples
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.stored_files import validate
from astrocnn.targets import make

TASK = make("quality", reasons={"ghost": "has_ghost", "trail": "has_trail"})


def parts(usable, p, ghost=None, p_ghost=None):
    """Labels, weights and samples of one draw; without a word on ghosts there are none."""
    n = len(usable)
    zero, tenth = np.zeros(n), np.full(n, 0.1)
    truth = {"usable": usable, "ghost": zero if ghost is None else ghost, "trail": zero}
    probabilities = {"usable": p, "ghost": tenth if p_ghost is None else p_ghost, "trail": tenth}
    encoded = {k: np.asarray(v, np.float32)[:, None] for k, v in truth.items()}
    weights = {k: np.ones(n, np.float32) for k in truth}
    samples = {k: np.asarray(v, np.float32)[None, :, None] for k, v in probabilities.items()}
    return encoded, weights, samples


# 100 usable objects at 0.01 ... 1.00, and 100 unusable ones a little lower, at 0.005 ... 0.995.
USABLE = np.r_[np.ones(100), np.zeros(100)]
P = np.r_[np.arange(1, 101) / 100, np.arange(100) / 100 + 0.005] / 1.01


def fit(**criterion):
    return Selection.fit(TASK, *parts(USABLE, P), **criterion)


def batch(**columns):
    return SimpleNamespace(columns={f"{k}_p": np.asarray(v, "f4") for k, v in columns.items()})


def test_completeness_is_that_of_the_quantile():
    made = fit(completeness=0.95)
    # The 95th largest of 0.01 ... 1.00 is 0.06; unusable ones at or above are 0.065 ... 0.995.
    assert made.threshold == np.float32(0.06 / 1.01)
    assert made.achieved["completeness"][0] == 0.95
    assert made.achieved["fpr"][0] == 0.94
    assert made.achieved["purity"][0] == pytest.approx(95 / 189)
    assert (made.n_usable, made.n_unusable, made.trained) == (100, 100, 0.5)


def test_intervals_are_those_of_wilson():
    low, high = fit(completeness=0.95).achieved["completeness"][1:]
    # Wilson 1927 for 95 of 100 at 95 %, as every textbook's calculator gives it.
    assert (low, high) == (pytest.approx(0.8882, abs=1e-4), pytest.approx(0.9785, abs=1e-4))


def test_a_purity_keeps_the_most_usable_objects():
    usable = np.r_[np.ones(40), np.zeros(60)]
    p = np.r_[np.linspace(0.9, 0.5, 40), np.linspace(0.6, 0.1, 60)]
    made = Selection.fit(TASK, *parts(usable, p), purity=0.9)
    thresholds = np.unique(np.float32(p))
    pure = {t: usable[np.float32(p) >= t].mean() for t in thresholds}
    assert made.threshold == min(t for t in thresholds if pure[t] >= 0.9)
    assert made.achieved["purity"][0] == pytest.approx(pure[np.float32(made.threshold)])


@given(st.integers(0, 10_000), st.floats(0.02, 1.0))
def test_any_completeness_is_reached_and_by_the_highest_threshold(seed, level):
    rng = np.random.default_rng(seed)
    usable = rng.permutation(np.r_[np.ones(25), np.zeros(30)])
    p = np.round(rng.random(55) * 0.7 + 0.3 * usable, 2)
    made = Selection.fit(TASK, *parts(usable, p), completeness=level)
    kept = lambda t: np.mean(np.float32(p[usable == 1]) >= np.float32(t))  # noqa: E731
    assert kept(made.threshold) >= level - 1e-9
    higher = [t for t in np.unique(np.float32(p)) if t > np.float32(made.threshold)]
    assert all(kept(t) < level for t in higher[:1])
    assert made.achieved["completeness"][0] == pytest.approx(kept(made.threshold))


def test_prior_changes_purity_and_probability_but_not_completeness():
    plain, rich = fit(completeness=0.5), fit(completeness=0.5, prior=0.9)
    assert plain.threshold == rich.threshold
    tpr, fpr = 0.5, 0.5 - 0.01  # unusable objects at or above 0.51 / 1.01
    assert rich.achieved["purity"][0] == pytest.approx(0.9 * tpr / (0.9 * tpr + 0.1 * fpr))
    low, high = rich.achieved["purity"][1:]
    assert low < rich.achieved["purity"][0] < high
    # p' = 1 / (1 + k (1/p - 1)) with k = [0.5 / 0.5] [0.1 / 0.9].
    got = rich.compute(batch(usable=[0.2, 0.8], ghost=[0, 0], trail=[0, 0]))["usable_p_prior"]
    np.testing.assert_allclose(got, [1 / (1 + 4 / 9), 1 / (1 + 0.25 / 9)], rtol=1e-6)
    assert "usable_p_prior" not in {c.name for c in plain.columns()}


def test_a_purity_at_another_prior_moves_the_threshold():
    usable = np.r_[np.ones(50), np.zeros(50)]
    p = np.r_[np.linspace(0.4, 1, 50), np.linspace(0, 0.6, 50)]
    common, rare = (
        Selection.fit(TASK, *parts(usable, p), purity=0.95, prior=prior) for prior in (0.9, 0.1)
    )
    assert rare.threshold > common.threshold


def test_draws_are_averaged_before_the_threshold():
    encoded, weights, samples = parts(USABLE, P)
    doubled = {k: np.concatenate([v - 0.004, v + 0.004]) for k, v in samples.items()}
    one = Selection.fit(TASK, encoded, weights, samples, completeness=0.9)
    two = Selection.fit(TASK, encoded, weights, doubled, completeness=0.9)
    assert two.threshold == pytest.approx(one.threshold, rel=1e-6)


def test_order_of_rows_does_not_matter_and_unlabelled_rows_are_left_out():
    encoded, weights, samples = parts(USABLE, P)
    order = np.random.default_rng(0).permutation(200)
    moved = (
        {k: v[order] for k, v in encoded.items()},
        {k: v[order] for k, v in weights.items()},
        {k: v[:, order] for k, v in samples.items()},
    )
    assert Selection.fit(TASK, *moved, completeness=0.9) == fit(completeness=0.9)
    weights["usable"][:10] = 0  # the ten least probable usable ones
    fewer = Selection.fit(TASK, encoded, weights, samples, completeness=1.0)
    assert fewer.n_usable == 90 and fewer.threshold == np.float32(0.11 / 1.01)


def test_the_threshold_of_a_reason_has_the_best_f1():
    ghost = np.r_[np.ones(30), np.zeros(170)]
    p_ghost = np.r_[np.linspace(0.9, 0.3, 30), np.linspace(0.5, 0.0, 170)]
    made = Selection.fit(TASK, *parts(USABLE, P, ghost, p_ghost), completeness=0.9)
    q = np.float32(p_ghost)

    def f1(t):
        hit = q >= t
        return 2 * (hit & (ghost == 1)).sum() / (hit.sum() + 30)

    assert dict(made.reasons)["ghost"] == max(np.unique(q), key=lambda t: (f1(t), t))
    assert dict(made.reasons)["trail"] == 0.5  # no example of it


def test_selected_objects_and_reasons():
    made = Selection(
        "usable",
        "usable",
        0.5,
        "completeness",
        0.9,
        {},
        50,
        50,
        0.5,
        reasons=(("ghost", 0.3), ("trail", 0.6)),
    )
    got = made.compute(
        batch(
            usable=[0.5, 0.9, 0.4, 0.4, 0.1, 0.1],
            ghost=[0.9, 0.0, 0.2, 0.3, 0.7, 0.95],
            trail=[0.0, 0.0, 0.5, 0.0, 0.9, 0.7],
        )
    )
    assert got["selected"].tolist() == [1, 1, 0, 0, 0, 0]
    assert got["rejected_for"].tolist() == [
        "",
        "",
        "usable probability low",
        "ghost",
        "trail+ghost",
        "ghost+trail",
    ]
    for column in made.columns():
        assert got[column.name].dtype == np.dtype(column.dtype)
    assert made.columns()[0].dtype == "i2"  # masked logical columns lose their mask in FITS


def test_selection_of_no_rows_and_of_single_rows():
    made = examples()[1]
    p = {"usable": [0.2, 0.7, 0.3], "ghost": [0.6, 0.6, 0.1]}
    together = made.compute(batch(**p))
    for row in range(3):
        alone = made.compute(batch(**{k: v[row : row + 1] for k, v in p.items()}))
        assert all(alone[k][0] == together[k][row] for k in together)
    assert all(len(v) == 0 for v in made.compute(batch(usable=[], ghost=[])).values())


def test_selected_validation_objects_have_the_achieved_rates():
    made = fit(completeness=0.87)
    got = made.compute(batch(usable=P, ghost=0 * P, trail=0 * P))["selected"] == 1
    assert got[USABLE == 1].mean() == made.achieved["completeness"][0]
    assert got[USABLE == 0].mean() == made.achieved["fpr"][0]
    assert "completeness 0.87" in made.summary and "100 usable" in made.summary


@pytest.mark.parametrize("made", examples())
def test_json_and_fingerprint(made):
    back = validate(json.loads(json.dumps(asdict(made))), Selection, "selection")
    assert back == made and back.fingerprint == made.fingerprint
    assert len({e.fingerprint for e in examples()}) == len(examples())


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        ({}, "completeness or for a purity"),
        ({"completeness": 0.9, "purity": 0.9}, "not for both"),
        ({"completeness": 95}, "at most 1"),
        ({"purity": 0.9, "prior": 1.0}, "between 0 and 1"),
        ({"completeness": 0.9, "target": "usble"}, "no target"),
    ],
)
def test_invalid_criteria_are_refused(criterion, message):
    with pytest.raises(ConfigError, match=message):
        fit(**criterion)


def test_a_target_over_classes_is_refused():
    task = make("morphology", classes=["spiral", "elliptical"], column="kind")
    with pytest.raises(ConfigError, match="yes/no"):
        Selection.fit(task, {}, {}, {}, completeness=0.9)


def test_too_few_rows_and_unreachable_purity_are_refused():
    with pytest.raises(PredictionError, match=r"too few[\s\S]*unusable[\s\S]*19"):
        Selection.fit(TASK, *parts(USABLE[:119], P[:119]), completeness=0.9)
    with pytest.raises(PredictionError, match=r"at most 0\.5"):
        Selection.fit(TASK, *parts(USABLE, 0.5 + 0 * P), purity=0.9)
