"""One self-contained HTML file: chapters of text, tables and figures.

Figures are embedded and there is no script and no external resource, so the file can be mailed
or archived.  The page follows the reader's light or dark scheme and prints well.
"""

from __future__ import annotations

import base64
import functools
import os
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
import rich.table
from matplotlib.figure import Figure

from astrocnn import atomic
from astrocnn.report.style import render_png, render_svg
from astrocnn.terminal import build_table

__all__ = ["Chapter", "Headline", "Picture", "Table", "write_report"]

_CSS_PIXELS_PER_INCH = 91
_WIDE = 6.0
"""Figures wider than this [inch] take the full width of the page."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure with its caption.

    Parameters
    ----------
    figure : Figure
        The figure.
    caption : str
        Text below it.
    alt : str, optional
        Alternative text for readers who cannot see it; by default the caption.
    raster : bool
        Embed pixels instead of vector graphics; for images.
    """

    figure: Figure
    caption: str
    alt: str = ""
    raster: bool = False

    @property
    def alternative(self) -> str:
        """Alternative text."""
        return self.alt or self.caption

    @functools.cached_property
    def source(self) -> str:
        """The figure as a data URL."""
        if self.raster:
            return f"data:image/png;base64,{render_png(self.figure)}"
        text = base64.b64encode(render_svg(self.figure).encode()).decode("ascii")
        return f"data:image/svg+xml;base64,{text}"

    @property
    def width(self) -> str:
        """Width on the page, as CSS."""
        inches = float(self.figure.get_size_inches()[0])
        return "100%" if inches > _WIDE else f"{round(inches * _CSS_PIXELS_PER_INCH)}px"


@dataclass(frozen=True)
class Table:
    """A table of text.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : sequence of sequence of str
        Cells, as many as there are headings.  The first column names the row; what follows a
        line break in it is a remark in small print.
    caption : str
        Title of the table.
    numeric : bool
        Align all but the first column to the right.
    folded : bool
        Hide the table behind its caption until it is opened.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    numeric: bool = False
    folded: bool = False

    def to_rich(self) -> rich.table.Table:
        """The table for a terminal."""
        heads = [*self.columns]
        if self.numeric:
            # Numbers are not broken, so their headings are.
            for i, name in enumerate(self.columns[1:], 1):
                widths = [len(row[i]) for row in self.rows] + [len(w) for w in name.split()]
                heads[i] = textwrap.fill(name, max(widths, default=1))
        table = build_table(self.caption, heads, left=heads[:1] if self.numeric else None)
        for row in self.rows:
            table.add_row(*row)
        return table


@dataclass(frozen=True, eq=False)
class Chapter:
    """One chapter of a report.

    Parameters
    ----------
    title : str
        Heading.
    text : sequence of str
        Paragraphs.
    figures : sequence of Picture
        Side by side where the page is wide enough, after the tables.
    tables : sequence of Table
        After the text.
    """

    title: str
    text: Sequence[str] = ()
    figures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()

    @property
    def anchor(self) -> str:
        """Identifier of the chapter within the page."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Headline:
    """The main result.

    Parameters
    ----------
    name, value, interval : str
        Name of the score, its value and its confidence interval.
    baselines : sequence of (str, str, str)
        Name, value and interval of each baseline.
    sentence : str
        Description of the sample of the score.
    """

    name: str
    value: str
    interval: str
    baselines: Sequence[tuple[str, str, str]] = ()
    sentence: str = ""


def write_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    chapters: Sequence[Chapter],
    subtitle: str = "",
    headline: Headline | None = None,
    footer: str = "",
) -> Path:
    """Write a report as one HTML file, atomically.

    Parameters
    ----------
    path : path-like
        File to write.
    title, subtitle : str
        Title of the page.
    chapters : sequence of Chapter
        In reading order.
    headline : Headline, optional
        The main result, shown first.
    footer : str
        Last line.

    Returns
    -------
    path : Path
        The file.
    """
    text = resources.files("astrocnn.report").joinpath("templates/report.html").read_text("utf-8")
    # Labels and file names come from catalogues: everything is escaped.
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(text).render(
        title=title, subtitle=subtitle, chapters=chapters, headline=headline, footer=footer
    )
    atomic.write_text(path, page)
    return Path(path)
