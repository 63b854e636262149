"""Bias and scatter along a column."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn import metrics
from astrocnn.report.style import COLORS, COLUMN, new, styled

__all__ = ["deviations", "error_rate"]


@styled
def deviations(
    dz: Any,
    by: Any,
    *,
    xlabel: str,
    symbol: str = r"\Delta z",
    required: tuple[float, float] | None = None,
    n_bins: int = 10,
) -> Figure:
    """Bias and sigma_MAD in bins of any column, with 95 % bootstrap intervals.

    Parameters
    ----------
    dz : array_like of shape (n,)
        Deviations.
    by : array_like of shape (n,)
        The column: a redshift, a magnitude; objects where it is not finite are left out.
    xlabel : str
        What it is.
    symbol : str
        Of the deviation, in mathtext.
    required : (float, float), optional
        Largest bias and scatter that are allowed, drawn as bands.
    n_bins : int
        Bins with equally many objects.
    """
    found = metrics.trend(dz, by, n_bins=n_bins)
    figure = Figure(figsize=(COLUMN, COLUMN * 1.05), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    panels = ((top, found.bias, found.bias_interval), (bottom, found.sigma, found.sigma_interval))
    for axes, value, interval in panels:
        across = np.abs(np.stack([found.edges[:-1], found.edges[1:]]) - found.center)
        up = np.nan_to_num(np.abs(interval - value))
        axes.errorbar(
            found.center,
            value,
            up,
            across,
            fmt="o",
            ms=3.8,
            lw=1,
            color=COLORS[0],
            ecolor="#7aa6c9",
        )
    overall = float(metrics.bias(dz)), float(metrics.sigma_mad(dz))
    for axes, value in zip((top, bottom), overall, strict=True):
        axes.axhline(value, color="0.45", ls="--", lw=0.9, label="all objects")
    top.axhline(0, color="0.5", ls=":", lw=0.9)
    if required is not None:
        top.axhspan(-required[0], required[0], color=COLORS[2], alpha=0.15, lw=0)
        bottom.axhspan(0, required[1], color=COLORS[2], alpha=0.15, lw=0)
    reach = 1.15 * float(np.nanmax(np.abs(np.r_[found.bias_interval.ravel(), overall[0]]))) or 1.0
    top.set(ylabel=rf"mean ${symbol}$", ylim=(-reach, reach))
    top.ticklabel_format(axis="y", style="plain", useOffset=False)
    highest = float(np.nanmax(np.r_[found.sigma_interval.ravel(), overall[1]]))
    bottom.set(xlabel=xlabel, ylabel=r"$\sigma_{\mathrm{MAD}}$", ylim=(0, 1.15 * highest or 1.0))
    top.legend(loc="best")
    figure.align_ylabels()
    return figure


@styled
def error_rate(wrong: Any, by: Any, *, xlabel: str, n_bins: int = 10) -> Figure:
    """Fraction of errors in bins of any column, with 95 % Wilson intervals.

    Parameters
    ----------
    wrong : array_like of bool of shape (n,)
        Which objects are.
    by : array_like of shape (n,)
        The column; objects where it is not finite are left out.
    xlabel : str
        What it is.
    n_bins : int
        Bins with equally many objects.
    """
    wrong = np.asarray(wrong, float)
    found = metrics.trend(wrong, by, n_bins=n_bins, n_resamples=0)
    low, high = metrics.wilson(found.bias * found.count, found.count)
    figure, axes = new()
    across = np.abs(np.stack([found.edges[:-1], found.edges[1:]]) - found.center)
    axes.errorbar(
        found.center,
        found.bias,
        np.abs(np.stack([low, high]) - found.bias),
        across,
        fmt="o",
        ms=3.8,
        lw=1,
        color=COLORS[0],
        ecolor="#7aa6c9",
    )
    axes.axhline(wrong.mean(), color="0.45", ls="--", lw=0.9, label="all objects")
    axes.set(xlabel=xlabel, ylabel="error rate", ylim=(0, 1.1 * float(np.nanmax(high)) or 1.0))
    axes.legend(loc="best")
    return figure
