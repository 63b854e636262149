"""Objects in two dimensions, colored by label, prediction or image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray

from astrocnn.explain.figures.maps import MARKERS, bare, require
from astrocnn.report.gallery import make_rgb
from astrocnn.report.style import COLORS, COLUMN, styled

__all__ = ["plot_embedding"]

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
) -> NDArray[np.float64]:
    """Plot the points, and return the color of each."""
    dot = float(np.clip(900 / len(points), 3, 22))

    def plot(rows: Any, **options: Any) -> Any:
        return axes.scatter(
            points[rows, 0], points[rows, 1], s=dot, lw=0, rasterized=True, **options
        )

    shades = np.full((len(points), 4), to_rgba(_UNKNOWN))
    if colors.dtype.kind in "fiub":
        values = np.asarray(colors, np.float64)
        known = np.isfinite(values)
        plot(~known, c=_UNKNOWN)
        if known.any():
            ends = np.quantile(values[known], [0.01, 0.99])
            low, high = ends if ends[1] > ends[0] else np.add(ends, (-0.5, 0.5))
            artist = plot(known, c=values[known], cmap="viridis", vmin=low, vmax=high)
            bar_axes = axes.inset_axes((0.0, 1.04, 1.0, 0.035))
            figure.colorbar(
                artist, cax=bar_axes, orientation="horizontal", extend="both", label=label
            )
            bar_axes.xaxis.set_ticks_position("top")
            bar_axes.xaxis.set_label_position("top")
            shades[known] = artist.to_rgba(values[known])
        return shades
    text = colors.astype(str)
    categories = sorted(set(text.tolist()) - {""})
    plot(text == "", c=_UNKNOWN)
    for i, name in enumerate(categories):
        color, marker = COLORS[i % len(COLORS)], MARKERS[(i + i // len(COLORS)) % len(MARKERS)]
        members = text == name
        plot(members, c=color, marker=marker, alpha=0.8, label=name)
        shades[members] = to_rgba(color)
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


def _plot_images(
    axes: Axes, points: NDArray[np.float64], images: Any, shades: Any, size: float
) -> None:
    low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
    span = high - low
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
    """Points between 0 and 1 that get an image, and the lower left corners of the images.

    Images do not overlap, and are moved no farther from their points than the frame asks.
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
