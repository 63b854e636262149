"""Figure of image quality for the README: artefacts, predicted probabilities, and the selection.

One artefact of each kind from the test split, alone on its stamp, with the outline of the affected
pixels; and purity against completeness with the threshold of the validation split.

    python pipelines/quality_figure.py runs/euclid_quality --survey runs/quality_survey
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.patheffects as effects
import numpy as np
from astropy.io import fits
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from astrocnn import metrics
from astrocnn.calibration.selection import Selection
from astrocnn.datasets import Shards, read_labels
from astrocnn.metrics import Ranking
from astrocnn.report.gallery import add_scale_bar
from astrocnn.report.style import COLORS, NO_DATA, styled
from astrocnn.runs.directory import RunDirectory
from astrocnn.simulation.artefacts import ARTEFACTS

PER_ROW = 8  # stamps along a side of a simulated tile
SOFT, LOW, HIGH = 2.0, -3.0, 80.0  # [sky sigma]


def read_truth(survey: Path, number: int, kind: str) -> NDArray[np.bool_]:
    """Pixels that an artefact affects, for a row of the simulated catalogue."""
    tile, cell = divmod(number, PER_ROW**2)
    with fits.open(survey / "truth" / f"tile{tile:02d}_truth.fits") as hdus:
        plane = hdus["TRUTH"].data
    size = plane.shape[0] // PER_ROW
    row, column = divmod(cell, PER_ROW)
    cut = plane[row * size : (row + 1) * size, column * size : (column + 1) * size]
    return (cut >> ARTEFACTS.index(kind)) & 1 > 0


def select_stamp(shards: Shards, test: NDArray[np.intp], kind: str) -> int:
    """Index in the test split of a stamp with this artefact alone, of medium severity."""
    count = np.sum([shards.column(f"has_{name}")[0] for name in ARTEFACTS], axis=0)[test]
    severity = np.asarray(shards.column(f"severity_{kind}")[0], float)[test]
    alone = np.flatnonzero((severity > 0) & (count == 1))
    if not len(alone):  # saturated stars have spikes as well
        alone = np.flatnonzero(severity > 0)
    order = alone[np.argsort(severity[alone], kind="stable")]
    return int(order[round(0.55 * (len(order) - 1))])


@styled
def plot_quality(folder: Path, survey: Path) -> Figure:
    """Plot ten stamps and the curve."""
    home = RunDirectory.open(folder)
    shards = Shards.open(home.shards)
    estimator, extras = home.estimator()
    selection = next(extra for extra in extras if isinstance(extra, Selection))
    with np.load(home.evaluation / "samples.npz") as kept:
        test, samples = kept["rows"], kept[f"target/{selection.target}"]
    p = samples.mean(axis=0, dtype=np.float64)[:, 0]
    encoded, _ = read_labels(shards, estimator.task, test)
    usable = encoded[selection.target][:, 0] > 0.5

    figure = Figure(figsize=(7.1, 2.4), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    left, right = figure.subfigures(1, 2, width_ratios=(4.9, 2.2))
    grid = left.subplots(2, 5)
    for axes, kind in zip(grid.flat, ARTEFACTS, strict=True):
        at = select_stamp(shards, test, kind)
        image = shards.images(test[at : at + 1])[0, :, :, 0].astype(float)
        sky = image[np.isfinite(image)]
        noise = 1.4826 * float(np.median(np.abs(sky - np.median(sky))))
        plot_stamp(axes, image / noise, read_truth(survey, int(test[at]), kind))
        axes.set_title(kind.replace("_", " "), fontsize=7.5, pad=2)
        color = COLORS[4] if p[at] >= selection.threshold else "white"
        label = axes.text(0.96, 0.05, f"$p$ = {p[at]:.2f}", ha="right", color=color, fontsize=7.5,
                         transform=axes.transAxes)  # fmt: skip
        label.set_path_effects([effects.withStroke(linewidth=1.6, foreground="black")])
        if axes is grid[0, 0] and shards.pixel_scale:
            add_scale_bar(axes, image.shape[1], shards.pixel_scale)
    plot_curve(right.subplots(), Ranking(usable, p), selection.threshold)
    return figure


def plot_stamp(axes: Axes, image: NDArray, mask: NDArray[np.bool_]) -> None:
    """Plot a stamp in units of its noise, with the outline of a mask that does not cover it all."""
    axes.set_facecolor(NO_DATA)
    low, high = np.arcsinh(LOW / SOFT), np.arcsinh(HIGH / SOFT)
    shown = np.ma.masked_invalid(np.arcsinh(image / SOFT))
    axes.imshow(shown, origin="lower", cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    if mask.any() and not mask.all() and np.isfinite(image[mask]).any():
        axes.contour(mask.astype(float), [0.5], colors=[COLORS[1]], linewidths=0.6)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color="0.6", lw=0.5)


def plot_curve(axes: Axes, ranking: Ranking, threshold: float) -> None:
    """Plot purity against completeness, with the threshold of the validation split."""
    tp, fp = ranking.counts()
    complete, pure = ranking.completeness_purity()
    low, high = metrics.wilson(tp, tp + fp)
    shown = tp >= 20
    axes.fill_between(complete[shown], low[shown], high[shown], color=COLORS[0], alpha=0.2, lw=0)
    axes.plot(complete[shown], pure[shown], color=COLORS[0])
    share = float(ranking.positive.mean())
    axes.axhline(share, ls=":", color="0.45", lw=1)
    axes.text(0.03, share + 0.012, "all stamps", color="0.35", fontsize=7.5)
    kept = ranking.probability >= threshold
    x = float((kept & ranking.positive).sum() / ranking.positive.sum())
    y = float(ranking.positive[kept].mean())
    fpr = float((kept & ~ranking.positive).sum() / (~ranking.positive).sum())
    axes.plot(x, y, "o", color=COLORS[1], ms=5)
    text = f"threshold for 95 %:\ncompleteness {100 * x:.1f} %\npurity {100 * y:.1f} %\n" + (
        f"with artefacts kept {100 * fpr:.1f} %"
    )
    axes.annotate(text, (x, y), (0.12, share + 0.09), color=COLORS[1], fontsize=8,
                  arrowprops={"arrowstyle": "-", "color": COLORS[1], "lw": 0.7})  # fmt: skip
    axes.set(
        xlabel="completeness of usable stamps",
        ylabel="purity",
        xlim=(0, 1.02),
        ylim=(share - 0.05, 1.01),
    )


def main() -> None:
    """Plot a run that was calibrated and evaluated."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--survey", type=Path, required=True, help="folder of the simulation")
    parser.add_argument("--out", type=Path, default=Path("data/figures/quality.png"))
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    plot_quality(options.run, options.survey).savefig(options.out, dpi=200)


if __name__ == "__main__":
    main()
