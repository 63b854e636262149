from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from sklearn import metrics as oracle

from astrocnn import plugins
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.evaluation import (
    evaluate_target,
    find_headline,
    format_interval,
    format_value,
    get_label,
    read_scores,
    score,
    write_scores,
)
from astrocnn.evaluation.kinds import KINDS, get_kind
from astrocnn.evaluation.labels import split_class_score
from astrocnn.metrics import Score
from astrocnn.targets import Target, make


@pytest.fixture(scope="module")
def scores(case):
    return score(case.task, case.encoded, case.weights, case.samples, n_resamples=200)


def by_name(scores, target):
    return {s.name: s for s in scores if s.target == target}


def test_every_family_declares_a_kind_with_sections_for_its_figures():
    for name in plugins.names("families"):
        for family in plugins.load_module("astrocnn.targets.families", name).examples():
            target = Target("q", family, "label")
            kind = get_kind(target)
            encoded, weight = np.zeros((3, family.units)), np.zeros(3)
            evaluation = kind(target, encoded, weight, np.full((1, 3, family.units), np.nan))
            sections = kind.get_sections(target)
            assert {spec.section for spec in evaluation.get_figure_specs().values()} <= set(
                sections
            )
            assert kind.get_gallery_text(target).endswith(".")
            assert set(evaluation.get_score_notes()) <= {*kind.SCORES} | {
                f"{score}_{name}"
                for score in kind.CLASS_SCORES
                for name in getattr(evaluation, "classes", getattr(evaluation, "answers", ()))
            }


def test_kinds_agree_on_the_label_of_a_score():
    labels = {}
    for kind in KINDS.values():
        for name, label in kind.SCORES.items():
            assert labels.setdefault(name, label) == label
    assert get_label("accuracy") == "Accuracy"
    assert get_label("completeness_spiral") == "Completeness of spiral"
    assert get_label("my_own_score") == "my own score"


def test_every_score_has_a_label(scores):
    for s in scores:
        kind, _ = split_class_score(s.name)
        known = [{**k.SCORES, **k.CLASS_SCORES} for k in KINDS.values()]
        assert any((kind or s.name) in labels for labels in known), s.name


def test_numbers_have_the_digits_of_their_interval():
    def shown(value, low, high, name="bias"):
        s = Score(name, value, low, high, 10)
        return format_value(s), format_interval(s).replace("\u00a0", " ")

    assert shown(3e-5, -7e-5, 13e-5) == ("0.00003", "[-0.00007, 0.00013]")
    assert shown(0.01823, 0.0176, 0.0189) == ("0.0182", "[0.0176, 0.0189]")
    assert shown(-18.334, -18.9, -17.8) == ("-18.3", "[-18.9, -17.8]")
    assert shown(0.231, 0.2, 0.26) == ("0.231", "[0.200, 0.260]")
    assert shown(0.0, 0.0, 0.0008, "eta_015") == ("0.00\u00a0%", "[0.00, 0.08]")
    assert shown(np.nan, np.nan, np.nan) == ("–", "")


def test_scores_equal_sklearn_on_the_rows_that_can_be_scored(case, scores):
    found = by_name(scores, "morphology")
    keep = np.setdiff1d(np.arange(4, 160), [10])
    truth, p = case.truth[keep], case.samples["morphology"][:, keep].astype(float).mean(axis=0)
    p /= p.sum(axis=1, keepdims=True)
    predicted = p.argmax(axis=1)
    assert found["accuracy"].value == pytest.approx(oracle.accuracy_score(truth, predicted))
    assert found["macro_f1"].value == pytest.approx(
        oracle.f1_score(truth, predicted, average="macro")
    )
    assert found["auc"].value == pytest.approx(
        oracle.roc_auc_score(truth, p, multi_class="ovr"), abs=1e-6
    )
    assert found["nll"].value == pytest.approx(oracle.log_loss(truth, p), rel=1e-5)
    recall = oracle.recall_score(truth, predicted, average=None)
    precision = oracle.precision_score(truth, predicted, average=None)
    for k, name in enumerate(("elliptical", "spiral", "edge_on")):
        assert found[f"completeness_{name}"].value == pytest.approx(recall[k])
        assert found[f"purity_{name}"].value == pytest.approx(precision[k])
        assert found[f"completeness_{name}"].note.startswith(f"{(truth == k).sum()} objects")
    for s in found.values():
        assert (s.n_used, s.n_excluded) == (155, 5), s.name
        assert s.reason == "4 without a label, 1 without a prediction"
        assert "ece" in s.name or s.low <= s.value <= s.high, s.name


def test_two_classes_have_the_scores_of_a_selection(case, scores):
    found = by_name(scores, "bar")
    keep = case.weights["bar"] > 0
    y, p = case.encoded["bar"][keep, 0] > 0.5, case.samples["bar"][:, keep, 0].mean(axis=0)
    assert found["auc"].value == pytest.approx(oracle.roc_auc_score(y, p))
    assert found["average_precision"].value == pytest.approx(oracle.average_precision_score(y, p))
    fpr, tpr, _ = oracle.roc_curve(y, p, drop_intermediate=False)
    rate = found["fpr_at_tpr95"]
    assert rate.value == pytest.approx(fpr[tpr >= 0.95 - 1e-9].min())
    assert rate.note == f"Wilson interval for {(~y).sum()} negatives"
    assert rate.low < rate.value < rate.high
    assert "no false positive allowed" in found["tpr_at_fpr1e-4"].note
    assert "auc_yes" not in found


def test_uncertainty_adds_up(scores):
    for target in ("morphology", "bar"):
        found = by_name(scores, target)
        parts = found["expected_entropy"].value + found["mutual_info"].value
        assert found["entropy"].value == pytest.approx(parts)
        assert found["mutual_info"].value > 0
        assert found["risk_coverage_area"].value < 1 - found["accuracy"].value


def test_the_order_of_rows_does_not_matter(case, scores):
    order = np.random.default_rng(1).permutation(160)
    mixed = score(
        case.task,
        {k: v[order] for k, v in case.encoded.items()},
        {k: v[order] for k, v in case.weights.items()},
        {k: v[:, order] for k, v in case.samples.items()},
        n_resamples=0,
    )
    for a, b in zip(scores, mixed, strict=True):
        assert a.name == b.name
        assert a.value == pytest.approx(b.value, rel=1e-9)


def test_questions_together(case):
    task = make("morphology", questions={"a": "a", "b": "b"})
    encoded, weights = task.encode({"a": [1.0, 0.0, np.nan, 0.5], "b": [0.0, 1.0, 1.0, 0.25]})
    samples = {
        "a": np.array([0.5, 0.0, 0.3, 0.5])[None, :, None],
        "b": np.array([0.0, 1.0, 0.3, np.nan])[None, :, None],
    }
    found = score(task, encoded, weights, samples, n_resamples=0)
    together = found[-1]
    assert (together.name, together.target) == ("questions_rmse", "")
    # Rows 0 and 1 alone have everything: differences 0.5, 0, 0, 0.
    assert together.value == pytest.approx(0.25)
    assert (together.n_used, together.n_excluded) == (2, 2)
    # A fraction among the labels of one question brings its own RMSE.
    assert "rmse" in by_name(found, "a")
    assert by_name(found, "a")["rmse"].value == pytest.approx(np.sqrt(0.25 / 3))


def test_no_objects_to_score(case):
    nothing = {k: np.zeros_like(v) for k, v in case.weights.items()}
    found = score(case.task, case.encoded, nothing, case.samples)
    for s in found:
        assert s.n_used == 0 and np.isnan(s.value), s.name
    assert "160 without a label" in found[0].reason
    for target in case.task.targets:
        part = (target, case.encoded[target.name], nothing[target.name])
        assert evaluate_target(*part, case.samples[target.name]).figures() == {}


def test_a_certain_error_is_floored_with_a_note():
    task = make("morphology", questions={"bar": "bar"})
    encoded, weights = task.encode({"bar": [1.0, 0.0]})
    found = by_name(
        score(task, encoded, weights, {"bar": np.zeros((1, 2, 1))}, n_resamples=0), "bar"
    )
    assert found["nll"].value == pytest.approx(24 * np.log(2) / 2)
    assert "1 probabilities of the true class raised" in found["nll"].note


def test_headline(case, scores):
    assert find_headline(case.task, scores) is scores[0]
    odd = dataclasses.replace(case.task, headline="bar.acuracy")
    with pytest.raises(ConfigError, match="not among the scores") as error:
        find_headline(odd, scores)
    assert "did you mean 'bar.accuracy'" in str(error.value)


def test_the_headline_of_quality_exists():
    task = make("quality")
    encoded, weights = task.encode({"usable": [1, 0, 1, 0]})
    samples = {"usable": np.array([0.9, 0.1, 0.4, 0.6])[None, :, None]}
    assert find_headline(task, score(task, encoded, weights, samples, n_resamples=20)).value == 0.5


def test_json_keeps_everything(tmp_path, case, scores):
    path = tmp_path / "scores.json"
    odd = dataclasses.replace(scores[0], value=float("nan"), low=float("inf"))
    write_scores(path, [*scores, odd], baselines={"cut": scores[:2]}, split="test", times_scored=2)
    back, baselines, about = read_scores(path)
    assert back[:-1] == scores
    assert np.isnan(back[-1].value)
    assert baselines == {"cut": scores[:2]}
    assert about == {"split": "test", "times_scored": 2}
    json.loads(path.read_text(), parse_constant=pytest.fail)


def test_refusals(case):
    with pytest.raises(PredictionError, match="none of target 'bar'"):
        score(case.task, case.encoded, case.weights, {"morphology": case.samples["morphology"]})
    with pytest.raises(PredictionError, match="do not match"):
        score(
            case.task,
            case.encoded,
            case.weights,
            {**case.samples, "morphology": case.samples["morphology"][:, :-1]},
        )
