"""Plots of maps over pixels: colors, limits, outlines, mosaics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from astrocnn.errors import PredictionError
from astrocnn.explain.sky import select_border
from astrocnn.report.style import NO_DATA

__all__ = [
    "MARKERS",
    "add_colorbar",
    "annotate",
    "bare",
    "colored",
    "compute_half_level",
    "compute_isophote",
    "full_scale",
    "image_grid",
    "is_signed",
    "build_figure",
    "plot_map",
    "plot_outline",
    "require",
    "shared_rgb",
    "short",
    "show",
    "signed_rgb",
    "sum_bands",
    "tiles",
    "validate_arrays",
]

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_SIGNED, _POSITIVE = "RdBu_r", "viridis"
_OUTSIDE = 0.88, 0.66  # gray of the ground and of the stripes


def require(condition: Any, message: str, received: Any, allowed: Any = None) -> None:
    """Raise PredictionError unless arrays belong together."""
    if not condition:
        raise PredictionError(message, received=received, allowed=allowed)


def validate_arrays(
    arrays: Mapping[str, Any], shape: tuple[int | None, ...], message: str
) -> dict[str, NDArray[np.float64]]:
    """Arrays by name in float64, one or more, all of a shape in which None is any length."""
    values = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    require(
        values
        and all(
            a.size
            and a.ndim == len(shape)
            and all(want in (None, got) for want, got in zip(shape, a.shape, strict=True))
            for a in values.values()
        ),
        message,
        {name: a.shape for name, a in values.items()},
        f"({', '.join('any' if length is None else str(length) for length in shape)})",
    )
    return values


def build_figure(width: float, height: float, **pads: float) -> Figure:
    """A figure of a size in inches, with the distances between its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(**pads)  # type: ignore[union-attr]
    return figure


def image_grid(rows: int, columns: int, width: float, height: float) -> tuple[Figure, Any]:
    """A figure of small images close to each other, of a size in inches, and its axes."""
    figure = build_figure(width, height, w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    return figure, figure.subplots(rows, columns, squeeze=False)


def annotate(figure: Figure, *, title: str = "", foot: str = "") -> None:
    """Add a title, and a line below."""
    if title:
        figure.suptitle(title, fontsize=9)
    if foot:
        figure.supxlabel(foot, fontsize=7.5)


def show(axes: Axes, picture: Any, *, frame: bool = True) -> None:
    """Show a color image, y upward, without ticks."""
    axes.imshow(picture, origin="lower", interpolation="nearest")
    bare(axes)
    axes.spines[:].set_visible(frame)


def bare(axes: Axes) -> None:
    """Remove the ticks of an image and leave a thin frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(color="0.6", lw=0.5)


def full_scale(values: Any) -> float:
    """The absolute value that gets the full color: exceeded by two in a thousand, never zero."""
    finite = np.abs(np.asarray(values, np.float64))
    finite = finite[np.isfinite(finite)]
    top = float(np.quantile(finite, 0.998)) if finite.size else 0.0
    top = top if top > 0 else float(finite.max(initial=0.0))
    return top if top > 1e-300 else 1.0


def short(value: float) -> str:
    """A number with two digits, without an exponent where it need not have one."""
    return f"{float(f'{value:.2g}'):g}"


def is_signed(values: Any) -> bool:
    """Whether values are negative by more than rounding, so that colors diverge from zero."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() < -1e-5 * np.abs(values).max())


def sum_bands(values: Any) -> NDArray[np.float64]:
    """Sum over the last axis of maps per band, NaN where all bands are."""
    bands = np.ma.masked_invalid(np.asarray(values, np.float64))
    return np.asarray(bands.sum(axis=-1).filled(np.nan))


def plot_map(
    axes: Axes, values: Any, top: float, signed: bool, shape: tuple[int, int] | None = None
) -> None:
    """Plot a map between -top and top in diverging colors, or from zero in sequential ones.

    NaN has the color `NO_DATA`; `shape` is that of the image if the map is coarser.
    """
    values = np.asarray(values, np.float64)
    height, width = values.shape if shape is None else shape
    axes.set_facecolor(NO_DATA)
    axes.imshow(
        np.ma.masked_invalid(values),
        origin="lower",
        interpolation="nearest",
        extent=(-0.5, width - 0.5, -0.5, height - 0.5),
        cmap=_SIGNED if signed else _POSITIVE,
        vmin=-top if signed else 0.0,
        vmax=top,
    )
    bare(axes)


def add_colorbar(
    beside: Axes,
    top: float,
    signed: bool,
    *,
    below: bool = False,
    pad: float = 0.05,
    thick: float = 0.06,
) -> Axes:
    """A color bar for `plot_map`, as long as its image, with ticks at its ends.

    It is to the right of the image, or `below` it; `pad` and `thick` are its distance and
    thickness in sides of the image.
    """
    place = (0.0, -pad - thick, 1.0, thick) if below else (1.0 + pad, 0.0, thick, 1.0)
    axes = beside.inset_axes(place)
    shades = ScalarMappable(
        Normalize(-top if signed else 0.0, top), _SIGNED if signed else _POSITIVE
    )
    colorbar = beside.figure.colorbar(
        shades, cax=axes, orientation="horizontal" if below else "vertical"
    )
    colorbar.set_ticks([-top, 0, top] if signed else [0, top])
    ends = [f"\u2212{short(top)}", "0", short(top)]
    colorbar.set_ticklabels(ends if signed else ends[1:], fontsize=7)
    colorbar.outline.set_linewidth(0.5)  # type: ignore[operator, union-attr]
    axes.tick_params(length=2, width=0.5, pad=2)
    tick_labels = axes.get_xticklabels() if below else axes.get_yticklabels()
    for text, side in ((tick_labels[0], 0), (tick_labels[-1], 1)):
        if below:
            text.set_horizontalalignment(("left", "right")[side])
        else:
            text.set_verticalalignment(("bottom", "top")[side])
    return axes


def plot_outline(axes: Axes, values: Any, level: float | None, **options: Any) -> None:
    """Plot one contour, if the values cross its level at all."""
    if level is None:
        return
    values = np.asarray(values, np.float64)
    height, width = values.shape
    # One pixel of background around, so that lines close at the border.
    padded = np.pad(values, 1, constant_values=float(np.nanmin(values)))
    if np.nanmin(values) < level < np.nanmax(values):
        x, y = np.arange(-1, width + 1), np.arange(-1, height + 1)
        axes.contour(x, y, padded, [level], **options)
        axes.set(xlim=(-0.5, width - 0.5), ylim=(-0.5, height - 0.5))


def compute_half_level(values: Any) -> tuple[NDArray[np.float64], float | None]:
    """A map of absolute values, smoothed by a thirtieth of the image, and the level above which
    half of their sum lies; no level for a map of zeros."""
    absolute = np.abs(np.nan_to_num(np.asarray(values, np.float64), posinf=0, neginf=0))
    smoothed = gaussian_filter(absolute, max(absolute.shape) / 30, mode="constant")
    ordered = np.sort(smoothed.ravel())[::-1]
    total = np.cumsum(ordered)
    if not total[-1] > 0:
        return smoothed, None
    return smoothed, float(ordered[np.searchsorted(total, 0.5 * total[-1])])


def compute_isophote(image: Any) -> tuple[NDArray[np.float64], float | None]:
    """The mean of the bands, each in units of its noise, and five times its noise above the sky.

    The image has the shape (height, width, n_bands); there is no level for one without noise.
    """
    image = np.asarray(image, np.float64)
    border = select_border(*image.shape[:2])
    light, count = np.zeros(image.shape[:2]), 0
    for band in np.moveaxis(image, -1, 0):
        finite = np.isfinite(band)
        level, noise = _measure_level_and_noise(band[finite & border])
        if noise > 0:
            light += np.where(finite, band - level, 0.0) / noise
            count += 1
    light = gaussian_filter(light / max(count, 1), 1.0)
    level, noise = _measure_level_and_noise(light[border])
    return light, level + 5 * noise if noise > 0 else None


def _measure_level_and_noise(values: NDArray[np.float64]) -> tuple[float, float]:
    if not values.size:
        return 0.0, 0.0
    level = float(np.median(values))
    return level, 1.4826 * float(np.median(np.abs(values - level)))


def colored(values: Any, top: float, signed: bool) -> NDArray[np.float64]:
    """The colors of `plot_map`, of shape (..., 3), for images put together from many."""
    values = np.asarray(values, np.float64)
    shades = colormaps[_SIGNED if signed else _POSITIVE]
    scaled = 0.5 + 0.5 * values / top if signed else values / top
    out = np.asarray(shades(np.nan_to_num(np.clip(scaled, 0, 1), nan=0.0))[..., :3], np.float64)
    out[~np.isfinite(values)] = NO_DATA
    return out


def tiles(
    pictures: Sequence[Any], columns: int, *, side: int = 24, gap: int = 2
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Small color images in rows, the first at the upper left, as one image.

    Pixels are repeated until they are `side` long, not interpolated.  NaN is striped gray:
    outside of the image.

    Parameters
    ----------
    pictures : sequence of ndarray of shape (height, width, 3)
        All of one shape, y upward.
    columns, side, gap : int
        Pictures in a row, least side of each and white space between them [pixel].

    Returns
    -------
    mosaic : ndarray of shape (rows, columns, 3)
        To be shown with the origin below.
    corners : ndarray of shape (n, 2)
        x and y of the upper left corner of each.
    """
    height, width = np.shape(pictures[0])[:2]
    k = max(1, -(-side // max(height, width)))
    step_y, step_x = k * height + gap, k * width + gap
    rows = -(-len(pictures) // columns)
    mosaic = np.ones((rows * step_y - gap, columns * step_x - gap, 3))
    corners = np.empty((len(pictures), 2))
    y, x = np.indices((k * height, k * width))
    stripes = np.where((x + y) % max(6, side // 4) < max(2, side // 12), *_OUTSIDE[::-1])
    for i, picture in enumerate(pictures):
        large = np.repeat(np.repeat(np.asarray(picture, np.float64), k, axis=0), k, axis=1)
        large = np.where(np.isfinite(large), large, stripes[..., None])
        row, column = divmod(i, columns)
        bottom, left = (rows - 1 - row) * step_y, column * step_x
        mosaic[bottom : bottom + k * height, left : left + k * width] = large
        corners[i] = left - 0.5, bottom + k * height - 0.5
    return mosaic, corners


def shared_rgb(
    images: Sequence[Any], reference: Sequence[Any] | None = None, *, dark: float = 0.25
) -> list[NDArray[np.float64]]:
    """Color images, of shape (height, width, 3), with the same black, white and asinh stretch.

    Black and white are measured band by band on the images `reference`, by default `images`
    themselves, such that a fraction `dark` of the pixels is black.  Images have the shape
    (height, width, n_bands) with any height and width; NaN stays NaN; below three bands all is
    gray.
    """
    measured = images if reference is None else reference
    n_bands = np.shape(images[0])[-1]
    pixels = np.concatenate([np.asarray(x, np.float64).reshape(-1, n_bands) for x in measured])
    bands = [n_bands - 1, n_bands // 2, 0] if n_bands >= 3 else [0]
    black, white, noise = np.zeros(len(bands)), np.ones(len(bands)), np.zeros(len(bands))
    for i, b in enumerate(bands):
        values = pixels[np.isfinite(pixels[:, b]), b]
        if values.size:
            black[i], middle, white[i] = np.quantile(values, [dark, 0.5, 0.998])
            noise[i] = 1.4826 * np.median(np.abs(values - middle))
    white = np.where(white > black, white - black, 1.0)
    # A nearly linear stretch of faint images, so that their noise stays dark.
    soft = float(np.clip(4 * np.mean(noise / white), 0.01, 1.0))
    out = []
    for image in images:
        x = np.maximum((np.asarray(image, np.float64)[..., bands] - black) / white, 0.0)
        light = x.mean(axis=-1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.arcsinh(light / soft) / np.arcsinh(1 / soft) / light
        color = x * np.where(light == 0, 0.0, factor)
        color /= np.maximum(color.max(axis=-1, keepdims=True), 1.0)
        out.append(np.broadcast_to(color, (*color.shape[:2], 3)).copy())
    return out


def signed_rgb(values: Any, top: float) -> NDArray[np.float64]:
    """Color images, of shape (..., 3), of values of shape (..., n_bands): zero is gray.

    More light in a band is more of its color, `top` full white and -`top` black; below three bands
    all is gray.  NaN stays NaN.
    """
    values = np.asarray(values, np.float64)
    n_bands = values.shape[-1]
    bands = [n_bands - 1, n_bands // 2, 0] if n_bands >= 3 else [0, 0, 0]
    return np.clip(0.5 + 0.5 * values[..., bands] / top, 0.0, 1.0)
