"""Style of all figures: width of a journal column, embedded glyphs, color-blind safe palette."""

from __future__ import annotations

import base64
import functools
import io
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = [
    "COLORS",
    "COLUMN",
    "NO_DATA",
    "STYLE",
    "new_figure",
    "new_panels",
    "render_png",
    "render_svg",
    "styled",
]

COLUMN = 3.46
"""Width of one journal column [inch], 88 mm."""

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
"""Palette of Okabe and Ito, safe for color-blind readers."""

NO_DATA = (0.80, 0.47, 0.65)
"""Color of pixels without data."""

STYLE: dict[str, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "axes.titlesize": 9.5,
    "legend.fontsize": 8,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.prop_cycle": cycler(color=COLORS),
    "lines.linewidth": 1.3,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "legend.frameon": False,
    "figure.dpi": 120,
    "savefig.dpi": 200,
    # Glyphs as paths and a fixed salt: the same bytes on every machine.
    "svg.fonttype": "path",
    "svg.hashsalt": "astrocnn",
    "pdf.fonttype": 42,
}

P = ParamSpec("P")
R = TypeVar("R")


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a plotting function with `STYLE`, leaving matplotlib's settings unchanged.

    Parameters
    ----------
    function : callable
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        _register_with_notebook()
        with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
            return function(*args, **kwargs)

    return wrapper


def _register_with_notebook() -> None:
    """Have a notebook show figures as images, which it does only after pyplot was imported."""
    ipython = sys.modules.get("IPython")
    shell: Any = None if ipython is None else ipython.get_ipython()
    if not hasattr(shell, "kernel"):
        return
    from IPython.core.pylabtools import select_figure_formats

    if Figure not in shell.display_formatter.formatters["image/png"].type_printers:
        select_figure_formats(shell, {"png"})


def new_figure(width: float = COLUMN, height: float = COLUMN * 0.85) -> tuple[Figure, Axes]:
    """A figure with one axes, independent of pyplot and its global state.

    Parameters
    ----------
    width, height : float
        Size of the figure [inch].
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def new_panels(
    n: int, columns: int, width: float, height: float, more: float = 0.0, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with panels of equal size in rows, the rest of the last row empty.

    Parameters
    ----------
    n, columns : int
        Number of panels, and of panels in a full row.
    width, height, more : float
        Size of a panel, and further height of the figure [inch].
    **options
        As for `Figure.subplots`.
    """
    columns = min(columns, n)
    rows = -(-n // columns)
    figure = Figure(figsize=(width * columns, height * rows + more), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False, **options).flat)
    for axes in panels[n:]:
        axes.remove()
    return figure, panels[:n]


@styled
def render_svg(figure: Figure) -> str:
    """Render a figure as SVG, with the same bytes each time.

    Parameters
    ----------
    figure : Figure
    """
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


@styled
def render_png(figure: Figure, dpi: int = 200) -> str:
    """Render a figure as PNG in base64.

    Parameters
    ----------
    figure : Figure
    dpi : int
        Resolution [pixel/inch].
    """
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return base64.b64encode(stream.getvalue()).decode("ascii")
