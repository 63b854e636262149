"""Image stamps: color images, galleries of objects with predictions, all bands side by side."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from astrocnn.errors import PredictionError
from astrocnn.report.style import COLORS, NO_DATA, new_panels, styled

__all__ = [
    "Stamp",
    "add_scale_bar",
    "compute_band_levels",
    "encode_jpeg",
    "make_rgb",
    "plot_bands",
    "plot_gallery",
]


_QUALITY = 92


@dataclass(frozen=True)
class Stamp:
    """One object of a gallery.

    Parameters
    ----------
    row : int
        Its row in the arrays it was chosen from.
    label : str
        Its true class or value, empty if unknown.
    predicted : str
        Its predicted class or value.
    detail : str
        Second line of the caption, for instance the uncertainty.
    is_error : bool
        Whether the prediction counts as an error; marked in orange.
    """

    row: int
    label: str
    predicted: str
    detail: str
    is_error: bool

    @property
    def title(self) -> str:
        """True and predicted label where they differ, else the prediction."""
        if self.label in ("", self.predicted):
            return self.predicted
        return f"{self.label} \u2192 {self.predicted}"


@styled
def plot_gallery(
    images: ArrayLike,
    stamps: Sequence[Stamp],
    *,
    pixel_scale: float | None = None,
    bands: Sequence[int] | None = None,
    levels: Sequence[float] | None = None,
    columns: int = 6,
    labels: Sequence[str] | None = None,
) -> Figure:
    """Stamps in rows, each with its true label, prediction and uncertainty; errors in orange.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_bands)
        One image per stamp, NaN where there is no data.
    stamps : sequence of Stamp
        Their labels and predictions.
    pixel_scale : float, optional
        [arcsec/pixel]; adds a scale bar.
    bands : sequence of int, optional
        One band for gray, or three for red, green and blue; see `make_rgb`.
    levels : sequence of float, optional
        Brightness of each band shown as white, see `compute_band_levels`.
    columns : int
        Stamps per row.
    labels : sequence of str, optional
        Title of each stamp, for instance its identifier.

    Raises
    ------
    PredictionError
        If there is not one image per stamp.
    """
    cutouts = np.asarray(images)
    if cutouts.ndim != 4 or len(cutouts) != len(stamps) or not len(stamps):
        raise PredictionError(
            "`images` must hold one image per stamp, and at least one.",
            received=f"images of shape {cutouts.shape}, {len(stamps)} stamps",
        )
    colored = make_rgb(cutouts, bands, levels)
    width = 7.1 / 6
    height = width + (0.30 if labels is None else 0.42)
    figure, panels = new_panels(len(stamps), columns, width, height)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.03)  # type: ignore[union-attr, call-arg]
    for i, (axes, stamp) in enumerate(zip(panels, stamps, strict=True)):
        edge, width = (COLORS[1], 1.6) if stamp.is_error else ("0.6", 0.6)
        _show_image(axes, colored[i], edge, width)
        if labels is not None:
            axes.set_title(labels[i], fontsize=6, pad=2)
        axes.set_xlabel(_format_caption(stamp), fontsize=7, labelpad=2, linespacing=1.15)
        axes.xaxis.label.set_color(COLORS[1] if stamp.is_error else "0.1")
        if pixel_scale and i == 0:
            add_scale_bar(axes, cutouts.shape[2], pixel_scale)
    return figure


@styled
def plot_bands(
    images: ArrayLike,
    bands: Sequence[str],
    *,
    labels: Sequence[str] | None = None,
    pixel_scale: float | None = None,
) -> Figure:
    """All bands of some objects, one row per object, with their color image.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_bands)
        NaN where there is no data, shown in the color `NO_DATA`.
    bands : sequence of str
        Names of the bands.
    labels : sequence of str, optional
        Label of each object.
    pixel_scale : float, optional
        [arcsec/pixel]; adds a scale bar.

    Raises
    ------
    PredictionError
        If there is no image, or not one name per band.
    """
    cutouts = np.asarray(images, np.float64)
    if cutouts.ndim != 4 or not len(cutouts) or cutouts.shape[-1] != len(bands):
        raise PredictionError(
            "`images` must hold at least one image, and `bands` one name per band.",
            received=f"images of shape {cutouts.shape}, {len(bands)} names",
        )
    color = make_rgb(cutouts) if len(bands) >= 3 else np.empty(0)
    columns = len(bands) + bool(len(color))
    side = min(1.1, 7.1 / columns)
    figure = Figure(figsize=(side * columns, side * len(cutouts) + 0.25), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.015, h_pad=0.015, wspace=0, hspace=0)  # type: ignore[union-attr, call-arg]
    axes = figure.subplots(len(cutouts), columns, squeeze=False)
    for i, row in enumerate(axes):
        for j, cell in enumerate(row):
            is_band = j < len(bands)
            image = make_rgb(cutouts[i : i + 1], [j])[0] if is_band else color[i]
            _show_image(cell, image, "0.6", 0.5)
            if i == 0:
                cell.set_title(bands[j] if is_band else "color", pad=3)
        if labels is not None:
            row[0].set_ylabel(labels[i], fontsize=7)
    if pixel_scale:
        add_scale_bar(axes[0, 0], cutouts.shape[2], pixel_scale)
    if not np.isfinite(cutouts).all():
        figure.supxlabel("pink: no data", fontsize=7, color=NO_DATA)
    return figure


def _show_image(axes: Axes, image: NDArray[np.float64], edge: str, width: float) -> None:
    axes.imshow(image, origin="lower", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(color=edge, lw=width)


def compute_band_levels(images: ArrayLike) -> NDArray[np.float64]:
    """Brightness of each band above its background, for equal colors in galleries; (n_bands,).

    Parameters
    ----------
    images : array_like of shape (n, height, width, n_bands)
        NaN where there is no data.
    """
    x, empty = _subtract_background(np.asarray(images, np.float64))
    return np.array([_compute_white_level(x[..., b][~empty[..., b]]) for b in range(x.shape[-1])])


def make_rgb(
    images: ArrayLike, bands: Sequence[int] | None = None, levels: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """Color images with an asinh stretch that preserves band ratios; gray below three bands.

    Each image has its own stretch, from its median to its brightest pixels, with a softening of
    four times its noise.  Bands are first scaled to a common brightness over all images.

    Parameters
    ----------
    images : array_like of shape (n, height, width, n_bands)
        NaN where there is no data.
    bands : sequence of int, optional
        One band, or three for red, green and blue.  By default the last, middle and first of
        three or more bands, else the first.
    levels : sequence of float of shape (n_bands,), optional
        Brightness of each band shown as white; by default measured on these images.

    Returns
    -------
    colored : ndarray of shape (n, height, width, 3)
        Between 0 and 1; pixels without data in one of the bands have the color `NO_DATA`.

    Raises
    ------
    PredictionError
        If `bands` are not one or three of the bands.

    References
    ----------
    Lupton et al. (2004), PASP 116, 133.
    """
    cutouts = np.asarray(images, np.float64)
    n_bands = cutouts.shape[-1]
    if bands is None:
        bands = (n_bands - 1, n_bands // 2, 0) if n_bands >= 3 else (0,)
    if len(bands) not in (1, 3) or not all(0 <= b < n_bands for b in bands):
        raise PredictionError(
            "`bands` must be one or three band indices.", received=bands, allowed=range(n_bands)
        )
    white = np.asarray(compute_band_levels(cutouts) if levels is None else levels)[list(bands)]
    x, empty = _subtract_background(cutouts[..., list(bands)])
    # Bands missing altogether do not blank an image.
    absent = empty.all(axis=(1, 2), keepdims=True)
    no_data = np.asarray((empty & ~absent).any(axis=-1) | empty.all(axis=-1))
    # Scale bands of different depth, so that a typical object is white.
    x = x * (white.mean() / white)
    intensity = x.mean(axis=-1)
    out = np.empty((*cutouts.shape[:3], 3))
    for i, light in enumerate(intensity):
        good = light[~no_data[i]]
        top = _compute_white_level(good)
        noise = 1.4826 * float(np.median(np.abs(good - np.median(good)))) if good.size else 0.0
        soft = min(max(4 * noise / top, 0.08), 1.0)
        stretched = np.arcsinh(np.maximum(light, -noise) / top / soft) / np.arcsinh(1 / soft)
        # Raise the sky above black, so that its noise and structure stay visible.
        pedestal = 0.06
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.where(np.abs(light) > 1e-12 * top, stretched / light, 0.0)
        color = x[i] * factor[..., None] * (1 - pedestal) + pedestal
        # Scale all bands of a saturated pixel, which keeps its hue.
        color /= np.maximum(color.max(axis=-1, keepdims=True), 1.0)
        color = np.broadcast_to(np.clip(color, 0, 1), (*light.shape, 3)).copy()
        color[no_data[i]] = NO_DATA
        out[i] = color
    return out


def encode_jpeg(image: NDArray[np.floating], size: int | None = None) -> str:
    """A color image as JPEG in base64.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3)
        Between 0 and 1, from the first line to the last.
    size : int, optional
        Side that a larger image is reduced to [pixel].
    """
    stream = io.BytesIO()
    picture = Image.fromarray(np.round(255 * np.asarray(image)).astype(np.uint8))
    if size is not None and max(picture.size) > size:
        picture = picture.resize((size, size), Image.Resampling.BOX)
    # Colors at full resolution: those of single pixels are what is looked at.
    picture.save(stream, format="JPEG", quality=_QUALITY, subsampling=0)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def _subtract_background(
    images: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    empty = ~np.isfinite(images)
    masked = np.ma.array(np.where(empty, 0.0, images), mask=empty)
    background = np.ma.median(masked, axis=(1, 2), keepdims=True).filled(0.0)
    return np.where(empty, 0.0, images - background), empty


def _compute_white_level(values: NDArray[np.float64]) -> float:
    # A high quantile, not the maximum, which may be a cosmic ray.
    top = float(np.quantile(values, 0.997)) if values.size else 1.0
    return top if top > 0 else max(float(np.abs(values).max(initial=0)), 1e-30)


def _format_caption(stamp: Stamp) -> str:
    title = stamp.title
    if len(title) > 22:
        title = title.replace(" \u2192 ", "\n\u2192 ")
    return f"{title}\n{stamp.detail}"


def add_scale_bar(axes: Axes, width: int, pixel_scale: float) -> None:
    """Add a bar of a round angle in the lower left corner.

    Parameters
    ----------
    axes : Axes
        Axes of an image.
    width : int
        Width of the image [pixel].
    pixel_scale : float
        [arcsec/pixel]
    """
    most = 0.4 * width * pixel_scale
    step = 10.0 ** math.floor(math.log10(most))
    length = max(m * step for m in (1, 2, 5) if m * step <= most)
    pixels = length / pixel_scale
    start = 0.06 * width
    # A dark outline: the bar must be visible on sky and on a bright galaxy.
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
