"""Predicted against true values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure

from astrocnn.report.style import COLORS, COLUMN, styled

__all__ = ["against_truth"]

_FEW = 3000
# Without its palest part: single objects far off must be seen.
_CELLS = ListedColormap(colormaps["YlGnBu"](np.linspace(0.3, 1, 256)))


@styled
def against_truth(
    predicted: Any,
    truth: Any,
    *,
    xlabel: str = r"$z_{\mathrm{spec}}$",
    ylabel: str = r"$z_{\mathrm{phot}}$",
    limits: Sequence[float] = (0.05, 0.15),
    said: str = "",
) -> Figure:
    """Predicted against true values, as a density where there are many.

    Parameters
    ----------
    predicted, truth : array_like of shape (n,)
        Point estimates and true values.
    xlabel, ylabel : str
        What they are.
    limits : sequence of float
        Lines of |dz| = (predicted - truth) / (1 + truth) of these sizes; empty for none.
    said : str
        Words in the corner, scores for instance.
    """
    y, x = np.asarray(predicted, float), np.asarray(truth, float)
    ends = np.quantile(np.r_[x, y], [0.0005, 0.9995])
    margin = 0.04 * max(float(np.ptp(ends)), 1e-9)
    low, high = float(ends[0] - margin), float(ends[1] + margin)
    figure = Figure(figsize=(COLUMN * 1.1, COLUMN * 0.95), layout="compressed")
    axes = figure.add_subplot()
    if len(x) < _FEW:
        axes.plot(x, y, "o", ms=2.0, mec="none", color=COLORS[0], alpha=0.4, rasterized=True)
    else:
        inside = (x >= low) & (x <= high) & (y >= low) & (y <= high)
        drawn = axes.hexbin(
            x[inside],
            y[inside],
            gridsize=60,
            extent=(low, high, low, high),
            mincnt=1,
            norm=LogNorm(),
            cmap=_CELLS,
            linewidths=0.1,
        )
        figure.colorbar(drawn, ax=axes, label="objects per cell", pad=0.02, aspect=28)
    line = np.linspace(low, high, 50)
    axes.plot(line, line, color="0.15", lw=0.8)
    for limit, style in zip(limits, ("--", ":"), strict=False):
        for sign in (-1, 1):
            label = rf"$|\Delta z| = {limit:g}$" if sign > 0 else None
            shifted = line + sign * limit * (1 + line)
            axes.plot(line, shifted, style, color=COLORS[1], lw=0.9, label=label)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel=xlabel, ylabel=ylabel, aspect="equal")
    if limits:
        axes.legend(loc="lower right", handlelength=1.8, borderpad=0.2)
    axes.text(0.04, 0.96, said, transform=axes.transAxes, va="top", linespacing=1.25, fontsize=8.5)
    return figure
