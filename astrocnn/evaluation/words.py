"""Scores as a person reads them: names, and values with their intervals."""

from __future__ import annotations

import math

from astrocnn.metrics import Score

__all__ = ["name_of", "value_of", "interval_of", "is_of_class"]

_NAMES = {
    "accuracy": "Accuracy",
    "majority_rate": "Share of the commonest class",
    "macro_f1": "Macro F1",
    "auc": "ROC AUC",
    "average_precision": "Average precision",
    "fpr_at_tpr95": "False positives at 95 % true positives",
    "fpr_at_tpr99": "False positives at 99 % true positives",
    "tpr_at_fpr1e-4": "True positives at 0.01 % false positives",
    "precision_at_recall95": "Purity at 95 % completeness",
    "ece": "Calibration error (ECE, 15 equal bins)",
    "ece_equal_count": "Calibration error (15 equal-count bins)",
    "brier": "Brier score (0 to 2)",
    "nll": "Negative log likelihood [nat]",
    "rmse": "RMSE of the fraction",
    "questions_rmse": "RMSE over questions",
    "accuracy_at_coverage80": "Accuracy of the most certain 80 %",
    "risk_coverage_area": "Area under risk against coverage",
    "entropy": "Mean predictive entropy [nat]",
    "expected_entropy": "of which within draws (aleatoric)",
    "mutual_info": "of which between draws (epistemic)",
}
_PER_CLASS = {
    "completeness_": "Completeness of {}",
    "purity_": "Purity of {}",
    "auc_": "ROC AUC of {}",
    "ece_": "Calibration error of {}",
}
_PERCENT = (
    "accuracy",
    "majority_rate",
    "fpr_at",
    "tpr_at",
    "precision_at",
    "completeness_",
    "purity_",
)


def is_of_class(name: str) -> bool:
    """Whether a score speaks of one class alone."""
    return name not in _NAMES and name.startswith(tuple(_PER_CLASS))


def name_of(name: str) -> str:
    """The name of a score in words."""
    if name in _NAMES:
        return _NAMES[name]
    for prefix, words in _PER_CLASS.items():
        if name.startswith(prefix):
            return words.format(name.removeprefix(prefix))
    return name.replace("_", " ")


def value_of(score: Score) -> str:
    """A value with as many digits as are worth reading."""
    if not math.isfinite(score.value):
        return "–"
    return _number(score, score.value) + ("\u00a0%" if _percent(score) else "")


def interval_of(score: Score) -> str:
    """The interval in the digits of the value; empty when there is none."""
    if not (math.isfinite(score.low) and math.isfinite(score.high)):
        return ""
    return f"[{_number(score, score.low)},\u00a0{_number(score, score.high)}]"


def _percent(score: Score) -> bool:
    return score.name.startswith(_PERCENT)


def _number(score: Score, value: float) -> str:
    """A number in the digits that suit the score, so that its interval has the same."""
    if _percent(score):
        extreme = 0 < min(score.value, 1 - score.value) < 0.01
        return f"{100 * value:.{2 if extreme else 1}f}"
    return f"{value:.{4 if 5e-5 < abs(score.value) < 0.03 else 3}f}"
