"""Fit of the novelty score of a trained estimator, whatever its kind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrocnn.calibration import Novelty
from astrocnn.calibration.novelty import choose_rows
from astrocnn.datasets import Shards
from astrocnn.estimators.base import Estimator, compute_features, select_with_scalars

__all__ = ["fit_novelty"]

_BLOCK = 512
"""Images in memory at a time."""


def fit_novelty(
    estimator: Estimator,
    shards: Shards,
    train: NDArray[np.integer],
    validation: NDArray[np.integer],
) -> Novelty:
    """Fit the novelty score in the features of a trained estimator.

    Features are what goes into the heads of a network, or the standardized input of a classical
    method.  Objects whose features are not defined are left out.

    Parameters
    ----------
    estimator : Estimator
        Trained, with features.
    shards, train, validation
        As for its `fit`; of more than 5000 rows of a split, as many are chosen.

    Raises
    ------
    ModelError
        If the estimator has no features.
    PredictionError
        If there are too few objects.
    """
    return Novelty.fit(*(_measure(estimator, shards, rows) for rows in (train, validation)))


def _measure(
    estimator: Estimator, shards: Shards, rows: NDArray[np.integer]
) -> NDArray[np.float32]:
    inputs = estimator.inputs
    rows, _ = select_with_scalars(shards, inputs, choose_rows(rows))
    scalars = shards.scalars(inputs.scalars)[rows] if inputs.scalars else None
    parts = []
    for start in range(0, max(len(rows), 1), _BLOCK):
        block = slice(start, start + _BLOCK)
        images = shards.images(rows[block]) if inputs.bands else None
        parts.append(
            compute_features(estimator, images, None if scalars is None else scalars[block], None)
        )
    features = np.concatenate(parts)
    return features[np.isfinite(features).all(axis=1)]
