"""Scores, baselines, figures and the report of a trained model.

Takes plain arrays: labels as `Task.encode` gives them and samples of shape
(n_draws, n, units).  How a kind of quantity is scored and drawn is a file in ``chapters/``.
"""

from __future__ import annotations

from astrocnn.evaluation.baselines import Cut, Majority, fit_cut, fit_majority, peak_brightness
from astrocnn.evaluation.compare import baseline_scores
from astrocnn.evaluation.priors import fit_mean, fit_neighbors, fit_prior
from astrocnn.evaluation.scores import headline, read_scores, score, write_scores
from astrocnn.report.gallery import Stamp
from astrocnn.report.page import Chapter, Headline, Picture, Table, write_report

__all__ = [
    "Chapter",
    "Cut",
    "Headline",
    "Majority",
    "Picture",
    "Stamp",
    "Table",
    "baseline_scores",
    "fit_cut",
    "fit_majority",
    "fit_mean",
    "fit_neighbors",
    "fit_prior",
    "headline",
    "peak_brightness",
    "read_scores",
    "score",
    "write_report",
    "write_scores",
]
