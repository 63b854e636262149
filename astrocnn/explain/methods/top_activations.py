"""Top activations: the images of a data set that activate each filter most.

References
----------
Zeiler & Fergus 2014, ECCV (arXiv:1311.2901), section 4 and figure 2 (the top nine).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, ops
from astrocnn.errors import InputsError, ModelError
from astrocnn.explain.attribution import Explanation
from astrocnn.explain.explained_network import Inspection
from astrocnn.explain.figures import plot_top_activations
from astrocnn.explain.gradients import compiled
from astrocnn.explain.hdus import NO_UNIT, Card, find_hdus, image_hdu
from astrocnn.explain.methods import InspectionMethod
from astrocnn.explain.methods.deconvnet import deconvnet
from astrocnn.explain.network import build_arrays, select_layers, validate_counts
from astrocnn.explain.receptive_field import (
    compute_receptive_field,
    flatten_maps,
    to_pixels,
    validate_channels,
)
from astrocnn.models.layer_access import layer_output
from astrocnn.report.page import Picture

__all__ = ["METHOD", "TopActivations", "patches", "select_distinct", "top_activations"]

_FILTERS = 6
"""Filters of a layer that are shown with their strongest images."""
_COUNT, _LAYERS = 9, 3
_BLOCK = 256

Arrays = dict[str, NDArray[np.float32]]


class TopActivations(NamedTuple):
    """Result of `top_activations`; the strongest come first."""

    layer: str
    channels: NDArray[np.int64]
    """Channels of the layer, of shape (f,)."""
    values: NDArray[np.float32]
    """Maximum of the map, of shape (f, count)."""
    rows: NDArray[np.int64]
    """Which image, counted from 0 over all blocks, of shape (f, count)."""
    places: NDArray[np.int64]
    """Pixel (y, x) of the map where it is largest, of shape (f, count, 2)."""
    boxes: NDArray[np.int64]
    """Receptive field (y0, y1, x0, x1) in pixels of the image, of shape (f, count, 4): the first
    and the one after the last.  It may reach beyond the image."""


def top_activations(
    model: keras.Model,
    batches: Iterable[Any],
    layer: str,
    *,
    count: int = 9,
    channels: Any = None,
    batch_size: int = 64,
) -> TopActivations:
    """Find the images of a data set with the largest activations of each filter, in one pass.

    No more than one block and `batch_size` images are held at once, and of their maps only the
    maxima.  An image counts once for a filter, with its largest activation; of equal ones the
    earlier image comes first.

    Parameters
    ----------
    model : keras.Model
        See `astrocnn.explain.methods`.
    batches : iterable of ndarray, or of tuple of two ndarray
        Blocks of images, or each with its scalars or None; of any sizes, without influence on the
        result.
    layer : str
        Name of a layer; of a vector each number is a filter.
    count : int
        Number of images to keep; all where there are fewer.
    channels : array_like of int of shape (f,), optional
        Filters of the layer; all by default.
    batch_size : int
        Images at once in the network.

    Raises
    ------
    InputsError
        If there are no images, or images or scalars have not the shape the network takes.
    ModelError
        If there is no such layer or filter, or the layer sees no image.
    """
    validate_counts(count=count, batch_size=batch_size)
    maps = layer_output(model, layer)
    field = compute_receptive_field(model, layer)
    selected = validate_channels(
        model, layer, np.arange(maps.shape[-1]) if channels is None else channels
    )
    if selected.ndim != 1 or not len(selected):
        raise ModelError(
            "`channels` must be a list of channels.", received=channels, allowed="shape (f,), f > 0"
        )
    cut = keras.Model(model.input, maps)

    def peaks(x: dict[str, Any]) -> tuple[Any, Any]:
        # Reducing all filters costs less than gathering the selected ones from the maps.
        activations = flatten_maps(cut(x, training=False))
        return ops.max(activations, axis=1), ops.argmax(activations, axis=1)

    step = compiled(peaks)
    best: list[NDArray[Any]] = []
    n_images = 0
    for block, n_new in _rebatch(model, batches, batch_size):
        value, place = (ops.convert_to_numpy(array)[:n_new, selected] for array in step(block))
        row = np.broadcast_to(np.arange(n_images, n_images + n_new)[:, None], value.shape)
        best = _merge_top(best, [value, row, place], count)
        n_images += n_new
    if not best:
        raise InputsError("`batches` holds no images.", received="no blocks")
    values, rows, flat = (np.ascontiguousarray(a.T) for a in best)
    places = to_pixels(maps, flat)
    return TopActivations(
        layer, selected.astype(np.int64), values, rows, places, field.boxes(places)
    )


def patches(images: Any, boxes: Any) -> NDArray[np.float32]:
    """The part of each image in its box, not a number outside the image.

    Parameters
    ----------
    images : array_like of shape (..., height, width, n_channels)
        Images, or reconstructions of a deconvnet.
    boxes : array_like of int of shape (..., 4)
        (y0, y1, x0, x1) of each, the first pixel and the one after the last, all of one size.

    Returns
    -------
    ndarray of shape (..., box_height, box_width, n_channels)

    Raises
    ------
    InputsError
        If there is not one box for each image, or the boxes differ in size.

    Examples
    --------
    >>> image = np.arange(9.0).reshape(1, 3, 3, 1)
    >>> patches(image, [[1, 3, -1, 1]])[0, :, :, 0]
    array([[nan,  3.],
           [nan,  6.]], dtype=float32)
    """
    images, boxes = np.asarray(images, np.float32), np.asarray(boxes)
    if boxes.shape != (*images.shape[:-3], 4) or not boxes.size:
        raise InputsError(
            "`boxes` must have one box for each image.",
            received=f"images of shape {images.shape}, boxes of shape {boxes.shape}",
            allowed=f"boxes of shape {(*images.shape[:-3], 4)}",
        )
    size = boxes.reshape(-1, 2, 2) @ (-1, 1)
    if (size != size[0]).any() or (size[0] < 1).any():
        raise InputsError(
            "`boxes` must be of one size.",
            received=f"{len(np.unique(size, axis=0))} sizes, the smallest side {size.min()}",
        )
    side = size[0]
    limits = np.array(images.shape[-3:-1])
    result = np.empty((*images.shape[:-3], *side, images.shape[-1]), np.float32)
    for place in np.ndindex(images.shape[:-3]):
        padded = np.pad(images[place], [(k, k) for k in (*side, 0)], constant_values=np.nan)
        y, x = np.clip(boxes[place][[0, 2]], -side, limits) + side
        result[place] = padded[y : y + side[0], x : x + side[1]]
    return result


def _merge_top(old: list[NDArray[Any]], new: list[NDArray[Any]], count: int) -> list[NDArray[Any]]:
    """Merge two lists of arrays of shape (k, f), the values first, by the largest values."""
    both = [np.concatenate(pair) for pair in zip(old, new, strict=True)] if old else new
    # Stable: of equal values, the earlier image stays first.
    order = np.argsort(-both[0], axis=0, kind="stable")[:count]
    return [np.take_along_axis(a, order, axis=0) for a in both]


def _rebatch(model: keras.Model, batches: Iterable[Any], size: int) -> Iterator[tuple[Arrays, int]]:
    """Blocks of `size` rows, and how many rows of each count; the last one is padded."""
    remainder: Arrays = {}
    for batch in batches:
        block = build_arrays(model, *(batch if isinstance(batch, tuple) else (batch,)))
        if remainder:
            block = {name: np.concatenate([remainder[name], a]) for name, a in block.items()}
        n = len(block["image"])
        for start in range(0, n - size + 1, size):
            yield {name: a[start : start + size].copy() for name, a in block.items()}, size
        # A copy, so that the block is freed before the next one is built.
        rest = n % size
        remainder = {name: a[n - rest :].copy() for name, a in block.items()} if rest else {}
        del batch, block
    if remainder:
        n_new = len(remainder["image"])
        filled = np.minimum(np.arange(size), n_new - 1)
        yield {name: a[filled] for name, a in remainder.items()}, n_new


def _inspect(inspection: Inspection) -> list[Any]:
    hdus = []
    starts = range(0, len(inspection.rows), _BLOCK)
    # Not the first layer: its receptive field is a few pixels, and its kernels are plotted.
    layers = select_layers(inspection.model, 0.5, 1.0)
    for number, layer in enumerate(layers, start=1):
        blocks = (inspection.network.arrays(inspection.rows[k : k + _BLOCK]) for k in starts)
        top = top_activations(inspection.model, blocks, layer, count=_COUNT)
        hdus += _patch_hdus(inspection, top, number)
    return hdus


def _patch_hdus(inspection: Inspection, top: TopActivations, number: int) -> list[Any]:
    """Patches, activations and deconvnet reconstructions of some filters."""
    selected = select_distinct(top.values[:, 0], top.rows)
    rows = inspection.rows[top.rows[selected]]
    flat = rows.reshape(-1)
    images, scalars = inspection.network.arrays(flat)
    back = deconvnet(
        inspection.model,
        images,
        top.layer,
        np.repeat(top.channels[selected], rows.shape[1]),
        scalars=scalars,
        place=top.places[selected].reshape(-1, 2),
    )
    boxes = _clip_boxes(top.boxes[selected].reshape(-1, 4), images.shape[1:3])

    def stacked(arrays: Any) -> Any:
        cut = np.moveaxis(patches(arrays, boxes), -1, 1)
        return cut.reshape(*rows.shape, *cut.shape[1:])

    cards: list[Card] = [*inspection.flux_cards, ("LAYER", top.layer, "name of the layer")]
    cards += [(f"FILTER{k}", int(c), "") for k, c in enumerate(top.channels[selected], start=1)]
    axes = "Top activations of filters: filter, rank, band, y, x; NaN outside of the image."
    source = "Reconstructions of the pixels of PATCHES by a deconvolutional network."
    flux = stacked(inspection.network.shards.images(flat))
    pixels = stacked(back[..., : inspection.network.inputs.n_bands])
    hdu = functools.partial(image_hdu, number=number)
    return [
        hdu("PATCHES", flux, cards, comments=[axes]),
        hdu("ACTIVATIONS", top.values[selected], [NO_UNIT], comments=["Filter, rank."]),
        hdu("RECONSTRUCTIONS", pixels, [NO_UNIT], comments=[source]),
    ]


def select_distinct(strength: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.intp]:
    """Select the strongest filters whose top images mostly differ."""
    order = np.argsort(-strength, kind="stable")
    selected: list[int] = []
    for most in (rows.shape[1] // 3, rows.shape[1]):
        for k in order.tolist():
            shared = max((len(np.intersect1d(rows[k], rows[j])) for j in selected), default=0)
            if len(selected) < _FILTERS and k not in selected and shared <= most:
                selected.append(k)
    return np.sort(selected)


def _clip_boxes(boxes: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Clip boxes as large as the image to the image."""
    clipped = boxes.copy()
    for first, length in ((0, shape[0]), (2, shape[1])):
        if (boxes[:, first + 1] - boxes[:, first] >= length).all():
            clipped[:, first], clipped[:, first + 1] = 0, length
    return clipped


def _plot(hdus: Sequence[Any], explanation: Explanation) -> list[Picture]:
    values, reconstructions = find_hdus(hdus, "ACTIVATIONS"), find_hdus(hdus, "RECONSTRUCTIONS")
    headers = {hdu.ver: hdu.header for hdu in hdus if hdu.name == "PATCHES"}
    pictures = []
    for number, images in list(find_hdus(hdus, "PATCHES").items())[:_LAYERS]:
        layer = headers[number]["LAYER"]
        figure = plot_top_activations(
            list(np.moveaxis(images, 2, -1)),
            list(np.moveaxis(reconstructions[number], 2, -1)),
            values[number],
            layer=layer,
            channels=[headers[number][f"FILTER{k}"] for k in range(1, len(images) + 1)],
        )
        caption = (
            f"Image patches with the top activations of filters of {layer}, and their values. "
            "Beside them, the pixels to which the filter responds: gray is nothing, bright is "
            "light that raises the activation."
        )
        pictures.append(Picture(figure, caption, raster=True))
    return pictures


METHOD = InspectionMethod(_inspect, _plot, needs_objects=True)
