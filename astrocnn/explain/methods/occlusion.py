"""What the answer loses when a part of the image is hidden.

References
----------
Zeiler & Fergus 2014, ECCV (arXiv:1311.2901), section 4.2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, ops
from astrocnn.errors import ModelError
from astrocnn.explain._network import arrays_for, check_counts, scorer
from astrocnn.explain._sky import filling
from astrocnn.explain._variations import scores_of_variations
from astrocnn.explain.output import Explained

__all__ = ["Occlusion", "check_square", "occlusion", "pixel_map"]


class Occlusion(NamedTuple):
    """What `occlusion` found."""

    drop: NDArray[np.float32]
    """Output of the whole image minus that with the square hidden, of shape (n, rows, columns)."""
    score: NDArray[np.float32]
    """Output of the whole image, of shape (n,)."""
    top: NDArray[np.int32]
    """First hidden pixel along y, of shape (rows,)."""
    left: NDArray[np.int32]
    """First hidden pixel along x, of shape (columns,)."""
    size: int
    """Pixels a side of the square."""

    def on_pixels(self, height: int, width: int) -> NDArray[np.float32]:
        """Mean drop over the squares that hide each pixel, of shape (n, height, width)."""
        total = np.zeros((len(self.drop), height, width), np.float64)
        count = np.zeros((height, width))
        for i, y in enumerate(self.top):
            for j, x in enumerate(self.left):
                square = (slice(y, y + self.size), slice(x, x + self.size))
                total[(slice(None), *square)] += self.drop[:, i, j, None, None]
                count[square] += 1
        return (total / np.maximum(count, 1)).astype(np.float32)


def occlusion(
    model: keras.Model,
    images: Any,
    output: Explained,
    *,
    scalars: Any = None,
    size: int | None = None,
    stride: int | None = None,
    fill: str = "sky",
    seed: int = 0,
    batch_size: int = 64,
) -> Occlusion:
    """Hide a square of the image, in one place after the other, and see what the output loses.

    Parameters
    ----------
    model : keras.Model
        From images, and scalars where it takes them.
    images : array_like of shape (n, height, width, n_channels)
        Normalized.
    output : Output or Response
        The number to be explained; with a `Response`, what a layer loses.
    scalars : array_like of shape (n, n_scalars), optional
        Standardized.
    size : int, optional
        Pixels a side of the square; an eighth of the image by default, or a thirty-second of a
        strip of scalars, of which the square is a part as long.
    stride : int, optional
        Pixels from one place to the next; half the square by default.  A last place touches the
        far border.
    fill : str
        What is put in the square: ``"sky"``, noise as in the border of the image (zero for strips
        of scalars), ``"mean"``, the mean of each band, or ``"zero"``.
    seed : int
        Of the noise.
    batch_size : int
        Images with a hidden square at once; without influence on the outcome.

    Returns
    -------
    Occlusion
        Positive where the hidden part spoke for more of the output.

    Raises
    ------
    ModelError
        If the square is larger than the image, or there is no such fill.
    """
    arrays = arrays_for(model, images, scalars)
    height, width = arrays["image"].shape[1:3]
    usual = min(height, width) // 8 if height > 1 else width // 32
    size = max(1, usual) if size is None else size
    stride = max(1, size // 2) if stride is None else stride
    check_counts(stride=stride)
    check_square(size, height, width)
    arrays["fill"] = filling(arrays["image"], fill, seed)
    top, left = (_places(length, size, stride) for length in (height, width))
    # The first variation is the image itself: a square beyond its border.
    corners = np.stack(np.meshgrid(top, left, indexing="ij"), axis=-1).reshape(-1, 2)
    corners = np.concatenate([np.full((1, 2), max(height, width), np.int32), corners])

    def hidden(x: dict[str, Any], corner: Any) -> Any:
        y, x0 = corner[:, 0, None], corner[:, 1, None]
        rows, columns = ops.arange(height)[None], ops.arange(width)[None]
        in_y = ops.logical_and(rows >= y, rows < y + size)
        in_x = ops.logical_and(columns >= x0, columns < x0 + size)
        inside = ops.logical_and(in_y[:, :, None], in_x[:, None, :])[..., None]
        return ops.where(inside, x["fill"], x["image"])

    found = scores_of_variations(scorer(model, output), hidden, arrays, corners, batch_size)
    drop = (found[:, :1] - found[:, 1:]).reshape(-1, len(top), len(left))
    return Occlusion(drop, found[:, 0], top, left, size)


def pixel_map(
    model: keras.Model,
    images: Any,
    output: Explained,
    *,
    scalars: Any = None,
    size: int | None = None,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Mean drop over the squares that hide each pixel, of shape (n, height, width)."""
    found = occlusion(model, images, output, scalars=scalars, size=size, batch_size=batch_size)
    return found.on_pixels(*np.shape(images)[1:3])


def check_square(size: int | None, height: int, width: int) -> None:
    """Refuse a square that is larger than the image, in pixels.

    On an image one pixel high it is cut to the image.

    Raises
    ------
    ModelError
        If it is larger, or smaller than a pixel.
    """
    if size is None:
        return
    check_counts(size=size)
    longest = min(height, width) if height > 1 else width
    if size > longest:
        raise ModelError(
            "The square that hides is larger than the image.",
            received=f"{size} pixels a side",
            allowed=f"at most {longest}",
        )


def _places(length: int, size: int, stride: int) -> NDArray[np.int32]:
    last = max(length - size, 0)
    return np.unique(np.append(np.arange(0, last + 1, stride), last)).astype(np.int32)
