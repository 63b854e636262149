"""Figures of predictions and their scores.

Each function returns a `matplotlib.figure.Figure`, independent of pyplot; nothing is shown or
saved.
"""

from __future__ import annotations

from astrocnn.evaluation.figures.calibration import (
    plot_credible_sets,
    plot_pit_histogram,
    plot_qq,
    plot_reliability,
)
from astrocnn.evaluation.figures.classification import (
    plot_completeness_purity,
    plot_confusion_matrix,
    plot_entropy,
    plot_error_rate,
    plot_risk_coverage,
    plot_roc,
    plot_vote_fractions,
)
from astrocnn.evaluation.figures.quantities import (
    plot_against_truth,
    plot_densities,
    plot_errors,
    plot_stacked_densities,
)
from astrocnn.evaluation.figures.selection import (
    plot_completeness_fpr,
    plot_precision_recall,
    plot_probability_by_column,
    plot_roc_areas,
)
from astrocnn.evaluation.figures.training import plot_learning_curve, plot_parallel_coordinates

__all__ = [
    "plot_against_truth",
    "plot_completeness_fpr",
    "plot_completeness_purity",
    "plot_confusion_matrix",
    "plot_credible_sets",
    "plot_densities",
    "plot_entropy",
    "plot_error_rate",
    "plot_errors",
    "plot_learning_curve",
    "plot_parallel_coordinates",
    "plot_pit_histogram",
    "plot_precision_recall",
    "plot_probability_by_column",
    "plot_qq",
    "plot_reliability",
    "plot_risk_coverage",
    "plot_roc",
    "plot_roc_areas",
    "plot_stacked_densities",
    "plot_vote_fractions",
]
