"""Selection by a probability threshold: purity, completeness and contamination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from astrocnn import metrics
from astrocnn.errors import PredictionError
from astrocnn.metrics import Ranking
from astrocnn.report.style import COLORS, COLUMN, new_figure, new_panels, styled

__all__ = [
    "plot_completeness_fpr",
    "plot_precision_recall",
    "plot_probability_by_column",
    "plot_roc_areas",
]

_MIN_IN_BIN = 8
_BINS = 7


@styled
def plot_precision_recall(ranking: Ranking, threshold: float | None = None) -> Figure:
    """Purity against completeness, with a 95 % Wilson band and the threshold in use.

    Parameters
    ----------
    ranking : Ranking
        The positive objects are those to select, for instance usable images.
    threshold : float, optional
        Smallest probability that is selected.
    """
    tp, fp = ranking.counts()
    complete, pure = ranking.completeness_purity()
    low, high = metrics.wilson(tp, tp + fp)
    base_rate = float(ranking.positive.mean())
    figure, axes = new_figure()
    axes.fill_between(complete, low, high, color=COLORS[0], alpha=0.2, lw=0, step="pre")
    area = float(ranking.average_precision())
    axes.step(complete, pure, where="pre", color=COLORS[0], label=f"average precision {area:.3f}")
    label = f"all objects, purity {base_rate:.2f}"
    axes.axhline(base_rate, ls=":", color="0.45", lw=1, label=label)
    floor = min(base_rate, float(np.min(low[complete >= 0.2], initial=base_rate)))
    if threshold is not None:
        at = _find_index(ranking, threshold)
        up = [[pure[at] - low[at]], [high[at] - pure[at]]]
        style: dict[str, Any] = {"fmt": "o", "ms": 5, "capsize": 2, "color": COLORS[1]}
        label = f"$p \\geq {threshold:.3g}$: {complete[at]:.3f}, {pure[at]:.3f}"
        axes.errorbar(complete[at], pure[at], up, label=label, **style)
    bottom = max(0.0, floor - 0.06)
    axes.set(xlabel="completeness (recall)", ylabel="purity (precision)", xlim=(0, 1.015))
    axes.set_ylim(bottom, 1 + 0.03 * (1 - bottom))
    axes.legend(loc="lower left" if base_rate < 0.75 else "best")
    return figure


@styled
def plot_completeness_fpr(ranking: Ranking, threshold: float | None = None) -> Figure:
    """Completeness against the false positive rate, with 95 % Wilson intervals at 95 and 99 %.

    The rate axis is logarithmic and ends at one object.

    Parameters
    ----------
    ranking, threshold
        As for `plot_precision_recall`.
    """
    fpr, tpr = ranking.roc()
    negatives = int((~ranking.positive).sum())
    least = 1 / max(negatives, 1)
    figure, axes = new_figure()
    # A logarithmic axis has no zero: it ends at half an object.
    clipped = np.maximum(fpr, 0.5 * least)
    axes.step(clipped, tpr, where="post", color=COLORS[0])
    for level, color in ((0.95, COLORS[2]), (0.99, COLORS[4])):
        rate = float(ranking.fpr_at_tpr(level))
        low, high = (float(v) for v in metrics.wilson(rate * negatives, negatives))
        at = max(rate, 0.5 * least)
        bars = [[at - max(low, 0.5 * least)], [high - at]]
        label = f"FPR {_format_rate(rate)} at {100 * level:.0f} %"
        axes.errorbar(at, level, xerr=bars, fmt="s", ms=4, capsize=2, color=color, label=label)
    if threshold is not None:
        index = _find_index(ranking, threshold) + 1
        label = f"$p \\geq {threshold:.3g}$: FPR {_format_rate(fpr[index])}"
        axes.plot(clipped[index], tpr[index], "o", ms=5, color=COLORS[1], label=label)
    axes.axvline(least, ls=":", color="0.6", lw=0.9)
    axes.text(
        least, 0.02, " one object", fontsize=7, color="0.4", transform=axes.get_xaxis_transform()
    )
    axes.set_xscale("log")
    axes.set(xlim=(0.45 * least, 1.05), ylim=(min(0.5, float(tpr[1:].min(initial=0.5))), 1.02))
    axes.set(xlabel="false positive rate", ylabel="completeness (true positive rate)")
    axes.legend(loc="lower right")
    return figure


@styled
def plot_roc_areas(rankings: Mapping[str, Ranking]) -> Figure:
    """Area under each ROC curve, with 95 % bootstrap intervals, the largest on top.

    Parameters
    ----------
    rankings : mapping of str to Ranking
        By name; those without positive or without negative objects are left out.

    Raises
    ------
    PredictionError
        If none is left.
    """
    results = {}
    for name, ranking in rankings.items():
        score = metrics.bootstrap({"auc": ranking.auc}, len(ranking.positive), n_resamples=400)[
            "auc"
        ]
        if np.isfinite(score.value):
            results[name] = (score, int(ranking.positive.sum()))
    if not results:
        raise PredictionError("No ranking has both positive and negative objects.")
    names = sorted(results, key=lambda n: results[n][0].value)
    values = np.array([results[n][0].value for n in names])
    ends = np.array([(results[n][0].low, results[n][0].high) for n in names])
    ends = np.where(np.isfinite(ends), ends, values[:, None])
    start = min(0.5, float(ends.min()) - 0.02)
    figure, axes = new_figure(COLUMN, 0.55 + 0.24 * len(names))
    at = np.arange(len(names))
    axes.barh(at, values - start, left=start, height=0.62, color=COLORS[5], alpha=0.75)
    errors = np.abs(ends.T - values)
    axes.errorbar(values, at, xerr=errors, fmt="none", ecolor="0.25", lw=1, capsize=2)
    for y, name in enumerate(names):
        value, count = results[name][0].value, results[name][1]
        axes.text(
            start + 0.012 * (1 - start), y, f"{value:.3f}  ({count})", va="center", fontsize=7.5
        )
    axes.set_yticks(at, [name.replace("_", " ") for name in names])
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel="area under the ROC curve (positive objects)", xlim=(start, 1.005))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    return figure


@styled
def plot_probability_by_column(
    panels: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    ylabel: str,
    threshold: float | None = None,
    log: bool = True,
) -> Figure:
    """Probability against one column per panel: median, and band from 16 to 84 %.

    Parameters
    ----------
    panels : mapping of str to (x, p)
        Column and probability by title of the panel, each of shape (n,).  Objects where either
        is not finite, or the column not positive on a logarithmic axis, are left out.
    ylabel : str
        Label of the probability.
    threshold : float, optional
        Marked by a line.
    log : bool
        Whether the axis of the column is logarithmic.

    Raises
    ------
    PredictionError
        If there is no object to plot.
    """
    clean = {}
    for name, (x, p) in panels.items():
        x, p = np.asarray(x, float), np.asarray(p, float)
        good = np.isfinite(x) & np.isfinite(p) & ((x > 0) | (not log))
        if good.any():
            clean[name] = (x[good], p[good])
    if not clean:
        raise PredictionError("No object has both a probability and a value of the column.")
    columns = min(4, len(clean))
    width = COLUMN if columns == 1 else 7.1 if columns > 2 else 5.0
    height = 2.5 if columns < 3 else 1.5
    figure, grid = new_panels(len(clean), columns, width / columns, height, 0.2, sharey=True)
    for axes, name in zip(grid, clean, strict=True):
        _plot_trend(axes, *clean[name], log)
        if threshold is not None:
            axes.axhline(threshold, ls="--", color=COLORS[1], lw=0.9, label="threshold")
            if axes is grid[0]:
                axes.legend(handlelength=1.4, fontsize=7, loc="best")
        axes.set_title(f"{name.replace('_', ' ')} ({len(clean[name][0])})", fontsize=8.5)
        axes.set_ylim(-0.02, 1.02)
    figure.supylabel(ylabel, fontsize=9.5)
    return figure


def _plot_trend(axes: Axes, x: NDArray[np.float64], p: NDArray[np.float64], log: bool) -> None:
    order = np.argsort(x, kind="stable")
    x, p = x[order], p[order]
    axes.plot(x, p, ".", ms=2, color="0.55", alpha=0.5, rasterized=len(x) > 2000)
    count = int(np.clip(len(x) // _MIN_IN_BIN, 1, _BINS))
    parts = np.array_split(np.arange(len(x)), count)
    middle = np.array([np.median(x[part]) for part in parts])
    low, median, high = (np.array([np.quantile(p[i], q) for i in parts]) for q in (0.16, 0.5, 0.84))
    if count > 1:
        axes.fill_between(middle, low, high, color=COLORS[0], alpha=0.22, lw=0)
    axes.plot(middle, median, "o-", ms=3, color=COLORS[0])
    if log:
        axes.set_xscale("log")
        if x[0] >= 0.01 and x[-1] < 1e4:
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        narrow = x[-1] < 50 * x[0] and x[-1] < 1e4
        axes.xaxis.set_minor_formatter(
            FuncFormatter(_format_minor_tick) if narrow else NullFormatter()
        )
    axes.tick_params(which="both", labelsize=7.5)


def _format_minor_tick(value: float, _: object = None) -> str:
    """Label 2 and 5 times a power of ten."""
    first = round(value / 10 ** np.floor(np.log10(value)), 6)
    return f"{value:g}" if first in (2, 5) else ""


def _find_index(ranking: Ranking, threshold: float) -> int:
    """Index of the smallest threshold of the ranking that is not below `threshold`."""
    return max(int((ranking.thresholds >= threshold).sum()) - 1, 0)


def _format_rate(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 or value == 0 else f"{value:.1e}"
