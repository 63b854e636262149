"""Shift: a map must move with the image.

References
----------
Crabbe & van der Schaar 2023, NeurIPS (arXiv:2304.06715), section 2 (equivariance of explanations).
Zhang 2019, ICML (arXiv:1904.11486): why strides and pooling break it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.errors import ModelError
from astrocnn.explain.checks.correlation import pearson, validate_maps
from astrocnn.explain.network import build_arrays
from astrocnn.explain.target import ExplainTarget

__all__ = ["shift"]


def shift(
    method: Callable[..., Any],
    model: keras.Model,
    images: Any,
    target: ExplainTarget,
    *,
    scalars: Any = None,
    maps: Any = None,
    moves: Sequence[tuple[int, int]] = ((0, 1), (1, 0)),
    margin: int | None = None,
    batch_size: int = 64,
) -> NDArray[np.float64]:
    """Correlation of the moved map of an image with the map of the moved image.

    Pixels that enter at the border repeat those next to them; a rim is left out.

    Parameters
    ----------
    method : callable
        One of `astrocnn.explain.methods`.
    model, images, target, scalars, batch_size
        See `astrocnn.explain.methods`.
    maps : array_like, optional
        Maps of these images; computed by default.
    moves : sequence of tuple of int
        Pixels along y and x; one to the right and one upwards by default.
    margin : int, optional
        Width of the rim [pixel]; an eighth of the image by default, at least the largest move.

    Returns
    -------
    ndarray of shape (n, n_moves)
        1 for a map that moves with the image; NaN where a map is constant.

    Raises
    ------
    ModelError
        If nothing is left within the rim, or there are no moves.
    """
    arrays = build_arrays(model, images, scalars, target)
    image = arrays["image"]
    n, height, width = image.shape[:3]
    largest = max((abs(by) for move in moves for by in move), default=0)
    rim = max(largest, min(height, width) // 8) if margin is None else margin
    if not moves or not 0 < largest <= rim or 2 * rim + 1 >= min(height, width):
        raise ModelError(
            "`moves` and `margin` leave no pixels to compare.",
            received=f"moves {tuple(moves)}, a rim of {rim} pixels",
            allowed="one move or more, a rim as wide as the moves, and pixels within it",
        )
    inner = (slice(None), slice(rim, height - rim), slice(rim, width - rim))

    def explain(x: NDArray[np.float32]) -> NDArray[np.float64]:
        result = method(model, x, target, scalars=scalars, batch_size=batch_size)
        return validate_maps(result, image.shape[:3])

    reference = explain(image) if maps is None else validate_maps(maps, image.shape[:3])
    columns = [
        pearson(
            _translate(reference, move)[inner].reshape(n, -1),
            explain(_translate(image, move))[inner].reshape(n, -1),
        )
        for move in moves
    ]
    return np.stack(columns, axis=1)


def _translate(a: NDArray[Any], by: tuple[int, int]) -> NDArray[Any]:
    """An array of shape (n, height, width, ...) moved along y and x, its border repeated."""
    rows, columns = (
        np.clip(np.arange(length) - step, 0, length - 1)
        for length, step in zip(a.shape[1:3], by, strict=True)
    )
    return a[:, rows][:, :, columns]
