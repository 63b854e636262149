"""Dropout masks that are a pure function of (seed, layer, draw).

They come from the counter-based generator Philox through its raw bits, which numpy keeps the same
across versions and machines; the backend's own generator has no part in them.

References
----------
Salmon et al. 2011, SC'11, "Parallel random numbers: as easy as 1, 2, 3" (Philox).
Kirsch et al. 2019, arXiv:1906.08158, section 3.3 (consistent dropout).
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["keep_mask", "keep_masks"]


def keep_mask(
    seed: int, layer: str, draw: int, shape: tuple[int, ...], rate: float
) -> NDArray[np.bool_]:
    """The units one draw keeps in one layer.

    Parameters
    ----------
    seed : int
        Seed of the prediction.
    layer : str
        Name of the dropout layer.
    draw : int
        Number of the draw; a mask does not depend on how many draws there are.
    shape : tuple of int
        Shape of the mask, without the objects.
    rate : float
        Fraction of units dropped.

    Returns
    -------
    ndarray of bool of that shape
        True where a unit is kept.
    """
    digest = hashlib.blake2b(f"{int(seed)}/{layer}".encode(), digest_size=16).digest()
    # The draw is the highest word of the counter, so that no two draws share a number.
    generator = np.random.Philox(
        key=np.frombuffer(digest, "<u8").astype(np.uint64),
        counter=np.array([0, 0, 0, draw], np.uint64),
    )
    n = math.prod(shape)
    bits = generator.random_raw((n + 1) // 2).astype("<u8", copy=False).view("<u4")[:n]
    return (bits >= np.uint32(min(round(rate * 2**32), 2**32 - 1))).reshape(shape)


def keep_masks(
    seed: int, layer: str, draws: int, shape: tuple[int, ...], rate: float
) -> NDArray[np.bool_]:
    """The masks of draws 0, 1, ... of one layer, of shape (draws, *shape)."""
    masks = np.empty((draws, *shape), bool)
    for draw in range(draws):
        masks[draw] = keep_mask(seed, layer, draw, shape, rate)
    return masks
