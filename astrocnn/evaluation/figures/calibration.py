"""Calibration: reliability diagram, PIT histogram, Q-Q plot and coverage of credible sets.

Each takes one predictor, or several by name to compare them, for instance before and after a
calibration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.stats import binom, kstwo

from astrocnn import metrics
from astrocnn.report.style import COLORS, COLUMN, new_figure, styled

__all__ = ["plot_credible_sets", "plot_pit_histogram", "plot_qq", "plot_reliability"]

_MARKERS = "osD^v"


@styled
def plot_reliability(
    predictions: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    n_bins: int = 15,
    xlabel: str = "probability of the predicted class",
    ylabel: str = "fraction correct",
) -> Figure:
    """Observed frequency in bins of probability, with 95 % Wilson intervals and counts below.

    Parameters
    ----------
    predictions : mapping of str to pair of array_like of shape (n,)
        By name of the predictor: the probability of an event, and whether it happened.  The gap
        to the diagonal is shaded where there is one predictor.
    n_bins : int
        Bins of equal width.
    xlabel, ylabel : str
        What the event is.
    """
    figure = Figure(figsize=(COLUMN, COLUMN * 1.15), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    top.plot([0, 1], [0, 1], ":", color="0.5", lw=1)
    most, left, lowest = 1.0, 1.0, 1.0
    for color, marker, name, (probability, outcome) in _series(predictions):
        p, y = np.asarray(probability, float), np.asarray(outcome, float)
        bins = metrics.reliability(p, y, n_bins=n_bins)
        full = bins.count > 0
        x, observed = bins.predicted[full], bins.observed[full]
        errors = np.abs(np.stack([bins.low[full], bins.high[full]]) - observed)
        if len(predictions) == 1:
            ends = np.minimum(x, observed), np.maximum(x, observed)
            top.vlines(x, *ends, color=COLORS[1], alpha=0.35, lw=4)
        ece = f"ECE {float(metrics.ece(p, y, n_bins=n_bins)):.3f}"
        style: dict[str, Any] = {"ms": 4, "lw": 1, "elinewidth": 0.9, "capsize": 2, "color": color}
        style["fmt"] = marker if len(predictions) == 1 else f"{marker}-"
        top.errorbar(x, observed, errors, label=f"{name}: {ece}" if name else ece, **style)
        bottom.stairs(bins.count, bins.edges, color=color, lw=1.2)
        most = max(most, float(bins.count.max()))
        left, lowest = min(left, float(x.min())), min(lowest, float(bins.low[full].min()))
    # The predicted class has at least 1 / n_classes: do not leave half of the plot empty.
    start = np.floor(10 * max(0.0, left - 0.03)) / 10
    bottom_edge = max(0.0, min(start, lowest) - 0.05)
    top.set(ylabel=ylabel, xlim=(start, 1), ylim=(bottom_edge, 1.02))
    top.legend(loc="upper left", handlelength=1.4)
    bottom.set(xlabel=xlabel, ylabel="objects", yscale="log", ylim=(0.7, 3 * most))
    bottom.set_yticks([10**e for e in range(9) if 10**e <= 3 * most])
    bottom.minorticks_off()
    return figure


@styled
def plot_pit_histogram(values: Mapping[str, ArrayLike]) -> Figure:
    """Histogram of PIT values, with the scatter expected of a calibrated predictor.

    The bands hold 68 and 95 % of the counts of a uniform distribution (binomial).

    Parameters
    ----------
    values : mapping of str to array_like of shape (n,)
        By name of the predictor: its probability of at most the true value.
    """
    n_bins = 20
    figure, axes = new_figure()
    # The widest band of those compared.
    n = min(np.size(pit) for pit in values.values())
    for level, sigma, alpha in ((0.954, 2, 0.18), (0.683, 1, 0.30)):
        low, high = (end * n_bins / n for end in binom.interval(level, n, 1 / n_bins))
        label = rf"uniform $\pm{sigma}\sigma$"
        axes.axhspan(low, high, color="0.3", alpha=alpha, lw=0, label=label)
    axes.axhline(1, color="0.2", lw=0.8, ls="--")
    highest = 1.9
    for color, _, name, pit in _series(values):
        u = np.clip(np.asarray(pit, float), 0, 1)
        counts, edges = np.histogram(u, bins=n_bins, range=(0, 1))
        density = counts * n_bins / len(u)
        label = f"KS {float(metrics.pit_ks(u)):.3f}"
        label = f"{name}: {label}" if name else label
        axes.stairs(density, edges, color=color, lw=1.4, label=label)
        if len(values) == 1:
            axes.stairs(density, edges, color=color, fill=True, alpha=0.12)
        highest = max(highest, 1.35 * float(density.max()))
    if len(values) == 1:
        outliers = 100 * float(metrics.pit_outliers(u))
        text = f"outliers {outliers:.2g}\u2009% (expected 0.02\u2009%)"
        axes.text(0.03, 0.97, text, transform=axes.transAxes, va="top", fontsize=8)
    axes.set(xlabel="PIT", ylabel="density", xlim=(0, 1), ylim=(0, highest))
    axes.legend(loc="upper right", handlelength=1.2, ncols=1)
    return figure


@styled
def plot_qq(values: Mapping[str, ArrayLike]) -> Figure:
    """Q-Q plot of PIT values against the uniform distribution, with the difference below.

    The band holds 95 % of calibrated samples at each point, the dotted lines 95 % of their
    largest differences (Kolmogorov-Smirnov).

    Parameters
    ----------
    values
        As for `plot_pit_histogram`.
    """
    figure = Figure(figsize=(COLUMN, COLUMN * 1.15), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1.3))
    top.plot([0, 1], [0, 1], ":", color="0.5", lw=1)
    grid = np.linspace(0, 1, 401)
    n = min(np.size(pit) for pit in values.values())
    low, high = (end / n - grid for end in binom.interval(0.95, n, grid))
    bottom.fill_between(grid, low, high, color="0.3", alpha=0.2, lw=0)
    largest = float(kstwo.ppf(0.95, n))
    bottom.hlines([-largest, largest], 0, 1, color="0.5", ls=":", lw=0.9)
    bottom.axhline(0, color="0.5", lw=0.8)
    reach = 1.15 * largest
    for color, _, name, pit in _series(values):
        u = np.sort(np.asarray(pit, float))
        observed = np.searchsorted(u, grid, side="right") / len(u)
        top.plot(grid, observed, color=color, label=name)
        bottom.plot(grid, observed - grid, color=color, lw=1.1)
        reach = max(reach, 1.15 * float(np.abs(observed - grid).max()))
    top.set(ylabel="fraction of objects with a smaller PIT", xlim=(0, 1), ylim=(0, 1))
    if len(values) > 1:
        top.legend(loc="upper left", handlelength=1.4)
    bottom.set(xlabel="PIT", ylabel="difference", ylim=(-reach, reach))
    return figure


@styled
def plot_credible_sets(
    before: ArrayLike, within: ArrayLike, *, n_independent: int | None = None
) -> Figure:
    """Fraction of true values in highest-density sets against the probability of the sets.

    Parameters
    ----------
    before, within : array_like of shape (n,)
        From `astrocnn.metrics.Densities.credible`.
    n_independent : int, optional
        Independent objects among the n values, for the width of the 95 % Wilson band.
    """
    levels = np.linspace(0, 1, 101)
    coverage = np.stack([metrics.credible_coverage(before, within, p).mean() for p in levels])
    n = np.size(before) if n_independent is None else n_independent
    low, high = metrics.wilson(coverage * n, n)
    figure, axes = new_figure(height=COLUMN)
    axes.plot([0, 1], [0, 1], ":", color="0.5", lw=1)
    axes.fill_between(levels, low, high, color=COLORS[0], alpha=0.2, lw=0)
    axes.plot(levels, coverage, color=COLORS[0])
    lines = [_mark_coverage(axes, before, within, level) for level in (0.68, 0.95)]
    corner: dict[str, Any] = {"transform": axes.transAxes, "ha": "right", "va": "bottom"}
    axes.text(0.97, 0.04, "\n".join(lines), bbox={"fc": "w", "ec": "none", "pad": 2}, **corner)
    axes.set(xlabel="probability of the set", ylabel="coverage", xlim=(0, 1), ylim=(0, 1))
    axes.set_aspect("equal")
    return figure


def _mark_coverage(axes: Axes, before: ArrayLike, within: ArrayLike, level: float) -> str:
    value = float(metrics.credible_coverage(before, within, level).mean())
    axes.plot([level] * 2, [0, value], color="0.7", lw=0.7)
    axes.plot([0, level], [value] * 2, color="0.7", lw=0.7)
    axes.plot(level, value, "o", ms=4.5, color=COLORS[1], zorder=3)
    return f"{100 * level:g}\u2009% sets cover {100 * value:.1f}\u2009%"


def _series(values: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    """Color, marker, name and values of each predictor; of two, the first is orange."""
    order = (0,) if len(values) == 1 else (1, 0, *range(2, len(COLORS)))
    for i, (name, given) in enumerate(values.items()):
        yield COLORS[order[i % len(order)]], _MARKERS[i % len(_MARKERS)], name, given
