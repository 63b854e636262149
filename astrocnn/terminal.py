"""Tables and wrapped text for a terminal of any width, on a light or a dark background."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table

__all__ = ["build_table", "wrap_lines"]

_LABEL = re.compile(r"  (?:received|allowed|try): +|\s*(?:- )?")


def build_table(title: str, columns: Sequence[str], *, left: Iterable[str] | None = None) -> Table:
    """Build a table without vertical lines: they take the room of text, and are copied with it.

    Parameters
    ----------
    title : str
        Above it.
    columns : sequence of str
        Headings; without headings, as many empty strings.
    left : iterable of str, optional
        Columns of text; the others are numbers, which are never broken.  By default all are text.
    """
    headed = any(columns)
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD if headed else None,
        show_header=headed,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
        padding=(0, 1, 0, 0) if headed else (0, 2),
    )
    texts = set(columns if left is None else left)
    for name in columns:
        if name in texts:
            # Folded, so that names of files are complete.
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, justify="right", no_wrap=True)
    return table


def wrap_lines(text: str, width: int) -> str:
    """Wrap lines between words; commands and paths stay whole, so that they can be copied.

    Continued lines are indented below the text of a message or of an item of a list.

    Examples
    --------
    >>> print(wrap_lines("- one two three", 10))
    - one two
      three
    """
    lines = []
    for line in text.split("\n"):
        label = _LABEL.match(line)
        wrapper = textwrap.TextWrapper(
            width=width,
            subsequent_indent=" " * (label.end() if label else 0),
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines.append(line if line.startswith("$ ") else wrapper.fill(line))
    return "\n".join(lines)
