"""Self-contained HTML reports: chapters of text, tables and figures in one style.

Knows nothing about networks or scores; `astrocnn.evaluation` and `astrocnn.explain` write the
chapters.
"""

from __future__ import annotations

from astrocnn.report.gallery import (
    Stamp,
    add_scale_bar,
    compute_band_levels,
    make_rgb,
    plot_bands,
    plot_gallery,
)
from astrocnn.report.page import Chapter, Headline, Picture, Table, write_report
from astrocnn.report.style import (
    COLORS,
    COLUMN,
    NO_DATA,
    STYLE,
    new_figure,
    render_png,
    render_svg,
    styled,
)

__all__ = [
    "COLORS",
    "COLUMN",
    "NO_DATA",
    "STYLE",
    "Chapter",
    "Headline",
    "Picture",
    "Stamp",
    "Table",
    "add_scale_bar",
    "compute_band_levels",
    "make_rgb",
    "new_figure",
    "plot_bands",
    "plot_gallery",
    "render_png",
    "render_svg",
    "styled",
    "write_report",
]
