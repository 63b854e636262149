"""Which of a few inputs spoke for an answer: bars for each object, and all objects together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from astrocnn.errors import PredictionError
from astrocnn.report.style import COLORS, COLUMN, styled

__all__ = ["LESS", "MORE", "checked", "input_bars", "input_summary"]

MORE, LESS = "#b2182b", "#2166ac"
"""Red of what speaks for more, blue of what speaks for less."""

_ROW = 0.155
"""Height of a bar [inch]."""
_EXTREME = 2.0
"""Standard deviations from the mean that get the full color."""


@styled
def input_bars(
    added: Mapping[str, Any], *, names: Any, labels: Sequence[str], foot: str = ""
) -> Figure:
    """One row of panels an object, one column a method, one bar an input.

    All objects share the scale of a method.

    Parameters
    ----------
    added : mapping of str to array_like of shape (n, n_inputs)
        By method: red above zero, blue below.
    names : array_like of str of shape (n, n_inputs)
        What stands beside the bars of each object: the input and its value.
    labels : sequence of str
        What is said above each object.
    foot : str
        A line below: the number explained.

    Raises
    ------
    PredictionError
        If there is no method, or the shapes do not belong together.
    """
    names = np.asarray(names)
    found = checked(added, (len(labels), names.shape[-1]))
    n, count = names.shape
    high = _ROW * count + 0.3
    figure = Figure(figsize=(7.1, high * n + 0.45 + 0.15 * bool(foot)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.02, hspace=0.01)  # type: ignore[union-attr, call-arg]
    panels = figure.subplots(n, len(found), squeeze=False, sharex="col", sharey="row")
    place = np.arange(count)
    for i, row in enumerate(panels):
        for axes, values in zip(row, found.values(), strict=True):
            _bars(axes, place, values[i])
        row[0].set_yticks(place, names[i], fontsize=7)
        row[0].set_ylim(count - 0.4, -0.6)
        row[0].set_title(labels[i], fontsize=7.5, loc="left", pad=2.5)
    for axes, method in zip(panels[-1], found, strict=True):
        axes.set_xlabel(method, fontsize=8)
        axes.tick_params(axis="x", labelsize=7)
        axes.locator_params(axis="x", nbins=4)
    if foot:
        figure.supxlabel(foot, fontsize=7.5)
    return figure


@styled
def input_summary(
    added: Any, standardized: Any, *, names: Sequence[str], output: str = "output"
) -> Figure:
    """All objects together: the mean absolute value of what inputs add, and each by itself.

    Inputs are in the order of that mean, the largest above.

    Parameters
    ----------
    added : array_like of shape (n, n_inputs)
        What each input adds to the number explained.
    standardized : array_like of shape (n, n_inputs)
        Its value, less the mean of the training set and in its standard deviations: the color.
    names : sequence of str
        Of the inputs.
    output : str
        The number explained.

    Raises
    ------
    PredictionError
        If the shapes do not belong together.
    """
    values = np.asarray(standardized, np.float64)
    made = checked({"": added}, (len(values), len(names)))[""]
    size = np.abs(made).mean(axis=0)
    order = np.argsort(-size, kind="stable")
    place = np.arange(len(names))
    figure = Figure(
        figsize=(2.05 * COLUMN, max(0.2 * len(names), 0.6) + 0.75), layout="constrained"
    )
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.7))
    left.barh(place, size[order], 0.7, color=COLORS[6], lw=0)
    left.set(xlim=(0, None), xlabel="mean absolute value")
    left.set_yticks(place, [names[k] for k in order], fontsize=8.5)
    left.set_ylim(len(names) - 0.4, -0.6)
    right.axvline(0, color="0.5", lw=0.8)
    apart = 0.28 * np.linspace(-1, 1, len(made))[np.random.default_rng(0).permutation(len(made))]
    dot = float(np.clip(900 / len(made), 4, 26))
    for y, k in zip(place, order, strict=True):
        drawn = right.scatter(
            made[:, k],
            y + apart,
            s=dot,
            c=values[:, k],
            cmap="viridis",
            vmin=-_EXTREME,
            vmax=_EXTREME,
            edgecolors="0.3",
            linewidths=0.3,
        )
    right.set_xlabel(f"added to the {output}")
    for axes in (left, right):
        axes.tick_params(axis="y", length=0)
        axes.locator_params(axis="x", nbins=5)
    bar = figure.colorbar(drawn, ax=right, extend="both", pad=0.02)
    bar.set_label("value of the input,\nfrom the mean [$\\sigma$]", fontsize=8)
    return figure


def checked(added: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, NDArray[np.float64]]:
    """What methods say of each object and input.

    Raises
    ------
    PredictionError
        If there is no method, or one has another shape.
    """
    found = {name: np.asarray(values, np.float64) for name, values in added.items()}
    if not found or any(values.shape != shape for values in found.values()) or not all(shape):
        raise PredictionError(
            "There must be a number for each object and input, of one method or more.",
            received={name: values.shape for name, values in found.items()},
            allowed=shape,
        )
    return found


def _bars(axes: Axes, place: NDArray[np.intp], values: NDArray[np.float64]) -> None:
    axes.barh(place, values, 0.72, color=np.where(values < 0, LESS, MORE), lw=0)
    axes.axvline(0, color="0.3", lw=0.6)
    axes.tick_params(axis="y", length=0)
