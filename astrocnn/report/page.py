"""One self-contained HTML file that a person likes to read.

No network, no script: figures are embedded, the page follows the reader's light or dark scheme
and prints well.
"""

from __future__ import annotations

import base64
import functools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from matplotlib.figure import Figure

from astrocnn import atomic
from astrocnn.report.style import png, svg

__all__ = ["Chapter", "Headline", "Picture", "Table", "write_report"]


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure with its words.

    Parameters
    ----------
    figure : Figure
        What is drawn.
    caption : str
        Stands below it.
    alt : str
        Says what is to be seen, for those who cannot see it.
    raster : bool
        Embed pixels instead of lines; for images.
    wide : bool
        Take the whole width of the page.
    """

    figure: Figure
    caption: str
    alt: str
    raster: bool = False
    wide: bool = False

    @classmethod
    def of(
        cls, figure: Figure, caption: str, *, alt: str | None = None, raster: bool = False
    ) -> Picture:
        """A picture that takes the whole width of the page if its figure is wide enough for it."""
        alt = caption if alt is None else alt
        return cls(figure, caption, alt, raster, wide=figure.get_size_inches()[0] > 6)

    @functools.cached_property
    def source(self) -> str:
        """The figure as a data address, drawn once."""
        if self.raster:
            return f"data:image/png;base64,{png(self.figure)}"
        text = base64.b64encode(svg(self.figure).encode()).decode("ascii")
        return f"data:image/svg+xml;base64,{text}"

    @property
    def width(self) -> int:
        """Natural width on the page [CSS pixel]."""
        return round(self.figure.get_size_inches()[0] * 91)


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column names the row, with a remark after a line break.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : sequence of sequence of str
        Cells, as many as there are headings.
    caption : str
        Stands above it.
    numeric : bool
        Align all but the first column to the right.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    numeric: bool = False


@dataclass(frozen=True, eq=False)
class Chapter:
    """A part of the report.

    Parameters
    ----------
    title : str
        Its heading.
    text : sequence of str
        Paragraphs.
    figures : sequence of Picture
        Shown beside one another where there is room.
    tables : sequence of Table
        Shown after the text.
    folded : bool
        Long tables behind a line that opens them.
    """

    title: str
    text: Sequence[str] = ()
    figures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    folded: bool = False

    @property
    def anchor(self) -> str:
        """Its place in the page."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Headline:
    """The number quoted first.

    Parameters
    ----------
    name, value, interval : str
        What it is, its value, and its interval.
    beside : sequence of (str, str, str)
        Name, value and interval of each baseline.
    sentence : str
        What it rests on.
    """

    name: str
    value: str
    interval: str
    beside: Sequence[tuple[str, str, str]] = ()
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
        Where to.
    title, subtitle : str
        Of the page.
    chapters : sequence of Chapter
        In the order of reading; `astrocnn.evaluation.story` and ``background`` make the usual ones.
    headline : Headline, optional
        The number quoted first.
    footer : str
        Last line.

    Returns
    -------
    path : Path
        The file.
    """
    import jinja2

    text = resources.files("astrocnn.report").joinpath("templates/report.html").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(text).render(
        title=title, subtitle=subtitle, chapters=chapters, headline=headline, footer=footer
    )
    atomic.write_text(path, page)
    return Path(path)
