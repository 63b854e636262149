"""Calibration side by side: before and after, or one network, its draws and an ensemble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binom, kstwo

from astrocnn import metrics
from astrocnn.report.style import COLORS, COLUMN, styled

__all__ = ["pit_compared", "reliability_compared"]

_MARKS = "osD^v"


@styled
def reliability_compared(predictions: Mapping[str, tuple[Any, Any]], *, n_bins: int = 12) -> Figure:
    """Observed frequency in bins of probability for several predictors, with 95 % intervals.

    Parameters
    ----------
    predictions : mapping of str to pair of array_like of shape (n,)
        By name of the predictor: the probability it gave to its choice, and whether that was
        right.
    n_bins : int
        Bins of equal width.
    """
    figure = Figure(figsize=(COLUMN, COLUMN * 1.15), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    top.plot([0, 1], [0, 1], ":", color="0.5", lw=1)
    most, least = 1.0, 1.0
    for i, (name, (probability, happened)) in enumerate(predictions.items()):
        p, y = np.asarray(probability, float), np.asarray(happened, float)
        bins = metrics.reliability(p, y, n_bins=n_bins)
        full = bins.count > 0
        x, seen = bins.promised[full], bins.observed[full]
        errors = np.maximum(np.stack([seen - bins.low[full], bins.high[full] - seen]), 0.0)
        color = COLORS[(1, 0, *range(2, len(COLORS)))[i % len(COLORS)]]
        said = f"{name}: ECE {float(metrics.ece(p, y)):.3f}"
        style: dict[str, Any] = {"ms": 4, "lw": 1, "elinewidth": 0.8, "capsize": 1.5}
        top.errorbar(x, seen, errors, marker=_MARKS[i % 5], color=color, label=said, **style)
        bottom.stairs(bins.count, bins.edges, color=color, lw=1.2)
        most, least = max(most, float(bins.count.max())), min(least, float(x.min()))
    start = np.floor(10 * max(0.0, least - 0.03)) / 10
    top.set(ylabel="fraction right", xlim=(start, 1), ylim=(max(0.0, start - 0.15), 1.02))
    top.legend(loc="upper left", handlelength=1.4)
    bottom.set(xlabel="probability of the chosen class", ylabel="objects", yscale="log")
    bottom.set_ylim(0.7, 3 * most)
    bottom.set_yticks([10**e for e in range(9) if 10**e <= 3 * most])
    bottom.minorticks_off()
    return figure


@styled
def pit_compared(values: Mapping[str, Any], *, n_bins: int = 20) -> Figure:
    """Histograms of the PIT, and how far their distribution lies from even.

    The bands hold 95 % of what even values of as many objects give: each bin by itself above,
    the whole curve below (Kolmogorov and Smirnov).

    Parameters
    ----------
    values : mapping of str to array_like of shape (n,)
        PIT values by name of the predictor.
    n_bins : int
        Bins of the histogram.
    """
    figure = Figure(figsize=(COLUMN, COLUMN * 1.15), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1.2))
    edges = np.linspace(0, 1, n_bins + 1)
    least = min(len(np.asarray(pit)) for pit in values.values())
    band = binom.interval(0.95, least, 1 / n_bins)
    top.axhspan(*(count * n_bins / least for count in band), color="0.88", lw=0)
    top.axhline(1, color="0.5", lw=1, ls=":")
    reach = float(kstwo.ppf(0.95, least))
    bottom.axhspan(-reach, reach, color="0.88", lw=0)
    bottom.axhline(0, color="0.5", lw=1, ls=":")
    for i, (name, pit) in enumerate(values.items()):
        u = np.sort(np.asarray(pit, float))
        color = COLORS[(1, 0, *range(2, len(COLORS)))[i % len(COLORS)]]
        density, _ = np.histogram(u, edges, density=True)
        label = f"{name}: KS {float(metrics.pit_ks(u)):.3f}"
        top.stairs(density, edges, color=color, lw=1.3, label=label)
        grid = np.linspace(0, 1, 401)
        gap = np.searchsorted(u, grid, side="right") / len(u) - grid
        bottom.plot(grid, gap, color=color, lw=1.2)
    top.set(ylabel="density", xlim=(0, 1), ylim=(0, 1.3 * top.get_ylim()[1]))
    top.legend(loc="upper center", ncols=1, handlelength=1.4)
    bottom.set(xlabel="probability integral transform", ylabel=r"$\hat F(u) - u$")
    return figure
