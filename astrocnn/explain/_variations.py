"""Many variations of each image, a block at a time, none of them held longer than needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import ops
from astrocnn.explain._gradients import compiled, gradient
from astrocnn.explain._network import even_blocks

__all__ = ["gradients_of_variations", "scores_of_variations"]

Arrays = dict[str, NDArray[Any]]
Score = Callable[[dict[str, Any]], Any]
Vary = Callable[[dict[str, Any], Any], Any]


def scores_of_variations(
    score: Score, vary: Vary, arrays: Arrays, variations: NDArray[Any], batch_size: int
) -> NDArray[np.float32]:
    """Score of every variation of every image, of shape (n, m).

    Parameters
    ----------
    score : callable
        From inputs by name to a number per object.
    vary : callable
        From arrays of k objects and k variations to k images.
    arrays : dict of str to ndarray of shape (n, ...)
        ``"image"`` and what else `score` and `vary` read.
    variations : ndarray of shape (m, ...)
        The same for all objects.
    batch_size : int
        Images at once.
    """
    taken = _taken(arrays, variations)

    def of(i: Any, j: Any) -> Any:
        x = taken(i, j)
        return score({**x, "image": vary(x, x["variation"])})

    step = compiled(of)
    found = np.empty((len(arrays["image"]), len(variations)), np.float32)
    for i, j, kept in _pairs(*found.shape, batch_size):
        found[i[:kept], j[:kept]] = ops.convert_to_numpy(step(i, j))[:kept]
    return found


def gradients_of_variations(
    score: Score,
    vary: Vary,
    arrays: Arrays,
    variations: NDArray[Any],
    shares: NDArray[np.float32],
    batch_size: int,
) -> NDArray[np.float32]:
    """Weighted sum over variations of the gradient at each, of the shape of the images.

    `shares`, of shape (m,), are the weights; all else is as in `scores_of_variations`.
    """
    taken = _taken(arrays, variations)

    def of(i: Any, j: Any) -> Any:
        x = taken(i, j)

        def at(image: Any) -> tuple[Any, Any]:
            return score({**x, "image": image}), image

        return gradient(at, vary(x, x["variation"]))[2]

    step = compiled(of)
    total = np.zeros(arrays["image"].shape, np.float64)
    weights = shares.astype(np.float64)[:, None, None, None]
    for i, j, kept in _pairs(len(total), len(variations), batch_size):
        made = ops.convert_to_numpy(step(i, j))[:kept] * weights[j[:kept]]
        first = np.flatnonzero(np.diff(i[:kept], prepend=-1))
        total[i[first]] += np.add.reduceat(made, first)
    return total.astype(np.float32)


def _pairs(
    n: int, m: int, batch_size: int
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], int]]:
    """Blocks of pairs of an object and a variation, and how many of a block count."""
    size = even_blocks(n * m, batch_size)
    for start in range(0, n * m, size):
        # The last block is filled up, so that the step is traced once.
        i, j = np.divmod(np.minimum(np.arange(start, start + size), n * m - 1), m)
        yield i.astype(np.int32), j.astype(np.int32), min(size, n * m - start)


def _taken(arrays: Arrays, variations: NDArray[Any]) -> Callable[[Any, Any], dict[str, Any]]:
    """The arrays of k objects with a variation for each, taken inside of the graph."""
    held = {name: ops.convert_to_tensor(a) for name, a in arrays.items()}
    varied = ops.convert_to_tensor(variations)

    def taken(i: Any, j: Any) -> dict[str, Any]:
        own = {name: ops.take(a, i, axis=0) for name, a in held.items()}
        return own | {"variation": ops.take(varied, j, axis=0)}

    return taken
