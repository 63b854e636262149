"""Figures of explanations, for a paper and for the report.

Each function returns a `matplotlib.figure.Figure`; nothing is shown or saved.
"""

from __future__ import annotations

from astrocnn.explain.figures.attribution import attribution_by_band, attribution_sheet
from astrocnn.explain.figures.class_images import class_images
from astrocnn.explain.figures.dream import dream
from astrocnn.explain.figures.embedding import embedding_figure
from astrocnn.explain.figures.feature_montage import feature_montage
from astrocnn.explain.figures.inputs import input_bars, input_summary
from astrocnn.explain.figures.kernels import kernel_mosaic
from astrocnn.explain.figures.spectrum import spectra, spectrum_summary
from astrocnn.explain.figures.top_plate import top_plate
from astrocnn.explain.figures.trust import (
    band_shares,
    deletion_insertion,
    randomization_stages,
)

__all__ = [
    "attribution_by_band",
    "attribution_sheet",
    "band_shares",
    "class_images",
    "deletion_insertion",
    "dream",
    "embedding_figure",
    "feature_montage",
    "input_bars",
    "input_summary",
    "kernel_mosaic",
    "randomization_stages",
    "spectra",
    "spectrum_summary",
    "top_plate",
]
