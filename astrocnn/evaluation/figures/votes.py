"""Fractions of votes against those foretold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn import metrics
from astrocnn.report.style import COLORS, styled

__all__ = ["vote_fractions"]

_FEW = 120


@styled
def vote_fractions(
    predicted: Any, observed: Any, answers: Sequence[str], *, intervals: Sequence[Any] = ()
) -> Figure:
    """One panel an answer: observed against predicted fraction, and means in bins.

    Parameters
    ----------
    predicted, observed : array_like of shape (n, n_answers)
        Fractions of the votes.
    answers : sequence of str
        Their names.
    intervals : (array_like, array_like), optional
        Ends of a credible interval of each predicted fraction, drawn where objects are few.
    """
    p, y = np.asarray(predicted, float), np.asarray(observed, float)
    columns = 2 if len(answers) == 4 else min(3, len(answers))
    rows = -(-len(answers) // columns)
    figure = Figure(figsize=(2.37 * columns, 2.3 * rows + 0.1), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for k, axes in enumerate(panels.flat):
        if k >= len(answers):
            axes.set_visible(False)
            continue
        axes.plot([0, 1], [0, 1], ":", color="0.5", lw=1)
        size, alpha = (3.0, 0.7) if len(p) < _FEW else (1.8, 0.25)
        options: dict[str, Any] = {"mec": "none", "alpha": alpha, "color": COLORS[0]}
        if intervals and len(p) < _FEW:
            reach = [
                np.maximum(s * (np.asarray(e)[:, k] - p[:, k]), 0)
                for s, e in zip((-1, 1), intervals, strict=True)
            ]
            axes.errorbar(p[:, k], y[:, k], xerr=reach, fmt="none", ecolor="#9cc3de", lw=0.6)
        axes.plot(p[:, k], y[:, k], "o", ms=size, rasterized=True, **options)
        if len(p) >= 20:
            found = metrics.trend(y[:, k], p[:, k], n_bins=8)
            error = np.nan_to_num(np.abs(found.bias_interval - found.bias))
            axes.errorbar(
                found.center, found.bias, error, fmt="s", ms=4, lw=1.1, capsize=2, color=COLORS[1]
            )
        rmse = float(metrics.rmse(p[:, [k]], y[:, [k]]))
        box = {"fc": "w", "ec": "none", "alpha": 0.75, "pad": 1.2}
        said = f"{answers[k]}\nRMSE {rmse:.3f}"
        axes.text(0.04, 0.96, said, transform=axes.transAxes, va="top", bbox=box)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    figure.supxlabel("fraction foretold", fontsize=9.5)
    figure.supylabel("fraction of the votes", fontsize=9.5)
    return figure
