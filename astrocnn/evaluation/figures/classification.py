"""Classes: confusion matrix, ROC, completeness and purity, errors against uncertainty, votes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from astrocnn import metrics
from astrocnn.metrics import Ranking
from astrocnn.report.style import COLORS, COLUMN, new_figure, new_panels, styled

__all__ = [
    "plot_completeness_purity",
    "plot_confusion_matrix",
    "plot_entropy",
    "plot_error_rate",
    "plot_risk_coverage",
    "plot_roc",
    "plot_vote_fractions",
]

_INTERVALS_BELOW = 120
"""Number of objects below which each is shown with its credible interval."""


@styled
def plot_confusion_matrix(matrix: ArrayLike, classes: tuple[str, ...]) -> Figure:
    """Counts, shaded by the fraction of the true class; completeness right, purity below.

    Parameters
    ----------
    matrix : array_like of shape (n_classes, n_classes)
        True class by row, predicted class by column.
    classes : tuple of str
    """
    counts = np.asarray(matrix, float)
    k = len(classes)
    fraction = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(COLUMN, 1.4 + 0.62 * k)
    figure, axes = new_figure(side, side * 0.92)
    axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    small = 8.5 if k <= 6 else 7
    for i in range(k):
        for j in range(k):
            text = f"{counts[i, j]:.0f}\n{fraction[i, j]:.0%}".replace("%", "\u2009%")
            color = "white" if fraction[i, j] > 0.55 else "black"
            axes.text(j, i, text, ha="center", va="center", fontsize=small, color=color)
    rates = (metrics.completeness(counts), metrics.purity(counts))
    for i in range(k):
        for value, at in zip(rates, ((k - 0.05, i), (i, k - 0.05)), strict=True):
            text = "-" if np.isnan(value[i]) else f"{100 * value[i]:.1f}\u2009%"
            axes.text(*at, text, ha="center", va="center", fontsize=small, color=COLORS[0])
    axes.set_xlim(-0.5, k + 0.4)
    axes.set_ylim(k + 0.3, -0.5)
    # Class names above the matrix, so that the purities below line up with their columns.
    long = max(map(len, classes)) > 8
    rotation: dict[str, Any] = {"rotation": 35, "ha": "left", "rotation_mode": "anchor"}
    axes.set_xticks([*range(k), k - 0.05], [*classes, "completeness"], **(rotation if long else {}))
    axes.set_yticks([*range(k), k - 0.05], [*classes, "purity"])
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        labels[-1].set_color(COLORS[0])
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    return figure


@styled
def plot_roc(rankings: Mapping[str, Ranking]) -> Figure:
    """True against false positive rate of each class against the rest.

    Parameters
    ----------
    rankings : mapping of str to Ranking
        By name of the positive class.
    """
    figure, axes = new_figure(height=COLUMN)
    axes.plot([0, 1], [0, 1], ":", color="0.6", lw=0.9)
    for name, ranking in rankings.items():
        fpr, tpr = ranking.roc()
        axes.plot(fpr, tpr, label=f"{name} (AUC {float(ranking.auc()):.3f})")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1))
    axes.set(ylim=(0, 1.01), aspect="equal")
    axes.legend(loc="lower right")
    return figure


@styled
def plot_completeness_purity(rankings: Mapping[str, Ranking]) -> Figure:
    """Completeness (solid) and purity (dashed) of each class against the probability threshold.

    See `plot_roc` for the parameter.
    """
    figure, axes = new_figure(height=COLUMN)
    for i, (name, ranking) in enumerate(rankings.items()):
        color = COLORS[i % len(COLORS)]
        complete, pure = ranking.completeness_purity()
        axes.step(ranking.thresholds, complete, where="post", color=color, label=name)
        axes.step(ranking.thresholds, pure, "--", where="post", color=color)
    for label, style in (("completeness", "-"), ("purity", "--")):
        axes.plot([], [], style, color="0.3", lw=1, label=label)
    axes.set(xlabel="probability threshold", ylabel="fraction", xlim=(0, 1), ylim=(0, 1.02))
    # Curves of several classes leave no room inside.
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@styled
def plot_risk_coverage(errors: ArrayLike, uncertainty: ArrayLike) -> Figure:
    """Error rate of the most certain objects against their fraction, with a band of one sigma.

    Parameters
    ----------
    errors : array_like of bool of shape (n,)
        Which objects are misclassified.
    uncertainty : array_like of shape (n,)
        Predictive entropy [nat], for instance.
    """
    error = np.asarray(errors, float)
    n = len(error)
    coverage, risk = metrics.risk_coverage(error, uncertainty)
    # The ideal ranking puts all errors last.
    best = metrics.risk_coverage(error, np.argsort(np.argsort(error, kind="stable")))
    low, high = metrics.wilson(risk * coverage * n, coverage * n, level=0.683)
    figure, axes = new_figure()
    axes.fill_between(coverage, low, high, color=COLORS[0], alpha=0.2, lw=0)
    axes.plot(coverage, risk, color=COLORS[0], label="ranked by uncertainty")
    axes.plot(*best, "--", color="0.45", lw=1, label="ideal ranking (errors last)")
    axes.axhline(error.mean(), ls=":", color="0.45", lw=1, label="random ranking")
    highest = max(1.6 * float(error.mean()), float(risk[len(risk) // 5 :].max()) * 1.2, 0.02)
    axes.set(xlabel="coverage (fraction of objects, most certain first)", ylabel="error rate")
    axes.set(xlim=(0, 1), ylim=(0, highest))
    axes.legend(loc="upper left")
    return figure


@styled
def plot_entropy(errors: ArrayLike, uncertainty: ArrayLike, n_classes: int) -> Figure:
    """Predictive entropy of correctly and incorrectly classified objects.

    Parameters
    ----------
    errors, uncertainty
        As for `plot_risk_coverage`.
    n_classes : int
        Number of classes, whose logarithm ends the axis.
    """
    error, entropy = np.asarray(errors, bool), np.asarray(uncertainty, float)
    edges = np.linspace(0, np.log(n_classes), 16)
    figure, axes = new_figure()
    for chosen, name, color in ((~error, "correct", COLORS[0]), (error, "incorrect", COLORS[1])):
        if chosen.any():
            weights = np.full(int(chosen.sum()), 1 / chosen.sum())
            values = np.clip(entropy[chosen], 0, edges[-1])
            options: dict[str, Any] = {"bins": edges, "weights": weights, "color": color}
            axes.hist(values, histtype="stepfilled", alpha=0.15, **options)
            axes.hist(values, histtype="step", lw=1.3, **options)
            axes.plot([], [], color=color, label=f"{name} ({int(chosen.sum())})")
    axes.set(xlabel="predictive entropy [nat]", ylabel="fraction of objects", xlim=(0, edges[-1]))
    axes.legend(loc="best")
    return figure


@styled
def plot_vote_fractions(
    predicted: ArrayLike,
    observed: ArrayLike,
    answers: Sequence[str],
    *,
    intervals: Sequence[ArrayLike] = (),
) -> Figure:
    """Observed against predicted vote fraction of each answer, with means in bins.

    Parameters
    ----------
    predicted, observed : array_like of shape (n, n_answers)
        Fractions of the votes.
    answers : sequence of str
    intervals : (array_like, array_like), optional
        Ends of a credible interval of each predicted fraction, shown for few objects.
    """
    p, y = np.asarray(predicted, float), np.asarray(observed, float)
    columns = 2 if len(answers) == 4 else 3
    figure, panels = new_panels(len(answers), columns, 2.37, 2.3, 0.1, sharex=True, sharey=True)
    for k, axes in enumerate(panels):
        axes.plot([0, 1], [0, 1], ":", color="0.5", lw=1)
        size, alpha = (3.0, 0.7) if len(p) < _INTERVALS_BELOW else (1.8, 0.25)
        options: dict[str, Any] = {"mec": "none", "alpha": alpha, "color": COLORS[0]}
        if intervals and len(p) < _INTERVALS_BELOW:
            reach = [
                np.maximum(s * (np.asarray(e)[:, k] - p[:, k]), 0)
                for s, e in zip((-1, 1), intervals, strict=True)
            ]
            axes.errorbar(p[:, k], y[:, k], xerr=reach, fmt="none", ecolor="#9cc3de", lw=0.6)
        axes.plot(p[:, k], y[:, k], "o", ms=size, rasterized=True, **options)
        if len(p) >= 20:
            trend = metrics.trend(y[:, k], p[:, k], n_bins=8)
            error = np.nan_to_num(np.abs(trend.bias_interval - trend.bias))
            style: dict[str, Any] = {"fmt": "s", "ms": 4, "lw": 1.1, "capsize": 2}
            axes.errorbar(trend.center, trend.bias, error, color=COLORS[1], **style)
        rmse = float(metrics.rmse(p[:, [k]], y[:, [k]]))
        box = {"fc": "w", "ec": "none", "alpha": 0.75, "pad": 1.2}
        label = f"{answers[k]}\nRMSE {rmse:.3f}"
        axes.text(0.04, 0.96, label, transform=axes.transAxes, va="top", bbox=box)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    figure.supxlabel("predicted fraction", fontsize=9.5)
    figure.supylabel("fraction of votes", fontsize=9.5)
    return figure


@styled
def plot_error_rate(errors: ArrayLike, by: ArrayLike, *, xlabel: str) -> Figure:
    """Fraction of errors in bins of any column, with 95 % Wilson intervals.

    Parameters
    ----------
    errors : array_like of bool of shape (n,)
        Which objects are misclassified.
    by : array_like of shape (n,)
        The column; objects where it is not finite are left out.
    xlabel : str
        Label of the column.
    """
    error = np.asarray(errors, float)
    trend = metrics.trend(error, by, n_resamples=0)
    low, high = metrics.wilson(trend.bias * trend.count, trend.count)
    figure, axes = new_figure()
    across = np.abs(np.stack([trend.edges[:-1], trend.edges[1:]]) - trend.center)
    up = np.abs(np.stack([low, high]) - trend.bias)
    style: dict[str, Any] = {"fmt": "o", "ms": 3.8, "lw": 1, "ecolor": "#7aa6c9"}
    axes.errorbar(trend.center, trend.bias, up, across, color=COLORS[0], **style)
    axes.axhline(error.mean(), color="0.45", ls="--", lw=0.9, label="all objects")
    axes.set(xlabel=xlabel, ylabel="error rate", ylim=(0, 1.1 * float(np.nanmax(high)) or 1.0))
    axes.legend(loc="best")
    return figure
