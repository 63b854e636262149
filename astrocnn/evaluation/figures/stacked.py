"""Stacked densities against the histogram of true values."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn.report.style import COLORS, COLUMN, styled

__all__ = ["stacked"]


@styled
def stacked(stack: Any, edges: Any, truth: Any, *, xlabel: str = "$z$") -> Figure:
    """The sum of all densities, with the band of its draws, and the true histogram.

    Draws are joint over the objects (each is one network for all of them), so that their spread
    is that of the whole distribution, not of one object over root n.

    Parameters
    ----------
    stack : array_like of shape (n_draws, n_bins)
        Sum over objects of the probability in each bin, for each draw.
    edges : array_like of shape (n_bins + 1,)
        Edges of the bins.
    truth : array_like of shape (n,)
        True values.
    xlabel : str
        What they are.
    """
    stack, edges = np.asarray(stack, float), np.asarray(edges, float)
    truth = np.asarray(truth, float)
    # Bins are drawn together until a typical full one holds enough to be seen over its noise.
    step = max(1, round(stack.shape[1] / max(12, min(60, len(truth) ** 0.5))))
    starts = np.arange(0, stack.shape[1], step)
    joined = np.add.reduceat(stack, starts, axis=1)
    edges = np.r_[edges[starts], edges[-1]]
    widths = np.diff(edges)
    counts = np.histogram(np.clip(truth, edges[0], edges[-1]), edges)[0]
    figure = Figure(figsize=(COLUMN * 1.1, COLUMN * 1.1), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    mean = joined.mean(axis=0)
    low, high = np.quantile(joined, [0.025, 0.975], axis=0)
    top.stairs(counts / widths, edges, fill=True, color="0.82", label=f"true ({len(truth):,})")
    top.stairs(mean / widths, edges, color=COLORS[0], label="stacked densities")
    if len(stack) > 1:
        band = f"95 % of {len(stack)} draws"
        options = {"step": "post", "color": COLORS[0], "alpha": 0.3, "lw": 0}
        twice = [np.r_[v, v[-1]] for v in (low / widths, high / widths)]
        top.fill_between(edges, *twice, label=band, **options)
        noise = [np.r_[v, v[-1]] for v in (low - counts, high - counts)]
        error = np.sqrt(np.maximum(mean, 1))
        scaled = [v / np.r_[error, error[-1]] for v in noise]
        bottom.fill_between(edges, *scaled, **options)
    top.set(ylabel=f"objects per unit {xlabel}", ylim=(0, None))
    top.legend(loc="best")
    pull = (mean - counts) / np.sqrt(np.maximum(mean, 1))
    bottom.stairs(pull, edges, color=COLORS[0], baseline=None)
    for at, style in ((0, "-"), (-2, ":"), (2, ":")):
        bottom.axhline(at, color="0.5", ls=style, lw=0.8)
    reach = max(3.5, 1.2 * float(np.abs(pull).max(initial=0)))
    bottom.set(xlabel=xlabel, ylabel=r"excess [$\sqrt{n}$]", ylim=(-reach, reach))
    bottom.set_xlim(edges[0], edges[-1])
    return figure
