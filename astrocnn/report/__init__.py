"""What a report is made of: chapters with figures and tables, one style, one HTML page."""

from __future__ import annotations

from astrocnn.report.page import Chapter, Headline, Picture, Table, write_report
from astrocnn.report.style import png, svg

__all__ = ["Chapter", "Headline", "Picture", "Table", "png", "svg", "write_report"]
