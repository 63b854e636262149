"""Many runs that differ in a few values, each a line across them to its score."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from astrocnn.errors import PredictionError
from astrocnn.report.style import COLORS, COLUMN, styled

__all__ = ["parallel_coordinates"]

# Without its palest part, which is not seen on white.
_RANKS = ListedColormap(colormaps["YlGnBu"](np.linspace(0.25, 1, 256)))
_SPREAD = 0.09
_LOG_FROM = 20.0


@dataclass
class _Axis:
    """One vertical axis: places of the runs from 0 to 1, and what is written beside it."""

    at: np.ndarray
    ticks: list[tuple[float, str]]


@styled
def parallel_coordinates(
    values: Mapping[str, Sequence[Any]],
    objective: Any,
    *,
    objective_name: str,
    lowest: bool = True,
    log: Sequence[str] = (),
    limits: Mapping[str, tuple[float, float]] | None = None,
    incomplete: Any = None,
) -> Figure:
    """A line for each run, through the values it was given to the score it reached.

    Color follows the rank, the best run is orange, and runs that were not finished are broken
    lines.  Runs with the same choice are drawn side by side.

    Parameters
    ----------
    values : mapping of str to sequence of length n
        By dotted path: numbers, or anything else for an axis of choices.
    objective : array_like of shape (n,)
        The scores; runs without a finite one are left out.
    objective_name : str
        What they are.
    lowest : bool
        Whether the lowest is the best.
    log : sequence of str
        Names of the values with a logarithmic axis.
    limits : mapping of str to (low, high), optional
        Ends of axes of numbers; by default those of the runs.
    incomplete : array_like of bool, shape (n,), optional
        Runs that were not finished; none of them is called the best.

    Raises
    ------
    PredictionError
        If there is no run to draw.
    """
    score = np.asarray(objective, float)
    broken = np.zeros(len(score), bool) if incomplete is None else np.asarray(incomplete, bool)
    rows = np.flatnonzero(np.isfinite(score))
    if not len(rows):
        raise PredictionError("No run has a score to draw.")
    score, broken = score[rows], broken[rows]
    order = np.lexsort((score if lowest else -score, broken))
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))

    axes_of = {
        _short(name, values): _axis(
            [given[row] for row in rows], rank, name in log, (limits or {}).get(name)
        )
        for name, given in values.items()
    }
    spans = score.min() > 0 and score.max() > _LOG_FROM * score.min()
    axes_of[objective_name.replace("_", " ")] = _numbers(score, spans)

    width = max(COLUMN, 1.05 * len(axes_of) + 0.6)
    figure = Figure(figsize=(width, COLUMN * 0.9), layout="constrained")
    axes = figure.add_subplot()
    points = np.stack([axis.at for axis in axes_of.values()])
    for k in order[::-1]:
        best = k == order[0] and not broken[k]
        x, y = _curve(points[:, k])
        share = 1 - rank[k] / max(len(order) - 1, 1)
        axes.plot(
            x,
            y,
            color=COLORS[1] if best else _RANKS(share),
            lw=2.2 if best else 1.0,
            ls=(0, (3, 2)) if broken[k] else "-",
            zorder=3 if best else 2,
            solid_capstyle="round",
        )
    for x, (name, axis) in enumerate(axes_of.items()):
        last = x == len(axes_of) - 1
        axes.plot([x, x], [0, 1], color="0.2", lw=0.9, zorder=4)
        axes.text(x, 1.05, name, ha="center", va="bottom", fontsize=8.5, linespacing=0.95)
        for y, text in axis.ticks:
            axes.plot([x, x + (0.03 if last else -0.03)], [y, y], color="0.2", lw=0.8, zorder=4)
            axes.text(
                x + (0.05 if last else -0.05),
                y,
                text,
                ha="left" if last else "right",
                va="center",
                fontsize=7.5,
                zorder=5,
                bbox={"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.6},
            )
    if broken.any():
        axes.text(
            len(axes_of) - 1,
            -0.07,
            "broken lines: not finished",
            ha="right",
            va="top",
            fontsize=7.5,
        )
    axes.set(xlim=(-0.35, len(axes_of) - 0.6), ylim=(-0.1 if broken.any() else -0.03, 1.04))
    axes.axis("off")
    return figure


def _short(name: str, names: Mapping[str, Any]) -> str:
    """The last part of a dotted path, or more of it where two would be alike; on two lines."""
    last = name.rpartition(".")[2]
    if sum(other.rpartition(".")[2] == last for other in names) > 1:
        last = name
    return "\n".join(last.replace("_", " ").replace(".", " ").rsplit(" ", 1))


def _axis(
    given: Sequence[Any], rank: np.ndarray, log: bool, limits: tuple[float, float] | None
) -> _Axis:
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in given)
    if numbers and (limits or len(set(given)) > 5):
        return _numbers(np.asarray(given, float), log, limits)
    return _choices(given, rank)


def _numbers(value: np.ndarray, log: bool, limits: tuple[float, float] | None = None) -> _Axis:
    low, high = limits or (float(value.min()), float(value.max()))
    if low == high:
        return _Axis(np.full(len(value), 0.5), [(0.5, f"{low:.4g}")])
    if log:
        marks = _log_marks(low, high)
        scaled, ends = np.log(value), (math.log(low), math.log(high))
        places = [math.log(m) for m in marks]
    else:
        ticks = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        marks = [float(m) for m in ticks if low <= m <= high]
        scaled, ends, places = value, (low, high), marks
    at = (scaled - ends[0]) / (ends[1] - ends[0])
    told = [
        ((p - ends[0]) / (ends[1] - ends[0]), _label(m)) for p, m in zip(places, marks, strict=True)
    ]
    return _Axis(at, told)


def _log_marks(low: float, high: float) -> list[float]:
    """Round numbers between two ends, the fewer the more decades there are."""
    decades = math.log10(high / low)
    steps = (1,) if decades > 2 else (1, 3) if decades > 1.2 else (1, 2, 5)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = [float(f"{s}e{p}") for p in powers for s in steps]
    marks = [m for m in marks if low <= m <= high]
    return marks if len(marks) > 1 else [low, high]


def _label(value: float) -> str:
    if value and not 1e-3 <= abs(value) < 1e5:
        mantissa, _, power = f"{value:.2g}".partition("e")
        if power:
            head = "" if mantissa == "1" else rf"{mantissa}\,\times\,"
            return rf"${head}10^{{{int(power)}}}$"
    return f"{value:.4g}"


def _choices(given: Sequence[Any], rank: np.ndarray) -> _Axis:
    said = [v if isinstance(v, str) else json.dumps(v) for v in given]
    try:
        known = [v if isinstance(v, str) else json.dumps(v) for v in sorted(set(given))]
    except TypeError:  # of several kinds, or not hashable
        known = sorted(set(said))
    place = {v: (i + 0.5) / len(known) for i, v in enumerate(known)}
    at = np.array([place[v] for v in said])
    for height in set(at.tolist()):
        # The best runs of a choice are drawn lowest, as on the axis of a loss.
        group = np.flatnonzero(at == height)
        group = group[np.argsort(rank[group])]
        at[group] += (
            min(_SPREAD, 0.6 / len(known))
            * (np.arange(len(group)) - (len(group) - 1) / 2)
            / max(len(group) - 1, 4)
        )
    return _Axis(at, [(place[v], v) for v in known])


def _curve(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Through each point horizontally, so that lines can be followed across an axis."""
    t = np.linspace(0, 1, 24, endpoint=False)
    ease = t * t * (3 - 2 * t)
    x = (np.arange(len(y) - 1)[:, None] + t).ravel()
    through = (y[:-1, None] + np.diff(y)[:, None] * ease).ravel()
    return np.r_[x, len(y) - 1], np.r_[through, y[-1]]
