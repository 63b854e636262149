"""Many variations of each image, a block at a time, none of them held longer than needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

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
    step = compiled(lambda x: score({**x, "image": vary(x, x["variation"])}))
    found = np.empty((len(arrays["image"]), len(variations)), np.float32)
    for i, j, made in _of_pairs(step, arrays, variations, batch_size):
        found[i, j] = made
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

    def slopes(x: dict[str, Any]) -> Any:
        def at(image: Any) -> tuple[Any, Any]:
            return score({**x, "image": image}), image

        return gradient(at, vary(x, x["variation"]))[2]

    total = np.zeros(arrays["image"].shape, np.float64)
    for i, j, made in _of_pairs(compiled(slopes), arrays, variations, batch_size):
        first = np.flatnonzero(np.diff(i, prepend=-1))
        total[i[first]] += np.add.reduceat(
            made * shares[j].astype(np.float64)[:, None, None, None], first
        )
    return total.astype(np.float32)


def _of_pairs(
    step: Callable[[dict[str, Any]], Any], arrays: Arrays, variations: NDArray[Any], batch_size: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]]:
    """Outcomes of `step` for pairs of an object and a variation: which pairs, and what was made."""
    n, m = len(arrays["image"]), len(variations)
    size = even_blocks(n * m, batch_size)
    for start in range(0, n * m, size):
        # The last block is filled up, so that the step is traced once.
        i, j = np.divmod(np.minimum(np.arange(start, start + size), n * m - 1), m)
        made = step({name: a[i] for name, a in arrays.items()} | {"variation": variations[j]})
        kept = min(size, n * m - start)
        yield i[:kept], j[:kept], ops.convert_to_numpy(made)[:kept]
