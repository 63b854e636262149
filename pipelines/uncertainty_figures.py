"""Figures of ``uncertainty_benchmark.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import binom

from astrocnn import metrics
from astrocnn.calibration import Calibration, ConformalSets
from astrocnn.report.gallery import make_rgb
from astrocnn.report.style import COLORS, styled

__all__ = ["plot_classes", "plot_readme", "plot_redshifts"]

WIDTH = 7.1  # two columns of a journal [inch]
BEFORE, AFTER = COLORS[1], COLORS[0]
SHORT = {"elliptical": "E", "spiral": "S", "edge_on": "edge-on", "merger": "merger", "star": "star"}


@styled
def plot_classes(cases: Mapping[str, tuple[Any, Any]], found: Mapping[str, Any]) -> Figure:
    """Plot reliability before and after for each predictor; ECE; risk against coverage.

    Parameters
    ----------
    cases : mapping of str to (Case, Case)
        Before and after, by predictor.
    found : mapping
        Scores by predictor.
    """
    figure = Figure(figsize=(WIDTH, 4.5), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.05))
    panels = top.subplots(1, len(cases), sharex=True, sharey=True)
    for axes, (name, (before, after)) in zip(panels, cases.items(), strict=True):
        plot_reliability(axes, before, after)
        axes.set_title(name)
    panels[0].set_ylabel("fraction correct")
    top.supxlabel("probability of the most probable class", fontsize=9.5)
    left, right = bottom.subplots(1, 2, width_ratios=(1.15, 1))
    plot_ece(left, found, tuple(cases))
    for i, (name, (_, after)) in enumerate(cases.items()):
        entropy = metrics.predictive_entropy(after.family.to_probabilities(after.samples))
        kept, risk = metrics.risk_coverage(~after.correct, entropy)
        shown = kept > 0.05
        right.plot(100 * kept[shown], 100 * risk[shown], color=COLORS[i], label=name)
    right.set(xlabel="most certain objects kept [%]", ylabel="error rate [%]", xlim=(5, 100))
    right.set_ylim(bottom=0)
    right.legend(loc="upper left")
    return figure


def plot_reliability(axes: Axes, before: Any, after: Any) -> None:
    """Plot observed frequency against probability, before and after, with 95 % intervals."""
    axes.plot([0, 1], [0, 1], ":", color="0.5", lw=1)
    for case, color, mark, place in ((before, BEFORE, "s", 0.14), (after, AFTER, "o", 0.04)):
        top = case.p.max(axis=1)
        bins = metrics.reliability(top, case.correct, n_bins=15)
        full = bins.count >= 10
        x, observed = bins.predicted[full], bins.observed[full]
        error = np.maximum([observed - bins.low[full], bins.high[full] - observed], 0)
        axes.errorbar(
            x, observed, error, color=color, fmt=mark, ms=3, lw=0.8, ls="-", elinewidth=0.7
        )
        when = "before" if case is before else "after"
        text = f"{when}: ECE {float(metrics.ece(top, case.correct)):.3f}"
        axes.text(0.96, place, text, color=color, ha="right", transform=axes.transAxes, fontsize=8)
    axes.set(xlim=(0.2, 1.02), ylim=(0.1, 1.04), xticks=(0.4, 0.6, 0.8, 1.0))


def plot_ece(axes: Axes, found: Mapping[str, Any], names: Sequence[str]) -> None:
    """Plot the ECE of each predictor with its interval, and that expected if calibrated."""
    for i, name in enumerate(names):
        mean, most = found[name]["expected ece"]
        axes.fill_between([i - 0.4, i + 0.4], 0, most, color="0.9", lw=0)
        axes.hlines(mean, i - 0.4, i + 0.4, color="0.55", lw=1)
        for when, color, mark, shift in (
            ("before", BEFORE, "s", -0.13),
            ("after", AFTER, "o", 0.13),
        ):
            value, low, high = found[name][when]["ece"]
            error = [[max(value - low, 0)], [max(high - value, 0)]]
            x = i + shift
            axes.errorbar(x, value, error, color=color, fmt=mark, ms=4, lw=1, capsize=2)
    axes.axhline(0.02, color="0.3", lw=0.8, ls="--", label="goal")
    axes.set_xticks(range(len(names)), [name.replace(", ", ",\n") for name in names], fontsize=8)
    axes.tick_params(axis="x", length=0)
    axes.set(ylabel="ECE, 15 bins", xlim=(-0.5, len(names) - 0.5))
    axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
    axes.plot([], [], "s", color=BEFORE, ms=4, label="before")
    axes.plot([], [], "o", color=AFTER, ms=4, label="after calibration")
    axes.fill_between([], [], color="0.9", label="perfectly calibrated, 95 %")
    axes.legend(loc="upper left")


@styled
def plot_redshifts(cases: Mapping[str, tuple[Any, Any]]) -> Figure:
    """Plot the PIT before and after for each predictor, and the coverage of all intervals.

    Parameters
    ----------
    cases : mapping of str to (Case, Case)
        Before and after, by predictor.
    """
    figure = Figure(figsize=(WIDTH, 4.5), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.05))
    panels = top.subplots(1, len(cases), sharex=True, sharey=True)
    edges = np.linspace(0, 1, 21)
    for axes, (name, pair) in zip(panels, cases.items(), strict=True):
        n = len(pair[0].values)
        axes.axhspan(*(20 * k / n for k in binom.interval(0.95, n, 0.05)), color="0.9", lw=0)
        axes.axhline(1, color="0.5", lw=1, ls=":")
        for case, color, place in zip(pair, (BEFORE, AFTER), (0.16, 0.05), strict=True):
            pit = case.densities.cumulative(case.values)
            axes.stairs(np.histogram(pit, edges, density=True)[0], edges, color=color, lw=1.2)
            when = "before" if case is pair[0] else "after"
            text = f"{when}: KS {float(metrics.pit_ks(pit)):.3f}"
            axes.text(0.5, place, text, color=color, ha="center", transform=axes.transAxes, size=8)
        axes.set_title(name)
        axes.set(xlim=(0, 1), xticks=(0, 0.5, 1))
    panels[0].set(ylabel="density")
    panels[0].set_ylim(0, 1.05 * panels[0].get_ylim()[1])
    top.supxlabel("probability integral transform", fontsize=9.5)
    levels = np.linspace(0.02, 0.99, 98)
    pair = bottom.subplots(1, 2, sharey=True)
    for k, axes in enumerate(pair):
        for i, (name, both) in enumerate(cases.items()):
            before, within = both[k].densities.credible(both[k].values)
            observed = np.array(
                [metrics.credible_coverage(before, within, level).mean() for level in levels]
            )
            axes.plot(100 * levels, 100 * (observed - levels), color=COLORS[i], label=name)
        n = len(before)
        low, high = (binom.ppf(q, n, levels) / n - levels for q in (0.025, 0.975))
        axes.fill_between(100 * levels, 100 * low, 100 * high, color="0.9", lw=0)
        axes.axhline(0, color="0.5", lw=1, ls=":")
        for level in (68, 95):
            axes.plot([level, level], [-2, 2], color="0.3", lw=1.2, marker="_", ms=5)
        axes.set(xlabel="level of the interval [%]", xlim=(0, 100))
        axes.set_title(("before", "after calibration")[k])
    pair[0].set(ylabel="coverage minus level [%]", ylim=(-3, 2.6))
    pair[1].legend(loc="lower left", ncols=2, columnspacing=1.0)
    return figure


@styled
def plot_readme(
    before: Any,
    after: Any,
    calibration: Calibration,
    pixels: NDArray[np.floating],
    classes: Sequence[str],
) -> Figure:
    """Plot reliability, and the most and least certain stamps with their conformal sets.

    Parameters
    ----------
    before, after : Case
        Of one predictor.
    calibration : Calibration
        With its conformal sets.
    pixels : ndarray of shape (n, height, width, n_bands)
        The objects.
    classes : sequence of str
        Names of the classes.
    """
    sets = next(extra for extra in calibration.extras if isinstance(extra, ConformalSets))
    inside = sets.members(after.p)[sets.levels.index(0.95)]
    order = np.argsort(metrics.predictive_entropy(after.family.to_probabilities(after.samples)))
    selected = np.concatenate(
        [_first_of_each_class(order, after.label, 5), _diverse(order[::-1], after.label, 5)]
    )
    figure = Figure(figsize=(WIDTH, 2.75), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.75))
    axes = left.subplots()
    plot_reliability(axes, before, after)
    axes.set(xlabel="probability of the most probable class", ylabel="fraction correct")
    cells = right.subplots(2, 5)
    for axes, row, picture in zip(cells.flat, selected, make_rgb(pixels[selected]), strict=True):
        axes.imshow(picture, origin="lower", interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        incorrect = not after.correct[row]
        axes.spines[:].set(color=COLORS[1] if incorrect else "0.6", lw=1.4 if incorrect else 0.5)
        p = after.p[row]
        named = ", ".join(SHORT[classes[k]] for k in np.argsort(-p) if inside[row, k])
        text = f"{SHORT[classes[int(p.argmax())]]} {p.max():.2f}\n{{{named}}}"
        if incorrect:
            text = f"{SHORT[classes[after.label[row]]]} \u2192 {text}"
        axes.set_xlabel(text, fontsize=6.5, labelpad=2, color=COLORS[1] if incorrect else "0.1")
    cells[0, 0].set_ylabel("most certain", fontsize=8)
    cells[1, 0].set_ylabel("least certain", fontsize=8)
    return figure


def _first_of_each_class(
    order: NDArray[np.intp], label: NDArray[np.intp], count: int
) -> NDArray[np.intp]:
    """The first object of each class, in the order of the classes."""
    return np.array([order[label[order] == k][0] for k in range(count)])


def _diverse(order: NDArray[np.intp], label: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """The first objects of an order, no more than two of a class."""
    kept: list[int] = []
    for row in order:
        if sum(label[other] == label[row] for other in kept) < 2:
            kept.append(int(row))
        if len(kept) == count:
            break
    return np.array(kept)
