"""What of a spectrum spoke for an answer: many inputs in their order, as lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from astrocnn.errors import PredictionError
from astrocnn.explain.figures.inputs import checked
from astrocnn.explain.figures.maps import short
from astrocnn.report.style import COLORS, styled

__all__ = ["along_names", "spectra", "spectrum_summary"]

_WIDE = 7.1


@styled
def spectra(
    values: Any,
    added: Mapping[str, Any],
    *,
    names: Sequence[str],
    labels: Sequence[str],
    ylabel: str = "",
    foot: str = "",
) -> Figure:
    """Two panels an object: its spectrum on the colors of the first method, and all methods.

    Colors are red where the first method says more, blue where less, and white at zero.  Lines are
    divided by their largest size, which the legend names.

    Parameters
    ----------
    values : array_like of shape (n, n_inputs)
        The spectra.
    added : mapping of str to array_like of shape (n, n_inputs)
        By method.
    names : sequence of str
        Of the inputs; numbers at their ends that rise are their places.
    labels : sequence of str
        What is said above each object.
    ylabel : str
        What the values are.
    foot : str
        A line below: the number explained.

    Raises
    ------
    PredictionError
        If there is no method, or the shapes do not belong together.
    """
    values = np.asarray(values, np.float64)
    found = checked(added, values.shape)
    if values.shape != (len(labels), len(names)):
        raise PredictionError(
            "There must be a label for each spectrum and a name for each of its values.",
            received=f"{len(labels)} labels, {len(names)} names",
            allowed=values.shape,
        )
    n = len(values)
    x, xlabel = along_names(names)
    figure = Figure(figsize=(_WIDE, 2.15 * n + 0.35 + 0.15 * bool(foot)), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.015, hspace=0.0)  # type: ignore[union-attr, call-arg]
    panels = figure.subplots(2 * n, 1, sharex=True, squeeze=False, height_ratios=(1.15, 1) * n)
    for i in range(n):
        above, below = panels[2 * i : 2 * i + 2, 0]
        _colored(above, x, values[i], next(iter(found.values()))[i])
        above.set_title(labels[i], fontsize=7.5, loc="left", pad=2.5)
        below.axhline(0, color="0.5", lw=0.6)
        for color, (method, lines) in zip(COLORS, found.items(), strict=False):
            top = _full(lines[i])
            said = f"{method} / {short(top)}"
            below.plot(x, lines[i] / top, color=color, lw=0.8, label=said, drawstyle="steps-mid")
        # Room for the legend below the lines.
        below.set(ylim=(-1.95, 1.2), yticks=(-1, 0, 1))
        below.legend(loc="lower left", fontsize=7, ncols=len(found), borderaxespad=0.1)
    panels[-1, 0].set(xlim=(x[0], x[-1]), xlabel=xlabel)
    for axes in panels[:, 0]:
        axes.tick_params(labelsize=7.5)
    figure.supylabel(ylabel, fontsize=8.5)
    if foot:
        figure.supxlabel(foot, fontsize=7.5)
    return figure


@styled
def spectrum_summary(
    values: Any, added: Mapping[str, Any], *, names: Sequence[str], ylabel: str = ""
) -> Figure:
    """All objects together: their median spectrum, and the mean share of each input.

    Parameters
    ----------
    values, added, names, ylabel
        As for `spectra`; the band holds 16 % to 84 % of the objects.

    Raises
    ------
    PredictionError
        If there is no method, or the shapes do not belong together.
    """
    values = np.asarray(values, np.float64)
    found = checked(added, (len(values), len(names)))
    x, xlabel = along_names(names)
    figure = Figure(figsize=(_WIDE, 3.3), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    low, middle, high = np.quantile(values, (0.16, 0.5, 0.84), axis=0)
    above.fill_between(x, low, high, color="0.82", lw=0)
    above.plot(x, middle, color="0.15", lw=0.9)
    above.set_ylabel(ylabel, fontsize=8)
    for color, (method, lines) in zip(COLORS, found.items(), strict=False):
        share = np.abs(lines) / np.maximum(np.abs(lines).sum(axis=1, keepdims=True), 1e-300)
        below.plot(
            x, 100 * share.mean(axis=0), color=color, lw=0.9, label=method, drawstyle="steps-mid"
        )
    below.axhline(100 / len(names), color="0.4", ls=":", lw=1, label="all alike")
    below.set(xlim=(x[0], x[-1]), ylim=(0, None), xlabel=xlabel)
    below.set_ylabel("part of the\nattribution [%]", fontsize=8)
    figure.legend(*below.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def along_names(names: Sequence[str]) -> tuple[NDArray[np.float64], str]:
    """Where inputs lie along an axis, and what it counts.

    Examples
    --------
    >>> along_names(["flux_3800", "flux_3802.5"])
    (array([3800. , 3802.5]), 'number in the name, flux_3800 to flux_3802.5')
    >>> along_names(["g", "r"])
    (array([0., 1.]), 'input, from 0 (g) to 1 (r)')
    """
    ends = [re.fullmatch(r"(.*?)(\d+(?:\.\d+)?)", str(name)) for name in names]
    if all(ends) and len({end[1] for end in ends if end}) == 1:
        numbers = np.array([float(end[2]) for end in ends if end])
        if (np.diff(numbers) > 0).all():
            return numbers, f"number in the name, {names[0]} to {names[-1]}"
    place = np.arange(len(names), dtype=float)
    return place, f"input, from 0 ({names[0]}) to {len(names) - 1} ({names[-1]})"


def _colored(
    axes: Axes, x: NDArray[np.float64], values: NDArray[np.float64], added: NDArray[np.float64]
) -> None:
    """A line on a ground of colors."""
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low) or 1.0
    edges = np.r_[x[0], 0.5 * (x[1:] + x[:-1]), x[-1]]
    top = _full(added)
    axes.pcolormesh(
        edges,
        (low - margin, high + margin),
        added[None],
        cmap="RdBu_r",
        vmin=-top,
        vmax=top,
        alpha=0.7,
        rasterized=True,
    )
    axes.plot(x, values, color="0.1", lw=0.7)
    axes.set_ylim(low - margin, high + margin)


def _full(values: NDArray[np.float64]) -> float:
    """The largest absolute value, or one where there is none."""
    return float(np.abs(values).max()) or 1.0
