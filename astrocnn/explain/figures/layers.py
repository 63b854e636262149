"""Figures of layers: kernels, feature maps and image patches with the top activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn.explain.figures.maps import (
    add_colorbar,
    colored,
    full_scale,
    is_signed,
    require,
    shared_rgb,
    short,
    show,
    signed_rgb,
    tiles,
)
from astrocnn.report.gallery import make_rgb
from astrocnn.report.style import styled

__all__ = ["plot_feature_maps", "plot_kernels", "plot_top_activations"]

_KERNELS_IN_A_ROW, _FILTERS_IN_A_ROW = 16, 3


@styled
def plot_kernels(kernels: Any, *, band_names: Sequence[str], most: int = 64) -> Figure:
    """One column a filter, one row a band, all in one scale about zero.

    Parameters
    ----------
    kernels : array_like of shape (kernel_height, kernel_width, n_bands, n_filters)
        As Keras stores them.
    band_names : sequence of str
        One for each band, or channel.
    most : int
        Filters shown; of more, those with the largest norm.

    Raises
    ------
    PredictionError
        If these are not kernels over as many bands as there are names.
    """
    kernels = np.asarray(kernels, np.float64)
    n_bands = len(band_names)
    require(
        kernels.ndim == 4 and kernels.size and kernels.shape[2] == n_bands,
        "`plot_kernels` needs kernels over pixels, with one name for each band.",
        f"shape {kernels.shape}, {n_bands} names",
        f"(height, width, {n_bands}, n_filters)",
    )
    count = kernels.shape[-1]
    norm = np.sqrt((kernels**2).sum(axis=(0, 1, 2)))
    selected = np.sort(np.argsort(-norm, kind="stable")[:most])
    top = full_scale(kernels[..., selected])
    blocks = np.array_split(selected, -(-len(selected) // _KERNELS_IN_A_ROW))
    columns = len(blocks[0])
    cell = min(0.42, 6.3 / columns, 8.0 / (len(blocks) * n_bands))
    size = max(cell * columns, 1.6) + 0.95, len(blocks) * (cell * n_bands + 0.24) + 0.3
    figure = Figure(figsize=size, layout="compressed")
    axes = figure.subplots(len(blocks), 1, squeeze=False)[:, 0]
    for panel, block in zip(axes, blocks, strict=True):
        pictures = []
        for b in range(n_bands):
            row = [colored(kernels[:, :, b, f], top, True) for f in block]
            # Pad a short last row to the common width.
            pictures += [*row, *[np.ones_like(row[0])] * (columns - len(block))]
        mosaic, corners = tiles(pictures, columns, side=36, gap=5)
        show(panel, mosaic, frame=False)
        step = corners[1, 0] - corners[0, 0] if columns > 1 else mosaic.shape[1]
        rise = corners[0, 1] - corners[columns, 1] if n_bands > 1 else mosaic.shape[0]
        panel.set_xticks(corners[: len(block), 0] + step / 2, [str(f) for f in block])
        panel.set_yticks(corners[::columns, 1] - rise / 2, band_names)
        panel.tick_params(length=0, pad=2, labelsize=7.5, labelbottom=False, labeltop=True)
    wide = cell * columns
    add_colorbar(axes[0], top, True, pad=0.06 / wide, thick=0.09 / wide)
    title = f"filter; {len(selected)} of {count} by norm" if len(selected) < count else "filter"
    axes[0].set_title(title, fontsize=8.5)
    return figure


@styled
def plot_feature_maps(
    image: Any, maps: Any, *, layer: str, shared_scale: bool = True, most: int = 48
) -> Figure:
    """The image, and beside it the maps of a layer with the number of their filter.

    Parameters
    ----------
    image : array_like of shape (height, width, n_bands)
        NaN where there is no data.
    maps : array_like of shape (map_height, map_width, n_filters)
        Output of the layer.
    layer : str
        Name of the layer.
    shared_scale : bool
        One scale for all maps; else each has its own, and its number is what full color means.
    most : int
        Maps shown; of more, those that vary most over the image.

    Raises
    ------
    PredictionError
        If these are not an image and maps.
    """
    image, maps = np.asarray(image, np.float64), np.asarray(maps, np.float64)
    require(
        image.ndim == 3 and maps.ndim == 3 and maps.size,
        "`plot_feature_maps` needs an image and maps of a layer; dense layers have none.",
        f"an image of shape {image.shape}, maps of shape {maps.shape}",
        "(height, width, n_bands) and (height, width, n_filters)",
    )
    count = maps.shape[-1]
    spread = np.nan_to_num(maps).std(axis=(0, 1))
    selected = np.sort(np.argsort(-spread, kind="stable")[:most])
    signed = is_signed(maps)
    tops = [full_scale(maps if shared_scale else maps[..., f]) for f in selected]
    columns = min(8, len(selected))
    rows = -(-len(selected) // columns)
    side = 0.66 if columns > 2 else 1.6
    size = side * columns + 2.2 + 0.4 * shared_scale, max(side * rows, 1.6) + 0.3
    figure = Figure(figsize=size, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.6, side * columns))
    show(left, make_rgb(image[None])[0])
    left.set_title("image", fontsize=8.5, pad=3)
    pictures = [colored(maps[..., f], top, signed) for f, top in zip(selected, tops, strict=True)]
    mosaic, corners = tiles(pictures, columns, side=96, gap=4)
    show(right, mosaic, frame=False)
    left.set_anchor("N")
    right.set_anchor("N")
    for (x, y), f, top in zip(corners, selected, tops, strict=True):
        text = str(f) if shared_scale else f"{f}: {short(top)}"
        box = {"boxstyle": "square,pad=0.15", "fc": (0, 0, 0, 0.6), "lw": 0}
        right.text(x + 3, y - 4, text, fontsize=7, va="top", color="white", bbox=box)
    part = f"{len(selected)} of {count} maps" if len(selected) < count else f"{count} maps"
    pixels = f"{maps.shape[0]} \u00d7 {maps.shape[1]} pixels"
    right.set_title(f"{layer}: {part}, {pixels}", fontsize=8.5, pad=3)
    if shared_scale:
        wide = side * columns
        add_colorbar(right, tops[0], signed, pad=0.06 / wide, thick=0.09 / wide)
    return figure


@styled
def plot_top_activations(
    patches: Sequence[Sequence[Any]],
    reconstructions: Sequence[Sequence[Any]] | None,
    values: Any,
    *,
    layer: str,
    channels: Sequence[int] | None = None,
) -> Figure:
    """For each filter its top activations: patches, and beside them reconstructions.

    The highest activation is at the upper left.  The patches of a filter share one stretch, and
    its reconstructions one scale, in which gray is zero and bright means that more light raises
    the activation.  Stripes are outside of the image.

    Parameters
    ----------
    patches : sequence of sequence of ndarray of shape (height, width, n_bands)
        For each filter, the highest activation first; NaN outside the image.
    reconstructions : sequence of sequence of ndarray of shape (height, width, n_bands) or None
        In the same pixels.
    values : array_like of shape (n_filters, count)
        The activations.
    layer : str
        Name of the layer.
    channels : sequence of int, optional
        Number of each filter; counted from zero by default.

    Raises
    ------
    PredictionError
        If there are no patches, or not as many reconstructions or activations.

    References
    ----------
    Zeiler & Fergus 2014, ECCV (arXiv:1311.2901), figure 2.
    """
    values = np.asarray(values, np.float64)
    counts = [len(row) for row in patches]
    n_reconstructions = [len(r) for r in (patches if reconstructions is None else reconstructions)]
    require(
        counts and 0 not in counts and n_reconstructions == counts and len(values) == len(counts),
        "`plot_top_activations` needs patches, as many reconstructions, and values.",
        f"{counts} patches, {n_reconstructions} reconstructions, values of {len(values)} filters",
    )
    numbers = range(len(counts)) if channels is None else channels
    columns = min(_FILTERS_IN_A_ROW, len(counts))
    rows = -(-len(counts) // columns)
    pair = 1 if reconstructions is None else 2
    side = min(1.15, (7.1 / columns - 0.14) / pair)
    wide, high = (side + 0.04) * pair + 0.1, side + 0.22
    size = wide * columns, high * rows + 0.22
    figure = Figure(figsize=size)
    figure.text(0.5, 1 - 0.03 / size[1], f"{len(counts)} filters of {layer}", va="top", ha="center")
    for i, row in enumerate(patches):
        parts = [shared_rgb(row)]
        if reconstructions is not None:
            arrays = [np.asarray(r, np.float64) for r in reconstructions[i]]
            top = full_scale(np.concatenate([r.ravel() for r in arrays]))
            parts.append([signed_rgb(r, top) for r in arrays])
        # Manual layout in inches: a layout engine takes seconds for this grid.
        left = wide * (i % columns) + 0.05
        bottom = size[1] - 0.22 - high * (i // columns + 1) + 0.02
        for j, pictures in enumerate(parts):
            place = left + j * (side + 0.04), bottom, side, side
            axes = figure.add_axes(np.divide(place, [*size, *size]).tolist())
            n_columns = int(np.ceil(counts[i] ** 0.5))
            show(axes, tiles(_pad_to_box(pictures), n_columns, side=72, gap=3)[0], frame=False)
        finite = values[i][np.isfinite(values[i])]
        text = f"{short(finite.max())} to {short(finite.min())}" if finite.size else "no activation"
        middle = (left + 0.5 * (wide - 0.1)) / size[0], (bottom + side + 0.03) / size[1]
        figure.text(*middle, f"filter {numbers[i]}: {text}", fontsize=8, ha="center")
    return figure


def _pad_to_box(pictures: Sequence[Any]) -> list[Any]:
    """All of the size of the largest, padded with NaN, the outside of the image."""
    height, width = (max(p.shape[k] for p in pictures) for k in (0, 1))
    results = []
    for picture in pictures:
        y, x = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
        padded = np.full((height, width, 3), np.nan)
        padded[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
        results.append(padded)
    return results
