"""Distribution of a number about a predicted mean, from residuals of objects left out.

A number is distributed as ``p(x) + s(x) e``: p is the mean, s the boosted mean absolute residual,
and e one distribution for all objects, the quantiles of the residuals in units of s.  Residuals of
training objects would be too small.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold, cross_val_predict

__all__ = ["cross_fit", "fit_spread", "spread_values"]

_PARTS = 5
_LEVELS = (np.arange(100) + 0.5) / 100
# Lower bound on the predicted spread, as residuals can suggest far too small values.
_LEAST_SPREAD = 0.1
# Fewer rounds and leaves than for a mean: the size of a residual is known less well.
_TREES: dict[str, Any] = {
    "max_iter": 100,
    "learning_rate": 0.05,
    "max_leaf_nodes": 7,
    "min_samples_leaf": 40,
    "early_stopping": False,
}


def cross_fit(
    model: Any, x: NDArray[np.floating], y: NDArray[np.floating], seed: int
) -> NDArray[np.float64]:
    """Predict each object by a model of the others (five parts), of shape (n,)."""
    parts = KFold(min(_PARTS, len(x)), shuffle=True, random_state=seed)
    return np.asarray(cross_val_predict(model, x, y, cv=parts, n_jobs=1))


def fit_spread(
    x: NDArray[np.floating], residual: NDArray[np.floating], seed: int, **options: Any
) -> dict[str, Any]:
    """Boost the size of the residuals, and store their distribution.

    Parameters
    ----------
    x : ndarray of shape (n, n_features)
    residual : ndarray of shape (n,)
        Number less its prediction by a model of other objects, as from `cross_fit`.
    seed : int
        Seed of the parts and trees.
    **options
        Of `sklearn.ensemble.HistGradientBoostingRegressor`, where they differ from the default
        here.

    Returns
    -------
    dict
        The part of a state that `spread_values` reads.
    """
    size = np.abs(residual)
    spread = HistGradientBoostingRegressor(**{**_TREES, "random_state": seed, **options})
    least = _LEAST_SPREAD * float(size.mean()) + np.finfo(np.float32).tiny
    size_cv = np.maximum(cross_fit(spread, x, size, seed), least)
    return {
        "spread": spread.fit(x, size),
        "least": least,
        "shape": np.quantile(residual / size_cv, _LEVELS),
    }


def spread_values(
    state: dict[str, Any], x: NDArray[np.floating], mean: NDArray[np.floating]
) -> NDArray[np.float64]:
    """A hundred equally probable values about the mean of each object, of shape (n, 100)."""
    spread = np.maximum(state["spread"].predict(x), state["least"])
    return np.asarray(mean[:, None] + spread[:, None] * state["shape"])
