"""Figures for a paper and for the report, all in one style and apart from pyplot.

Each function returns a `matplotlib.figure.Figure`; nothing is shown or saved.
"""

from __future__ import annotations

from astrocnn.evaluation.figures.attribution import attribution_by_band, attribution_sheet
from astrocnn.evaluation.figures.calibration import pit_compared, reliability_compared
from astrocnn.evaluation.figures.class_images import class_images
from astrocnn.evaluation.figures.confusion import confusion
from astrocnn.evaluation.figures.curves import (
    completeness_purity,
    entropy,
    learning_curve,
    risk_coverage,
    roc,
)
from astrocnn.evaluation.figures.dream import dream
from astrocnn.evaluation.figures.embedding import embedding_figure
from astrocnn.evaluation.figures.examples import densities
from astrocnn.evaluation.figures.feature_montage import feature_montage
from astrocnn.evaluation.figures.inputs import input_bars, input_summary
from astrocnn.evaluation.figures.kernels import kernel_mosaic
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
from astrocnn.evaluation.figures.spectrum import spectra, spectrum_summary
from astrocnn.evaluation.figures.stacked import stacked
from astrocnn.evaluation.figures.stacks import stacks
from astrocnn.evaluation.figures.top_plate import top_plate
from astrocnn.evaluation.figures.trend import deviations, error_rate
from astrocnn.evaluation.figures.trust import (
    band_shares,
    deletion_insertion,
    randomization_stages,
)
from astrocnn.evaluation.figures.votes import vote_fractions
from astrocnn.report.gallery import band_levels, gallery, rgb
from astrocnn.report.style import STYLE, png, styled, svg

__all__ = [
    "STYLE",
    "against_truth",
    "attribution_by_band",
    "attribution_sheet",
    "band_levels",
    "band_shares",
    "class_images",
    "completeness_fpr",
    "completeness_purity",
    "confusion",
    "credible_sets",
    "deletion_insertion",
    "densities",
    "deviations",
    "dream",
    "embedding_figure",
    "entropy",
    "error_rate",
    "feature_montage",
    "gallery",
    "input_bars",
    "input_summary",
    "kernel_mosaic",
    "learning_curve",
    "parallel_coordinates",
    "pit_compared",
    "pit_histogram",
    "png",
    "precision_recall",
    "probability_along",
    "qq",
    "randomization_stages",
    "ranking_areas",
    "reliability",
    "reliability_compared",
    "rgb",
    "risk_coverage",
    "roc",
    "sheet",
    "spectra",
    "spectrum_summary",
    "stacked",
    "stacks",
    "styled",
    "svg",
    "top_plate",
    "vote_fractions",
]
