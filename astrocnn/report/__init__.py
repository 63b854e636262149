"""Self-contained HTML reports: chapters of text, tables and figures in one style.

Knows nothing about networks or scores; `astrocnn.evaluation` and `astrocnn.explain` write the
chapters.
"""

from astrocnn.report.gallery import *
from astrocnn.report.page import *
from astrocnn.report.style import *

__all__ = [name for name in dir() if not name.startswith("_")]
