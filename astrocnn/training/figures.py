"""The learning curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from astrocnn.training.history import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["learning_curve"]


def learning_curve(history: History) -> Figure:
    """Loss against epoch, training and validation, with the best epoch marked.

    Parameters
    ----------
    history : History
        From `fit`.

    Returns
    -------
    Figure
        One panel for the loss, one more for each metric.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    known = set(history.columns)
    skipped = {"epoch", "learning_rate", "seconds"}
    panels = [c for c in history.columns if c not in skipped and not c.startswith("val_")]
    figure = Figure(figsize=(4.8 * len(panels), 3.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels)))
    for axis, name in zip(axes, panels, strict=True):
        axis.plot(history["epoch"], history[name], "o-", ms=3, color="#4477aa", label="training")
        if f"val_{name}" in known:
            axis.plot(
                history["epoch"],
                history[f"val_{name}"],
                "s-",
                ms=3,
                color="#ee6677",
                label="validation",
            )
        if history.best_epoch is not None:
            axis.axvline(history.best_epoch, color="0.6", ls=":", label="best epoch")
        axis.set(xlabel="epoch", ylabel=name.replace("_", " "))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.25)
    axes[0].legend(frameon=False)
    return figure
