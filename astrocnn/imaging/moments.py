"""Mean and covariance of a stream, merged pairwise in float64."""

from __future__ import annotations

import numpy as np

__all__ = ["Moments"]


class Moments:
    """Count, mean and co-moments over bands, updated block by block.

    Parameters
    ----------
    n_bands : int
        Columns of the blocks.
    complete : bool
        Use only the pixels that have data in every band, as a covariance needs.

    References
    ----------
    Chan, Golub & LeVeque 1983, The American Statistician 37, 242, equations 2.1a and 2.1b.
    """

    def __init__(self, n_bands: int, complete: bool = False) -> None:
        self.complete = complete
        self.count = np.zeros(n_bands)
        self.mean = np.zeros(n_bands)
        self.comoment = np.zeros((n_bands, n_bands))

    def update(self, block: np.ndarray) -> None:
        """Take in a block of shape (n, n_bands); values that are not finite are left out."""
        valid = np.isfinite(block)
        if self.complete:
            valid &= valid.all(axis=1, keepdims=True)
        count = valid.sum(axis=0).astype(np.float64)
        total = np.where(valid, block, 0.0).sum(axis=0)
        mean = total / np.maximum(count, 1.0)
        deviation = np.where(valid, block - mean, 0.0)
        self._merge(count, mean, deviation.T @ deviation)

    def _merge(self, count: np.ndarray, mean: np.ndarray, comoment: np.ndarray) -> None:
        together = np.maximum(self.count + count, 1.0)
        delta = mean - self.mean
        weight = self.count * count / together
        # Off the diagonal the weight is meant for `complete`, where all counts are equal.
        self.comoment += comoment + np.outer(delta, delta) * np.sqrt(np.outer(weight, weight))
        self.mean = self.mean + delta * count / together
        self.count = self.count + count

    @property
    def variance(self) -> np.ndarray:
        """Population variance of each band."""
        result: np.ndarray = np.diag(self.comoment) / np.maximum(self.count, 1.0)
        return result

    @property
    def covariance(self) -> np.ndarray:
        """Population covariance, meaningful when `complete`."""
        result: np.ndarray = self.comoment / max(float(self.count.min()), 1.0)
        return result
