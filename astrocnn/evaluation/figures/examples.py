"""Densities of single objects, with their draws and their true values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn.errors import PredictionError
from astrocnn.report.style import COLORS, styled

__all__ = ["densities"]

_MOST_DRAWS = 30


@styled
def densities(
    draws: Any,
    edges: Any,
    truth: Any = None,
    *,
    labels: Sequence[str] | None = None,
    xlabel: str = "$z$",
    columns: int = 4,
) -> Figure:
    """Small panels: each object's density (dark), its draws (light), its true value (orange).

    Parameters
    ----------
    draws : array_like of shape (n_draws, n, n_bins)
        Probability in each bin.
    edges : array_like of shape (n_bins + 1,)
        Edges of the bins.
    truth : array_like of shape (n,), optional
        True values; NaN where there is none.
    labels : sequence of str, optional
        A line above each panel.
    xlabel : str
        What the value is.
    columns : int
        Panels in a row.

    Raises
    ------
    PredictionError
        If there is no object to draw.
    """
    p, edges = np.asarray(draws, float), np.asarray(edges, float)
    if p.ndim != 3 or not p.shape[1] or p.shape[2] != len(edges) - 1:
        raise PredictionError(
            "A picture of densities needs draws of at least one object, and the edges of its bins.",
            received=f"draws of shape {p.shape}, {len(edges)} edges",
        )
    p = p / np.diff(edges)
    mean = p.mean(axis=0)
    n = p.shape[1]
    columns = min(columns, n)
    rows = -(-n // columns)
    figure = Figure(figsize=(7.1 * columns / 4, 1.35 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for i, axes in enumerate(panels.flat):
        if i >= n:
            axes.set_visible(False)
            continue
        low, high = _window(mean[i], edges, None if truth is None else float(truth[i]))
        shown = slice(
            int(np.searchsorted(edges, low, side="right")) - 1, int(np.searchsorted(edges, high))
        )
        x = np.repeat(edges[shown.start : shown.stop + 1], 2)[1:-1]
        if len(p) > 1:
            steps = np.repeat(p[:_MOST_DRAWS, i, shown], 2, axis=1)
            axes.plot(x, steps.T, color=COLORS[5], lw=0.5, alpha=0.5)
        axes.plot(x, np.repeat(mean[i, shown], 2), color=COLORS[0], lw=1.3)
        if truth is not None and np.isfinite(truth[i]):
            axes.axvline(float(truth[i]), color=COLORS[1], lw=1.3)
        top = float(p[:_MOST_DRAWS, i].max())
        axes.set(xlim=(low, high), ylim=(0, 1.08 * top), yticks=[])
        axes.tick_params(labelsize=7)
        axes.locator_params(axis="x", nbins=4)
        if labels is not None:
            axes.set_title(labels[i], fontsize=7.5, pad=2.5)
    figure.supxlabel(xlabel, fontsize=9.5)
    return figure


def _window(density: Any, edges: Any, truth: float | None) -> tuple[float, float]:
    """The part of the axis worth showing: above a hundredth of the peak, and the truth."""
    shown = np.flatnonzero(density > 0.01 * density.max())
    low, high = edges[shown[0]], edges[shown[-1] + 1]
    if truth is not None and np.isfinite(truth):
        low, high = min(low, truth), max(high, truth)
    margin = 0.15 * (high - low) + edges[1] - edges[0]
    return max(float(low - margin), edges[0]), min(float(high + margin), edges[-1])
