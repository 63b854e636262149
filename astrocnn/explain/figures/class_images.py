"""The image that each class likes most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn.errors import PredictionError
from astrocnn.explain.figures.maps import bar, bare, draw_map, limit
from astrocnn.explain.figures.shades import signed_rgb
from astrocnn.report.gallery import add_scale_bar
from astrocnn.report.style import styled

__all__ = ["class_images"]


@styled
def class_images(
    images: Mapping[str, Any],
    *,
    band_names: Sequence[str],
    pixel_scale: float | None = None,
    unit: str = "",
) -> Figure:
    """One row a class: its color picture, from three bands on, and each band about zero.

    All bands of a class share one scale.  In the color picture gray is zero.

    Parameters
    ----------
    images : mapping of str to array_like of shape (height, width, n_bands)
        By class.
    band_names : sequence of str
        One for each band.
    pixel_scale : float, optional
        [arcsec/pixel]; gives a scale bar.
    unit : str
        Of the images; stands below.

    Raises
    ------
    PredictionError
        If there is no image, or one has not as many bands as there are names.

    References
    ----------
    Simonyan, Vedaldi & Zisserman 2014, ICLR workshop (arXiv:1312.6034), figure 1.
    """
    found = {name: np.asarray(image, np.float64) for name, image in images.items()}
    shapes = {name: image.shape for name, image in found.items()}
    if not found or any(len(s) != 3 or s[-1] != len(band_names) for s in shapes.values()):
        raise PredictionError(
            "Pictures of classes need an image of each, with one name for each band.",
            received=shapes,
            allowed=f"(height, width, {len(band_names)})",
        )
    colored = len(band_names) >= 3
    columns = len(band_names) + colored
    side = min(1.3, 6.1 / columns)
    figure = Figure(
        figsize=(side * columns + 0.95, side * len(found) + 0.25 + 0.15 * bool(unit)),
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)  # type: ignore[union-attr, call-arg]
    axes = figure.subplots(len(found), columns, squeeze=False)
    for row, (name, image) in zip(axes, found.items(), strict=True):
        top = limit(image)
        if colored:
            row[0].imshow(
                np.nan_to_num(signed_rgb(image, top)), origin="lower", interpolation="nearest"
            )
            bare(row[0])
        for j, cell in enumerate(row[colored:]):
            draw_map(cell, image[..., j], top, True)
        row[0].set_ylabel(name, fontsize=8.5)
        bar(row[-1], top, True)
    titles = [*(["color"] if colored else []), *band_names]
    for cell, title in zip(axes[0], titles, strict=True):
        cell.set_title(title, pad=3)
    if pixel_scale:
        add_scale_bar(axes[0, 0], next(iter(found.values())).shape[1], pixel_scale)
    if unit:
        figure.supxlabel(f"flux [{unit}]", fontsize=7.5)
    return figure
