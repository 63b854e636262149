"""Image stamps with what is said about them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from astrocnn.errors import PredictionError
from astrocnn.report.stamps import Stamp
from astrocnn.report.style import COLORS, NO_DATA, styled

__all__ = ["gallery", "rgb", "scale_bar"]


@styled
def gallery(
    images: Any,
    stamps: Sequence[Stamp],
    *,
    pixel_scale: float | None = None,
    bands: Sequence[int] | None = None,
    levels: Sequence[float] | None = None,
    columns: int = 6,
    labels: Sequence[str] | None = None,
) -> Figure:
    """Stamps in rows, each with its label, prediction, probability and disagreement of draws.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_bands)
        One image per stamp, NaN where there is no data.
    stamps : sequence of Stamp
        What is said about them.
    pixel_scale : float, optional
        [arcsec/pixel]; gives a scale bar.
    bands : sequence of int, optional
        One band for gray, or the three for red, green and blue; chosen when left out.
    levels : sequence of float, optional
        Brightness of each band that shall look white, see `band_levels`.
    columns : int
        Stamps in a row.
    labels : sequence of str, optional
        A line above each stamp, for instance its identifier.

    Raises
    ------
    PredictionError
        If there is not one image per stamp.
    """
    images = np.asarray(images)
    if images.ndim != 4 or len(images) != len(stamps) or not len(stamps):
        raise PredictionError(
            "A gallery needs one image per object, and at least one.",
            received=f"images of shape {images.shape}, {len(stamps)} objects",
        )
    colored = rgb(images, bands, levels)
    columns = min(columns, len(stamps))
    rows = -(-len(stamps) // columns)
    width = 7.1 / 6
    figure = Figure(
        figsize=(width * columns, (width + (0.30 if labels is None else 0.42)) * rows),
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.03)  # type: ignore[union-attr, call-arg]
    for i, stamp in enumerate(stamps):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.imshow(colored[i], origin="lower", interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set(
            color=COLORS[1] if stamp.wrong else "0.6", lw=1.6 if stamp.wrong else 0.6
        )
        if labels is not None:
            axes.set_title(labels[i], fontsize=6, pad=2)
        axes.set_xlabel(_caption(stamp), fontsize=7, labelpad=2, linespacing=1.15)
        axes.xaxis.label.set_color(COLORS[1] if stamp.wrong else "0.1")
        if pixel_scale and i == 0:
            scale_bar(axes, images.shape[2], pixel_scale)
    return figure


def band_levels(images: Any) -> NDArray[np.float64]:
    """Brightness of each band above its background, for equal colors in several galleries.

    Parameters
    ----------
    images : array_like of shape (n, height, width, n_bands)
        NaN where there is no data.

    Returns
    -------
    levels : ndarray of shape (n_bands,)
    """
    x, empty = _above_background(np.asarray(images, np.float64))
    return np.array([_brightest(x[..., b][~empty[..., b]]) for b in range(x.shape[-1])])


def rgb(
    images: Any, bands: Sequence[int] | None = None, levels: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """Color images with an asinh stretch that keeps the ratios of bands; gray below three bands.

    Every image is stretched for itself, between its median and its brightest pixels, softened at
    four times its noise.  Bands are first brought to a common brightness over all images.

    Parameters
    ----------
    images : array_like of shape (n, height, width, n_bands)
        NaN where there is no data.
    bands : sequence of int, optional
        One band, or three for red, green and blue.  When left out: last, middle and first of
        three or more bands, else the first.
    levels : sequence of float of shape (n_bands,), optional
        Brightness of each band that shall look white; measured on these images when left out.

    Returns
    -------
    colored : ndarray of shape (n, height, width, 3)
        Between 0 and 1; a pixel without data in any of the bands has the color `NO_DATA`.

    Raises
    ------
    PredictionError
        If the bands are neither one nor three of those there are.

    References
    ----------
    Lupton et al. (2004), PASP 116, 133.
    """
    images = np.asarray(images, np.float64)
    n_bands = images.shape[-1]
    if bands is None:
        bands = (n_bands - 1, n_bands // 2, 0) if n_bands >= 3 else (0,)
    if len(bands) not in (1, 3) or not all(0 <= b < n_bands for b in bands):
        raise PredictionError(
            "A picture is made of one band or of three.", received=bands, allowed=range(n_bands)
        )
    white = np.asarray(band_levels(images) if levels is None else levels)[list(bands)]
    x, empty = _above_background(images[..., list(bands)])
    # A wholly missing band leaves the others to speak, unless all are missing at that pixel.
    wholly = empty.all(axis=(1, 2), keepdims=True)
    lost = np.asarray((empty & ~wholly).any(axis=-1) | empty.all(axis=-1))
    x = x * (white.mean() / white)
    intensity = x.mean(axis=-1)
    out = np.empty((*images.shape[:3], 3))
    for i, light in enumerate(intensity):
        good = light[~lost[i]]
        top = _brightest(good)
        noise = 1.4826 * float(np.median(np.abs(good - np.median(good)))) if good.size else 0.0
        soft = min(max(4 * noise / top, 0.08), 1.0)
        stretched = np.arcsinh(np.maximum(light, -noise) / top / soft) / np.arcsinh(1 / soft)
        pedestal = 0.06
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.where(np.abs(light) > 1e-12 * top, stretched / light, 0.0)
        color = x[i] * factor[..., None] * (1 - pedestal) + pedestal
        color /= np.maximum(color.max(axis=-1, keepdims=True), 1.0)
        color = np.broadcast_to(np.clip(color, 0, 1), (*light.shape, 3)).copy()
        color[lost[i]] = NO_DATA
        out[i] = color
    return out


def _above_background(
    images: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    empty = ~np.isfinite(images)
    masked = np.ma.array(np.where(empty, 0.0, images), mask=empty)
    background = np.ma.median(masked, axis=(1, 2), keepdims=True).filled(0.0)
    return np.where(empty, 0.0, images - background), empty


def _brightest(values: NDArray[np.float64]) -> float:
    top = float(np.quantile(values, 0.997)) if values.size else 1.0
    return top if top > 0 else max(float(np.abs(values).max(initial=0)), 1e-30)


def _caption(stamp: Stamp) -> str:
    said = stamp.words
    if len(said) > 22:
        said = said.replace(" \u2192 ", "\n\u2192 ")
    return f"{said}\n{stamp.detail}"


def scale_bar(axes: Axes, width: int, pixel_scale: float) -> None:
    """Draw a bar of a round angle in the lower left corner.

    Parameters
    ----------
    axes : Axes
        With an image drawn.
    width : int
        Of the image [pixel].
    pixel_scale : float
        [arcsec/pixel]
    """
    most = 0.4 * width * pixel_scale
    step = 10.0 ** math.floor(math.log10(most))
    length = max(m * step for m in (1, 2, 5) if m * step <= most)
    pixels = length / pixel_scale
    start = 0.06 * width
    for color, lw in (("black", 3.0), ("white", 1.4)):
        axes.plot([start, start + pixels], [0.08 * width] * 2, color=color, lw=lw)
    axes.text(
        start + pixels / 2,
        0.11 * width,
        f"{length:g}\u2033",
        color="white",
        fontsize=7,
        ha="center",
        va="bottom",
        bbox={"boxstyle": "round,pad=0.1", "fc": (0, 0, 0, 0.45), "lw": 0},
    )
