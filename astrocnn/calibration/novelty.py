"""Novelty: distance of an object from the training set in the feature space of a network."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from astrocnn.calibration.base import Batch, too_few_objects
from astrocnn.column import Column
from astrocnn.errors import ModelError, PredictionError

__all__ = ["Novelty", "examples"]

_LEAST_ROWS = 100
_MOST_ROWS = 10000
_FOLDS = 10
_BLOCK = 64
"""Rows per matrix product: fixed, so that no result depends on the number of rows."""


@dataclass(frozen=True, eq=False)
class Novelty:
    """Mahalanobis distance from the reference objects, and its percentile among them.

    Features are divided by their scatter, then the covariance is shrunk (Ledoit and Wolf 2004), so
    that few objects and constant features are allowed.  The score is the fraction of reference
    objects, each measured by cross-validation, that are nearer: uniform between 0 and 1 for
    objects of the same kind, and 1 beyond all of them.

    Parameters
    ----------
    center : ndarray of shape (d,)
        Mean features of the reference objects.
    whitening : ndarray of shape (d, d)
        Matrix by which centered features become uncorrelated, of unit variance.
    distances : ndarray of shape (m,)
        Distances of the reference objects, sorted.

    References
    ----------
    Lee, Lee, Lee and Shin (2018), NeurIPS, with one class.  On networks trained on simulated
    stamps and applied to ZTF, DECam and Euclid images it separated unfamiliar objects better than
    the distance to the nearest neighbors (Sun, Ming, Zhu and Li 2022, ICML), scaled or normalized.
    """

    center: NDArray[np.float32]
    whitening: NDArray[np.float32]
    distances: NDArray[np.float64]

    @classmethod
    def fit(cls, features: Any) -> Novelty:
        """Fit the distance on objects similar to the training set.

        Objects of the training set itself are excluded: the network is fitted to them.

        Parameters
        ----------
        features : array_like of shape (n, d)
            What `Estimator.features` gives for the validation objects; of more than 10000 rows,
            as many are chosen at random, always the same.

        Raises
        ------
        PredictionError
            If there are fewer than 100 objects, or features that are not finite.
        """
        x = np.asarray(features, np.float64)
        if x.ndim != 2 or not np.isfinite(x).all():
            raise PredictionError(
                "Features must be finite numbers, some for each object.",
                received=f"shape {x.shape}" if x.ndim != 2 else "NaN or infinity",
            )
        if len(x) < _LEAST_ROWS:
            raise too_few_objects("a score of novelty", len(x), _LEAST_ROWS)
        order = np.random.default_rng(0).permutation(len(x))[:_MOST_ROWS]
        x = x[order]
        scatter = x.std(axis=0)
        # A feature without scatter carries no information yet; it counts as typical if it varies.
        typical = np.median(scatter[scatter > 0]) if np.any(scatter > 0) else 1.0
        scale = 1.0 / np.where(scatter > 1e-3 * typical, scatter, typical)
        own = np.empty(len(x))
        for fold in range(_FOLDS):
            rest = np.arange(len(x)) % _FOLDS != fold
            own[~rest] = _distances(x[~rest], *_whitening(x[rest], scale))
        return cls(*_whitening(x, scale), np.sort(own))

    def score(
        self, features: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Fraction of reference objects that are nearer, and the distance, both of shape (n,).

        Parameters
        ----------
        features : ndarray of shape (n, d)
            What `Estimator.features` gives; rows with NaN give NaN.

        Raises
        ------
        PredictionError
            If the features are of another network.
        """
        x = np.asarray(features, np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.center):
            raise PredictionError(
                "These are features of another network.",
                received=f"shape {x.shape}",
                allowed=f"shape (n, {len(self.center)})",
            )
        good = np.flatnonzero(np.isfinite(x).all(axis=1))
        distance, fraction = np.full(len(x), np.nan), np.full(len(x), np.nan)
        distance[good] = _distances(x[good], self.center, self.whitening)
        nearer = np.searchsorted(self.distances, distance[good], side="left")
        fraction[good] = nearer / len(self.distances)
        return fraction, distance

    @property
    def fingerprint(self) -> str:
        """Digest of the reference objects."""
        total = hashlib.sha256()
        for array in (self.center, self.whitening, self.distances):
            total.update(f"{array.dtype.str}{array.shape}".encode())
            total.update(np.ascontiguousarray(array).tobytes())
        return total.hexdigest()

    def columns(self) -> tuple[Column, ...]:
        """The score and the distance."""
        fraction = "Fraction of validation objects nearer to what the model knows (1: stranger)"
        distance = "Mahalanobis distance from the validation objects in penultimate features"
        return (
            Column("novelty", "f4", "", "stat.value", fraction),
            Column("novelty_distance", "f4", "", "stat.value", distance),
        )

    def compute(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Compute the score of predicted objects.

        Raises
        ------
        ModelError
            If the estimator has no features.
        """
        compute_features = getattr(batch.estimator, "features", None)
        if compute_features is None:
            raise ModelError(
                "A score of novelty needs an estimator with features.",
                received=type(batch.estimator).__name__,
            )
        fraction, distance = self.score(compute_features(batch.images, batch.scalars))
        return {
            "novelty": fraction.astype(np.float32),
            "novelty_distance": distance.astype(np.float32),
        }


def _whitening(
    x: NDArray[np.float64], scale: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean of features, and the whitening matrix."""
    covariance, _ = ledoit_wolf(x * scale)
    variances, axes = np.linalg.eigh(covariance)
    floor = 1e-6 * max(float(variances[-1]), 1e-300)
    matrix = scale[:, None] * axes / np.sqrt(np.maximum(variances, floor))
    return x.mean(axis=0).astype(np.float32), matrix.astype(np.float32)


def _distances(
    x: NDArray[np.float64], center: NDArray[np.float32], whitening: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Norm of whitened features, of shape (n,)."""
    matrix, out = whitening.astype(np.float64), np.empty(len(x))
    for start in range(0, len(x), _BLOCK):
        rows = np.minimum(np.arange(start, start + _BLOCK), len(x) - 1)
        white = (x[rows] - center) @ matrix
        stop = min(start + _BLOCK, len(x))
        out[start:stop] = np.sqrt((white * white).sum(axis=1))[: stop - start]
    return out


def examples() -> tuple[Novelty, ...]:
    """Instances for the contract tests, for networks with four features."""
    rng = np.random.default_rng(0)
    return (Novelty.fit(rng.normal(size=(200, 4))),)
