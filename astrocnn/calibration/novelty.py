"""Novelty: distance of an object from the training set in the features of an estimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from astrocnn.calibration.base import Batch
from astrocnn.column import Column
from astrocnn.errors import ModelError, PredictionError
from astrocnn.flags import Flag
from astrocnn.stored_files import compute_array_digest

__all__ = ["LEAST_ROWS", "MOST_ROWS", "THRESHOLD", "Novelty", "choose_rows", "examples"]

THRESHOLD = 0.99
"""Score from which an object is flagged: at most 1 % of objects like the validation objects."""
LEAST_ROWS = 99
"""Validation objects without which no score can reach `THRESHOLD`."""
MOST_ROWS = 5000
"""Training objects, and validation objects, that are used: more would not change the score."""
_BLOCK = 64
"""Rows per matrix product: fixed, so that no result depends on the number of rows."""


@dataclass(frozen=True, eq=False)
class Novelty:
    """Mahalanobis distance from the training objects, and its rank among validation objects.

    Features are divided by their scatter, then the covariance is shrunk (Ledoit and Wolf 2004), so
    that few objects and constant features are allowed.  The estimator is fitted to the training
    objects, so that new ones are farther away than they are: distances are compared with those of
    the m validation objects.  The score is k / (m + 1), where k of them are nearer.

    For objects of the same kind, exchangeable with the validation objects, one minus the score is a
    p-value: a score of s or more has a probability of at most 1 - s, whatever the network
    and the number of objects (Laxhammar and Falkman 2010; Bates et al. 2023).  Objects from
    `THRESHOLD` on are flagged `Flag.NOVEL`; with fewer than 99 validation objects none is.

    Parameters
    ----------
    center : ndarray of shape (d,)
        Mean features of the training objects.
    whitening : ndarray of shape (d, d)
        Matrix by which centered features become uncorrelated, of unit variance.
    distances : ndarray of shape (m,)
        Distances of the validation objects, sorted.

    References
    ----------
    Lee, Lee, Lee and Shin (2018), NeurIPS, with one class.  On networks trained on simulated
    stamps and applied to ZTF, DECam and Euclid images it separated unfamiliar objects better than
    the distance to the nearest neighbors (Sun, Ming, Zhu and Li 2022, ICML), scaled or normalized.
    Laxhammar and Falkman (2010), StreamKDD; Bates, Candes, Lei, Romano and Sesia (2023), Annals of
    Statistics 51, 149 (conformal p-values).
    """

    center: NDArray[np.float32]
    whitening: NDArray[np.float32]
    distances: NDArray[np.float64]

    needs_features: ClassVar[bool] = True
    flags: ClassVar[Flag] = Flag.NOVEL
    catalog_columns: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        center, whitening, distances = self.center, self.whitening, self.distances
        if (
            whitening.shape != (center.size, center.size)
            or (center.ndim, distances.ndim) != (1, 1)
            or not distances.size
            or any(array.dtype.kind != "f" for array in (center, whitening, distances))
            or not (np.isfinite(distances).all() and np.all(np.diff(distances) >= 0))
        ):
            raise ValueError("these arrays are not those of a novelty score")

    @classmethod
    def fit(cls, training: Any, validation: Any) -> Novelty:
        """Fit the distance on training objects and its rank on validation objects.

        Parameters
        ----------
        training, validation : array_like of shape (n, d) and (m, d)
            What `Estimator.features` gives for objects of the two splits; `choose_rows` says for
            which.

        Raises
        ------
        PredictionError
            If there are fewer than two training objects or no validation objects, or features
            that are not finite.
        """
        x, y = (np.asarray(features, np.float64) for features in (training, validation))
        shapes = f"shapes {x.shape} and {y.shape}"
        if x.ndim != 2 or y.ndim != 2 or x.shape[1:] != y.shape[1:]:
            raise PredictionError(
                "Features of training and validation objects do not belong together.",
                received=shapes,
                allowed="shapes (n, d) and (m, d)",
            )
        if len(x) < 2 or not len(y):
            raise PredictionError(
                "There are too few objects with features for a score of novelty.",
                received=f"{len(x)} training and {len(y)} validation objects",
                allowed="2 and 1 or more",
            )
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise PredictionError("Features must be finite numbers.", received="NaN or infinity")
        scatter = x.std(axis=0)
        # A feature without scatter carries no information yet; it counts as typical if it varies.
        typical = np.median(scatter[scatter > 0]) if np.any(scatter > 0) else 1.0
        scale = 1.0 / np.where(scatter > 1e-3 * typical, scatter, typical)
        center, whitening = _whitening(x, scale)
        return cls(center, whitening, np.sort(_distances(y, center, whitening)))

    def score(
        self, features: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The score, and the distance, both of shape (n,).

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
        fraction[good] = nearer / (len(self.distances) + 1)
        return fraction, distance

    @property
    def fingerprint(self) -> str:
        """Digest of the fitted arrays."""
        return compute_array_digest((self.center, self.whitening, self.distances))

    def columns(self) -> tuple[Column, ...]:
        """The score and the distance."""
        fraction = "Fraction of validation objects nearer to the training set"
        distance = "Mahalanobis distance from the training set in the features of the model"
        return (
            Column("novelty", "f4", "", "stat.value", f"{fraction}; flagged from {THRESHOLD:g}"),
            Column("novelty_distance", "f4", "", "stat.value", distance),
        )

    def compute(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Compute the score of predicted objects, and the flag.

        Raises
        ------
        ModelError
            If the estimator has no features.
        """
        if batch.features is None:
            raise ModelError(
                "A score of novelty needs an estimator with features.",
                received=type(batch.estimator).__name__,
            )
        fraction, distance = self.score(batch.features)
        novelty = fraction.astype(np.float32)
        return {
            "novelty": novelty,
            "novelty_distance": distance.astype(np.float32),
            "flags": np.where(self.find_novel(novelty), int(self.flags), 0).astype(np.int32),
        }

    @staticmethod
    def find_novel(novelty: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Find the objects that are flagged, by their score as the table has it; never NaN."""
        return np.asarray(novelty, np.float32) >= np.float32(THRESHOLD)


def choose_rows(rows: NDArray[np.integer]) -> NDArray[np.int64]:
    """Choose at most `MOST_ROWS` rows at random, always the same, in ascending order."""
    chosen = np.random.default_rng(0).permutation(np.asarray(rows, np.int64))[:MOST_ROWS]
    return np.sort(chosen)


def _whitening(
    x: NDArray[np.float64], scale: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean of features, and the whitening matrix."""
    covariance, _ = ledoit_wolf(x * scale)
    variances, axes = np.linalg.eigh(covariance)
    # Features without any scatter: the matrix must be a number in single precision.
    floor = 1e-6 * max(float(variances[-1]), 1e-60)
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
    return (Novelty.fit(rng.normal(size=(200, 4)), rng.normal(size=(150, 4))),)
