"""Figures of explanations, for a paper and for the report.

Each function returns a `matplotlib.figure.Figure`; nothing is shown or saved.  In all of them

===============  ==================================================================================
`band_names`     sequence of str, one for each band
`labels`         sequence of str, one for each object
`pixel_scale`    float, optional [arcsec/pixel], gives a scale bar
`title`, `foot`  str, lines above and below the figure: the explained output, for instance
===============  ==================================================================================

and images are NaN where there is no data.  `PredictionError` is raised if the shapes of arrays do
not belong together, or there is nothing to plot.
"""

from __future__ import annotations

from astrocnn.explain.figures.attribution import plot_attribution, plot_attribution_by_band
from astrocnn.explain.figures.checks import (
    plot_band_fractions,
    plot_deletion_insertion,
    plot_randomization,
)
from astrocnn.explain.figures.embedding import plot_embedding
from astrocnn.explain.figures.inspection import (
    plot_class_images,
    plot_deep_dream,
    plot_feature_maps,
    plot_kernels,
    plot_top_activations,
)
from astrocnn.explain.figures.scalars import (
    plot_input_bars,
    plot_input_summary,
    plot_spectra,
    plot_spectrum_summary,
)

__all__ = [
    "plot_attribution",
    "plot_attribution_by_band",
    "plot_band_fractions",
    "plot_class_images",
    "plot_deep_dream",
    "plot_deletion_insertion",
    "plot_embedding",
    "plot_feature_maps",
    "plot_input_bars",
    "plot_input_summary",
    "plot_kernels",
    "plot_randomization",
    "plot_spectra",
    "plot_spectrum_summary",
    "plot_top_activations",
]
