"""Images that a network made or changed: class images and deep dreams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn.explain.figures.maps import (
    add_colorbar,
    full_scale,
    image_grid,
    plot_map,
    require,
    shared_rgb,
    show,
    signed_rgb,
)
from astrocnn.report.gallery import add_scale_bar
from astrocnn.report.style import NO_DATA, styled

__all__ = ["plot_class_images", "plot_deep_dream"]


@styled
def plot_class_images(
    images: Mapping[str, Any],
    *,
    band_names: Sequence[str],
    pixel_scale: float | None = None,
    unit: str = "",
) -> Figure:
    """One row a class: its color image, from three bands on, and each band about zero.

    All bands of a class share one scale.  In the color image gray is zero.

    Parameters
    ----------
    images : mapping of str to array_like of shape (height, width, n_bands)
        By class.
    band_names : sequence of str
        One for each band.
    pixel_scale : float, optional
        [arcsec/pixel]; gives a scale bar.
    unit : str
        Unit of the images, plotted below.

    Raises
    ------
    PredictionError
        If there is no image, or one has not as many bands as there are names.

    References
    ----------
    Simonyan, Vedaldi & Zisserman 2014, ICLR workshop (arXiv:1312.6034), figure 1.
    """
    arrays = {name: np.asarray(image, np.float64) for name, image in images.items()}
    shapes = {name: image.shape for name, image in arrays.items()}
    require(
        arrays and all(len(s) == 3 and s[-1] == len(band_names) for s in shapes.values()),
        "`plot_class_images` needs an image of each class, with one name for each band.",
        shapes,
        f"(height, width, {len(band_names)})",
    )
    colored = len(band_names) >= 3
    columns = len(band_names) + colored
    side = min(1.3, 6.1 / columns)
    size = side * columns + 0.95, side * len(arrays) + 0.25 + 0.15 * bool(unit)
    figure, axes = image_grid(len(arrays), columns, size)
    for row, (name, image) in zip(axes, arrays.items(), strict=True):
        top = full_scale(image)
        if colored:
            show(row[0], np.nan_to_num(signed_rgb(image, top)))
        for j, cell in enumerate(row[colored:]):
            plot_map(cell, image[..., j], top, True)
        row[0].set_ylabel(name, fontsize=8.5)
        add_colorbar(row[-1], top, True)
    for cell, title in zip(axes[0], [*(["color"] * colored), *band_names], strict=True):
        cell.set_title(title, pad=3)
    if pixel_scale:
        add_scale_bar(axes[0, 0], next(iter(arrays.values())).shape[1], pixel_scale)
    if unit:
        figure.supxlabel(f"flux [{unit}]", fontsize=7.5)
    return figure


@styled
def plot_deep_dream(
    before: Any,
    after: Any,
    *,
    labels: Any = None,
    title: str = "",
    pixel_scale: float | None = None,
    unit: str = "",
) -> Figure:
    """Each image above its changed copy, both in one stretch, and their difference.

    Parameters
    ----------
    before, after : array_like of shape (n, height, width, n_bands)
        NaN where there is no data.
    labels : sequence of str, optional
        A line above each image.
    title : str
        Above the figure: the layer, for instance.
    pixel_scale, unit
        As for `plot_class_images`.

    Raises
    ------
    PredictionError
        If these are not pairs of images.
    """
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    require(
        before.ndim == 4 and before.size and before.shape == after.shape,
        "`plot_deep_dream` needs as many images after as before, of one shape.",
        f"{before.shape} before, {after.shape} after",
    )
    n = len(before)
    side = min(1.5, 6.1 / n)
    above = 0.2 * bool(title) + 0.2 * (labels is not None)
    figure, axes = image_grid(3, n, (side * n + 0.95, 3 * side + above + 0.15 * bool(unit)))
    # The mean over bands, so that the scale does not grow with their number.
    added = (after - before).mean(axis=-1)
    top = full_scale(added)
    for i in range(n):
        pair = shared_rgb([before[i], after[i]], reference=[before[i]], dark=0.5)
        for cell, picture in zip(axes[:2, i], pair, strict=True):
            picture[~np.isfinite(picture).all(axis=-1)] = NO_DATA
            show(cell, picture)
        plot_map(axes[2, i], added[i], top, True)
        if labels is not None:
            axes[0, i].set_title(labels[i], fontsize=7.5, pad=2)
    for cell, name in zip(axes[:, 0], ("before", "after", "difference"), strict=True):
        cell.set_ylabel(name, fontsize=8.5)
    add_colorbar(axes[2, -1], top, True)
    if pixel_scale:
        add_scale_bar(axes[0, 0], before.shape[2], pixel_scale)
    if title:
        figure.suptitle(title, fontsize=9)
    if unit:
        figure.supxlabel(f"difference of flux [{unit}]", fontsize=7.5)
    return figure
