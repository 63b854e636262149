"""Figures for a paper and for the report, all in one style and apart from pyplot.

Each function returns a `matplotlib.figure.Figure`; nothing is shown or saved.
"""

from __future__ import annotations

from astrocnn.evaluation.figures.calibration import pit_compared, reliability_compared
from astrocnn.evaluation.figures.confusion import confusion
from astrocnn.evaluation.figures.curves import (
    completeness_purity,
    entropy,
    learning_curve,
    risk_coverage,
    roc,
)
from astrocnn.evaluation.figures.examples import densities
from astrocnn.evaluation.figures.parallel import parallel_coordinates
from astrocnn.evaluation.figures.pit import credible_sets, pit_histogram, qq
from astrocnn.evaluation.figures.reliability import reliability
from astrocnn.evaluation.figures.scatter import against_truth
from astrocnn.evaluation.figures.selection import (
    completeness_fpr,
    precision_recall,
    probability_along,
    ranking_areas,
)
from astrocnn.evaluation.figures.sheet import sheet
from astrocnn.evaluation.figures.stacked import stacked
from astrocnn.evaluation.figures.stacks import stacks
from astrocnn.evaluation.figures.trend import deviations, error_rate
from astrocnn.evaluation.figures.votes import vote_fractions
from astrocnn.report.gallery import band_levels, gallery, rgb
from astrocnn.report.style import STYLE, png, styled, svg

__all__ = [
    "STYLE",
    "against_truth",
    "band_levels",
    "completeness_fpr",
    "completeness_purity",
    "confusion",
    "credible_sets",
    "densities",
    "deviations",
    "entropy",
    "error_rate",
    "gallery",
    "learning_curve",
    "parallel_coordinates",
    "pit_compared",
    "pit_histogram",
    "png",
    "precision_recall",
    "probability_along",
    "qq",
    "ranking_areas",
    "reliability",
    "reliability_compared",
    "rgb",
    "risk_coverage",
    "roc",
    "sheet",
    "stacked",
    "stacks",
    "styled",
    "svg",
    "vote_fractions",
]
