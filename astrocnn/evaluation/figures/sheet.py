"""Stamps of one band in one gray scale, tied to their noise, with the outlines of masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn.errors import PredictionError
from astrocnn.report.gallery import scale_bar
from astrocnn.report.style import COLORS, NO_DATA, styled

__all__ = ["sheet"]

_SOFT, _BLACK, _WHITE = 3.0, -3.0, 150.0  # [sky sigma]


@styled
def sheet(
    images: Any,
    sigma: Any,
    *,
    labels: Sequence[str] | None = None,
    masks: Any = None,
    columns: int = 5,
    pixel_scale: float | None = None,
) -> Figure:
    """Stamps side by side, from 3 sigma below the sky to 150 above it, on an asinh scale.

    Parameters
    ----------
    images : array_like of shape (n, height, width)
        Sky-subtracted; NaN where there is no data, which has a color of its own.
    sigma : float or array_like of shape (n,)
        Noise of the sky, in the unit of the images.
    labels : sequence of str, optional
        A line above each stamp.
    masks : array_like of bool of shape (n, height, width), optional
        Outlined, unless a mask covers the whole stamp.
    columns : int
        Stamps in a row.
    pixel_scale : float, optional
        [arcsec/pixel]; gives a scale bar.

    Raises
    ------
    PredictionError
        If there is nothing to draw, or not one label and mask for each stamp.
    """
    images = np.asarray(images, np.float64)
    n = len(images)
    if images.ndim != 3 or not n or any(x is not None and len(x) != n for x in (labels, masks)):
        raise PredictionError(
            "A sheet needs images of one band, with one label and one mask for each if any.",
            received=f"images of shape {images.shape}",
        )
    scaled = images / np.broadcast_to(np.asarray(sigma, float), (n,))[:, None, None]
    low, high = np.arcsinh(_BLACK / _SOFT), np.arcsinh(_WHITE / _SOFT)
    columns = min(columns, n)
    rows = -(-n // columns)
    side = min(1.5, 7.1 / columns)
    figure = Figure(
        figsize=(side * columns, (side + (0.17 if labels is not None else 0)) * rows),
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.015, h_pad=0.015, wspace=0.01, hspace=0.01)  # type: ignore[union-attr, call-arg]
    for i in range(n):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.set_facecolor(NO_DATA)
        shown = np.ma.masked_invalid(np.arcsinh(scaled[i] / _SOFT))
        axes.imshow(
            shown, origin="lower", cmap="gray", vmin=low, vmax=high, interpolation="nearest"
        )
        if masks is not None and np.any(masks[i]) and not np.all(masks[i]):
            axes.contour(np.asarray(masks[i], float), [0.5], colors=[COLORS[1]], linewidths=0.5)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set(color="0.6", lw=0.5)
        if labels is not None:
            axes.set_title(labels[i], fontsize=7.5, pad=2)
        if pixel_scale and i == 0:
            scale_bar(axes, images.shape[2], pixel_scale)
    return figure
