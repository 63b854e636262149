"""The normalization of a training split, from its shards."""

from __future__ import annotations

from typing import Any

import numpy as np

from astrocnn.datasets.shards import Shards
from astrocnn.imaging import Normalization, NormalizationFitter
from astrocnn.imaging.normalization_fitter import WARM_UP_IMAGES
from astrocnn.progress import track

__all__ = ["fit_normalization"]

CHUNK_BYTES = 32 << 20


def fit_normalization(
    shards: Shards, rows: np.ndarray, stretch: str = "asinh", *, seed: int = 0, **options: Any
) -> Normalization:
    """Fit a normalization on some rows, each read once.

    A random choice of rows comes first, so that the sky noise which sets the softening
    is that of the whole split and not of its first tile; then the rest in the order on disk.

    Parameters
    ----------
    shards : Shards
    rows : ndarray of int
        The training split, and nothing else.
    stretch : {"none", "linear", "asinh", "log"}
    seed : int
        Seed of that random choice and of the sample of pixels.
    **options
        ``robust``, ``whiten``, ``mask_channel``, ``softening`` of
        `astrocnn.imaging.NormalizationFitter`.

    Returns
    -------
    Normalization
    """
    rows = np.unique(np.asarray(rows, np.int64))
    first = np.zeros(len(shards), bool)
    shuffled = np.random.default_rng(seed).permutation(rows)
    first[shuffled[:WARM_UP_IMAGES]] = True
    chosen = np.zeros(len(shards), bool)
    chosen[rows] = True
    order = shards.order()
    order = order[chosen[order]]
    order = np.concatenate([order[first[order]], order[~first[order]]])
    fitter = NormalizationFitter(stretch, bands=shards.bands, seed=seed, **options)
    step = max(1, CHUNK_BYTES // (4 * shards.size**2 * len(shards.bands)))
    for start in track(range(0, len(order), step), "measuring"):
        fitter.update(shards.images(order[start : start + step]))
    return fitter.finish()
