"""A bounded random sample of the pixels of a stream."""

from __future__ import annotations

import numpy as np

__all__ = ["PixelSample"]


class PixelSample:
    """Keep the `size` pixels with the smallest hash of (seed, ordinal in the stream).

    A pixel stays or goes by its position in the stream alone, so that the sample does not
    depend on the chunks in which the stream arrived.

    Parameters
    ----------
    size : int
        Pixels to keep; a pixel has a value in each band.
    seed : int
        Another seed, another sample.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        self.size = size
        self._salt = _mix(np.array([seed % 2**63], np.uint64))
        self._seen = 0
        self._limit = np.iinfo(np.uint64).max
        self._hashes: list[np.ndarray] = []
        self._pixels: list[np.ndarray] = []
        self._held = 0

    def update(self, pixels: np.ndarray) -> None:
        """Look at the next pixels, an array of shape (n, n_bands)."""
        ordinals = np.arange(self._seen, self._seen + len(pixels), dtype=np.uint64)
        self._seen += len(pixels)
        hashes = _mix(ordinals + self._salt)
        chosen = np.flatnonzero(hashes <= self._limit)
        self._hashes.append(hashes[chosen])
        self._pixels.append(pixels[chosen])
        self._held += len(chosen)
        if self._held > 2 * self.size:
            self._shrink()

    def values(self) -> np.ndarray:
        """The sample so far, an array of shape (min(n, size), n_bands)."""
        self._shrink()
        return self._pixels[0]

    def _shrink(self) -> None:
        hashes, pixels = np.concatenate(self._hashes), np.concatenate(self._pixels)
        order = np.argsort(hashes)[: self.size]
        self._hashes, self._pixels = [hashes[order]], [pixels[order]]
        self._held = len(order)
        if self._held == self.size:
            self._limit = hashes[order[-1]]


def _mix(values: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64, a bijection of 64-bit integers that looks random.

    References
    ----------
    Steele, Lea & Flood 2014, OOPSLA, "Fast splittable pseudorandom number generators", fig. 14.
    """
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: np.ndarray = z ^ (z >> np.uint64(31))
    return result
