"""How far an object is from all that a network knows, in the space of its own features."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.calibration.base import too_few
from astrocnn.errors import ModelError, PredictionError
from astrocnn.families import OutputColumn

__all__ = ["Novelty", "examples"]

_LEAST_ROWS = 100
_MOST_ROWS = 5000
_NEIGHBORS = 10
_BLOCK = 64
"""Rows in one product of matrices: always as many, so that no result depends on how many come."""


@dataclass(frozen=True, eq=False)
class Novelty:
    """Distance to the 10th nearest of some known objects, and how rare such a distance is.

    Features are divided by their scatter over the known objects.  The score is the fraction of
    known objects, each measured against the others, that are nearer: even between 0 and 1 for
    objects of the same kind, and 1 beyond them all.

    Parameters
    ----------
    reference : ndarray of shape (m, d)
        Scaled features of known objects.
    scale : ndarray of shape (d,)
        What features are multiplied by.
    distances : ndarray of shape (m,)
        Their own distances, rising.

    References
    ----------
    Sun, Ming, Zhu and Li (2022), ICML (nearest neighbors of deep features).
    """

    reference: NDArray[np.float32]
    scale: NDArray[np.float32]
    distances: NDArray[np.float64]

    @classmethod
    def fit(cls, features: Any) -> Novelty:
        """Remember objects that are like those the network was trained on, but not these.

        Parameters
        ----------
        features : array_like of shape (n, d)
            What `Estimator.features` gives for the validation objects; of more than 5000 rows,
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
            raise too_few("a score of novelty", len(x), _LEAST_ROWS)
        if len(x) > _MOST_ROWS:
            x = x[np.sort(np.random.default_rng(0).permutation(len(x))[:_MOST_ROWS])]
        scatter = x.std(axis=0)
        # A feature that never varies tells nothing yet; seen to vary, it counts like the others.
        typical = np.median(scatter[scatter > 0]) if np.any(scatter > 0) else 1.0
        scale = (1.0 / np.where(scatter > 1e-3 * typical, scatter, typical)).astype(np.float32)
        known = (x * scale).astype(np.float32)
        # Each is its own nearest neighbor, at no distance, which does not count.
        own = _distances(known, known, _NEIGHBORS + 1)
        return cls(known, scale, np.sort(own))

    def score(
        self, features: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Fraction of known objects that are nearer, and the distance, both of shape (n,).

        Parameters
        ----------
        features : ndarray of shape (n, d)
            What `Estimator.features` gives; rows with NaN give NaN.

        Raises
        ------
        PredictionError
            If the features are of another network.
        """
        x = np.asarray(features, np.float32)
        if x.ndim != 2 or x.shape[1] != len(self.scale):
            raise PredictionError(
                "These are features of another network.",
                received=f"shape {x.shape}",
                allowed=f"shape (n, {len(self.scale)})",
            )
        x = x * self.scale
        good = np.flatnonzero(np.isfinite(x).all(axis=1))
        distance, fraction = np.full(len(x), np.nan), np.full(len(x), np.nan)
        distance[good] = _distances(x[good], self.reference, _NEIGHBORS)
        nearer = np.searchsorted(self.distances, distance[good], side="left")
        fraction[good] = nearer / len(self.distances)
        return fraction, distance

    @property
    def fingerprint(self) -> str:
        """Digest of the known objects."""
        total = hashlib.sha256()
        for array in (self.reference, self.scale, self.distances):
            total.update(f"{array.dtype.str}{array.shape}".encode())
            total.update(np.ascontiguousarray(array).tobytes())
        return total.hexdigest()

    def columns(self) -> tuple[OutputColumn, ...]:
        """The score and the distance."""
        return (
            OutputColumn(
                "novelty",
                "f4",
                "",
                "stat.value",
                "Fraction of validation objects nearer to what the model knows (1: stranger)",
            ),
            OutputColumn(
                "novelty_distance",
                "f4",
                "",
                "stat.value",
                f"Distance to the {_NEIGHBORS}th nearest validation object in scaled features",
            ),
        )

    def compute(self, batch: Any) -> dict[str, NDArray[Any]]:
        """The score of some predicted objects.

        Raises
        ------
        ModelError
            If the estimator has no features.
        """
        if not hasattr(batch.estimator, "features"):
            raise ModelError(
                "A score of novelty needs an estimator with features.",
                received=type(batch.estimator).__name__,
            )
        fraction, distance = self.score(batch.estimator.features(batch.images, batch.scalars))
        return {
            "novelty": fraction.astype(np.float32),
            "novelty_distance": distance.astype(np.float32),
        }

    def to_dict(self) -> dict[str, Any]:
        """Arrays by name."""
        return {
            "reference": self.reference,
            "scale": self.scale,
            "distances": self.distances,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Novelty:
        """What `to_dict` described."""
        return cls(values["reference"], values["scale"], values["distances"])


def _distances(x: NDArray[np.float32], known: NDArray[np.float32], k: int) -> NDArray[np.float64]:
    """Distance of each row of x to its k-th nearest known object."""
    reference = known.astype(np.float64)
    squares = (reference * reference).sum(axis=1)
    out = np.empty(len(x))
    for start in range(0, len(x), _BLOCK):
        rows = np.minimum(np.arange(start, start + _BLOCK), len(x) - 1)
        block = x[rows].astype(np.float64)
        squared = (block * block).sum(axis=1)[:, None] + squares - 2.0 * block @ reference.T
        nearest = np.partition(squared, k - 1, axis=1)[:, k - 1]
        stop = min(start + _BLOCK, len(x))
        out[start:stop] = np.sqrt(np.maximum(nearest, 0.0))[: stop - start]
    return out


def examples() -> tuple[Novelty, ...]:
    """Instances for the contract tests, for networks with four features."""
    rng = np.random.default_rng(0)
    return (Novelty.fit(rng.normal(size=(200, 4))),)
