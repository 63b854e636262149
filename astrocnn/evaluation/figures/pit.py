"""Whether densities mean what they say: PIT histogram, QQ plot, credible sets."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binom

from astrocnn import metrics
from astrocnn.report.style import COLORS, COLUMN, new, styled

__all__ = ["credible_sets", "pit_histogram", "qq"]


@styled
def pit_histogram(pit: Any, *, n_bins: int = 20) -> Figure:
    """PIT values beside the uniform, with what chance alone does to the bins.

    The bands hold 68 and 95 % of the counts of a calibrated forecaster (binomial).

    Parameters
    ----------
    pit : array_like of shape (n,)
        Predicted probability of at most the true value.
    n_bins : int
        Bins of equal width.
    """
    u = np.asarray(pit, float)
    counts, edges = np.histogram(np.clip(u, 0, 1), bins=n_bins, range=(0, 1))
    expected = len(u) / n_bins
    figure, axes = new()
    for level, alpha in ((0.954, 0.18), (0.683, 0.30)):
        tail = (1 - level) / 2
        low, high = (binom.ppf(q, len(u), 1 / n_bins) / expected for q in (tail, 1 - tail))
        sigma = "2" if level > 0.9 else "1"
        axes.axhspan(
            low, high, color="0.3", alpha=alpha, lw=0, label=rf"uniform $\pm{sigma}\sigma$"
        )
    axes.stairs(counts / expected, edges, color=COLORS[0], lw=1.4)
    axes.stairs(counts / expected, edges, color=COLORS[0], fill=True, alpha=0.12)
    axes.axhline(1, color="0.2", lw=0.8, ls="--")
    top = max(1.9, 1.22 * float(counts.max(initial=0)) / max(expected, 1e-9))
    axes.set(xlabel="PIT", ylabel="density", xlim=(0, 1), ylim=(0, top))
    out = 100 * float(metrics.pit_outliers(u))
    axes.text(
        0.03,
        0.97,
        f"KS {float(metrics.pit_ks(u)):.3f}\noutliers {out:.2g}\u2009% (expected 0.02\u2009%)",
        transform=axes.transAxes,
        va="top",
        fontsize=8.5,
    )
    axes.legend(loc="upper right", handlelength=1.2)
    return figure


@styled
def qq(pit: Any) -> Figure:
    """Fraction of the objects against the fraction foretold, and their difference below.

    Parameters
    ----------
    pit : array_like of shape (n,)
        Predicted probability of at most the true value.
    """
    u = np.sort(np.asarray(pit, float))
    grid = np.linspace(0, 1, 201)
    came = np.searchsorted(u, grid, side="right") / len(u)
    figure = Figure(figsize=(COLUMN, COLUMN * 1.15), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    top.plot([0, 1], [0, 1], ":", color="0.5", lw=1)
    top.plot(grid, came, color=COLORS[0])
    top.set(ylabel="fraction with a smaller PIT", xlim=(0, 1), ylim=(0, 1))
    low, high = (binom.ppf(q, len(u), grid) / len(u) - grid for q in (0.025, 0.975))
    bottom.fill_between(grid, low, high, color="0.3", alpha=0.2, lw=0)
    bottom.plot(grid, came - grid, color=COLORS[0], lw=1.1)
    bottom.axhline(0, color="0.5", ls=":", lw=1)
    reach = 1.25 * max(float(np.abs(came - grid).max()), float(np.abs(low).max()), 0.01)
    bottom.set(xlabel="PIT foretold", ylabel="difference", ylim=(-reach, reach))
    return figure


@styled
def credible_sets(before: Any, within: Any, *, n: int | None = None) -> Figure:
    """Share of the truths in highest-density sets, against the probability of the sets.

    Parameters
    ----------
    before, within : array_like of shape (n,)
        From `astrocnn.metrics.Densities.credible`.
    n : int, optional
        Independent objects among them, where some share one: for the width of the band.
    """
    levels = np.linspace(0, 1, 101)
    came = np.array([metrics.held(before, within, level).mean() for level in levels])
    n = len(np.asarray(before)) if n is None else n
    low, high = metrics.wilson(came * n, n)
    figure, axes = new(height=COLUMN)
    axes.plot([0, 1], [0, 1], ":", color="0.5", lw=1)
    axes.fill_between(levels, low, high, color=COLORS[0], alpha=0.2, lw=0)
    axes.plot(levels, came, color=COLORS[0])
    said = []
    for level in (0.68, 0.95):
        value = float(metrics.held(before, within, level).mean())
        axes.plot([level] * 2, [0, value], color="0.7", lw=0.7)
        axes.plot([0, level], [value] * 2, color="0.7", lw=0.7)
        axes.plot(level, value, "o", ms=4.5, color=COLORS[1], zorder=3)
        said.append(f"{100 * level:g}\u2009% sets hold {100 * value:.1f}\u2009%")
    corner: dict[str, Any] = {"transform": axes.transAxes, "ha": "right", "va": "bottom"}
    axes.text(0.97, 0.04, "\n".join(said), bbox={"fc": "w", "ec": "none", "pad": 2}, **corner)
    axes.set(xlabel="probability of the set", ylabel="truths it holds")
    axes.set(xlim=(0, 1), ylim=(0, 1.0), aspect="equal")
    return figure
