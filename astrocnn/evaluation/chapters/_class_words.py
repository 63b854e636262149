"""What the report says of classes: names of scores, captions, remarks."""

from __future__ import annotations

__all__ = ["BY", "CAPTIONS", "GALLERY", "NAMES", "PERCENT", "PER_CLASS", "TEXT", "TOGETHER"]

NAMES = {
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
    "rmse": "Root mean square error",
    "questions_rmse": "RMSE over questions",
    "accuracy_at_coverage80": "Accuracy of the most certain 80 %",
    "risk_coverage_area": "Area under risk against coverage",
    "entropy": "Mean predictive entropy [nat]",
    "expected_entropy": "of which within draws (aleatoric)",
    "mutual_info": "of which between draws (epistemic)",
}
PER_CLASS = {
    "completeness": "Completeness",
    "purity": "Purity",
    "auc": "ROC AUC",
    "ece": "Calibration error",
}
PERCENT = (
    "accuracy",
    "majority_rate",
    "fpr_at",
    "tpr_at",
    "precision_at",
    "completeness_",
    "purity_",
)
CAPTIONS = {
    "confusion": (
        "Classes",
        "Objects by true class (row) and predicted class (column), with the share of the true "
        "class. Blue: completeness to the right, purity below.",
    ),
    "roc": (
        "Classes",
        "True against false positive rate as the threshold on the probability varies.",
    ),
    "completeness_purity": (
        "Classes",
        "Completeness and purity of the objects above a probability threshold.",
    ),
    "precision_recall": (
        "Classes",
        "Purity against completeness of the objects above a threshold; the band is a 95 % Wilson "
        "interval.",
    ),
    "completeness_fpr": (
        "Classes",
        "Completeness against the false positive rate, which ends at one object; the marks carry "
        "95 % Wilson intervals.",
    ),
    "probability_along": (
        "Classes",
        "Probability of yes along columns of the catalogue: medians and the band from 16 to 84 %; "
        "objects where the column is not above zero are left out of a logarithmic axis.",
    ),
    "probability_along_linear": (
        "Classes",
        "Probability of yes along columns of the catalogue: medians and the band from 16 to 84 %.",
    ),
    "questions_areas": (
        "Classes",
        "How well each question tells yes from no: area under its ROC curve, with the number of "
        "objects that are yes and 95 % bootstrap intervals.",
    ),
    "questions_reliability": (
        "Uncertainty",
        "How often the answer is yes, against the probability of yes, all questions together.",
    ),
    "reliability": (
        "Uncertainty",
        "How often the chosen class is right, against its probability. Points on the diagonal "
        "mean what they say; bars are 95 % Wilson intervals, orange the gap. Below: how many "
        "objects there are in each bin.",
    ),
    "risk_coverage": (
        "Uncertainty",
        "Error rate among the most certain objects. The band is one standard error. A curve close "
        "to the dashed one puts the doubt on the errors.",
    ),
    "entropy": (
        "Uncertainty",
        "Predictive entropy of the objects whose class is right and of those where it is wrong, "
        "each adding up to one.",
    ),
}
TEXT = {
    "Classes": (),
    "Uncertainty": (
        "A probability of 0.8 should come true eight times in ten. Predictive entropy is all the "
        "uncertainty of an object; mutual information is the part on which the draws disagree, "
        "which more training data could remove.",
    ),
}
TOGETHER = ("auc", "average_precision", "fpr_at_tpr95", "ece", "nll")
"""Scores of many questions that stand in one table."""
BY = "Error rate in bins of {} that hold equally many objects, with 95 % Wilson intervals."
GALLERY = (
    "Below each stamp: true \u2192 predicted class where they differ (orange), else the class; "
    "its probability and the spread of that over draws. Pink pixels have no data."
)
