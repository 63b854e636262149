"""Occlusion: what the target loses when a part of the image is hidden.

References
----------
Zeiler & Fergus 2014, ECCV (arXiv:1311.2901), section 4.2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, ops
from astrocnn.explain.methods import AttributionMethod
from astrocnn.explain.network import Evaluator, validate_counts, validate_square
from astrocnn.explain.sky import fill_pixels
from astrocnn.explain.target import ExplainTarget

__all__ = ["METHOD", "Occlusion", "occlusion"]


class Occlusion(NamedTuple):
    """Result of `occlusion`."""

    drop: NDArray[np.float32]
    """Target of the whole image minus that with the square hidden, of shape (n, rows, columns)."""
    score: NDArray[np.float32]
    """Target of the whole image, of shape (n,)."""
    top: NDArray[np.int32]
    """First hidden pixel along y, of shape (rows,)."""
    left: NDArray[np.int32]
    """First hidden pixel along x, of shape (columns,)."""
    size: int
    """Side of the square [pixel]."""

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
    target: ExplainTarget,
    *,
    scalars: Any = None,
    size: int | None = None,
    stride: int | None = None,
    fill: str = "sky",
    seed: int = 0,
    batch_size: int = 64,
) -> Occlusion:
    """Hide a square of the image, in one place after the other.

    Parameters
    ----------
    model, images, target, scalars, batch_size
        See `astrocnn.explain.methods`.
    size : int, optional
        Side of the square [pixel]; an eighth of the image by default, or a thirty-second of a
        strip of scalars, of which the square is a part as long.
    stride : int, optional
        Pixels from one place to the next; half the square by default.  A last place touches the
        far border.
    fill : {"sky", "mean", "zero"}
        What is put in the square: noise as in the border of the image (zero for strips of
        scalars), the mean of each band, or zero.
    seed : int
        Seed of the noise.

    Returns
    -------
    Occlusion
        Positive where the hidden part raises the target.

    Raises
    ------
    ModelError
        If the square is larger than the image, or there is no such fill.
    """
    evaluator = Evaluator(model, images, target, scalars=scalars, batch_size=batch_size)
    height, width = evaluator.images.shape[1:3]
    usual = min(height, width) // 8 if height > 1 else width // 32
    size = max(1, usual) if size is None else size
    stride = max(1, size // 2) if stride is None else stride
    validate_counts(stride=stride)
    validate_square(size, height, width)
    top, left = (
        np.append(np.arange(0, length - size, stride), max(length - size, 0)).astype(np.int32)
        for length in (height, width)
    )
    # The first variation is the image itself: a square beyond its border.
    corners = np.stack(np.meshgrid(top, left, indexing="ij"), axis=-1).reshape(-1, 2)
    corners = np.concatenate([np.full((1, 2), max(height, width), np.int32), corners])

    def hide(x: dict[str, Any], corner: Any) -> Any:
        y, x0 = corner[:, 0, None], corner[:, 1, None]
        rows, columns = ops.arange(height)[None], ops.arange(width)[None]
        in_y = ops.logical_and(rows >= y, rows < y + size)
        in_x = ops.logical_and(columns >= x0, columns < x0 + size)
        inside = ops.logical_and(in_y[:, :, None], in_x[:, None, :])[..., None]
        return ops.where(inside, x["fill"], x["image"])

    arrays = {**evaluator.arrays, "fill": fill_pixels(evaluator.images, fill, seed)}
    scores = evaluator.scores_of_variations(hide, corners, arrays)
    drop = (scores[:, :1] - scores[:, 1:]).reshape(-1, len(top), len(left))
    return Occlusion(drop, scores[:, 0], top, left, size)


def _on_pixels(
    model: keras.Model, images: Any, target: ExplainTarget, **options: Any
) -> NDArray[np.float32]:
    """Mean drop over the squares that hide each pixel, of shape (n, height, width)."""
    return occlusion(model, images, target, **options).on_pixels(*np.shape(images)[1:3])


METHOD = AttributionMethod(
    _on_pixels,
    meaning="Decrease of the output when a square around the pixel is filled with sky noise.",
    scalars_meaning="Decrease of the output when the input (in a spectrum, with its neighbors) "
    "is set to its mean in the training set.",
    unit="Decrease of OUTPUT, averaged over the squares that hide the pixel.",
    scalars_unit="decrease of OUTPUT when the input is set to its mean",
    default=True,
    square="size",
)
