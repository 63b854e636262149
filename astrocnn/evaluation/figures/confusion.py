"""Confusion matrix with completeness and purity."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn import metrics
from astrocnn.report.style import COLUMN, new, styled

__all__ = ["confusion"]


@styled
def confusion(matrix: Any, classes: tuple[str, ...]) -> Figure:
    """Counts, shaded by the fraction of the true class; completeness right, purity below.

    Parameters
    ----------
    matrix : array_like of shape (n_classes, n_classes)
        True class by row, predicted class by column.
    classes : tuple of str
        Names of the classes.
    """
    matrix = np.asarray(matrix, float)
    k = len(classes)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = max(COLUMN, 1.4 + 0.62 * k)
    figure, axes = new(side, side * 0.92)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    small = 8.5 if k <= 6 else 7
    for i in range(k):
        for j in range(k):
            axes.text(
                j,
                i,
                f"{matrix[i, j]:.0f}\n{share[i, j]:.0%}".replace("%", "\u2009%"),
                ha="center",
                va="center",
                fontsize=small,
                color="white" if share[i, j] > 0.55 else "black",
            )
    rates = (metrics.completeness(matrix), metrics.purity(matrix))
    for i in range(k):
        for value, at in zip(rates, ((k - 0.05, i), (i, k - 0.05)), strict=True):
            text = "-" if np.isnan(value[i]) else f"{100 * value[i]:.1f}\u2009%"
            axes.text(*at, text, ha="center", va="center", fontsize=small, color="#0072B2")
    axes.set_xlim(-0.5, k + 0.4)
    axes.set_ylim(k + 0.3, -0.5)
    # The class names stand above the matrix, so that the purities below belong to their columns.
    turned = max(map(len, classes)) > 10
    rotation: dict[str, Any] = {"rotation": 35, "ha": "left", "rotation_mode": "anchor"}
    axes.set_xticks([*range(k), k - 0.05], [*classes, "complete"], **(rotation if turned else {}))
    axes.set_yticks([*range(k), k - 0.05], [*classes, "pure"])
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        labels[-1].set_color("#0072B2")
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    return figure
