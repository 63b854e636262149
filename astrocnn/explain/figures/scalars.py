"""Attributions of scalars: bars for a few inputs, lines along a spectrum."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from astrocnn.explain.figures.maps import annotate, build_figure, require, short, validate_arrays
from astrocnn.report.style import COLORS, COLUMN, styled

__all__ = ["plot_input_bars", "plot_input_summary", "plot_spectra", "plot_spectrum_summary"]

POSITIVE, NEGATIVE = "#b2182b", "#2166ac"
"""Red of what raises the explained output, blue of what lowers it."""

_ROW = 0.155
"""Height of a bar [inch]."""
_EXTREME = 2.0
"""Standard deviations from the mean that get the full color."""
_WIDE = 7.1

Array = NDArray[np.float64]
_SHAPES = "Attributions must have a number for each object and input, of one method or more."


@styled
def plot_input_bars(
    added: Mapping[str, Any], *, names: Any, labels: Sequence[str], foot: str = ""
) -> Figure:
    """One row of panels an object, one column a method, one bar an input.

    All objects share the scale of a method.

    Parameters
    ----------
    added : mapping of str to array_like of shape (n, n_inputs)
        By method: red above zero, blue below.
    names : array_like of str of shape (n, n_inputs)
        Beside the bars of each object: the input and its value.
    """
    names = np.asarray(names)
    arrays = validate_arrays(added, (len(labels), names.shape[-1]), _SHAPES)
    n, count = names.shape
    high = (_ROW * count + 0.3) * n + 0.45 + 0.15 * bool(foot)
    figure = build_figure(_WIDE, high, w_pad=0.03, h_pad=0.02, hspace=0.01)
    panels = figure.subplots(n, len(arrays), squeeze=False, sharex="col", sharey="row")
    place = np.arange(count)
    for i, row in enumerate(panels):
        for axes, values in zip(row, arrays.values(), strict=True):
            colors = np.where(values[i] < 0, NEGATIVE, POSITIVE)
            axes.barh(place, values[i], 0.72, color=colors, lw=0)
            axes.axvline(0, color="0.3", lw=0.6)
            axes.tick_params(axis="y", length=0)
        row[0].set_yticks(place, names[i], fontsize=7)
        row[0].set_ylim(count - 0.4, -0.6)
        row[0].set_title(labels[i], fontsize=7.5, loc="left", pad=2.5)
    for axes, method in zip(panels[-1], arrays, strict=True):
        axes.set_xlabel(method, fontsize=8)
        axes.tick_params(axis="x", labelsize=7)
        axes.locator_params(axis="x", nbins=4)
    annotate(figure, foot=foot)
    return figure


@styled
def plot_input_summary(
    added: Any, standardized: Any, *, names: Sequence[str], output: str = "output"
) -> Figure:
    """All objects together: the mean absolute attribution of inputs, and that of each object.

    Inputs are in the order of that mean, the largest above.

    Parameters
    ----------
    added, standardized : array_like of shape (n, n_inputs)
        Contribution of each input to the explained output, and, as its color, the value of the
        input minus the mean of the training set, in its standard deviations.
    names : sequence of str of length n_inputs
        Names of the inputs.
    output : str
        The explained output.
    """
    values = np.asarray(standardized, np.float64)
    array = validate_arrays({"": added}, (len(values), len(names)), _SHAPES)[""]
    mean = np.abs(array).mean(axis=0)
    order = np.argsort(-mean, kind="stable")
    place = np.arange(len(names))
    size = 2.05 * COLUMN, max(0.2 * len(names), 0.6) + 0.75
    figure = Figure(figsize=size, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.7))
    left.barh(place, mean[order], 0.7, color=COLORS[6], lw=0)
    left.set(xlim=(0, None), xlabel="mean absolute value")
    left.set_yticks(place, [names[k] for k in order], fontsize=8.5)
    left.set_ylim(len(names) - 0.4, -0.6)
    right.axvline(0, color="0.5", lw=0.8)
    jitter = 0.28 * np.linspace(-1, 1, len(array))[np.random.default_rng(0).permutation(len(array))]
    dot = float(np.clip(900 / len(array), 4, 26))
    color: dict[str, Any] = {"cmap": "viridis", "vmin": -_EXTREME, "vmax": _EXTREME}
    edge: dict[str, Any] = {"edgecolors": "0.3", "linewidths": 0.3}
    for y, k in zip(place, order, strict=True):
        points = right.scatter(array[:, k], y + jitter, s=dot, c=values[:, k], **color, **edge)
    right.set_xlabel(f"added to the {output}")
    for axes in (left, right):
        axes.tick_params(axis="y", length=0)
        axes.locator_params(axis="x", nbins=5)
    bar = figure.colorbar(points, ax=right, extend="both", pad=0.02)
    bar.set_label("value of the input,\nfrom the mean [$\\sigma$]", fontsize=8)
    return figure


@styled
def plot_spectra(
    values: Any,
    added: Mapping[str, Any],
    *,
    names: Sequence[str],
    labels: Sequence[str],
    ylabel: str = "",
    foot: str = "",
) -> Figure:
    """Two panels an object: its spectrum on the colors of the first method, and all methods.

    Colors are red where the first method is positive, blue where negative, and white at zero.
    Lines are divided by their largest absolute value, which the legend names.

    Parameters
    ----------
    values : array_like of shape (n, n_inputs)
        The spectra.
    added : mapping of str to array_like of shape (n, n_inputs)
        By method.
    names : sequence of str of length n_inputs
        Names of the inputs; increasing numbers at their ends are their positions.
    ylabel : str
        Label of the values.
    """
    values = np.asarray(values, np.float64)
    arrays = validate_arrays(added, values.shape, _SHAPES)
    require(
        values.shape == (len(labels), len(names)),
        "`plot_spectra` needs a label for each spectrum, and a name for each of its values.",
        f"{len(labels)} labels, {len(names)} names",
        values.shape,
    )
    n = len(values)
    x, xlabel = _parse_names(names)
    high = 2.15 * n + 0.35 + 0.15 * bool(foot)
    figure = build_figure(_WIDE, high, h_pad=0.015, hspace=0.0)
    panels = figure.subplots(2 * n, 1, sharex=True, squeeze=False, height_ratios=(1.15, 1) * n)
    for i in range(n):
        above, below = panels[2 * i : 2 * i + 2, 0]
        _plot_colored_line(above, x, values[i], next(iter(arrays.values()))[i])
        above.set_title(labels[i], fontsize=7.5, loc="left", pad=2.5)
        below.axhline(0, color="0.5", lw=0.6)
        for color, (method, lines) in zip(COLORS, arrays.items(), strict=False):
            top = _get_largest(lines[i])
            label = f"{method} / {short(top)}"
            below.plot(x, lines[i] / top, color=color, lw=0.8, label=label, drawstyle="steps-mid")
        # Room for the legend below the lines.
        below.set(ylim=(-1.95, 1.2), yticks=(-1, 0, 1))
        below.legend(loc="lower left", fontsize=7, ncols=len(arrays), borderaxespad=0.1)
    panels[-1, 0].set(xlim=(x[0], x[-1]), xlabel=xlabel)
    for axes in panels[:, 0]:
        axes.tick_params(labelsize=7.5)
    figure.supylabel(ylabel, fontsize=8.5)
    annotate(figure, foot=foot)
    return figure


@styled
def plot_spectrum_summary(
    values: Any, added: Mapping[str, Any], *, names: Sequence[str], ylabel: str = ""
) -> Figure:
    """All objects together: their median spectrum, and the mean fraction of each input.

    Parameters
    ----------
    values, added, names, ylabel
        As for `plot_spectra`; the band holds 16 % to 84 % of the objects.
    """
    values = np.asarray(values, np.float64)
    arrays = validate_arrays(added, (len(values), len(names)), _SHAPES)
    x, xlabel = _parse_names(names)
    figure = Figure(figsize=(_WIDE, 3.3), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    low, middle, high = np.quantile(values, (0.16, 0.5, 0.84), axis=0)
    above.fill_between(x, low, high, color="0.82", lw=0)
    above.plot(x, middle, color="0.15", lw=0.9)
    above.set_ylabel(ylabel, fontsize=8)
    for color, (method, lines) in zip(COLORS, arrays.items(), strict=False):
        part = np.abs(lines) / np.maximum(np.abs(lines).sum(axis=1, keepdims=True), 1e-300)
        mean = 100 * part.mean(axis=0)
        below.plot(x, mean, color=color, lw=0.9, label=method, drawstyle="steps-mid")
    below.axhline(100 / len(names), color="0.4", ls=":", lw=1, label="uniform")
    below.set(xlim=(x[0], x[-1]), ylim=(0, None), xlabel=xlabel)
    below.set_ylabel("fraction of the\nattribution [%]", fontsize=8)
    figure.legend(*below.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def _parse_names(names: Sequence[str]) -> tuple[Array, str]:
    """Places of inputs along an axis, and its label.

    Examples
    --------
    >>> _parse_names(["flux_3800", "flux_3802.5"])
    (array([3800. , 3802.5]), 'number in the name, flux_3800 to flux_3802.5')
    >>> _parse_names(["g", "r"])
    (array([0., 1.]), 'input, from 0 (g) to 1 (r)')
    """
    ends = [re.fullmatch(r"(.*?)(\d+(?:\.\d+)?)", str(name)) for name in names]
    if all(ends) and len({end[1] for end in ends if end}) == 1:
        numbers = np.array([float(end[2]) for end in ends if end])
        if (np.diff(numbers) > 0).all():
            return numbers, f"number in the name, {names[0]} to {names[-1]}"
    place = np.arange(len(names), dtype=float)
    return place, f"input, from 0 ({names[0]}) to {len(names) - 1} ({names[-1]})"


def _plot_colored_line(axes: Any, x: Array, values: Array, added: Array) -> None:
    """A line on a background colored by the attribution."""
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low) or 1.0
    ends = low - margin, high + margin
    edges = np.r_[x[0], 0.5 * (x[1:] + x[:-1]), x[-1]]
    top = _get_largest(added)
    color: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -top, "vmax": top, "alpha": 0.7}
    axes.pcolormesh(edges, ends, added[None], rasterized=True, **color)
    axes.plot(x, values, color="0.1", lw=0.7)
    axes.set_ylim(*ends)


def _get_largest(values: Array) -> float:
    """The largest absolute value, or one where there is none."""
    return float(np.abs(values).max()) or 1.0
