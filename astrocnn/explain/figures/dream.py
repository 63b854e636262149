"""Images before and after a layer had its way with them."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn.errors import PredictionError
from astrocnn.explain.figures.maps import bar, bare, draw_map, limit
from astrocnn.explain.figures.shades import shared_rgb
from astrocnn.report.gallery import add_scale_bar
from astrocnn.report.style import NO_DATA, styled

__all__ = ["dream"]


@styled
def dream(
    before: Any,
    after: Any,
    *,
    labels: Any = None,
    title: str = "",
    pixel_scale: float | None = None,
    unit: str = "",
) -> Figure:
    """Each image above what became of it, both in one stretch, and their difference.

    Parameters
    ----------
    before, after : array_like of shape (n, height, width, n_bands)
        NaN where there is no data.
    labels : sequence of str, optional
        A line above each image.
    title : str
        Above the figure: the layer, for instance.
    pixel_scale : float, optional
        [arcsec/pixel]; gives a scale bar.
    unit : str
        Of the images; stands below.

    Raises
    ------
    PredictionError
        If these are not pairs of images.
    """
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if before.ndim != 4 or not before.size or before.shape != after.shape:
        raise PredictionError(
            "Pairs of images need as many after as before, of one shape.",
            received=f"{before.shape} before, {after.shape} after",
        )
    n = len(before)
    side = min(1.5, 6.1 / n)
    figure = Figure(
        figsize=(
            side * n + 0.95,
            3 * side + 0.2 * bool(title) + 0.2 * (labels is not None) + 0.15 * bool(unit),
        ),
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)  # type: ignore[union-attr, call-arg]
    axes = figure.subplots(3, n, squeeze=False)
    # The mean over bands, so that the scale does not grow with their number.
    added = (after - before).mean(axis=-1)
    top = limit(added)
    for i in range(n):
        pair = shared_rgb([before[i], after[i]], reference=[before[i]], dark=0.5)
        for cell, picture in zip(axes[:2, i], pair, strict=True):
            lost = ~np.isfinite(picture).all(axis=-1)
            picture[lost] = NO_DATA
            cell.imshow(picture, origin="lower", interpolation="nearest")
            bare(cell)
        draw_map(axes[2, i], added[i], top, True)
        if labels is not None:
            axes[0, i].set_title(labels[i], fontsize=7.5, pad=2)
    for cell, name in zip(axes[:, 0], ("before", "after", "difference"), strict=True):
        cell.set_ylabel(name, fontsize=8.5)
    bar(axes[2, -1], top, True)
    if pixel_scale:
        add_scale_bar(axes[0, 0], before.shape[2], pixel_scale)
    if title:
        figure.suptitle(title, fontsize=9)
    if unit:
        figure.supxlabel(f"difference of flux [{unit}]", fontsize=7.5)
    return figure
