"""Objects in two dimensions, colored by label, prediction or image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from astrocnn.explain.figures.maps import bare, require
from astrocnn.report.gallery import make_rgb
from astrocnn.report.style import COLORS, COLUMN, styled

__all__ = ["plot_embedding"]

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_UNKNOWN = "0.75"


@styled
def plot_embedding(
    points: Any,
    *,
    colors: Any = None,
    color_label: str = "",
    thumbnails: Any = None,
    names: Sequence[str] = ("", ""),
    size: float = 0.09,
) -> Figure:
    """Points colored by a value, and beside them the images of some.

    Parameters
    ----------
    points : array_like of shape (n, 2)
        Places; those that are not finite are left out.
    colors : array_like of shape (n,), optional
        Text for classes, which have markers too, or numbers; NaN and empty text are gray.
    color_label : str
        Label of the colors.
    thumbnails : array_like of shape (n, height, width, n_bands), optional
        Images, of which as many are placed as have room without overlap, each where its point is.
    names : (str, str)
        Labels of the axes.
    size : float
        Side of an image, in widths of its panel.

    Raises
    ------
    PredictionError
        If there are no points, or not one color and image for each.
    """
    points = np.asarray(points, np.float64)
    extra = [np.asarray(x) for x in (colors, thumbnails) if x is not None]
    finite = np.isfinite(points).all(axis=-1) if points.ndim == 2 else np.zeros(0, bool)
    require(
        points.shape[1:] == (2,) and finite.any() and all(len(x) == len(points) for x in extra),
        "`plot_embedding` needs points in a plane, with one color and one image for each.",
        f"points of shape {points.shape}, others of {[len(x) for x in extra]}",
    )
    points = points[finite]
    columns = 1 if thumbnails is None else 2
    figure = Figure(figsize=(COLUMN * 1.03 * columns, COLUMN * 1.06), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    low, high = points.min(axis=0), points.max(axis=0)
    # Points without extent need axes limits as well.
    margin = np.maximum(0.06 * (high - low), 1e-6 * (1 + np.abs(high)))
    for panel in axes:
        panel.set(xlim=(low[0] - margin[0], high[0] + margin[0]), xlabel=names[0])
        panel.set(ylim=(low[1] - margin[1], high[1] + margin[1]), ylabel=names[1])
        panel.set_box_aspect(1)
        if not any(names):
            bare(panel)
    color_values = np.full(len(points), np.nan) if colors is None else np.asarray(colors)[finite]
    shades = _scatter(figure, axes[0], points, color_values, color_label)
    if thumbnails is not None:
        pictures = np.asarray(thumbnails)[finite]
        _plot_images(axes[1], points, pictures, shades, size)
        axes[1].set_ylabel("")
        axes[1].tick_params(labelleft=False)
    return figure


def _scatter(
    figure: Figure, axes: Axes, points: NDArray[np.float64], colors: Any, label: str
) -> list[Any]:
    """Plot the points, and return the color of each."""
    dot = float(np.clip(900 / len(points), 3, 22))
    if colors.dtype.kind in "fiub":
        values = np.ma.masked_invalid(colors.astype(np.float64))
        shades: list[Any] = [_UNKNOWN] * len(points)
        missing = np.ma.getmaskarray(values)
        _plot_dots(axes, points[missing], s=dot, c=_UNKNOWN)
        if not missing.all():
            ends = np.quantile(values.compressed(), [0.01, 0.99])
            ends = ends if ends[1] > ends[0] else np.add(ends, (-0.5, 0.5))
            order = np.flatnonzero(~missing)
            artist = _plot_dots(
                axes,
                points[order],
                s=dot,
                c=values[order],
                cmap="viridis",
                vmin=ends[0],
                vmax=ends[1],
            )
            bar_axes = axes.inset_axes((0.0, 1.04, 1.0, 0.035))
            figure.colorbar(
                artist, cax=bar_axes, orientation="horizontal", extend="both", label=label
            )
            bar_axes.xaxis.set_ticks_position("top")
            bar_axes.xaxis.set_label_position("top")
            for row, color in zip(order, artist.to_rgba(values[order]), strict=True):
                shades[row] = color
        return shades
    text = colors.astype(str)
    categories = [name for name in dict.fromkeys(sorted(text.tolist())) if name]
    shades = [_UNKNOWN] * len(points)
    _plot_dots(axes, points[text == ""], s=dot, c=_UNKNOWN)
    for i, name in enumerate(categories):
        color, marker = COLORS[i % len(COLORS)], _MARKERS[(i + i // len(COLORS)) % len(_MARKERS)]
        members = text == name
        _plot_dots(axes, points[members], s=dot, c=color, marker=marker, alpha=0.8, label=name)
        for row in np.flatnonzero(members):
            shades[row] = color
    if categories:
        figure.legend(
            loc="outside upper center",
            ncols=min(len(categories), 5),
            title=label or None,
            handletextpad=0.1,
            columnspacing=1.2,
            markerscale=1.5,
        )
    return shades


def _plot_dots(axes: Axes, points: NDArray[np.float64], **options: Any) -> Any:
    return axes.scatter(points[:, 0], points[:, 1], lw=0, rasterized=True, **options)


def _plot_images(
    axes: Axes, points: NDArray[np.float64], images: Any, shades: Sequence[Any], size: float
) -> None:
    low = np.array([axes.get_xlim()[0], axes.get_ylim()[0]])
    span = np.array([axes.get_xlim()[1], axes.get_ylim()[1]]) - low
    chosen, corners = place_thumbnails((points - low) / span, size)
    pictures = make_rgb(images[chosen])
    for picture, row, corner in zip(pictures, chosen, corners, strict=True):
        (x, y), (dx, dy) = low + corner * span, size * span
        extent = (x, x + dx, y, y + dy)
        axes.imshow(picture, origin="lower", extent=extent, interpolation="nearest", aspect="auto")
        edge = [extent[i] for i in (0, 1, 1, 0, 0)], [extent[i] for i in (2, 2, 3, 3, 2)]
        axes.plot(*edge, color=shades[row], lw=1.2, solid_joinstyle="miter")
    axes.set(xlim=(low[0], low[0] + span[0]), ylim=(low[1], low[1] + span[1]))


def place_thumbnails(
    points: NDArray[np.float64], size: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Points that get an image, and the lower left corner of each image.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Between 0 and 1.
    size : float
        Side of an image.

    Returns
    -------
    chosen : ndarray of shape (m,)
        Rows.
    corners : ndarray of shape (m, 2)
        Of squares that do not overlap, moved no farther from their points than the frame asks.
    """
    corners = np.clip(points - size / 2, 0.004, 0.996 - size)
    gap = size * 1.08
    chosen: list[int] = []
    # Chebyshev distance to the nearest image placed so far.
    distance = np.full(len(points), np.inf)
    candidate = int(np.argmin(np.abs(points - 0.5).max(axis=1)))
    while distance[candidate] >= gap:
        chosen.append(candidate)
        separation = np.abs(corners - corners[candidate]).max(axis=1)
        distance = np.minimum(distance, separation)
        # Placing the nearest free point next packs the images closely.
        free_distance = np.where(distance >= gap, distance, np.inf)
        candidate = int(np.argmin(free_distance))
        if not np.isfinite(free_distance[candidate]):
            break
    return np.array(chosen, np.intp), corners[chosen]
