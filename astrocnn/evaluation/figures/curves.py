"""ROC, completeness and purity, risk against coverage, entropy, learning curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from astrocnn import metrics
from astrocnn.metrics import Ranking
from astrocnn.report.style import COLORS, COLUMN, new, styled

__all__ = ["completeness_purity", "entropy", "learning_curve", "risk_coverage", "roc"]


@styled
def roc(rankings: Mapping[str, Ranking]) -> Figure:
    """True against false positive rate of each class against the rest.

    Parameters
    ----------
    rankings : mapping of str to Ranking
        By name of the positive class.
    """
    figure, axes = new(height=COLUMN)
    axes.plot([0, 1], [0, 1], ":", color="0.6", lw=0.9)
    for name, ranking in rankings.items():
        fpr, tpr = ranking.roc()
        axes.plot(fpr, tpr, label=f"{name} (AUC {float(ranking.auc()):.3f})")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1))
    axes.set(ylim=(0, 1.01), aspect="equal")
    axes.legend(loc="lower right")
    return figure


@styled
def completeness_purity(rankings: Mapping[str, Ranking]) -> Figure:
    """Completeness (full) and purity (dashed) of each class against the threshold.

    Parameters
    ----------
    rankings : mapping of str to Ranking
        By class, from `astrocnn.metrics`.

    Returns
    -------
    Figure
    """
    figure, axes = new()
    for color, (name, ranking) in zip(_cycle(len(rankings)), rankings.items(), strict=True):
        complete, pure = ranking.completeness_purity()
        axes.step(ranking.thresholds, complete, where="post", color=color, label=name)
        axes.step(ranking.thresholds, pure, "--", where="post", color=color)
    _key(axes, "completeness", "-")
    _key(axes, "purity", "--")
    axes.set(xlabel="probability threshold", ylabel="fraction", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="lower left")
    return figure


@styled
def risk_coverage(wrong: Any, uncertainty: Any) -> Figure:
    """Error rate among the most certain fraction, with a band of one standard error.

    Parameters
    ----------
    wrong : array_like of bool of shape (n,)
        Which objects got a wrong class.
    uncertainty : array_like of shape (n,)
        Predictive entropy, for instance.
    """
    wrong = np.asarray(wrong, float)
    coverage, risk = metrics.risk_coverage(wrong, uncertainty)
    best = metrics.risk_coverage(wrong, np.lexsort((np.arange(len(wrong)), wrong)).argsort())
    low, high = metrics.wilson(risk * coverage * len(wrong), coverage * len(wrong), level=0.683)
    figure, axes = new()
    axes.fill_between(coverage, low, high, color=COLORS[0], alpha=0.2, lw=0)
    axes.plot(coverage, risk, color=COLORS[0], label="by uncertainty")
    axes.plot(*best, "--", color="0.45", lw=1, label="errors last (best possible)")
    axes.axhline(wrong.mean(), ls=":", color="0.45", lw=1, label="uncertainty ignored")
    axes.set(xlabel="fraction kept, most certain first", ylabel="error rate", xlim=(0, 1))
    axes.set_ylim(
        0, max(1.6 * float(wrong.mean()), float(risk[len(risk) // 5 :].max()) * 1.2, 0.02)
    )
    axes.legend(loc="upper left")
    return figure


@styled
def entropy(wrong: Any, uncertainty: Any, n_classes: int) -> Figure:
    """Predictive entropy of the objects whose class is right, and of those where it is wrong.

    Parameters
    ----------
    wrong : array_like of bool of shape (n,)
        Which objects got a wrong class.
    uncertainty : array_like of shape (n,)
        Predictive entropy [nat].
    n_classes : int
        Number of classes, whose logarithm ends the axis.
    """
    wrong, uncertainty = np.asarray(wrong, bool), np.asarray(uncertainty, float)
    edges = np.linspace(0, np.log(n_classes), 16)
    figure, axes = new()
    for chosen, name, color in ((~wrong, "right", COLORS[0]), (wrong, "wrong", COLORS[1])):
        if chosen.any():
            weights = np.full(int(chosen.sum()), 1 / chosen.sum())
            values = np.clip(uncertainty[chosen], 0, edges[-1])
            options: dict[str, Any] = {"bins": edges, "weights": weights, "color": color}
            axes.hist(values, histtype="stepfilled", alpha=0.15, **options)
            axes.hist(values, histtype="step", lw=1.3, **options)
            axes.plot([], [], color=color, label=f"{name} ({int(chosen.sum())})")
    axes.set(xlabel="predictive entropy [nat]", ylabel="share of objects", xlim=(0, edges[-1]))
    axes.legend(loc="best")
    return figure


@styled
def learning_curve(history: Mapping[str, Any], best_epoch: int | None = None) -> Figure:
    """Every quantity of the training history, on the training and the validation split.

    Parameters
    ----------
    history : mapping of str to array_like of shape (n_epochs,)
        Columns; ``val_x`` is drawn beside ``x``, ``epoch`` is the abscissa.
    best_epoch : int, optional
        Marked in each panel.
    """
    names = [n for n in history if f"val_{n}" in history]
    names = names or [n for n in history if n.endswith("loss")]
    columns = min(len(names), 2)
    rows = -(-len(names) // max(columns, 1))
    figure = Figure(figsize=(COLUMN * columns, 2.6 * rows), layout="constrained")
    epochs = np.asarray(history.get("epoch", np.arange(1, len(history[names[0]]) + 1)))
    for i, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.plot(epochs, np.asarray(history[name], float), ".-", ms=4, lw=1, label="training")
        if f"val_{name}" in history:
            values = np.asarray(history[f"val_{name}"], float)
            axes.plot(epochs, values, ".-", ms=4, lw=1, label="validation")
        if best_epoch is not None:
            axes.axvline(best_epoch, color="0.5", ls=":", lw=1, label=f"best epoch {best_epoch}")
        axes.set(xlabel="epoch", ylabel=name.replace("_", " "))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if i == 0:
            axes.legend()
    return figure


def _cycle(n: int) -> list[str]:
    return [COLORS[i % len(COLORS)] for i in range(n)]


def _key(axes: Axes, label: str, style: str) -> None:
    axes.plot([], [], style, color="0.3", lw=1, label=label)
