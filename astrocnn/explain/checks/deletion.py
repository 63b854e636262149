"""Deletion and insertion: the target while pixels are removed or restored in order of a map.

References
----------
Petsiuk, Das & Saenko 2018, BMVC (arXiv:1806.07421), section 4.1 (deletion and insertion).
Samek et al. 2017, IEEE Trans. Neural Netw. Learn. Syst. 28, 2660 (arXiv:1509.06321): random order
as the yardstick.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, ops
from astrocnn.errors import ModelError
from astrocnn.explain.checks.fractions import sum_bands, validate_maps
from astrocnn.explain.network import Evaluator, validate_counts
from astrocnn.explain.sky import fill_pixels
from astrocnn.explain.target import ExplainTarget

__all__ = ["CURVES", "DeletionInsertion", "deletion"]

CURVES = ("deletion", "insertion", "random_deletion", "random_insertion")
"""Names of the curves of a `DeletionInsertion`."""

_ORDERS = ("absolute", "signed")


class DeletionInsertion(NamedTuple):
    """Result of `deletion`.

    A reversed random order is a random order, so that random deletion and insertion have the same
    area.
    """

    fraction: NDArray[np.float64]
    """Fraction of the pixels removed or restored, of shape (steps + 1,), from 0 to 1."""
    deletion: NDArray[np.float64]
    """Target without the most important pixels, of shape (n, steps + 1)."""
    insertion: NDArray[np.float64]
    """Target with the most important pixels only, of shape (n, steps + 1)."""
    random_deletion: NDArray[np.float64]
    """Target without random pixels, mean over the orders, of shape (n, steps + 1)."""
    random_insertion: NDArray[np.float64]
    """Target with random pixels only, mean over the orders, of shape (n, steps + 1)."""
    random_deletion_std: NDArray[np.float64]
    """Standard deviation over the orders, of shape (n, steps + 1)."""
    random_insertion_std: NDArray[np.float64]
    """Standard deviation over the orders, of shape (n, steps + 1)."""
    random_area_std: NDArray[np.float64] | None = None
    """Standard deviation over the orders of the area under their curve, of shape (n,)."""

    @property
    def areas(self) -> dict[str, NDArray[np.float64]]:
        """Areas under the four curves, each of shape (n,): mean targets along them."""
        return {name: np.trapezoid(getattr(self, name), self.fraction) for name in CURVES}


def deletion(
    model: keras.Model,
    images: Any,
    target: ExplainTarget,
    maps: Any,
    *,
    scalars: Any = None,
    steps: int = 20,
    fill: str = "sky",
    order: str = "absolute",
    draws: int = 5,
    seed: int = 0,
    batch_size: int = 64,
) -> DeletionInsertion:
    """Remove and restore pixels in the order of a map and in random orders.

    Parameters
    ----------
    model, images, target, scalars, batch_size
        See `astrocnn.explain.methods`; scalars stay as they are.
    maps : array_like of shape (n, height, width) or (n, height, width, n_channels)
        Of any method; a pixel counts with all its bands.
    steps : int
        Equal parts in which the pixels are removed.
    fill : {"sky", "mean", "zero"}
        What replaces a pixel: noise as in the border of the image, the mean of each band, or zero.
    order : {"absolute", "signed"}
        By absolute value, or by value: first what raises the target most and last what lowers it
        most.  Ties are broken at random.
    draws : int
        Random orders, the same for all images.
    seed : int
        Seed of the orders and the noise.

    Returns
    -------
    DeletionInsertion
        A good map has a small area under deletion and a large one under insertion.

    Raises
    ------
    ModelError
        If there is no such fill or order, no draws, or not a pixel for each step.
    InputsError
        If the maps do not lie on the pixels of the images.
    """
    evaluator = Evaluator(model, images, target, scalars=scalars, batch_size=batch_size)
    n, height, width = evaluator.images.shape[:3]
    n_pixels = height * width
    validate_counts(steps=steps, draws=draws)
    if order not in _ORDERS:
        raise ModelError("Unknown `order`.", received=repr(order), allowed=_ORDERS)
    if steps > n_pixels:
        raise ModelError(
            "`steps` must not exceed the number of pixels.",
            received=f"{steps} steps",
            allowed=f"at most {n_pixels}",
        )
    rng = np.random.default_rng(seed)
    orders = np.stack([rng.permutation(n_pixels) for _ in range(draws)]).astype(np.int32)
    importance = sum_bands(validate_maps(maps, (n, height, width)), signed=order == "signed")
    arrays = {
        **evaluator.arrays,
        "rank": _compute_ranks(importance.reshape(n, -1), rng).reshape(n, height, width),
        "fill": fill_pixels(evaluator.images, fill, seed),
    }
    random = orders.reshape(draws, height, width)
    fraction = np.linspace(0, 1, steps + 1)
    counts = (fraction * n_pixels).round().astype(np.int32)

    def hide(x: dict[str, Any], state: Any) -> Any:
        at_random = ops.take(random, ops.maximum(state[:, 0] - 1, 0), axis=0)
        rank = ops.where(state[:, 0, None, None] == 0, x["rank"], at_random)
        first, last = state[:, 1, None, None], state[:, 2, None, None]
        is_hidden = ops.logical_and(rank >= first, rank < last)
        return ops.where(is_hidden[..., None], x["fill"], x["image"])

    inner = counts[1:-1]
    # Number of the order, first hidden rank and the one after the last; all orders share the ends.
    states = [(0, 0, 0), (0, 0, n_pixels)]
    states += [(0, 0, k) for k in inner] + [(0, k, n_pixels) for k in inner]
    states += [(draw + 1, 0, k) for draw in range(draws) for k in inner]
    scores = evaluator.scores_of_variations(hide, np.array(states, np.int32), arrays)
    scores = scores.astype(np.float64)
    ends = np.repeat(scores[:, None, :2], draws + 2, axis=1)
    ends[:, 1] = scores[:, 1::-1]  # insertion begins with the empty image
    between = scores[:, 2:].reshape(n, draws + 2, -1)
    curves = np.concatenate([ends[..., :1], between, ends[..., 1:]], axis=2)
    by_draw = curves[:, 2:]
    mean, std = by_draw.mean(axis=1), by_draw.std(axis=1)
    return DeletionInsertion(
        fraction,
        curves[:, 0],
        curves[:, 1],
        mean,
        mean[:, ::-1],
        std,
        std[:, ::-1],
        np.trapezoid(by_draw, fraction).std(axis=1),
    )


def _compute_ranks(importance: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int32]:
    """Rank of each pixel, 0 for the most important one, of shape (n, n_pixels)."""
    tie_breaker = rng.permutation(importance.shape[1])
    order = np.stack([np.lexsort((tie_breaker, -row)) for row in importance])
    ranks = np.empty_like(order, dtype=np.int32)
    np.put_along_axis(ranks, order, np.arange(order.shape[1], dtype=np.int32)[None], axis=1)
    return ranks
