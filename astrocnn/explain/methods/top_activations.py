"""The images of a data set to which each filter responds most strongly.

References
----------
Zeiler & Fergus 2014, ECCV (arXiv:1311.2901), section 4 and figure 2 (the top nine).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, ops
from astrocnn.errors import InputsError, ModelError
from astrocnn.explain._gradients import compiled
from astrocnn.explain._network import arrays_for, check_counts
from astrocnn.explain._places import check_channels, flat_maps, to_pixels
from astrocnn.explain._receptive import receptive_field
from astrocnn.models.layer_access import layer_output

__all__ = ["TopActivations", "patches", "top_activations"]

Arrays = dict[str, NDArray[np.float32]]


class TopActivations(NamedTuple):
    """What `top_activations` found; the strongest come first."""

    layer: str
    channels: NDArray[np.int64]
    """Of the layer, of shape (f,)."""
    values: NDArray[np.float32]
    """Largest response of the map, of shape (f, count)."""
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
    """Go once through a data set and keep the strongest images of each filter.

    No more than one block and `batch_size` images are held at once, and of their maps only the
    maxima.  An image counts once for a filter, with its largest response; of equal responses the
    earlier image comes first.

    Parameters
    ----------
    model : keras.Model
        From images, and scalars where it takes them.
    batches : iterable of ndarray, or of tuple of two ndarray
        Blocks of normalized images of shape (k, height, width, n_channels), or each with its
        standardized scalars of shape (k, n_scalars) or None; of any sizes, without influence on
        the outcome.
    layer : str
        Name of a layer; of a vector each number is a filter.
    count : int
        How many images to keep; all where there are fewer.
    channels : array_like of int of shape (f,), optional
        Filters of the layer; all by default.
    batch_size : int
        Images at once in the network.

    Returns
    -------
    TopActivations

    Raises
    ------
    InputsError
        If there are no images, or images or scalars have not the shape the network takes.
    ModelError
        If there is no such layer or filter, or the layer sees no image.
    """
    check_counts(count=count, batch_size=batch_size)
    maps = layer_output(model, layer)
    field = receptive_field(model, layer)
    wanted = check_channels(
        model, layer, np.arange(maps.shape[-1]) if channels is None else channels
    )
    if wanted.ndim != 1 or not len(wanted):
        raise ModelError("Name a list of channels.", received=channels, allowed="shape (f,), f > 0")
    cut = keras.Model(model.input, maps)

    def peaks(x: dict[str, Any]) -> tuple[Any, Any]:
        # Of all filters, which costs less than to take those that are wanted from the maps.
        found = flat_maps(cut(x, training=False))
        return ops.max(found, axis=1), ops.argmax(found, axis=1)

    step = compiled(peaks)
    best: list[NDArray[Any]] = []
    seen = 0
    for block, kept in _of_one_size(model, batches, batch_size):
        value, place = (ops.convert_to_numpy(made)[:kept, wanted] for made in step(block))
        row = np.broadcast_to(np.arange(seen, seen + kept)[:, None], value.shape)
        best = _best(best, [value, row, place], count)
        seen += kept
    if not best:
        raise InputsError("There are no images to look through.", received="no blocks")
    values, rows, flat = (np.ascontiguousarray(a.T) for a in best)
    places = to_pixels(maps, flat)
    return TopActivations(layer, wanted.astype(np.int64), values, rows, places, field.boxes(places))


def patches(images: Any, boxes: Any) -> NDArray[np.float32]:
    """The part of each image in its box, not a number outside the image.

    Parameters
    ----------
    images : array_like of shape (..., height, width, n_channels)
        Images or what a deconvnet made of them.
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
            "There must be one box for each image.",
            received=f"images of shape {images.shape}, boxes of shape {boxes.shape}",
            allowed=f"boxes of shape {(*images.shape[:-3], 4)}",
        )
    size = boxes.reshape(-1, 2, 2) @ (-1, 1)
    if (size != size[0]).any() or (size[0] < 1).any():
        raise InputsError(
            "Boxes of one size make patches of one size.",
            received=f"{len(np.unique(size, axis=0))} sizes, the smallest side {size.min()}",
        )
    made = np.full((*images.shape[:-3], *size[0], images.shape[-1]), np.nan, np.float32)
    for place in np.ndindex(images.shape[:-3]):
        y, x = (np.arange(*boxes[place][2 * side : 2 * side + 2]) for side in (0, 1))
        inside = [
            (at >= 0) & (at < length)
            for at, length in zip((y, x), images.shape[-3:-1], strict=True)
        ]
        made[place][np.ix_(*inside)] = images[place][np.ix_(y[inside[0]], x[inside[1]])]
    return made


def _best(old: list[NDArray[Any]], new: list[NDArray[Any]], count: int) -> list[NDArray[Any]]:
    """The largest of both for each filter; arrays of shape (k, f), the values first."""
    both = [np.concatenate(pair) for pair in zip(old, new, strict=True)] if old else new
    # A stable order leaves the earlier of equals before the later.
    order = np.argsort(-both[0], axis=0, kind="stable")[:count]
    return [np.take_along_axis(a, order, axis=0) for a in both]


def _of_one_size(
    model: keras.Model, batches: Iterable[Any], size: int
) -> Iterator[tuple[Arrays, int]]:
    """Blocks of `size` rows whatever their sizes were, and how many rows of each are new.

    The last is filled up with its last row: the network computes the same for a row wherever the
    blocks were cut, and is traced once.
    """
    rest: Arrays = {}
    for given in batches:
        block = arrays_for(model, *(given if isinstance(given, tuple) else (given,)))
        if rest:
            block = {name: np.concatenate([rest[name], a]) for name, a in block.items()}
        n = len(block["image"])
        for start in range(0, n - size + 1, size):
            yield {name: a[start : start + size].copy() for name, a in block.items()}, size
        # Copies, so that the block itself is free before the next one is made.
        rest = {name: a[n - n % size :].copy() for name, a in block.items()} if n % size else {}
        del given, block
    if rest:
        kept = len(rest["image"])
        filled = np.minimum(np.arange(size), kept - 1)
        yield {name: a[filled] for name, a in rest.items()}, kept
