"""Checks of attribution maps: deletion and insertion, weight randomization, fractions of bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from astrocnn.explain.checks import DeletionInsertion
from astrocnn.explain.figures.maps import MARKERS, require, validate_arrays
from astrocnn.report.style import COLORS, COLUMN, new_figure, styled

__all__ = ["plot_band_fractions", "plot_deletion_insertion", "plot_randomization"]

_RANDOM = "0.45"
_ASLANT: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}


@styled
def plot_deletion_insertion(
    curves: Mapping[str, DeletionInsertion], *, ylabel: str = "output"
) -> Figure:
    """Mean output while pixels are removed, and restored, beside random orders.

    The gray band is the spread of single random orders.

    Parameters
    ----------
    curves : mapping of str to DeletionInsertion
        By method.
    ylabel : str
        The explained output.
    """
    require(curves, "`curves` holds no method.", "none", "one entry for each method")
    figure = Figure(figsize=(COLUMN * 2.05, COLUMN * 0.92), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    x = 100 * np.asarray(next(iter(curves.values())).fraction, float)
    actions = {"deletion": "removed", "insertion": "restored"}
    for axes, (kind, done) in zip(panels, actions.items(), strict=True):
        random = _compute_mean([getattr(c, f"random_{kind}") for c in curves.values()])
        axes.plot(x, random, "--", color=_RANDOM, lw=1.3, label="random order", zorder=1.5)
        squares = [getattr(c, f"random_{kind}_std") ** 2 for c in curves.values()]
        spread = np.sqrt(_compute_mean(squares))
        axes.fill_between(x, random - spread, random + spread, color="0.82", lw=0, zorder=1)
        for i, (name, curve) in enumerate(curves.items()):
            y = _compute_mean([getattr(curve, kind)])
            every = max(1, len(x) // 10)
            axes.plot(x, y, ms=3.2, markevery=every, label=name, **_get_style(i))
        axes.set(xlabel=f"{done}, most important first [%]", xlim=(0, 100))
    panels[0].set_ylabel(ylabel, fontsize=9.5 if len(ylabel) < 36 else 8)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 5))
    return figure


@styled
def plot_randomization(stages: Sequence[str], correlations: Mapping[str, Any]) -> Figure:
    """Correlation of maps with those under weight randomization, from the output down.

    A map that does not change does not depend on the weights.  Bars are 16 % and 84 %
    quantiles over objects.

    Parameters
    ----------
    stages : sequence of str of length n_stages
        Layers, in the order in which they are given random weights.
    correlations : mapping of str to array_like of shape (n, n_stages)
        By method, NaN where a map is constant.
    """
    arrays = validate_arrays(
        correlations,
        (None, len(stages)),
        "`correlations` must have one correlation for each object and stage.",
    )
    width = min(2.05 * COLUMN, max(COLUMN * 1.1, 0.42 * len(stages) + 0.9))
    figure, axes = new_figure(width, COLUMN * 0.95)
    x = np.arange(len(stages) + 1)
    axes.axhline(0, color="0.5", ls=":", lw=0.9)
    for i, (name, values) in enumerate(arrays.items()):
        middle, low, high = _compute_quantiles(np.c_[np.ones(len(values)), values])
        place = x + 0.07 * (i - (len(arrays) - 1) / 2)
        error = [middle - low, high - middle]
        line: dict[str, Any] = {"ms": 4, "lw": 1.1, "elinewidth": 0.7, "label": name}
        axes.errorbar(place, middle, error, **line, **_get_style(i))
    axes.set_xticks(x, ["none", *stages], **_ASLANT)
    axes.tick_params(axis="x", which="both", top=False)
    axes.set(ylabel="rank correlation with the map", xlabel="random from the output down to")
    axes.set_ylim(min(-0.25, axes.get_ylim()[0]), 1.08)
    axes.legend(loc="best")
    return figure


@styled
def plot_band_fractions(
    fractions: Mapping[str, Any],
    *,
    band_names: Sequence[str],
    along: tuple[str, Any] | None = None,
    n_bins: int = 6,
) -> Figure:
    """Fraction of the absolute attribution in each band: over all objects, or along a column.

    Bars and bands reach from 16 % to 84 % of the objects, symbols are medians.

    Parameters
    ----------
    fractions : mapping of str to array_like of shape (n, n_bands)
        By method.
    along : (str, array_like of shape (n,)), optional
        Label of the axis, and values by which objects are put in bins: a redshift, for instance.
    n_bins : int
        Bins with equally many objects, at most; fewer where there are few objects.
    """
    n = len(next(iter(fractions.values()), ()))
    arrays = validate_arrays(
        fractions,
        (n, len(band_names)),
        "`fractions` must have one fraction for each object and band.",
    )
    if along is None:
        return _plot_medians(arrays, band_names)
    label, values = along
    values = validate_arrays(
        {label: values}, (n,), f"`along` must have a value of '{label}' for each object."
    )[label]
    return _plot_along(arrays, band_names, label, values, n_bins)


def _plot_medians(fractions: Mapping[str, Any], band_names: Sequence[str]) -> Figure:
    width = min(2.05 * COLUMN, max(COLUMN, 0.16 * len(band_names) * (len(fractions) + 1) + 1.0))
    figure, axes = new_figure(width, COLUMN * 0.8)
    each = 0.8 / len(fractions)
    x = np.arange(len(band_names))
    for i, (name, values) in enumerate(fractions.items()):
        middle, low, high = _compute_quantiles(100 * values)
        place = x + each * (i - (len(fractions) - 1) / 2)
        color = COLORS[i % len(COLORS)]
        axes.bar(place, middle, 0.9 * each, color=color, alpha=0.75, lw=0, label=name)
        error = [middle - low, high - middle]
        axes.errorbar(place, middle, error, fmt="none", ecolor="0.2", elinewidth=0.9, capsize=1.5)
    axes.axhline(100 / len(band_names), color="0.4", ls=":", lw=1, label="uniform")
    # Names that would touch one another at this width.
    crowded = len(band_names) * (2 + max(map(len, band_names))) > 12 * width
    axes.set_xticks(x, band_names, **(_ASLANT if crowded else {}))
    axes.tick_params(axis="x", length=0)
    axes.set(ylabel="fraction of the attribution [%]", ylim=(0, None))
    figure.legend(loc="outside upper center", ncols=2 if width < 5 else 4)
    return figure


def _plot_along(
    fractions: Mapping[str, Any], band_names: Sequence[str], label: str, values: Any, n_bins: int
) -> Figure:
    columns = min(2, len(fractions))
    rows = -(-len(fractions) // columns)
    size = COLUMN * 1.03 * columns + 0.2, COLUMN * 0.8 * rows + 0.3
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    finite = np.isfinite(values)
    count = int(np.clip(finite.sum() // 8, 1, n_bins))
    order = np.flatnonzero(finite)[np.argsort(values[finite], kind="stable")]
    groups = [group for group in np.array_split(order, count) if len(group)]
    center = np.array([np.median(values[group]) for group in groups])
    # Bands in the order of the spectrum, from dark to bright.
    shades = colormaps["viridis"](np.linspace(0, 0.88, len(band_names)))
    for axes, (name, array) in zip(panels.flat, fractions.items(), strict=False):
        for b, band in enumerate(band_names if groups else ()):
            middle, low, high = np.concatenate(
                [_compute_quantiles(100 * array[group, b : b + 1]) for group in groups], axis=1
            )
            axes.fill_between(center, low, high, color=shades[b], alpha=0.13, lw=0)
            marker = MARKERS[b % len(MARKERS)]
            axes.plot(center, middle, marker=marker, ms=4, color=shades[b], label=band)
        axes.set_title(name, fontsize=8.5)
    for axes in panels.flat[len(fractions) :]:
        axes.set_visible(False)
    panels[0, 0].set_ylim(0, None)
    figure.supxlabel(label, fontsize=9.5)
    figure.supylabel("fraction of the attribution [%]", fontsize=9.5)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    # As many entries as fit beside one another.
    columns = int(np.clip(95 // (6 + max(map(len, labels), default=0)), 1, 7))
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), columns))
    return figure


def _get_style(i: int) -> dict[str, Any]:
    return {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)]}


def _compute_quantiles(values: Any) -> Any:
    """Median, 16 % and 84 % over the first axis, of shape (3, k); NaN without finite values."""
    out = np.full((3, values.shape[1]), np.nan)
    for k, column in enumerate(values.T):
        finite = column[np.isfinite(column)]
        if finite.size:
            out[:, k] = np.quantile(finite, [0.5, 0.16, 0.84])
    return out


def _compute_mean(parts: Sequence[Any]) -> Any:
    """Mean of the finite values over objects and methods."""
    values = np.ma.masked_invalid(np.concatenate([np.asarray(part, float) for part in parts]))
    return values.mean(axis=0).filled(np.nan)
