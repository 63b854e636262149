"""How maps over pixels are drawn: colors, limits, outlines, many small pictures as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from astrocnn.report.style import NO_DATA

__all__ = [
    "bar",
    "bare",
    "colored",
    "draw_map",
    "holding",
    "is_signed",
    "isophote",
    "limit",
    "outline",
    "over_bands",
    "short",
    "tiles",
]

_SIGNED, _POSITIVE = "RdBu_r", "viridis"
_OUTSIDE = 0.88, 0.66  # gray of the ground and of the stripes


def bare(axes: Axes) -> None:
    """Take the ticks from a picture and leave a thin frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(color="0.6", lw=0.5)


def limit(values: Any) -> float:
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
    """Whether anything but rounding is below zero, which is then the middle of the colors."""
    found = np.asarray(values, np.float64)
    found = found[np.isfinite(found)]
    return bool(found.size and found.min() < -1e-5 * np.abs(found).max())


def over_bands(values: Any) -> NDArray[np.float64]:
    """Sum over the last axis of maps per band, NaN where all bands are."""
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=-1)
    return np.where(known.any(axis=-1), total, np.nan)


def draw_map(
    axes: Axes, values: Any, top: float, signed: bool, shape: tuple[int, int] | None = None
) -> None:
    """Draw a map between -top and top, or from zero where nothing is negative.

    Parameters
    ----------
    axes : Axes
        Empty.
    values : array_like of shape (height, width)
        NaN is drawn in `NO_DATA`.
    top : float
        Gets the full color.
    signed : bool
        Diverging colors about zero, else sequential ones.
    shape : (int, int), optional
        Height and width of the image on which the map lies, if it is coarser.
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


def bar(
    beside: Axes,
    top: float,
    signed: bool,
    *,
    below: bool = False,
    pad: float = 0.05,
    thick: float = 0.06,
) -> Axes:
    """A color bar of what `draw_map` drew, as long as its picture, with ticks at its ends.

    Parameters
    ----------
    beside : Axes
        The picture.
    top, signed
        As for `draw_map`.
    below : bool
        Under the picture instead of to its right.
    pad, thick : float
        Distance and thickness, in sides of the picture.

    Returns
    -------
    Axes
        Of the bar.
    """
    place = (0.0, -pad - thick, 1.0, thick) if below else (1.0 + pad, 0.0, thick, 1.0)
    axes = beside.inset_axes(place)
    shades = ScalarMappable(
        Normalize(-top if signed else 0.0, top), _SIGNED if signed else _POSITIVE
    )
    figure = beside.figure
    drawn = figure.colorbar(shades, cax=axes, orientation="horizontal" if below else "vertical")
    drawn.set_ticks([-top, 0, top] if signed else [0, top])
    ends = [f"\u2212{short(top)}", "0", short(top)]
    drawn.set_ticklabels(ends if signed else ends[1:], fontsize=7)
    drawn.outline.set_linewidth(0.5)  # type: ignore[operator, union-attr]
    axes.tick_params(length=2, width=0.5, pad=2)
    words = axes.get_xticklabels() if below else axes.get_yticklabels()
    for text, side in ((words[0], 0), (words[-1], 1)):
        if below:
            text.set_horizontalalignment(("left", "right")[side])
        else:
            text.set_verticalalignment(("bottom", "top")[side])
    return axes


def outline(axes: Axes, values: Any, level: float | None, **options: Any) -> None:
    """Draw one contour, if the values cross its level at all."""
    if level is None:
        return
    values = np.asarray(values, np.float64)
    height, width = values.shape
    # One pixel of background around, so that lines close at the border.
    around = np.pad(values, 1, constant_values=float(np.nanmin(values)))
    if np.nanmin(values) < level < np.nanmax(values):
        x, y = np.arange(-1, width + 1), np.arange(-1, height + 1)
        axes.contour(x, y, around, [level], **options)
        axes.set(xlim=(-0.5, width - 0.5), ylim=(-0.5, height - 0.5))


def holding(values: Any, part: float = 0.5) -> tuple[NDArray[np.float64], float | None]:
    """A smoothed map of absolute values, and the level above which a part of their sum lies.

    Parameters
    ----------
    values : array_like of shape (height, width)
        NaN counts as zero.
    part : float
        Of the sum.

    Returns
    -------
    smoothed : ndarray of shape (height, width)
        By a Gaussian of a thirtieth of the image.
    level : float or None
        Nothing for a map of zeros.
    """
    absolute = np.abs(np.nan_to_num(np.asarray(values, np.float64), posinf=0, neginf=0))
    smoothed = gaussian_filter(absolute, max(absolute.shape) / 30, mode="constant")
    ordered = np.sort(smoothed.ravel())[::-1]
    total = np.cumsum(ordered)
    if not total[-1] > 0:
        return smoothed, None
    return smoothed, float(ordered[np.searchsorted(total, part * total[-1])])


def isophote(image: Any) -> tuple[NDArray[np.float64], float | None]:
    """The mean of the bands, smoothed a little, and the level five times its noise above the sky.

    Parameters
    ----------
    image : array_like of shape (height, width, n_bands)
        NaN where there is no data.

    Returns
    -------
    light : ndarray of shape (height, width)
        Each band in units of its own noise.
    level : float or None
        Nothing for an image without noise.
    """
    image = np.asarray(image, np.float64)
    known = np.isfinite(image)
    height, width = image.shape[:2]
    # The border, an eighth of the image wide: what is in the middle is the object.
    rim = np.ones((height, width), bool)
    edge_y, edge_x = max(1, height // 8), max(1, width // 8)
    rim[edge_y : height - edge_y, edge_x : width - edge_x] = False
    light, count = np.zeros((height, width)), 0
    for b in range(image.shape[-1]):
        level, noise = _level_and_noise(image[..., b][known[..., b] & rim])
        if noise > 0:
            light += np.where(known[..., b], image[..., b] - level, 0.0) / noise
            count += 1
    light = gaussian_filter(light / max(count, 1), 1.0)
    level, noise = _level_and_noise(light[rim])
    return light, level + 5 * noise if noise > 0 else None


def _level_and_noise(values: NDArray[np.float64]) -> tuple[float, float]:
    if not values.size:
        return 0.0, 0.0
    level = float(np.median(values))
    return level, 1.4826 * float(np.median(np.abs(values - level)))


def colored(values: Any, top: float, signed: bool) -> NDArray[np.float64]:
    """The colors `draw_map` gives, of shape (..., 3), for pictures put together from many."""
    values = np.asarray(values, np.float64)
    shades = colormaps[_SIGNED if signed else _POSITIVE]
    scaled = 0.5 + 0.5 * values / top if signed else values / top
    out = np.asarray(shades(np.nan_to_num(np.clip(scaled, 0, 1), nan=0.0))[..., :3], np.float64)
    out[~np.isfinite(values)] = NO_DATA
    return out


def tiles(
    pictures: Sequence[Any], columns: int, *, side: int = 24, gap: int = 2
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Small color pictures laid out in rows, the first at the upper left, as one picture.

    Pixels are repeated, not interpolated.  NaN is striped gray: outside of the image.

    Parameters
    ----------
    pictures : sequence of ndarray of shape (height, width, 3)
        All of one shape, y upward.
    columns : int
        In a row.
    side : int
        Least number of pixels a side of each, after repeating.
    gap : int
        White pixels between them.

    Returns
    -------
    whole : ndarray of shape (rows, columns, 3)
        To be drawn with the origin below.
    corners : ndarray of shape (n, 2)
        x and y of the upper left corner of each.
    """
    height, width = np.shape(pictures[0])[:2]
    k = max(1, -(-side // max(height, width)))
    step_y, step_x = k * height + gap, k * width + gap
    rows = -(-len(pictures) // columns)
    whole = np.ones((rows * step_y - gap, columns * step_x - gap, 3))
    corners = np.empty((len(pictures), 2))
    y, x = np.indices((k * height, k * width))
    stripes = np.where((x + y) % max(6, side // 4) < max(2, side // 12), *_OUTSIDE[::-1])
    for i, picture in enumerate(pictures):
        large = np.repeat(np.repeat(np.asarray(picture, np.float64), k, axis=0), k, axis=1)
        large = np.where(np.isfinite(large), large, stripes[..., None])
        row, column = divmod(i, columns)
        bottom, left = (rows - 1 - row) * step_y, column * step_x
        whole[bottom : bottom + k * height, left : left + k * width] = large
        corners[i] = left - 0.5, bottom + k * height - 0.5
    return whole, corners
