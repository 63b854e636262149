"""Band stacks: one row an object, one column a band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn.errors import PredictionError
from astrocnn.report.gallery import rgb, scale_bar
from astrocnn.report.style import NO_DATA, styled

__all__ = ["stacks"]


@styled
def stacks(
    images: Any,
    bands: Sequence[str],
    *,
    labels: Sequence[str] | None = None,
    pixel_scale: float | None = None,
) -> Figure:
    """Every band of some objects beside their color picture.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_bands)
        NaN where there is no data: drawn in a color of its own.
    bands : sequence of str
        Names of the bands.
    labels : sequence of str, optional
        A line beside each object.
    pixel_scale : float, optional
        [arcsec/pixel]; gives a scale bar.

    Raises
    ------
    PredictionError
        If there is nothing to draw, or not one name per band.
    """
    images = np.asarray(images, np.float64)
    if images.ndim != 4 or not len(images) or images.shape[-1] != len(bands):
        raise PredictionError(
            "A picture of stacks needs images and one name for each band.",
            received=f"images of shape {images.shape}, {len(bands)} names",
        )
    colored = len(bands) >= 3
    columns = len(bands) + colored
    side = min(1.1, 7.1 / columns)
    figure = Figure(figsize=(side * columns, side * len(images) + 0.25), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.015, h_pad=0.015, wspace=0, hspace=0)  # type: ignore[union-attr, call-arg]
    axes = figure.subplots(len(images), columns, squeeze=False)
    pictures = rgb(images) if colored else None
    for i, row in enumerate(axes):
        for j, cell in enumerate(row):
            if j < len(bands):
                cell.imshow(rgb(images[i : i + 1], [j])[0], origin="lower", interpolation="nearest")
            elif pictures is not None:
                cell.imshow(pictures[i], origin="lower", interpolation="nearest")
            cell.set_xticks([])
            cell.set_yticks([])
            cell.spines[:].set(color="0.6", lw=0.5)
            if i == 0:
                cell.set_title(bands[j] if j < len(bands) else "color", pad=3)
        if labels is not None:
            row[0].set_ylabel(labels[i], fontsize=7)
    if pixel_scale:
        scale_bar(axes[0, 0], images.shape[2], pixel_scale)
    if not np.isfinite(images).all():
        figure.supxlabel("filled areas: no data", fontsize=7, color=NO_DATA)
    return figure
