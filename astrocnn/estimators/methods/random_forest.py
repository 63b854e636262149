"""Random forests, with predictive distributions from the leaves (quantile regression forest).

A quantile regression forest keeps the whole distribution: the training objects that share a leaf
with an object in some tree count in proportion to 1 / (size of the leaf), averaged over the
trees, and the density is that of their weighted values.  Each tree is one draw; its spread is
that of single trees, which is larger than the error of the forest.

References
----------
Breiman 2001, Machine Learning 45, 5.  Meinshausen 2006, JMLR 7, 983, section 3.
Carrasco Kind & Brunner 2013, MNRAS 432, 1483 (redshift densities from trees).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

__all__ = [
    "OPTIONS",
    "TRUSTED",
    "fit_classes",
    "fit_values",
    "members",
    "predict_probabilities",
    "predict_values",
]

OPTIONS = {"trees": 200, "min_leaf": 2, "max_features": 0.5}
TRUSTED = ("sklearn.tree._tree.Tree",)

_LEVELS = (np.arange(60) + 0.5) / 60


def fit_classes(
    x: NDArray[np.floating], y: NDArray[np.integer], options: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Grow the trees."""
    return {"forest": RandomForestClassifier(**_options(options, seed)).fit(x, y)}


def predict_probabilities(
    state: dict[str, Any], x: NDArray[np.floating], member: int | None = None
) -> NDArray[np.float64]:
    """Class fractions in the leaves, averaged over trees or of one tree."""
    forest = state["forest"] if member is None else state["forest"].estimators_[member]
    return np.asarray(forest.predict_proba(x))


def fit_values(
    x: NDArray[np.floating], y: NDArray[np.floating], options: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Grow the trees, and record the leaf of every training object."""
    order = np.argsort(y, kind="stable")
    x, y = x[order], y[order]
    forest = RandomForestRegressor(**_options(options, seed)).fit(x, y)
    return {"forest": forest, "y": y, "leaves": forest.apply(x).astype(np.int32)}


def predict_values(
    state: dict[str, Any], x: NDArray[np.floating], member: int | None = None
) -> NDArray[np.float64]:
    """Sixty equally probable values of shape (n, 60), from all trees or from one."""
    y = state["y"]
    shared = _shared_leaves(state, x, slice(None) if member is None else slice(member, member + 1))
    out = np.empty((len(x), len(_LEVELS)))
    for i in range(len(x)):
        part = slice(shared.indptr[i], shared.indptr[i + 1])
        rows = np.sort(shared.indices[part])
        weight = shared.data[part][np.argsort(shared.indices[part], kind="stable")]
        out[i] = np.interp(_LEVELS, np.cumsum(weight) - weight / 2, y[rows])
    return out


def members(state: dict[str, Any]) -> int:
    """Number of trees."""
    return len(state["forest"].estimators_)


def _shared_leaves(state: dict[str, Any], x: NDArray[np.floating], trees: slice) -> Any:
    """Weights of the training objects for each object, sparse (n, n_train); rows sum to 1."""
    forest = state["forest"]
    first = np.cumsum([0, *(tree.tree_.node_count for tree in forest.estimators_)])
    trained = (state["leaves"] + first[:-1])[:, trees]
    queried = (forest.apply(x) + first[:-1])[:, trees]
    return _membership(queried, first[-1], 1 / queried.shape[1]) @ _averaging(trained, first[-1])


def _membership(leaves: NDArray[np.integer], n_leaves: int, weight: float) -> Any:
    rows = np.repeat(np.arange(len(leaves)), leaves.shape[1])
    entries = np.full(leaves.size, weight)
    return sparse.csr_array((entries, (rows, leaves.ravel())), shape=(len(leaves), n_leaves))


def _averaging(leaves: NDArray[np.integer], n_leaves: int) -> Any:
    inside = _membership(leaves, n_leaves, 1.0)
    size = np.maximum(np.bincount(leaves.ravel(), minlength=n_leaves), 1)
    return sparse.csr_array(inside.T.multiply(1 / size[:, None]))


def _options(options: dict[str, Any], seed: int) -> dict[str, Any]:
    return {
        "n_estimators": int(options["trees"]),
        "min_samples_leaf": int(options["min_leaf"]),
        "max_features": options["max_features"],
        "random_state": seed,
    }
