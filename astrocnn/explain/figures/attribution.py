"""Which pixels spoke for an answer: maps of several methods beside the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from astrocnn.errors import PredictionError
from astrocnn.explain.figures.maps import (
    bar,
    bare,
    draw_map,
    holding,
    is_signed,
    isophote,
    limit,
    outline,
    over_bands,
    short,
)
from astrocnn.report.gallery import add_scale_bar, make_rgb
from astrocnn.report.style import COLORS, styled

__all__ = ["attribution_by_band", "attribution_sheet"]

_LINE: dict[str, Any] = {"colors": [COLORS[4]], "linewidths": 0.9}
_LINES = "0.85", "0.35"
"""Grays of the isophote: on dark colors that begin at zero, and on those about white."""


@styled
def attribution_sheet(
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
        Flux, NaN where there is no data; in color from three bands on.
    maps : mapping of str to array_like of shape (n, height, width) or (n, height, width, n_bands)
        By method; those by band are added up.  Colors are centered on zero where a method has
        negative values.
    labels : sequence of str
        What is said beside each object.
    band_names : sequence of str
        One for each band.
    pixel_scale : float, optional
        [arcsec/pixel]; gives a scale bar.
    scale : str
        ``"object"``: each map has its own full color; ``"method"``: all objects share that of
        a method.
    contour : str, optional
        Method of the outline; the first by default.
    foot : str
        A line below: the number explained, or "N up, E left" where that is so.

    Raises
    ------
    PredictionError
        If the shapes do not belong together, or there is no such method or scale.
    """
    images = _checked(images, band_names)
    sums = {name: _summed(name, values, images) for name, values in maps.items()}
    contour = next(iter(sums), "") if contour is None else contour
    if len(labels) != len(images) or contour not in sums or scale not in ("object", "method"):
        raise PredictionError(
            "A sheet of maps needs a label for each image, methods, and a scale.",
            received=f"{len(labels)} labels, {len(images)} images, contour '{contour}', '{scale}'",
            allowed=f"methods: {', '.join(sums) or 'none'}; scales: object, method",
        )
    n, columns = len(images), len(sums) + 2
    side = min(1.35, 6.2 / columns)
    figure = Figure(
        figsize=(side * columns + 0.9, (side + 0.16) * n + 0.45 + 0.15 * bool(foot)),
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.015, wspace=0.01, hspace=0.01)  # type: ignore[union-attr, call-arg]
    axes = figure.subplots(n, columns, squeeze=False)
    pictures = make_rgb(images)
    for i, row in enumerate(axes):
        for cell in row[:2]:
            cell.imshow(pictures[i], origin="lower", interpolation="nearest")
            bare(cell)
        outline(row[1], *holding(sums[contour][i]), **_LINE)
        row[0].set_ylabel(labels[i], fontsize=7.5, rotation=0, ha="right", va="center", labelpad=5)
        light = isophote(images[i])
        for cell, values in zip(row[2:], sums.values(), strict=True):
            top = limit(values[i] if scale == "object" else values)
            draw_map(cell, values[i], top, is_signed(values), images.shape[1:3])
            outline(cell, *light, colors=_LINES[is_signed(values)], linewidths=0.5)
            if scale == "object":
                sign = "\u00b1" if is_signed(values) else ""
                said = f"{sign}{short(top)}" if np.nan_to_num(values[i]).any() else "0 everywhere"
                cell.set_xlabel(said, fontsize=7, labelpad=1.5)
    for cell, title in zip(axes[0], ("image", f"outline: {contour}", *sums), strict=True):
        cell.set_title(_broken(title, side), fontsize=8, pad=3)
    for column, values in zip(axes.T[2:], sums.values(), strict=True):
        top = 1.0 if scale == "object" else limit(values)
        bar(column[-1], top, is_signed(values), below=True, pad=0.18 if scale == "object" else 0.06)
    if pixel_scale:
        add_scale_bar(axes[0, 0], images.shape[2], pixel_scale)
    if foot:
        figure.supxlabel(foot, fontsize=7.5)
    return figure


@styled
def attribution_by_band(
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
        Flux, NaN where there is no data.
    maps : mapping of str to array_like of shape (height, width, n_channels)
        By method.
    band_names : sequence of str
        One for each band.
    channel_names : sequence of str, optional
        What the maps count, where the network takes other things than bands; those that are bands
        stand below theirs.
    pixel_scale : float, optional
        [arcsec/pixel]; gives a scale bar.
    title : str
        Above the figure, of one line or several.

    Raises
    ------
    PredictionError
        If the shapes do not belong together, or there is no map.
    """
    images = _checked(np.asarray(image)[None], band_names)
    found = {name: np.asarray(values, np.float64) for name, values in maps.items()}
    shapes = {name: values.shape for name, values in found.items()}
    names = list(band_names if channel_names is None else channel_names)
    if not found or any(len(s) != 3 or s[-1] != len(names) for s in shapes.values()):
        raise PredictionError(
            "A sheet by band needs maps with one name for each of their bands.",
            received=shapes,
            allowed=f"(height, width, {len(names)})",
        )
    columns = len(names)
    side = min(1.35, 6.2 / columns)
    rows = len(found) + 1
    figure = Figure(
        figsize=(side * columns + 0.9, side * rows + 0.25 + 0.2 * len(title.splitlines())),
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)  # type: ignore[union-attr, call-arg]
    axes = figure.subplots(rows, columns, squeeze=False)
    light = isophote(images[0])
    for cell, name in zip(axes[0], names, strict=True):
        bare(cell)
        cell.set_title(name, pad=3)
        if name in band_names:
            band = list(band_names).index(name)
            cell.imshow(make_rgb(images, [band])[0], origin="lower", interpolation="nearest")
        else:
            cell.set_box_aspect(1)
            cell.spines[:].set_visible(False)
    for row, (name, values) in zip(axes[1:], found.items(), strict=True):
        top, signed = limit(values), is_signed(values)
        for j, cell in enumerate(row):
            draw_map(cell, values[..., j], top, signed, images.shape[1:3])
            outline(cell, *light, colors=_LINES[signed], linewidths=0.5)
        row[0].set_ylabel(_broken(name, side), fontsize=8)
        bar(row[-1], top, signed)
    axes[0, 0].set_ylabel("image", fontsize=8)
    if pixel_scale and names[0] in band_names:
        add_scale_bar(axes[0, 0], images.shape[2], pixel_scale)
    if title:
        figure.suptitle(title, fontsize=9)
    return figure


def _checked(images: Any, band_names: Sequence[str]) -> NDArray[np.float64]:
    images = np.asarray(images, np.float64)
    if images.ndim != 4 or not len(images) or images.shape[-1] != len(band_names):
        raise PredictionError(
            "Maps are drawn beside images, with one name for each band.",
            received=f"images of shape {images.shape}, {len(band_names)} names",
        )
    return images


def _summed(name: str, values: Any, images: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.asarray(values, np.float64)
    if values.ndim == 4 and len(values) == len(images):
        return over_bands(values)
    if values.ndim == 3 and len(values) == len(images):
        return values
    raise PredictionError(
        f"The maps of '{name}' do not belong to these images.",
        received=values.shape,
        allowed=f"({len(images)}, height, width) or ({len(images)}, height, width, n_bands)",
    )


def _broken(words: str, side: float) -> str:
    """A title in two lines where one would be wider than its picture."""
    if len(words) < 14 * side or " " not in words:
        return words
    middle = min(
        (i for i, c in enumerate(words) if c == " "), key=lambda i: abs(2 * i - len(words))
    )
    return f"{words[:middle]}\n{words[middle + 1 :]}"
