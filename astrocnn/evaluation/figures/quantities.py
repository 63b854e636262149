"""Numbers with predictive densities: predicted against true, errors along a column, stacked and
single densities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from astrocnn import metrics
from astrocnn.errors import PredictionError
from astrocnn.report.style import COLORS, COLUMN, new_panels, styled

__all__ = ["plot_against_truth", "plot_densities", "plot_errors", "plot_stacked_densities"]

_SCATTER_BELOW = 3000
_MAX_DRAWS = 30
# Without its palest part, so that single outliers are visible.
_CELLS = ListedColormap(colormaps["YlGnBu"](np.linspace(0.3, 1, 256)))


@styled
def plot_against_truth(
    predicted: ArrayLike,
    truth: ArrayLike,
    *,
    xlabel: str = r"$z_{\mathrm{spec}}$",
    ylabel: str = r"$z_{\mathrm{phot}}$",
    limits: Sequence[float] = (0.05, 0.15),
    text: str = "",
) -> Figure:
    """Predicted against true values, as a density where there are many.

    Parameters
    ----------
    predicted, truth : array_like of shape (n,)
        Point estimates and true values.
    xlabel, ylabel : str
        Labels of the axes.
    limits : sequence of float
        Lines at these values of |predicted - truth| / (1 + truth); empty for none.
    text : str
        Printed in the corner, scores for instance.
    """
    y, x = np.asarray(predicted, float), np.asarray(truth, float)
    # Limits by quantiles, so that single catastrophic outliers do not set the scale.
    ends = np.quantile(np.r_[x, y], [0.0005, 0.9995])
    margin = 0.04 * max(float(np.ptp(ends)), 1e-9)
    low, high = float(ends[0] - margin), float(ends[1] + margin)
    figure = Figure(figsize=(COLUMN * 1.1, COLUMN * 0.95), layout="compressed")
    axes = figure.add_subplot()
    if len(x) < _SCATTER_BELOW:
        axes.plot(x, y, "o", ms=2.0, mec="none", color=COLORS[0], alpha=0.4, rasterized=True)
    else:
        inside = (x >= low) & (x <= high) & (y >= low) & (y <= high)
        looks: dict[str, Any] = {"norm": LogNorm(), "cmap": _CELLS, "linewidths": 0.1}
        extent = (low, high, low, high)
        cells = axes.hexbin(x[inside], y[inside], gridsize=60, extent=extent, mincnt=1, **looks)
        figure.colorbar(cells, ax=axes, label="objects per cell", pad=0.02, aspect=28)
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
    axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", linespacing=1.25, fontsize=8.5)
    return figure


@styled
def plot_errors(
    error: ArrayLike,
    by: ArrayLike,
    *,
    xlabel: str,
    symbol: str = r"\Delta z",
) -> Figure:
    """Bias and sigma_MAD in bins of any column, with 95 % bootstrap intervals.

    Parameters
    ----------
    error : array_like of shape (n,)
        Predicted minus true values, divided by 1 + true values for redshifts.
    by : array_like of shape (n,)
        The column, for instance a magnitude; objects where it is not finite are left out.
    xlabel, symbol : str
        Label of the column, and symbol of the error in mathtext.
    """
    trend = metrics.trend(error, by)
    figure = Figure(figsize=(COLUMN, COLUMN * 1.05), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    overall = float(metrics.bias(error)), float(metrics.sigma_mad(error))
    across = np.abs(np.stack([trend.edges[:-1], trend.edges[1:]]) - trend.center)
    for axes, value, interval, mean in (
        (top, trend.bias, trend.bias_interval, overall[0]),
        (bottom, trend.sigma, trend.sigma_interval, overall[1]),
    ):
        up = np.nan_to_num(np.abs(interval - value))
        style: dict[str, Any] = {"fmt": "o", "ms": 3.8, "lw": 1, "ecolor": "#7aa6c9"}
        axes.errorbar(trend.center, value, up, across, color=COLORS[0], **style)
        axes.axhline(mean, color="0.45", ls="--", lw=0.9, label="all objects")
    top.axhline(0, color="0.5", ls=":", lw=0.9)
    reach = 1.15 * float(np.nanmax(np.abs(np.r_[trend.bias_interval.ravel(), overall[0]]))) or 1.0
    top.set(ylabel=rf"mean ${symbol}$", ylim=(-reach, reach))
    top.ticklabel_format(axis="y", style="plain", useOffset=False)
    highest = float(np.nanmax(np.r_[trend.sigma_interval.ravel(), overall[1]]))
    bottom.set(xlabel=xlabel, ylabel=r"$\sigma_{\mathrm{MAD}}$", ylim=(0, 1.15 * highest or 1.0))
    top.legend(loc="best")
    figure.align_ylabels()
    return figure


@styled
def plot_stacked_densities(
    stack: ArrayLike, edges: ArrayLike, truth: ArrayLike, *, xlabel: str = "$z$"
) -> Figure:
    """Sum of all densities, with the spread of its draws, over the histogram of true values.

    Draws are joint over the objects (each is one network for all of them), so their spread is
    that of the whole distribution and does not average out over objects.

    Parameters
    ----------
    stack : array_like of shape (n_draws, n_bins)
        Sum over objects of the probability in each bin, for each draw.
    edges, truth : array_like of shape (n_bins + 1,) and (n,)
        Edges of the bins, and true values.
    xlabel : str
        Label of the values.
    """
    draws, fine, true = (np.asarray(a, float) for a in (stack, edges, truth))
    # Merge bins until a typical one holds enough objects to rise above its Poisson noise.
    step = max(1, round(draws.shape[1] / max(12, min(60, len(true) ** 0.5))))
    starts = np.arange(0, draws.shape[1], step)
    joined = np.add.reduceat(draws, starts, axis=1)
    coarse = np.r_[fine[starts], fine[-1]]
    widths = np.diff(coarse)
    counts = np.histogram(np.clip(true, coarse[0], coarse[-1]), coarse)[0]
    figure = Figure(figsize=(COLUMN * 1.1, COLUMN * 1.1), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    mean = joined.mean(axis=0)
    low, high = np.quantile(joined, [0.025, 0.975], axis=0)
    top.stairs(counts / widths, coarse, fill=True, color="0.82", label=f"true ({len(true):,})")
    top.stairs(mean / widths, coarse, color=COLORS[0], label="stacked densities")
    noise = np.sqrt(np.maximum(mean, 1))
    if len(draws) > 1:
        band: dict[str, Any] = {"fill": True, "color": COLORS[0], "alpha": 0.3, "lw": 0}
        label = f"95 % of {len(draws)} draws"
        top.stairs(high / widths, coarse, baseline=low / widths, label=label, **band)
        pulls = [(end - counts) / noise for end in (low, high)]
        bottom.stairs(pulls[1], coarse, baseline=pulls[0], **band)
    highest = float(max(np.max(counts / widths), np.max(high / widths)))
    top.set(ylabel=f"objects per unit {xlabel}", ylim=(0, 1.4 * highest))
    top.legend(loc="upper left", ncols=2)
    pull = (mean - counts) / noise
    bottom.stairs(pull, coarse, color=COLORS[0], baseline=None)
    for at, style in ((0, "-"), (-2, ":"), (2, ":")):
        bottom.axhline(at, color="0.5", ls=style, lw=0.8)
    reach = max(3.5, 1.2 * float(np.abs(pull).max(initial=0)))
    bottom.set(xlabel=xlabel, ylabel=r"excess [$\sqrt{n}$]", ylim=(-reach, reach))
    bottom.set_xlim(coarse[0], coarse[-1])
    return figure


@styled
def plot_densities(
    draws: ArrayLike,
    edges: ArrayLike,
    truth: ArrayLike | None = None,
    *,
    labels: Sequence[str] | None = None,
    xlabel: str = "$z$",
) -> Figure:
    """Density (dark), draws (light) and true value (orange) of single objects.

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
        Label of the value.

    Raises
    ------
    PredictionError
        If there is no object, or the edges do not match the bins.
    """
    p, edges = np.asarray(draws, float), np.asarray(edges, float)
    true = None if truth is None else np.asarray(truth, float)
    if p.ndim != 3 or not p.shape[1] or p.shape[2] != len(edges) - 1:
        raise PredictionError(
            "`draws` must have the shape (n_draws, n, n_bins) with n >= 1 and n_bins + 1 `edges`.",
            received=f"draws of shape {p.shape}, {len(edges)} edges",
        )
    p = p / np.diff(edges)
    mean = p.mean(axis=0)
    figure, panels = new_panels(p.shape[1], 4, 7.1 / 4, 1.35, 0.3)
    for i, axes in enumerate(panels):
        low, high = _compute_window(mean[i], edges, None if true is None else float(true[i]))
        visible = slice(
            int(np.searchsorted(edges, low, side="right")) - 1, int(np.searchsorted(edges, high))
        )
        x = np.repeat(edges[visible.start : visible.stop + 1], 2)[1:-1]
        if len(p) > 1:
            steps = np.repeat(p[:_MAX_DRAWS, i, visible], 2, axis=1)
            axes.plot(x, steps.T, color=COLORS[5], lw=0.5, alpha=0.5)
        axes.plot(x, np.repeat(mean[i, visible], 2), color=COLORS[0], lw=1.3)
        if true is not None and np.isfinite(true[i]):
            axes.axvline(float(true[i]), color=COLORS[1], lw=1.3)
        top = float(p[:_MAX_DRAWS, i].max())
        axes.set(xlim=(low, high), ylim=(0, 1.08 * top), yticks=[])
        axes.tick_params(labelsize=7)
        axes.locator_params(axis="x", nbins=4)
        if labels is not None:
            axes.set_title(labels[i], fontsize=7.5, pad=2.5)
    figure.supxlabel(xlabel, fontsize=9.5)
    return figure


def _compute_window(
    density: NDArray[np.float64], edges: NDArray[np.float64], truth: float | None
) -> tuple[float, float]:
    """Part of the axis to show: where the density exceeds 1 % of its peak, and the true value."""
    indices = np.flatnonzero(density > 0.01 * density.max())
    low, high = edges[indices[0]], edges[indices[-1] + 1]
    if truth is not None and np.isfinite(truth):
        low, high = min(low, truth), max(high, truth)
    margin = 0.15 * (high - low) + edges[1] - edges[0]
    return max(float(low - margin), edges[0]), min(float(high + margin), edges[-1])
