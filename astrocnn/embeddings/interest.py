"""Interest in objects, learned from a few scores, to rank outliers by.

References
----------
Lochner & Bassett 2021, Astronomy and Computing 36, 100481, equations 1 to 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import PredictionError

__all__ = ["HIGHEST", "Interest"]

HIGHEST = 5.0
"""Score of what is sought; 0 is boring."""

_FLOOR, _SPAN = 0.1, 0.85
"""Weights between which the interest scales an outlier score, so that it never hides one."""

_TREES = 100


@dataclass(frozen=True, eq=False)
class Interest:
    """Interest predicted by a random forest, trusted only near objects that were scored.

    Attributes
    ----------
    model : RandomForestRegressor
        From standardized features to the score.
    labelled : ndarray of float64, shape (k, d)
        Standardized features of the scored objects.
    """

    model: Any
    labelled: NDArray[np.float64]

    @classmethod
    def fit(cls, x: NDArray[np.float64], scores: Sequence[float], *, seed: int = 0) -> Interest:
        """Fit on scored objects.

        Parameters
        ----------
        x : ndarray of shape (k, d)
            Standardized features.
        scores : sequence of float
            From 0 to 5.
        seed : int
            Of the forest.

        Raises
        ------
        PredictionError
            If there is no score, or one is not between 0 and 5.
        """
        from sklearn.ensemble import RandomForestRegressor

        y = np.asarray(scores, np.float64)
        if not len(y) or not ((y >= 0) & (y <= HIGHEST)).all():
            raise PredictionError(
                "Scores of interest must be numbers from 0 (boring) to 5 (what is sought).",
                received=sorted({str(v) for v in y if not 0 <= v <= HIGHEST}) or "no score",
            )
        model = RandomForestRegressor(_TREES, random_state=seed).fit(x, y)
        return cls(model, np.asarray(x, np.float64))

    def predict(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predicted scores, of shape (n,)."""
        return np.asarray(self.model.predict(x))

    def distance(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance to the nearest scored object, of shape (n,)."""
        from sklearn.metrics import pairwise_distances_argmin_min

        return np.asarray(pairwise_distances_argmin_min(x, self.labelled)[1])

    @staticmethod
    def combine(
        outlier: NDArray[np.float64], score: NDArray[np.float64], distance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Outlier scores, lowered where the interest is known to be small.

        Far from all scored objects the outlier score is unchanged; at a scored object it is
        multiplied by 0.1 + 0.85 times its interest.

        Parameters
        ----------
        outlier : ndarray of shape (n,)
            Outlier scores.
        score : ndarray of shape (n,)
            Interest from 0 to 5.
        distance : ndarray of shape (n,)
            Distance to the nearest scored object in units of the mean distance.

        Examples
        --------
        >>> np.round(Interest.combine(np.ones(3), np.array([0., 5, 0]), np.array([0., 0, 9])), 3)
        array([0.1 , 0.95, 1.  ])
        """
        weight = _FLOOR + _SPAN * score / HIGHEST
        # Larger exponents change nothing in double precision.
        growth = np.exp(np.minimum(distance, 50.0)) - 1
        return np.asarray(outlier * np.tanh(growth + np.arctanh(weight)))
