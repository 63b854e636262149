"""Does the answer go when the pixels go that a map calls important, and come when they come?

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
from astrocnn.explain._network import arrays_for, check_counts, scorer
from astrocnn.explain._sky import filling
from astrocnn.explain._variations import scores_of_variations
from astrocnn.explain.checks._maps import checked, on_pixels
from astrocnn.explain.output import Explained

__all__ = ["DeletionInsertion", "deletion"]

_ORDERS = ("absolute", "signed")


class DeletionInsertion(NamedTuple):
    """What `deletion` found.

    A random order backwards is a random order, so that deletion by the ones is insertion by the
    others: both have the same area.
    """

    fraction: NDArray[np.float64]
    """Fraction of the pixels gone or come, of shape (steps + 1,), from 0 to 1."""
    deletion: NDArray[np.float64]
    """Output without the most important pixels, of shape (n, steps + 1)."""
    insertion: NDArray[np.float64]
    """Output with none but the most important pixels, of shape (n, steps + 1)."""
    random_deletion: NDArray[np.float64]
    """Output without random pixels, mean over the orders, of shape (n, steps + 1)."""
    random_insertion: NDArray[np.float64]
    """Output with none but random pixels, mean over the orders, of shape (n, steps + 1)."""
    random_deletion_std: NDArray[np.float64]
    """Standard deviation over the orders, of shape (n, steps + 1)."""
    random_insertion_std: NDArray[np.float64]
    """Standard deviation over the orders, of shape (n, steps + 1)."""
    random_area_std: NDArray[np.float64]
    """Standard deviation over the orders of the area under their curve, of shape (n,)."""

    @property
    def areas(self) -> dict[str, NDArray[np.float64]]:
        """Areas under the four curves, each of shape (n,): mean outputs over the way."""
        names = ("deletion", "insertion", "random_deletion", "random_insertion")
        return {name: np.trapezoid(getattr(self, name), self.fraction) for name in names}


def deletion(
    model: keras.Model,
    images: Any,
    output: Explained,
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
    """Take away pixels, and bring them back, in the order of a map and in random orders.

    Parameters
    ----------
    model : keras.Model
        From images, and scalars where it takes them.
    images : array_like of shape (n, height, width, n_channels)
        Normalized.
    output : Output or Response
        The number to be explained.
    maps : array_like of shape (n, height, width) or (n, height, width, n_channels)
        Of any method; a pixel counts with all its bands.
    scalars : array_like of shape (n, n_scalars), optional
        Standardized; they stay as they are.
    steps : int
        Equal parts in which the pixels go.
    fill : str
        What is in place of a pixel: ``"sky"``, noise as in the border of the image, ``"mean"``,
        the mean of each band, or ``"zero"``.
    order : str
        ``"absolute"``, first what matters most, or ``"signed"``, first what speaks most for more
        of the output and last what speaks against it.  Ties are broken at random.
    draws : int
        Random orders, the same for all images.
    seed : int
        Of the orders and the noise.
    batch_size : int
        Images at once; without influence on the outcome.

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
    arrays: dict[str, NDArray[Any]] = {**arrays_for(model, images, scalars)}
    n, height, width = arrays["image"].shape[:3]
    n_pixels = height * width
    check_counts(steps=steps, draws=draws)
    if order not in _ORDERS:
        raise ModelError("There is no such order.", received=repr(order), allowed=_ORDERS)
    if steps > n_pixels:
        raise ModelError(
            "There are not as many pixels as steps.",
            received=f"{steps} steps",
            allowed=f"at most {n_pixels}",
        )
    rng = np.random.default_rng(seed)
    chance = np.stack([rng.permutation(n_pixels) for _ in range(draws)]).astype(np.int32)
    importance = on_pixels(checked(maps, (n, height, width)), signed=order == "signed")
    arrays["rank"] = _ranks(importance.reshape(n, -1), rng).reshape(n, height, width)
    arrays["fill"] = filling(arrays["image"], fill, seed)
    random = chance.reshape(draws, height, width)
    fraction = np.linspace(0, 1, steps + 1)
    gone = (fraction * n_pixels).round().astype(np.int32)

    def hidden(x: dict[str, Any], which: Any) -> Any:
        by_chance = ops.take(random, ops.maximum(which[:, 0] - 1, 0), axis=0)
        rank = ops.where(which[:, 0, None, None] == 0, x["rank"], by_chance)
        first, last = which[:, 1, None, None], which[:, 2, None, None]
        away = ops.logical_and(rank >= first, rank < last)
        return ops.where(away[..., None], x["fill"], x["image"])

    inner = gone[1:-1]
    # Which order, and the ranks from and up to which pixels are hidden; ends are common to all.
    states = [(0, 0, 0), (0, 0, n_pixels)]
    states += [(0, 0, k) for k in inner] + [(0, k, n_pixels) for k in inner]
    states += [(draw + 1, 0, k) for draw in range(draws) for k in inner]
    scores = scores_of_variations(
        scorer(model, output), hidden, arrays, np.array(states, np.int32), batch_size
    ).astype(np.float64)
    ends = np.repeat(scores[:, None, :2], draws + 2, axis=1)
    ends[:, 1] = scores[:, 1::-1]  # insertion begins with nothing
    between = scores[:, 2:].reshape(n, draws + 2, -1)
    curves = np.concatenate([ends[..., :1], between, ends[..., 1:]], axis=2)
    drawn = curves[:, 2:]
    mean, std = drawn.mean(axis=1), drawn.std(axis=1)
    return DeletionInsertion(
        fraction,
        curves[:, 0],
        curves[:, 1],
        mean,
        mean[:, ::-1],
        std,
        std[:, ::-1],
        np.trapezoid(drawn, fraction).std(axis=1),
    )


def _ranks(importance: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int32]:
    """Rank of each pixel, 0 for the most important one, of shape (n, n_pixels)."""
    lot = rng.permutation(importance.shape[1])
    order = np.stack([np.lexsort((lot, -row)) for row in importance])
    ranks = np.empty_like(order, dtype=np.int32)
    np.put_along_axis(ranks, order, np.arange(order.shape[1], dtype=np.int32)[None], axis=1)
    return ranks
