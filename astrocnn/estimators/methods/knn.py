"""k nearest neighbors in the space of standardized inputs.

An object of a class is as probable as the class is frequent among its neighbors, one of them added
in equal parts to all classes, so that no probability is 0.  A number is distributed as the numbers
of the neighbors, each widened by a Gaussian: neighbors are fewer than the population they stand
for, and lie to one side of an object at the edge of the sample.  Every training object is predicted
from the others with several widths, in units of the scatter of the neighbors; the least of those
whose CRPS is within a hundredth of the best is taken.

References
----------
Csabai et al. 2007, Astronomische Nachrichten 328, 852 (redshifts from neighbors in colors).
Gneiting & Raftery 2007, JASA 102, 359, equation 21 (CRPS).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.neighbors import NearestNeighbors

from astrocnn.metrics import crps_ensemble

__all__ = [
    "OPTIONS",
    "TRUSTED",
    "fit_classes",
    "fit_values",
    "predict_probabilities",
    "predict_values",
]

OPTIONS = {"neighbors": 15}
TRUSTED = ("sklearn.metrics._dist_metrics.EuclideanDistance64", "sklearn.neighbors._kd_tree.KDTree")

_POINTS = ndtri((np.arange(9) + 0.5) / 9)
_POINTS /= np.sqrt(np.mean(_POINTS**2))
_WIDTHS = np.linspace(0.0, 1.5, 16)
_MOST_LEFT_OUT = 2000


def fit_classes(
    x: NDArray[np.floating], y: NDArray[np.integer], options: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Store the training objects and their classes."""
    return {"search": _search(x, options), "y": y, "n_classes": int(y.max()) + 1}


def predict_probabilities(state: dict[str, Any], x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Class fractions among the neighbors, of shape (n, n_classes)."""
    near = state["y"][state["search"].kneighbors(x, return_distance=False)]
    counts = (near[..., None] == np.arange(state["n_classes"])).sum(axis=1)
    return (counts + 1 / state["n_classes"]) / (near.shape[1] + 1)


def fit_values(
    x: NDArray[np.floating], y: NDArray[np.floating], options: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Store the training objects, and fit the kernel width."""
    search = _search(x, options)
    chosen = np.random.default_rng(seed).permutation(len(x))[:_MOST_LEFT_OUT]
    k = search.n_neighbors
    near = search.kneighbors(x[chosen], min(k + 1, len(x)), return_distance=False)
    # Leave out the object itself, or the last neighbor if duplicates hide it.
    itself = near == chosen[:, None]
    itself[~itself.any(axis=1), -1] = True
    others = y[near[~itself].reshape(len(chosen), -1)]
    scores = np.array(
        [crps_ensemble(_widened(others, width), y[chosen]).mean() for width in _WIDTHS]
    )
    least = np.argmax(scores <= 1.01 * scores.min())
    return {"search": search, "y": y, "width": float(_WIDTHS[least])}


def predict_values(state: dict[str, Any], x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Values of the neighbors, widened, of shape (n, 9 n_neighbors)."""
    near = state["search"].kneighbors(x, return_distance=False)
    return _widened(state["y"][near], state["width"])


def _search(x: NDArray[np.floating], options: dict[str, Any]) -> NearestNeighbors:
    k = min(int(options["neighbors"]), len(x))
    # The matrix products of "brute" round differently with other objects in the batch.
    return NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(np.asarray(x, np.float64))


def _widened(near: NDArray[np.floating], width: float) -> NDArray[np.float64]:
    scatter = near.std(axis=1)[:, None, None]
    return (near[:, :, None] + width * scatter * _POINTS).reshape(len(near), -1)
