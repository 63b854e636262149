"""Scores, baselines, figures and the report of a trained model.

Takes plain arrays: labels as `Task.encode` gives them and samples of shape (n_draws, n, units).
Each kind of evaluation is a file in ``kinds/``.
"""

from __future__ import annotations

from astrocnn.evaluation.baselines import (
    compute_peak_brightness,
    fit_cut,
    fit_majority,
    fit_mean,
    fit_neighbors,
    fit_prior,
    fit_votes,
)
from astrocnn.evaluation.comparison import Contestant, compare_models
from astrocnn.evaluation.kinds import TargetEvaluation, evaluate_target
from astrocnn.evaluation.labels import format_interval, format_score, format_value, get_label
from astrocnn.evaluation.scores import (
    baseline_scores,
    evaluate,
    find_headline,
    read_scores,
    score,
    score_evaluations,
    write_scores,
)

__all__ = [
    "Contestant",
    "TargetEvaluation",
    "baseline_scores",
    "compare_models",
    "compute_peak_brightness",
    "evaluate",
    "evaluate_target",
    "find_headline",
    "fit_cut",
    "fit_majority",
    "fit_mean",
    "fit_neighbors",
    "fit_prior",
    "fit_votes",
    "format_interval",
    "format_score",
    "format_value",
    "get_label",
    "read_scores",
    "score",
    "score_evaluations",
    "write_scores",
]
