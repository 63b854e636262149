"""Figures of a network: kernels, feature maps, top activations, class images, deep dreams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn.explain.figures.maps import (
    add_colorbar,
    annotate,
    colored,
    full_scale,
    image_grid,
    is_signed,
    plot_map,
    require,
    shared_rgb,
    short,
    show,
    signed_rgb,
    tiles,
    validate_arrays,
)
from astrocnn.report.gallery import add_scale_bar, make_rgb
from astrocnn.report.style import NO_DATA, styled

__all__ = [
    "plot_class_images",
    "plot_deep_dream",
    "plot_feature_maps",
    "plot_kernels",
    "plot_top_activations",
]

_KERNELS_IN_A_ROW, _FILTERS_IN_A_ROW = 16, 3


@styled
def plot_kernels(kernels: Any, *, band_names: Sequence[str], most: int = 64) -> Figure:
    """One column a filter, one row a band, all in one scale about zero.

    Parameters
    ----------
    kernels : array_like of shape (kernel_height, kernel_width, n_bands, n_filters)
        As Keras stores them.
    most : int
        Filters shown; of more, those with the largest norm.
    """
    n_bands = len(band_names)
    message = "`plot_kernels` needs kernels over pixels, with one name for each band."
    kernels = validate_arrays({"kernels": kernels}, (None, None, n_bands, None), message)["kernels"]
    count = kernels.shape[-1]
    selected = _select_largest(np.sqrt((kernels**2).sum(axis=(0, 1, 2))), most)
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
    maps : array_like of shape (map_height, map_width, n_filters)
        Output of the layer.
    shared_scale : bool
        One scale for all maps; else each has its own, and its number is what full color means.
    most : int
        Maps shown; of more, those that vary most over the image.
    """
    image, maps = np.asarray(image, np.float64), np.asarray(maps, np.float64)
    require(
        image.ndim == 3 and maps.ndim == 3 and maps.size,
        "`plot_feature_maps` needs an image and maps of a layer; dense layers have none.",
        f"an image of shape {image.shape}, maps of shape {maps.shape}",
        "(height, width, n_bands) and (height, width, n_filters)",
    )
    count = maps.shape[-1]
    selected = _select_largest(np.nan_to_num(maps).std(axis=(0, 1)), most)
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
    for axes in (left, right):
        axes.set_anchor("N")
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
    its reconstructions one scale, in which gray is zero.  Stripes are outside of the image.

    Parameters
    ----------
    patches : sequence of sequence of ndarray of shape (height, width, n_bands)
        For each filter, the highest activation first; NaN outside the image.
    reconstructions : sequence of sequence of ndarray of shape (height, width, n_bands) or None
        In the same pixels.
    values : array_like of shape (n_filters, count)
        The activations.
    channels : sequence of int, optional
        Number of each filter; counted from zero by default.

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


@styled
def plot_class_images(
    images: Mapping[str, Any],
    *,
    band_names: Sequence[str],
    pixel_scale: float | None = None,
    unit: str = "",
) -> Figure:
    """One row a class: its color image, from three bands on, and each band about zero.

    All bands of a class share one scale.  In the color image gray is zero.

    Parameters
    ----------
    images : mapping of str to array_like of shape (height, width, n_bands)
        By class.
    unit : str
        Unit of the images, written below.

    References
    ----------
    Simonyan, Vedaldi & Zisserman 2014, ICLR workshop (arXiv:1312.6034), figure 1.
    """
    arrays = validate_arrays(
        images,
        (None, None, len(band_names)),
        "`plot_class_images` needs an image of each class, with one name for each band.",
    )
    in_color = len(band_names) >= 3
    columns = len(band_names) + in_color
    side = min(1.3, 6.1 / columns)
    high = side * len(arrays) + 0.25 + 0.15 * bool(unit)
    figure, axes = image_grid(len(arrays), columns, side * columns + 0.95, high)
    for row, (name, image) in zip(axes, arrays.items(), strict=True):
        top = full_scale(image)
        if in_color:
            show(row[0], np.nan_to_num(signed_rgb(image, top)))
        for j, cell in enumerate(row[in_color:]):
            plot_map(cell, image[..., j], top, True)
        row[0].set_ylabel(name, fontsize=8.5)
        add_colorbar(row[-1], top, True)
    for cell, title in zip(axes[0], [*(["color"] * in_color), *band_names], strict=True):
        cell.set_title(title, pad=3)
    if pixel_scale:
        add_scale_bar(axes[0, 0], next(iter(arrays.values())).shape[1], pixel_scale)
    annotate(figure, foot=unit and f"flux [{unit}]")
    return figure


@styled
def plot_deep_dream(
    before: Any,
    after: Any,
    *,
    labels: Any = None,
    title: str = "",
    pixel_scale: float | None = None,
    unit: str = "",
) -> Figure:
    """Each image above its changed copy, both in one stretch, and their difference.

    Parameters
    ----------
    before, after : array_like of shape (n, height, width, n_bands)
        Images in `unit`.
    """
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    require(
        before.ndim == 4 and before.size and before.shape == after.shape,
        "`plot_deep_dream` needs as many images after as before, of one shape.",
        f"{before.shape} before, {after.shape} after",
    )
    n = len(before)
    side = min(1.5, 6.1 / n)
    above = 0.2 * bool(title) + 0.2 * (labels is not None)
    figure, axes = image_grid(3, n, side * n + 0.95, 3 * side + above + 0.15 * bool(unit))
    # The mean over bands, so that the scale does not grow with their number.
    added = (after - before).mean(axis=-1)
    top = full_scale(added)
    for i in range(n):
        pair = shared_rgb([before[i], after[i]], reference=[before[i]], dark=0.5)
        for cell, picture in zip(axes[:2, i], pair, strict=True):
            picture[~np.isfinite(picture).all(axis=-1)] = NO_DATA
            show(cell, picture)
        plot_map(axes[2, i], added[i], top, True)
        if labels is not None:
            axes[0, i].set_title(labels[i], fontsize=7.5, pad=2)
    for cell, name in zip(axes[:, 0], ("before", "after", "difference"), strict=True):
        cell.set_ylabel(name, fontsize=8.5)
    add_colorbar(axes[2, -1], top, True)
    if pixel_scale:
        add_scale_bar(axes[0, 0], before.shape[2], pixel_scale)
    annotate(figure, title=title, foot=unit and f"difference of flux [{unit}]")
    return figure


def _select_largest(values: Any, most: int) -> Any:
    """Indices of the largest values, in their order."""
    return np.sort(np.argsort(-values, kind="stable")[:most])


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
