"""Named classes and yes/no questions: scores, figures, and the objects worth looking at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from astrocnn import metrics
from astrocnn.evaluation.baselines import Cut, Majority, fit_cut, fit_majority
from astrocnn.evaluation.chapters._class_words import (
    BY,
    CAPTIONS,
    GALLERY,
    NAMES,
    PER_CLASS,
    PERCENT,
    TEXT,
    TOGETHER,
)
from astrocnn.evaluation.chapters._questions import probability_of_yes, together
from astrocnn.evaluation.sample import Sample, scorable
from astrocnn.metrics import Ranking, Score
from astrocnn.metrics.calibration import NLL_FLOOR
from astrocnn.metrics.intervals import Statistic
from astrocnn.report.gallery import Stamp
from astrocnn.targets import ClassFamily, Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "BY",
    "CAPTIONS",
    "GALLERY",
    "NAMES",
    "PERCENT",
    "PER_CLASS",
    "TEXT",
    "TOGETHER",
    "across",
    "baselines",
    "by_number",
    "figures",
    "scores",
    "stamps",
    "statistics",
    "together",
]

MOST_CERTAIN = 0.8


def scores(
    target: Target,
    encoded: Any,
    weight: Any,
    samples: Any,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> list[Score]:
    """All scores of one target.

    Parameters
    ----------
    target : Target
        What was predicted.
    encoded, weight : array_like of shape (n, k) and (n,)
        Labels as `Target.encode` gives them.
    samples : array_like of shape (n_draws, n, units)
        Activated samples.
    n_resamples : int
        Bootstrap resamples behind the intervals.
    seed : int
        Of the bootstrap.

    Returns
    -------
    scores : list of Score
        Rows without a label or without a prediction are excluded and counted in each.
    """
    sample = scorable(target, encoded, weight, samples)
    classes = _classes(target)
    found = metrics.bootstrap(
        _statistics(sample, classes), len(sample), n_resamples=n_resamples, seed=seed
    )
    notes = _notes(sample, classes)
    out = []
    for name, score in found.items():
        if name.startswith("fpr_at_tpr") and np.isfinite(score.value):
            negatives = int((sample.label == 0).sum())
            low, high = metrics.wilson(score.value * negatives, negatives)
            score = replace(
                score,
                low=float(low),
                high=float(high),
                note=f"Wilson interval for {negatives} negatives",
            )
        note = "; ".join(part for part in (notes.get(name, ""), score.note) if part)
        out.append(
            replace(
                score,
                target=target.name,
                n_excluded=sample.n_excluded,
                reason=sample.reason,
                note=note,
            )
        )
    return out


def statistics(target: Target, encoded: Any, weight: Any, samples: Any) -> dict[str, Statistic]:
    """Statistics of one target by the name of their score, over the rows that can be scored.

    See `scores`; two predictors of the same rows are compared by these.
    """
    return _statistics(scorable(target, encoded, weight, samples), _classes(target))


def _statistics(sample: Sample, classes: tuple[str, ...]) -> dict[str, Statistic]:
    found = _decisions(sample, classes) | _rankings(sample, classes)
    return found | _probabilities(sample, classes)


def across(parts: Sequence[tuple[Target, Any, Any, Any]], **options: Any) -> list[Score]:
    """Scores over several targets together: the RMSE over yes/no questions.

    Only objects with an answer to every question enter.
    """
    questions = [part for part in parts if part[0].family.units == 1]
    if len(questions) < 2:
        return []
    weight = np.min([np.asarray(w) for _, _, w, _ in questions], axis=0)
    found = [scorable(t, e, weight, s) for t, e, _, s in questions]
    rows = found[0].rows
    for sample in found[1:]:
        rows = np.intersect1d(rows, sample.rows)
    keep = [np.searchsorted(sample.rows, rows) for sample in found]
    said = np.stack([s.mean[k, 1] for s, k in zip(found, keep, strict=True)], axis=1)
    truth = np.stack([s.truth[k, 1] for s, k in zip(found, keep, strict=True)], axis=1)
    statistics = {"questions_rmse": lambda w: metrics.rmse(said, truth, w)}
    score = metrics.bootstrap(statistics, len(rows), **options)["questions_rmse"]
    excluded = len(weight) - len(rows)
    reason = f"{excluded} without all answers or without a prediction" if excluded else ""
    note = f"over {len(questions)} questions"
    return [replace(score, n_excluded=excluded, reason=reason, note=note)]


def figures(
    target: Target,
    encoded: Any,
    weight: Any,
    samples: Any,
    by: Mapping[str, Any] | None = None,
    threshold: float | None = None,
) -> dict[str, Figure]:
    """Confusion matrix, ROC, completeness and purity, reliability, risk against coverage.

    Parameters
    ----------
    target, encoded, weight, samples
        As for `scores`.
    by : mapping of str to array_like of shape (n,), optional
        Columns along which to show the error rate or, of a yes/no question, the probability of
        yes, by their name on the axis.
    threshold : float, optional
        Smallest probability of yes that is selected, if objects are.
    """
    from astrocnn.evaluation import figures as draw

    sample = scorable(target, encoded, weight, samples)
    if not len(sample):
        return {}
    classes, mean = _classes(target), sample.mean
    matrix = metrics.confusion_matrix(sample.label, sample.said, len(classes))
    shown = range(len(classes)) if len(classes) > 2 else (1,)
    rankings = {classes[k]: Ranking(sample.label == k, mean[:, k]) for k in shown}
    right = sample.label == sample.said
    doubt = metrics.predictive_entropy(sample.draws)
    along = {
        name: np.asarray(column, np.float64)[sample.rows] for name, column in (by or {}).items()
    }
    return {
        "confusion": draw.plot_confusion_matrix(matrix, classes),
        "roc": draw.plot_roc(rankings),
        "completeness_purity": draw.plot_completeness_purity(rankings),
        **(_of_a_cut(rankings[classes[1]], threshold) if len(classes) == 2 else {}),
        "reliability": draw.plot_reliability({"": (mean.max(axis=1), right)}),
        "risk_coverage": draw.plot_risk_coverage(~right, doubt),
        "entropy": draw.plot_entropy(~right, doubt, len(classes)),
    } | (
        probability_of_yes(sample, along, target.name, threshold)
        if len(classes) == 2
        else {
            f"errors_by_{name}": draw.plot_error_rate(~right, column, xlabel=name)
            for name, column in along.items()
            if np.isfinite(column).any()
        }
    )


def stamps(
    target: Target, encoded: Any, weight: Any, samples: Any, count: int = 12
) -> dict[str, list[Stamp]]:
    """Objects worth looking at: the most certain, the most uncertain, the most wrong.

    Rows without a label can be certain or uncertain, but not wrong.  The most wrong are those
    whose true class got the smallest probability.
    """
    everyone = np.ones(len(np.asarray(weight)))
    sample = scorable(target, np.asarray(encoded), everyone, samples)
    labelled = np.asarray(weight)[sample.rows] > 0
    classes, mean = _classes(target), sample.mean
    spread = sample.draws.std(axis=0)
    doubt = metrics.predictive_entropy(sample.draws) if len(sample) else np.zeros(0)
    of_truth = np.take_along_axis(mean, sample.label[:, None], axis=1)[:, 0]
    wrong = labelled & (sample.said != sample.label)
    picks: dict[str, Any] = {
        "most certain": np.argsort(doubt, kind="stable")[:count],
        "most uncertain": np.argsort(-doubt, kind="stable")[:count],
        "most wrong": [i for i in np.argsort(of_truth, kind="stable") if wrong[i]][:count],
    }
    return {
        name: [
            Stamp(
                row=int(sample.rows[i]),
                label=classes[sample.label[i]] if labelled[i] else "",
                predicted=classes[sample.said[i]],
                detail=_sureness(mean[i, sample.said[i]], spread[i, sample.said[i]]),
                is_error=bool(wrong[i]),
            )
            for i in chosen
        ]
        for name, chosen in picks.items()
    }


def baselines(target: Target, encoded: Any, weight: Any) -> tuple[Majority, ...]:
    """What one gets without looking: the commonest class of the training split."""
    return (fit_majority(target, encoded, weight),)


def by_number(target: Target, name: str, values: Any, encoded: Any, weight: Any) -> Cut:
    """What one gets from a single number: the best cut on it."""
    return fit_cut(target, name, values, encoded, weight)


def _sureness(probability: float, spread: float) -> str:
    return f"p = {probability:.2f}" + (f" \u00b1 {spread:.2f}" if spread >= 0.005 else "")


def _of_a_cut(ranking: Ranking, threshold: float | None) -> dict[str, Figure]:
    from astrocnn.evaluation import figures as draw

    return {
        "precision_recall": draw.plot_precision_recall(ranking, threshold),
        "completeness_fpr": draw.plot_completeness_fpr(ranking, threshold),
    }


def _decisions(sample: Sample, classes: tuple[str, ...]) -> dict[str, Statistic]:
    label, said, k = sample.label, sample.said, len(classes)

    def matrix(w: Any) -> Any:
        return metrics.confusion_matrix(label, said, k, w)

    out: dict[str, Statistic] = {
        "accuracy": lambda w: metrics.accuracy(label, said, w),
        "majority_rate": lambda w: metrics.majority_rate(label, k, w),
        "macro_f1": lambda w: metrics.macro_f1(matrix(w)),
    }
    for i, name in enumerate(classes):
        out[f"completeness_{name}"] = _column(lambda w: metrics.completeness(matrix(w)), i)
        out[f"purity_{name}"] = _column(lambda w: metrics.purity(matrix(w)), i)
    return out


def _rankings(sample: Sample, classes: tuple[str, ...]) -> dict[str, Statistic]:
    mean, label = sample.mean, sample.label
    each = [Ranking(label == k, mean[:, k]) for k in range(len(classes))]
    if len(classes) > 2:
        out: dict[str, Statistic] = {
            "auc": lambda w: np.mean([ranking.auc(w) for ranking in each], axis=0)
        }
        return out | {f"auc_{c}": r.auc for c, r in zip(classes, each, strict=True)}
    positive = each[1]
    return {
        "auc": positive.auc,
        "average_precision": positive.average_precision,
        "fpr_at_tpr95": lambda w: positive.fpr_at_tpr(0.95, w),
        "fpr_at_tpr99": lambda w: positive.fpr_at_tpr(0.99, w),
        "tpr_at_fpr1e-4": lambda w: positive.tpr_at_fpr(1e-4, w),
        "precision_at_recall95": lambda w: positive.precision_at_recall(0.95, w),
    }


def _probabilities(sample: Sample, classes: tuple[str, ...]) -> dict[str, Statistic]:
    mean, truth = sample.mean, sample.truth
    sure, right = mean.max(axis=1, initial=0), sample.label == sample.said
    out: dict[str, Statistic] = {
        "ece": lambda w: metrics.ece(sure, right, w),
        "ece_equal_count": lambda w: metrics.ece(sure, right, w, binning="count"),
    }
    for k, name in enumerate(classes) if len(classes) > 2 else ():
        out[f"ece_{name}"] = _column(lambda w: metrics.classwise_ece(mean, truth, w), k)
    out["brier"] = lambda w: metrics.brier(mean, truth, w)
    out["nll"] = lambda w: metrics.log_loss(mean, truth, w)
    if len(classes) == 2 and np.any((truth > 0) & (truth < 1)):
        out["rmse"] = lambda w: metrics.rmse(mean[:, 1], truth[:, 1], w)
    if not len(sample):
        return out
    doubt = metrics.predictive_entropy(sample.draws)
    disagreement = metrics.mutual_information(sample.draws)
    certain = doubt <= np.quantile(doubt, MOST_CERTAIN)
    out[f"accuracy_at_coverage{round(100 * MOST_CERTAIN)}"] = lambda w: metrics.accuracy(
        right[certain], np.ones(certain.sum(), bool), w[..., certain]
    )
    out["risk_coverage_area"] = lambda w: metrics.risk_coverage_area(~right, doubt, w)
    out["entropy"] = lambda w: w @ doubt / w.sum(axis=-1)
    out["expected_entropy"] = lambda w: w @ (doubt - disagreement) / w.sum(axis=-1)
    out["mutual_info"] = lambda w: w @ disagreement / w.sum(axis=-1)
    return out


def _column(statistic: Statistic, k: int) -> Statistic:
    return lambda w: statistic(w)[..., k]


def _notes(sample: Sample, classes: tuple[str, ...]) -> dict[str, str]:
    counts = np.bincount(sample.label, minlength=len(classes))
    notes = dict.fromkeys(("ece", "ece_equal_count"), "resampling opens gaps: high-biased interval")
    for name, count in zip(classes, counts, strict=True):
        notes[f"completeness_{name}"] = f"{count} objects"
    if len(classes) == 2:
        for name in ("auc", "average_precision", "precision_at_recall95"):
            notes[name] = f"positive: {classes[1]}"
        if counts[0] < 1e4:
            notes["tpr_at_fpr1e-4"] = f"no false positive allowed: only {counts[0]} negatives"
    else:
        notes["auc"] = "mean over classes, each against the rest"
    floored = int((sample.mean[sample.truth > 0] < NLL_FLOOR).sum())
    if floored:
        notes["nll"] = f"{floored} probabilities of the truth below {NLL_FLOOR:.1g} count as that"
    return notes


def _classes(target: Target) -> tuple[str, ...]:
    assert isinstance(target.family, ClassFamily)
    return target.family.classes
