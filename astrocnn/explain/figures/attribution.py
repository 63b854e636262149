"""Attribution maps of several methods beside the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from astrocnn.explain.figures.maps import (
    add_colorbar,
    annotate,
    bare,
    compute_half_level,
    compute_isophote,
    full_scale,
    image_grid,
    is_signed,
    plot_map,
    plot_outline,
    require,
    short,
    show,
    sum_bands,
    validate_arrays,
)
from astrocnn.report.gallery import add_scale_bar, make_rgb
from astrocnn.report.style import COLORS, styled

__all__ = ["plot_attribution", "plot_attribution_by_band"]

_ISOPHOTES = "0.85", "0.35"
"""Grays of the isophote: on dark colors that begin at zero, and on those about white."""


@styled
def plot_attribution(
    images: Any,
    maps: Mapping[str, Any],
    *,
    labels: Sequence[str],
    band_names: Sequence[str],
    pixel_scale: float | None = None,
    scale: str = "object",
    contour: str | None = None,
    foot: str = "",
) -> Figure:
    """One row an object: the image, the image with an outline, and the map of each method.

    The outline holds half of the absolute attribution of one method, smoothed by a thirtieth of
    the image.  The gray line on the maps is the isophote of the object, five times the noise above
    the sky.  The number below a map is what its full color means.

    Parameters
    ----------
    images : array_like of shape (n, height, width, n_bands)
        Flux; in color from three bands on.
    maps : mapping of str to array_like of shape (n, height, width) or (n, height, width, n_bands)
        By method; those by band are added up.  Colors are centered on zero where a method has
        negative values.
    scale : {"object", "method"}
        Whether each map has its own full color, or all objects share that of a method.
    contour : str, optional
        Method of the outline; the first by default.
    """
    images = _validate_images(images, band_names)
    sums = {name: _sum_maps(name, values, images) for name, values in maps.items()}
    contour = next(iter(sums), "") if contour is None else contour
    require(
        len(labels) == len(images) and contour in sums and scale in ("object", "method"),
        "`plot_attribution` needs a label for each image, methods, and a scale.",
        f"{len(labels)} labels, {len(images)} images, contour '{contour}', '{scale}'",
        f"methods: {', '.join(sums) or 'none'}; scales: object, method",
    )
    n, columns = len(images), len(sums) + 2
    side = min(1.35, 6.2 / columns)
    high = (side + 0.16) * n + 0.45 + 0.15 * bool(foot)
    figure, axes = image_grid(n, columns, side * columns + 0.9, high)
    pictures = make_rgb(images)
    for i, row in enumerate(axes):
        show(row[0], pictures[i])
        show(row[1], pictures[i])
        plot_outline(
            row[1], *compute_half_level(sums[contour][i]), colors=[COLORS[4]], linewidths=0.9
        )
        row[0].set_ylabel(labels[i], fontsize=7.5, rotation=0, ha="right", va="center", labelpad=5)
        light = compute_isophote(images[i])
        for cell, values in zip(row[2:], sums.values(), strict=True):
            signed = is_signed(values)
            top = full_scale(values[i] if scale == "object" else values)
            _plot_cell(cell, values[i], top, signed, light)
            if scale == "object":
                sign = "\u00b1" if signed else ""
                nonzero = np.nan_to_num(values[i]).any()
                text = f"{sign}{short(top)}" if nonzero else "0 everywhere"
                cell.set_xlabel(text, fontsize=7, labelpad=1.5)
    for cell, title in zip(axes[0], ("image", f"outline: {contour}", *sums), strict=True):
        cell.set_title(_wrap_title(title, side), fontsize=8, pad=3)
    for column, values in zip(axes.T[2:], sums.values(), strict=True):
        top, pad = (1.0, 0.18) if scale == "object" else (full_scale(values), 0.06)
        add_colorbar(column[-1], top, is_signed(values), below=True, pad=pad)
    if pixel_scale:
        add_scale_bar(axes[0, 0], images.shape[2], pixel_scale)
    annotate(figure, foot=foot)
    return figure


@styled
def plot_attribution_by_band(
    image: Any,
    maps: Mapping[str, Any],
    *,
    band_names: Sequence[str],
    channel_names: Sequence[str] | None = None,
    pixel_scale: float | None = None,
    title: str = "",
) -> Figure:
    """One object: each band in the first row, below it the map of each method in that band.

    All bands of a method share one scale.

    Parameters
    ----------
    image : array_like of shape (height, width, n_bands)
        Flux.
    maps : mapping of str to array_like of shape (height, width, n_channels)
        By method.
    channel_names : sequence of str, optional
        Channels of the maps, where the network takes others than bands.
    """
    images = _validate_images(np.asarray(image)[None], band_names)
    names = list(band_names if channel_names is None else channel_names)
    arrays = validate_arrays(
        maps,
        (None, None, len(names)),
        "`plot_attribution_by_band` needs maps with one name for each of their bands.",
    )
    columns, rows = len(names), len(arrays) + 1
    side = min(1.35, 6.2 / columns)
    high = side * rows + 0.25 + 0.2 * len(title.splitlines())
    figure, axes = image_grid(rows, columns, side * columns + 0.9, high)
    light = compute_isophote(images[0])
    for cell, name in zip(axes[0], names, strict=True):
        cell.set_title(name, pad=3)
        if name in band_names:
            show(cell, make_rgb(images, [list(band_names).index(name)])[0])
        else:
            bare(cell)
            cell.set_box_aspect(1)
            cell.spines[:].set_visible(False)
    for row, (name, values) in zip(axes[1:], arrays.items(), strict=True):
        top, signed = full_scale(values), is_signed(values)
        for j, cell in enumerate(row):
            _plot_cell(cell, values[..., j], top, signed, light)
        row[0].set_ylabel(_wrap_title(name, side), fontsize=8)
        add_colorbar(row[-1], top, signed)
    axes[0, 0].set_ylabel("image", fontsize=8)
    if pixel_scale and names[0] in band_names:
        add_scale_bar(axes[0, 0], images.shape[2], pixel_scale)
    annotate(figure, title=title)
    return figure


def _plot_cell(cell: Any, values: Any, top: float, signed: bool, light: Any) -> None:
    """A map with the isophote of its object."""
    plot_map(cell, values, top, signed, light[0].shape)
    plot_outline(cell, *light, colors=_ISOPHOTES[signed], linewidths=0.5)


def _validate_images(images: Any, band_names: Sequence[str]) -> NDArray[np.float64]:
    shape = (None, None, None, len(band_names))
    message = "`images` must have one name for each band."
    return validate_arrays({"images": images}, shape, message)["images"]


def _sum_maps(name: str, values: Any, images: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.asarray(values, np.float64)
    require(
        values.ndim in (3, 4) and len(values) == len(images),
        f"The maps of '{name}' do not belong to these images.",
        values.shape,
        f"({len(images)}, height, width), or with an axis of bands",
    )
    return sum_bands(values) if values.ndim == 4 else values


def _wrap_title(text: str, side: float) -> str:
    """A title in two lines where one would be wider than its image."""
    if len(text) < 14 * side or " " not in text:
        return text
    middle = min((i for i, c in enumerate(text) if c == " "), key=lambda i: abs(2 * i - len(text)))
    return f"{text[:middle]}\n{text[middle + 1 :]}"
