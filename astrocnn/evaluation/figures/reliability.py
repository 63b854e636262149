"""Reliability diagram: what was promised beside what came, with counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn import metrics
from astrocnn.report.style import COLORS, COLUMN, styled

__all__ = ["reliability"]


@styled
def reliability(
    probability: Any,
    happened: Any,
    *,
    n_bins: int = 15,
    xlabel: str = "probability of the chosen class",
    ylabel: str = "fraction right",
) -> Figure:
    """Observed frequency in bins of probability, with 95 % Wilson intervals and counts below.

    Parameters
    ----------
    probability : array_like of shape (n,)
        Probability given to an event.
    happened : array_like of bool of shape (n,)
        Whether it came true.
    n_bins : int
        Bins of equal width.
    xlabel, ylabel : str
        What the event is.
    """
    p, y = np.asarray(probability, float), np.asarray(happened, float)
    bins = metrics.reliability(p, y, n_bins=n_bins)
    full = bins.count > 0
    figure = Figure(figsize=(COLUMN, COLUMN * 1.15), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    top.plot([0, 1], [0, 1], ":", color="0.5", lw=1)
    x, seen = bins.promised[full], bins.observed[full]
    top.vlines(x, np.minimum(x, seen), np.maximum(x, seen), color=COLORS[1], alpha=0.35, lw=4)
    errors = np.abs(np.stack([bins.low[full], bins.high[full]]) - seen)
    top.errorbar(x, seen, errors, fmt="o", ms=4, lw=1, capsize=2, color=COLORS[0])
    value = float(metrics.ece(p, y, n_bins=n_bins))
    top.text(
        0.97,
        0.04,
        f"ECE = {value:.3f} ({n_bins} bins)\npromised {p.mean():.3f}\ncame true {y.mean():.3f}",
        transform=top.transAxes,
        va="bottom",
        ha="right",
    )
    top.set(ylabel=ylabel, xlim=(0, 1), ylim=(0, 1.02))
    bottom.bar(
        bins.edges[:-1], bins.count, np.diff(bins.edges), align="edge", color="0.75", ec="w", lw=0.5
    )
    bottom.set(xlabel=xlabel, ylabel="objects")
    bottom.set_yscale("symlog", linthresh=10)
    bottom.set_yticks([0, *(10**e for e in range(1, 9) if 10**e <= 2 * bins.count.max())])
    bottom.set_ylim(0, max(12.0, 2 * float(bins.count.max())))
    bottom.minorticks_off()
    return figure
