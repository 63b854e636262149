"""Named classes and yes/no questions: scores, figures and the objects worth looking at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial, reduce
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from astrocnn import metrics
from astrocnn.evaluation import figures
from astrocnn.evaluation.baselines import ConstantBaseline, Cut, fit_cut, fit_majority
from astrocnn.evaluation.kinds.base import (
    Array,
    FigureSpec,
    ScoreLabel,
    TargetEvaluation,
    plot_specs,
)
from astrocnn.metrics import Ranking, Score
from astrocnn.metrics.calibration import NLL_FLOOR
from astrocnn.metrics.intervals import Statistic
from astrocnn.report.gallery import Stamp
from astrocnn.targets import ClassFamily, Target

__all__ = ["ClassEvaluation"]

_MOST_CERTAIN = 0.8
_MIN_OBJECTS_PER_PANEL = 8
_LOG_ABOVE = 8.0
"""Ratio of the 95 % to the 5 % quantile of a column above which its axis is logarithmic."""


class ClassEvaluation(TargetEvaluation):
    """Class probabilities beside labels; see `TargetEvaluation`."""

    FAMILY: ClassVar[type] = ClassFamily
    SCORES: ClassVar[Mapping[str, ScoreLabel]] = {
        "accuracy": ScoreLabel("Accuracy", percent=True),
        "majority_fraction": ScoreLabel("Majority-class fraction", percent=True),
        "macro_f1": ScoreLabel("Macro F1"),
        "auc": ScoreLabel("ROC AUC"),
        "average_precision": ScoreLabel("Average precision"),
        "fpr_at_tpr95": ScoreLabel("False positive rate at 95 % completeness", percent=True),
        "fpr_at_tpr99": ScoreLabel("False positive rate at 99 % completeness", percent=True),
        "tpr_at_fpr1e-4": ScoreLabel("Completeness at 0.01 % false positives", percent=True),
        "precision_at_recall95": ScoreLabel("Purity at 95 % completeness", percent=True),
        "ece": ScoreLabel("Expected calibration error (15 equal-width bins)"),
        "ece_equal_count": ScoreLabel("Expected calibration error (15 equal-count bins)"),
        "brier": ScoreLabel("Brier score (0 to 2)"),
        "nll": ScoreLabel("Negative log-likelihood [nat]"),
        "rmse": ScoreLabel("Root mean square error"),
        "questions_rmse": ScoreLabel("RMSE over questions"),
        "accuracy_at_coverage80": ScoreLabel("Accuracy of the most certain 80 %", percent=True),
        "risk_coverage_area": ScoreLabel("Area under the risk-coverage curve"),
        "entropy": ScoreLabel("Mean predictive entropy [nat]"),
        "expected_entropy": ScoreLabel("Mean aleatoric part [nat]"),
        "mutual_info": ScoreLabel("Mean epistemic part (mutual information) [nat]"),
    }
    CLASS_SCORES: ClassVar[Mapping[str, ScoreLabel]] = {
        "completeness": ScoreLabel("Completeness", percent=True),
        "purity": ScoreLabel("Purity", percent=True),
        "auc": ScoreLabel("ROC AUC"),
        "ece": ScoreLabel("Calibration error"),
    }
    GROUP_SCORES: ClassVar = ("auc", "average_precision", "fpr_at_tpr95", "ece", "nll")
    SECTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Classes": (),
        "Uncertainty": (
            "Of the objects with a probability of 0.8, eight in ten should belong to the predicted "
            "class. The predictive entropy measures the total uncertainty of an object; the mutual "
            "information is its epistemic part, on which the draws disagree and which more "
            "training data could reduce.",
        ),
    }
    GALLERY_TEXT: ClassVar[str] = (
        "Below each stamp: true \u2192 predicted class where they differ (orange), otherwise the "
        "class; its probability and the standard deviation over draws. Pink pixels have no data."
    )

    def _prepare(self) -> None:
        family = self.target.family
        assert isinstance(family, ClassFamily)
        self.classes: tuple[str, ...] = family.classes
        p = np.asarray(family.to_probabilities(self.samples[:, self.rows]), np.float64)
        # In float32 probabilities of many classes add up to 1 only to some 1e-7.
        self.draws: Array = p / p.sum(axis=-1, keepdims=True)
        self.truth = np.asarray(family.to_truth(self.encoded[self.rows]), np.float64)

    @cached_property
    def mean(self) -> Array:
        """Mean probabilities over draws, of shape (m, n_classes)."""
        return metrics.mean_over_draws(self.draws)

    @property
    def label(self) -> NDArray[np.intp]:
        """Index of the true class (of the largest fraction), of shape (m,)."""
        return self.truth.argmax(axis=1)

    @property
    def predicted(self) -> NDArray[np.intp]:
        """Index of the most probable class, of shape (m,)."""
        return self.mean.argmax(axis=1)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the most probable class is the true one, of shape (m,)."""
        return self.label == self.predicted

    @cached_property
    def entropy(self) -> Array:
        """Predictive entropy [nat], of shape (m,)."""
        return metrics.predictive_entropy(self.draws) if len(self) else np.zeros(0)

    @cached_property
    def rankings(self) -> dict[str, Ranking]:
        """Ranking by the probability of each class; of two classes, of the second alone."""
        # The curves of two classes mirror each other.
        indices = range(len(self.classes)) if len(self.classes) > 2 else (1,)
        return {self.classes[k]: Ranking(self.label == k, self.mean[:, k]) for k in indices}

    # Scores

    def statistics(self) -> dict[str, Statistic]:
        return self._decisions() | self._rankings() | self._probabilities()

    def _decisions(self) -> dict[str, Statistic]:
        label, predicted, k = self.label, self.predicted, len(self.classes)

        def matrix(w: Array) -> Array:
            return metrics.confusion_matrix(label, predicted, k, w)

        out: dict[str, Statistic] = {
            "accuracy": partial(metrics.accuracy, label, predicted),
            "majority_fraction": partial(metrics.majority_fraction, label, k),
            "macro_f1": lambda w: metrics.macro_f1(matrix(w)),
        }
        for i, name in enumerate(self.classes):
            out[f"completeness_{name}"] = _take(lambda w: metrics.completeness(matrix(w)), i)
            out[f"purity_{name}"] = _take(lambda w: metrics.purity(matrix(w)), i)
        return out

    def _rankings(self) -> dict[str, Statistic]:
        rankings = self.rankings
        if len(self.classes) > 2:
            each = list(rankings.values())
            mean: dict[str, Statistic] = {
                "auc": lambda w: np.mean([ranking.auc(w) for ranking in each], axis=0)
            }
            return mean | {f"auc_{name}": ranking.auc for name, ranking in rankings.items()}
        positive = rankings[self.classes[1]]
        return {
            "auc": positive.auc,
            "average_precision": positive.average_precision,
            "fpr_at_tpr95": partial(positive.fpr_at_tpr, 0.95),
            "fpr_at_tpr99": partial(positive.fpr_at_tpr, 0.99),
            "tpr_at_fpr1e-4": partial(positive.tpr_at_fpr, 1e-4),
            "precision_at_recall95": partial(positive.precision_at_recall, 0.95),
        }

    def _probabilities(self) -> dict[str, Statistic]:
        mean, truth, correct = self.mean, self.truth, self.correct
        highest = mean.max(axis=1, initial=0)
        out: dict[str, Statistic] = {
            "ece": partial(metrics.ece, highest, correct),
            "ece_equal_count": partial(metrics.ece, highest, correct, binning="count"),
        }
        for k, name in enumerate(self.classes) if len(self.classes) > 2 else ():
            out[f"ece_{name}"] = _take(lambda w: metrics.classwise_ece(mean, truth, w), k)
        out["brier"] = partial(metrics.brier, mean, truth)
        out["nll"] = partial(metrics.log_loss, mean, truth)
        if len(self.classes) == 2 and np.any((truth > 0) & (truth < 1)):
            out["rmse"] = partial(metrics.rmse, mean[:, 1], truth[:, 1])
        if not len(self):
            return out
        entropy, epistemic = self.entropy, metrics.mutual_information(self.draws)
        # The same objects in every resample: the selection is part of the predictor.
        certain = entropy <= np.quantile(entropy, _MOST_CERTAIN)
        out[f"accuracy_at_coverage{round(100 * _MOST_CERTAIN)}"] = lambda w: metrics.average(
            correct[certain], w[..., certain]
        )
        out["risk_coverage_area"] = lambda w: metrics.risk_coverage_area(~correct, entropy, w)
        out["entropy"] = partial(metrics.average, entropy)
        out["expected_entropy"] = partial(metrics.average, entropy - epistemic)
        out["mutual_info"] = partial(metrics.average, epistemic)
        return out

    def get_score_notes(self) -> dict[str, str]:
        counts = np.bincount(self.label, minlength=len(self.classes))
        notes = dict.fromkeys(("ece", "ece_equal_count"), "interval biased high by resampling")
        for name, count in zip(self.classes, counts, strict=True):
            notes[f"completeness_{name}"] = f"{count} objects"
        if len(self.classes) == 2:
            for name in ("auc", "average_precision", "precision_at_recall95"):
                notes[name] = f"positive: {self.classes[1]}"
            if counts.all():
                for name in self.get_binomial_trials():
                    notes[name] = f"Wilson interval for {counts[0]} negatives"
            # With fewer negatives a rate of 0.01 % is below one object.
            if counts[0] < 1e4:
                notes["tpr_at_fpr1e-4"] = f"no false positive allowed: only {counts[0]} negatives"
        else:
            notes["auc"] = "mean over classes, each against the rest"
        floored = int((self.mean[self.truth > 0] < NLL_FLOOR).sum())
        if floored:
            notes["nll"] = f"{floored} probabilities of the true class raised to {NLL_FLOOR:.1g}"
        return notes

    def get_binomial_trials(self) -> dict[str, int]:
        """Number of negative objects of each false positive rate."""
        if len(self.classes) > 2:
            return {}
        return dict.fromkeys(("fpr_at_tpr95", "fpr_at_tpr99"), int((self.label == 0).sum()))

    # Report

    def get_figure_specs(self) -> Mapping[str, FigureSpec]:
        return _FIGURES

    def get_column_spec(self, name: str, column: Array) -> FigureSpec:
        """Error rate along a column."""
        return FigureSpec(
            "Classes",
            f"Error rate in bins of {name} with equal numbers of objects, with 95 % Wilson "
            "intervals.",
            lambda e: figures.plot_error_rate(~e.correct, column, xlabel=name),
        )

    def get_column_specs(self, columns: Mapping[str, Array]) -> dict[str, FigureSpec]:
        """Error rate along columns; of a yes/no question, the probability of yes."""
        if len(self.classes) > 2:
            return super().get_column_specs(columns)
        specs = {}
        for name, log in (("probability_by_column", True), ("probability_by_column_linear", False)):
            chosen = {k: x for k, x in columns.items() if _spans_decades(x) == log}
            panels = self._get_probability_panels(chosen, log)
            if panels:
                note = " Objects with values of zero or below are left out." if log else ""
                specs[name] = FigureSpec(
                    "Classes",
                    f"Probability of {self.target.name} along columns of the catalogue: medians "
                    f"and the band from 16 to 84 %.{note}",
                    partial(_plot_probability, panels, log),
                )
        return specs

    def _get_probability_panels(
        self, columns: Mapping[str, Array], log: bool
    ) -> dict[str, tuple[Array, Array]]:
        """Column and probability of yes; objects that are yes and no apart where they suffice."""
        panels = {}
        for name, x in columns.items():
            finite = np.isfinite(x) & ((x > 0) | (not log))
            rows_by_answer = {
                answer: rows
                for k, answer in ((1, "yes"), (0, "no"))
                if (rows := finite & (self.label == k)).sum() >= _MIN_OBJECTS_PER_PANEL
            }
            for answer, rows in rows_by_answer.items():
                title = f"{name}, {answer}" if len(rows_by_answer) > 1 else name
                panels[title] = (x[rows], self.mean[rows, 1])
        return panels

    def stamps(self, count: int = 12) -> dict[str, list[Stamp]]:
        """The most certain, the most uncertain, and the most confident errors.

        The latter are those whose true class got the smallest probability.
        """
        evaluation = self.with_unlabelled()
        labelled = self.weight[evaluation.rows] > 0
        spread = evaluation.draws.std(axis=0)
        of_truth = np.take_along_axis(evaluation.mean, evaluation.label[:, None], axis=1)[:, 0]
        is_error = labelled & ~evaluation.correct

        def stamp(i: int) -> Stamp:
            k = evaluation.predicted[i]
            detail = f"p = {evaluation.mean[i, k]:.2f}"
            if spread[i, k] >= 0.005:
                detail += f" \u00b1 {spread[i, k]:.2f}"
            label = self.classes[evaluation.label[i]] if labelled[i] else ""
            return Stamp(int(evaluation.rows[i]), label, self.classes[k], detail, bool(is_error[i]))

        return self._choose_stamps(
            stamp, evaluation.entropy, -of_truth, is_error, count, "most confident errors"
        )

    def calibration_data(self) -> Array:
        """Probability of the predicted class and whether it is correct, of shape (2, m)."""
        return np.stack([self.mean.max(axis=1, initial=0), self.correct])

    # Baselines

    @classmethod
    def fit_baselines(
        cls, target: Target, encoded: ArrayLike, weight: ArrayLike
    ) -> tuple[ConstantBaseline, ...]:
        """The majority class of the training split."""
        return (fit_majority(target, encoded, weight),)

    @classmethod
    def fit_column_baseline(
        cls, target: Target, name: str, values: ArrayLike, encoded: ArrayLike, weight: ArrayLike
    ) -> Cut:
        """The best cut on one column."""
        return fit_cut(target, name, values, encoded, weight)

    # Several targets

    @classmethod
    def is_groupable(cls, target: Target) -> bool:
        """Yes/no questions are."""
        return target.family.units == 1

    @classmethod
    def _get_questions(cls, evaluations: Sequence[TargetEvaluation]) -> list[ClassEvaluation]:
        return [e for e in evaluations if isinstance(e, cls) and cls.is_groupable(e.target)]

    @classmethod
    def joint_scores(cls, evaluations: Sequence[TargetEvaluation], **options: int) -> list[Score]:
        """RMSE over all yes/no questions, of the objects with an answer to each of them."""
        questions = cls._get_questions(evaluations)
        if len(questions) < 2:
            return []
        # An object without an answer to one question would count with fewer terms than others.
        weight = np.min([e.weight for e in questions], axis=0)
        complete = [cls(e.target, e.encoded, weight, e.samples) for e in questions]
        rows = reduce(np.intersect1d, [e.rows for e in complete])
        keep = [(e, np.searchsorted(e.rows, rows)) for e in complete]
        predicted = np.stack([e.mean[k, 1] for e, k in keep], axis=1)
        truth = np.stack([e.truth[k, 1] for e, k in keep], axis=1)
        return cls._score_questions(
            lambda w: metrics.rmse(predicted, truth, w),
            len(rows),
            len(weight) - len(rows),
            "without all answers or without a prediction",
            f"over {len(questions)} questions",
            **options,
        )

    @classmethod
    def plot_joint_figures(
        cls, evaluations: Sequence[TargetEvaluation]
    ) -> dict[str, tuple[FigureSpec, Figure]]:
        """ROC areas and reliability of all yes/no questions together."""
        questions = cls._get_questions(evaluations)
        rankings = {
            e.target.name: ranking
            for e in questions
            for ranking in e.rankings.values()
            if 0 < int(ranking.positive.sum()) < len(ranking.positive)
        }
        if len(questions) < 2 or not rankings:
            return {}
        return plot_specs(_JOINT_FIGURES, rankings)


def _take(statistic: Statistic, k: int) -> Statistic:
    return lambda w: statistic(w)[..., k]


def _spans_decades(values: Array) -> bool:
    """Whether a column is nowhere negative and its positive values differ by large factors."""
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    if not len(positive) or (finite < 0).any():
        return False
    low, high = np.quantile(positive, [0.05, 0.95])
    return bool(high > _LOG_ABOVE * low)


def _plot_probability(
    panels: Mapping[str, tuple[Array, Array]], log: bool, e: ClassEvaluation
) -> Figure:
    ylabel = f"probability of {e.target.name}"
    return figures.plot_probability_by_column(panels, ylabel=ylabel, threshold=e.threshold, log=log)


def _plot_confusion_matrix(e: ClassEvaluation) -> Figure:
    matrix = metrics.confusion_matrix(e.label, e.predicted, len(e.classes))
    return figures.plot_confusion_matrix(matrix, e.classes)


def _plot_if_binary(
    plot: Callable[[Ranking, float | None], Figure], e: ClassEvaluation
) -> Figure | None:
    if len(e.classes) > 2:
        return None
    return plot(e.rankings[e.classes[1]], e.threshold)


def _plot_joint_reliability(rankings: Mapping[str, Ranking]) -> Figure:
    probability = np.concatenate([r.probability for r in rankings.values()])
    positive = np.concatenate([r.positive for r in rankings.values()])
    return figures.plot_reliability(
        {"": (probability, positive)}, xlabel="probability of yes", ylabel="fraction yes"
    )


_FIGURES: dict[str, FigureSpec] = {
    "confusion": FigureSpec(
        "Classes",
        "Confusion matrix: objects by true class (row) and predicted class (column), with the "
        "fraction of the true class. Blue: completeness on the right, purity at the bottom.",
        _plot_confusion_matrix,
    ),
    "roc": FigureSpec(
        "Classes",
        "ROC curve: true against false positive rate as the probability threshold varies.",
        lambda e: figures.plot_roc(e.rankings),
    ),
    "completeness_purity": FigureSpec(
        "Classes",
        "Completeness and purity of the objects above a probability threshold.",
        lambda e: figures.plot_completeness_purity(e.rankings),
    ),
    "precision_recall": FigureSpec(
        "Classes",
        "Purity against completeness of the objects above a probability threshold; the band is a "
        "95 % Wilson interval.",
        lambda e: _plot_if_binary(figures.plot_precision_recall, e),
    ),
    "completeness_fpr": FigureSpec(
        "Classes",
        "Completeness against the false positive rate; the axis ends at one object. The marks "
        "carry 95 % Wilson intervals.",
        lambda e: _plot_if_binary(figures.plot_completeness_fpr, e),
    ),
    "reliability": FigureSpec(
        "Uncertainty",
        "Reliability diagram: fraction of correct predictions in bins of the probability of the "
        "predicted class. A calibrated model follows the diagonal; bars are 95 % Wilson "
        "intervals, orange marks the gap. Below: objects per bin.",
        lambda e: figures.plot_reliability({"": (e.mean.max(axis=1), e.correct)}),
    ),
    "risk_coverage": FigureSpec(
        "Uncertainty",
        "Error rate of the most certain objects against their fraction, with a band of one "
        "standard error. The closer to the dashed curve, the better the predictive entropy "
        "identifies errors.",
        lambda e: figures.plot_risk_coverage(~e.correct, e.entropy),
    ),
    "entropy": FigureSpec(
        "Uncertainty",
        "Predictive entropy of correctly and incorrectly classified objects, each normalized to "
        "one.",
        lambda e: figures.plot_entropy(~e.correct, e.entropy, len(e.classes)),
    ),
}

_JOINT_FIGURES = {
    "questions_roc_areas": FigureSpec(
        "Classes",
        "Area under the ROC curve of each question, with the number of objects that are yes and "
        "95 % bootstrap intervals.",
        figures.plot_roc_areas,
    ),
    "questions_reliability": FigureSpec(
        "Uncertainty",
        "Reliability diagram of all questions together: fraction of yes in bins of the "
        "probability of yes.",
        _plot_joint_reliability,
    ),
}
