"""Figures for a paper and for the report, all in one style and apart from pyplot.

Each function returns a `matplotlib.figure.Figure`; nothing is shown or saved.
"""

from __future__ import annotations

from astrocnn.evaluation.figures.confusion import confusion
from astrocnn.evaluation.figures.curves import (
    completeness_purity,
    entropy,
    learning_curve,
    risk_coverage,
    roc,
)
from astrocnn.evaluation.figures.gallery import band_levels, gallery, rgb
from astrocnn.evaluation.figures.reliability import reliability
from astrocnn.evaluation.figures.stacks import stacks
from astrocnn.evaluation.figures.style import STYLE, png, styled, svg

__all__ = [
    "STYLE",
    "band_levels",
    "completeness_purity",
    "confusion",
    "entropy",
    "gallery",
    "learning_curve",
    "png",
    "reliability",
    "rgb",
    "risk_coverage",
    "roc",
    "stacks",
    "styled",
    "svg",
]
