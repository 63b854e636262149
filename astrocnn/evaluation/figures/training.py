"""Training and hyperparameter search: learning curves, and parallel coordinates of many runs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from astrocnn.errors import PredictionError
from astrocnn.report.style import COLORS, COLUMN, new_panels, styled

__all__ = ["plot_learning_curve", "plot_parallel_coordinates", "plot_pretraining"]

# Without its palest part, which is invisible on white.
_RANKS = ListedColormap(colormaps["YlGnBu"](np.linspace(0.25, 1, 256)))
_SPREAD = 0.09
_FEW = 6
_LOG_ABOVE = 20.0

_Axis: TypeAlias = tuple[NDArray[np.float64], list[tuple[float, str]]]
"""Positions of the runs on an axis, from 0 to 1, and its tick labels."""


@styled
def plot_learning_curve(history: Mapping[str, Any], best_epoch: int | None = None) -> Figure:
    """Every quantity of the training history, on the training and validation splits.

    Parameters
    ----------
    history : mapping of str to array_like of shape (n_epochs,)
        ``val_x`` is plotted with ``x``, against ``epoch``.
    best_epoch : int, optional
        Marked in each panel.
    """
    names = [n for n in history if f"val_{n}" in history]
    names = names or [n for n in history if n.endswith("loss")]
    # Many questions have many curves: small ones, on one page of paper.
    size = (2, COLUMN, 2.6) if len(names) <= _FEW else (4, COLUMN / 2, 1.6)
    figure, panels = new_panels(len(names), *size)
    epochs = np.asarray(history.get("epoch", np.arange(1, len(history[names[0]]) + 1)))
    for axes, name in zip(panels, names, strict=True):
        axes.plot(epochs, np.asarray(history[name], float), ".-", ms=4, lw=1, label="training")
        if f"val_{name}" in history:
            values = np.asarray(history[f"val_{name}"], float)
            axes.plot(epochs, values, ".-", ms=4, lw=1, label="validation")
        if best_epoch is not None:
            axes.axvline(best_epoch, color="0.5", ls=":", lw=1, label=f"best epoch {best_epoch}")
        axes.set(xlabel="epoch", ylabel=name.replace("_", " "))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panels[0].legend()
    return figure


_PRETRAINING = {
    "loss": "loss",
    "projection_std": "relative std of projections",
    "effective_rank": "effective rank of features",
    "neighbor_accuracy": "accuracy of neighbors",
}


@styled
def plot_pretraining(history: Mapping[str, Any], best_epoch: int | None = None) -> Figure:
    """The history of a training without labels: its loss, and what shows a collapse.

    Parameters
    ----------
    history : mapping of str to array_like of shape (n_epochs,)
        Columns of ``history.csv``; of those of `astrocnn.pretraining.CollapseWatch` those it has.
    best_epoch : int, optional
        Marked in each panel.
    """
    names = [name for name in _PRETRAINING if name in history]
    figure, panels = new_panels(len(names), 2, COLUMN, 2.3)
    epochs = np.asarray(history["epoch"])
    for axes, name in zip(panels, names, strict=True):
        axes.plot(epochs, np.asarray(history[name], float), ".-", ms=4, lw=1)
        if best_epoch is not None:
            axes.axvline(best_epoch, color="0.5", ls=":", lw=1, label=f"kept: epoch {best_epoch}")
        axes.set(xlabel="epoch", ylabel=_PRETRAINING[name])
        if name != "loss":
            axes.set_ylim(0, 1.1 * max(1e-3, float(np.nanmax(history[name]))))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].legend()
    return figure


@styled
def plot_parallel_coordinates(
    values: Mapping[str, Sequence[Any]],
    objective: ArrayLike,
    *,
    objective_name: str,
    lowest: bool = True,
    log: Sequence[str] = (),
    limits: Mapping[str, tuple[float, float]] | None = None,
    incomplete: ArrayLike | None = None,
) -> Figure:
    """One line per run, through its parameter values to its score.

    Color follows the rank, the best run is orange, and unfinished runs are dashed.  Runs with
    the same choice are drawn side by side.

    Parameters
    ----------
    values : mapping of str to sequence of length n
        Parameter values by dotted path: numbers, or anything else for a categorical axis.
    objective : array_like of shape (n,)
        The scores; runs without a finite one are left out.
    objective_name : str
        Label of the scores.
    lowest : bool
        Whether the lowest score is the best.
    log : sequence of str
        Parameters with a logarithmic axis.
    limits : mapping of str to (low, high), optional
        Ends of numerical axes; by default those of the runs.
    incomplete : array_like of bool, shape (n,), optional
        Unfinished runs; none of them is marked as the best.

    Raises
    ------
    PredictionError
        If no run has a finite score.
    """
    score = np.asarray(objective, float)
    broken = np.zeros(len(score), bool) if incomplete is None else np.asarray(incomplete, bool)
    rows = np.flatnonzero(np.isfinite(score))
    if not len(rows):
        raise PredictionError("No run has a finite score.")
    score, broken = score[rows], broken[rows]
    order = np.lexsort((score if lowest else -score, broken))
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))

    axis_by_name = {
        _shorten_name(name, values): _build_axis(
            [choices[int(row)] for row in rows], rank, name in log, (limits or {}).get(name)
        )
        for name, choices in values.items()
    }
    spans = score.min() > 0 and score.max() > _LOG_ABOVE * score.min()
    axis_by_name[objective_name.replace("_", " ")] = _build_numeric_axis(score, spans)

    width = max(COLUMN, 1.05 * len(axis_by_name) + 0.6)
    figure = Figure(figsize=(width, COLUMN * 0.9), layout="constrained")
    axes = figure.add_subplot()
    points = np.stack([at for at, _ in axis_by_name.values()])
    for k in order[::-1]:
        best = k == order[0] and not broken[k]
        fraction = 1 - rank[k] / max(len(order) - 1, 1)
        color, width, order_up = (COLORS[1], 2.2, 3) if best else (_RANKS(fraction), 1.0, 2)
        dashes = (0, (3, 2)) if broken[k] else "-"
        style: dict[str, Any] = {"color": color, "lw": width, "ls": dashes, "zorder": order_up}
        axes.plot(*_interpolate_line(points[:, k]), solid_capstyle="round", **style)
    last = len(axis_by_name) - 1
    for place, (name, (_, ticks)) in enumerate(axis_by_name.items()):
        _plot_axis(axes, place, name, ticks, right=place == last)
    if broken.any():
        text = "dashed lines: not finished"
        axes.text(last, -0.07, text, ha="right", va="top", fontsize=7.5)
    axes.set(xlim=(-0.35, last + 0.4), ylim=(-0.1 if broken.any() else -0.03, 1.04))
    axes.axis("off")
    return figure


def _plot_axis(
    axes: Axes, x: float, name: str, ticks: Sequence[tuple[float, str]], *, right: bool
) -> None:
    side = 1 if right else -1
    axes.plot([x, x], [0, 1], color="0.2", lw=0.9, zorder=4)
    axes.text(x, 1.05, name, ha="center", va="bottom", fontsize=8.5, linespacing=0.95)
    for y, text in ticks:
        axes.plot([x, x + 0.03 * side], [y, y], color="0.2", lw=0.8, zorder=4)
        box = {"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.6}
        style: dict[str, Any] = {"va": "center", "fontsize": 7.5, "zorder": 5, "bbox": box}
        axes.text(x + 0.05 * side, y, text, ha="left" if right else "right", **style)


def _shorten_name(name: str, names: Mapping[str, Any]) -> str:
    """Last part of a dotted path, or all of it where two would coincide; on two lines."""
    last = name.rpartition(".")[2]
    if sum(other.rpartition(".")[2] == last for other in names) > 1:
        last = name
    return "\n".join(last.replace("_", " ").replace(".", " ").rsplit(" ", 1))


def _build_axis(
    values: Sequence[Any], rank: NDArray[np.intp], log: bool, limits: tuple[float, float] | None
) -> _Axis:
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    if numbers and (limits or len(set(values)) > 5):
        return _build_numeric_axis(np.asarray(values, float), log, limits)
    return _build_choice_axis(values, rank)


def _build_numeric_axis(
    value: NDArray[np.float64], log: bool, limits: tuple[float, float] | None = None
) -> _Axis:
    low, high = limits or (float(value.min()), float(value.max()))
    if low == high:
        return np.full(len(value), 0.5), [(0.5, f"{low:.4g}")]
    if log:
        marks = _compute_log_ticks(low, high)
        scaled, ends = np.log(value), (math.log(low), math.log(high))
        places = [math.log(m) for m in marks]
    else:
        located = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        marks = [float(m) for m in located if low <= m <= high]
        scaled, ends, places = value, (low, high), marks
    at = (scaled - ends[0]) / (ends[1] - ends[0])
    ticks = [
        ((p - ends[0]) / (ends[1] - ends[0]), _format_tick(m))
        for p, m in zip(places, marks, strict=True)
    ]
    return at, ticks


def _compute_log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two ends, fewer per decade where there are many decades."""
    decades = math.log10(high / low)
    steps = (1,) if decades > 2 else (1, 3) if decades > 1.2 else (1, 2, 5)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = [float(f"{s}e{p}") for p in powers for s in steps]
    marks = [m for m in marks if low <= m <= high]
    return marks if len(marks) > 1 else [low, high]


def _format_tick(value: float) -> str:
    if value and not 1e-3 <= abs(value) < 1e5:
        mantissa, _, power = f"{value:.2g}".partition("e")
        if power:
            head = "" if mantissa == "1" else rf"{mantissa}\,\times\,"
            return rf"${head}10^{{{int(power)}}}$"
    return f"{value:.4g}"


def _build_choice_axis(values: Sequence[Any], rank: NDArray[np.intp]) -> _Axis:
    labels = [v if isinstance(v, str) else json.dumps(v) for v in values]
    try:
        choices = [v if isinstance(v, str) else json.dumps(v) for v in sorted(set(values))]
    except TypeError:  # of mixed types, or not hashable
        choices = sorted(set(labels))
    place = {v: (i + 0.5) / len(choices) for i, v in enumerate(choices)}
    at = np.array([place[v] for v in labels])
    for height in set(at.tolist()):
        # The best runs of a choice are lowest, as on the axis of a loss.
        group = np.flatnonzero(at == height)
        group = group[np.argsort(rank[group])]
        at[group] += (
            min(_SPREAD, 0.6 / len(choices))
            * (np.arange(len(group)) - (len(group) - 1) / 2)
            / max(len(group) - 1, 4)
        )
    return at, [(place[v], v) for v in choices]


def _interpolate_line(y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Horizontal at each point, so that lines can be followed across an axis."""
    t = np.linspace(0, 1, 24, endpoint=False)
    ease = t * t * (3 - 2 * t)
    x = (np.arange(len(y) - 1)[:, None] + t).ravel()
    heights = (y[:-1, None] + np.diff(y)[:, None] * ease).ravel()
    return np.r_[x, len(y) - 1], np.r_[heights, y[-1]]
