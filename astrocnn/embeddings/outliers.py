"""Outliers among embeddings: isolation forest and local outlier factor.

References
----------
Liu, Ting & Zhou 2008, ICDM, 413 (isolation forest).
Breunig, Kriegel, Ng & Sander 2000, SIGMOD, 93 (local outlier factor).
Lochner & Bassett 2021, Astronomy and Computing 36, 100481 (Astronomaly).
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrocnn.embeddings.blocks import (
    Standardization,
    find_rows,
    read_embeddings,
    sample_vectors,
    take_rows,
)
from astrocnn.embeddings.interest import Interest
from astrocnn.embeddings.similarity import build_table
from astrocnn.errors import PredictionError
from astrocnn.plugins import nearest

__all__ = ["METHODS", "find_outliers"]

METHODS = ("isolation_forest", "local_outlier_factor")

_TREES = 300
_NEIGHBORS = 20
_REFERENCES = 20000
"""Objects that the local density is measured with; of larger tables a random sample."""
_FEWEST = 50

Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def find_outliers(
    path: str | os.PathLike[str],
    n: int = 100,
    *,
    method: str = "local_outlier_factor",
    scores: dict[str, float] | None = None,
    id: str | None = None,
    seed: int = 0,
) -> Table:
    """Find the most unusual objects of a table of embeddings.

    Parameters
    ----------
    path : path-like
        Table of embeddings, as for `read_embeddings`.
    n : int
        Number of objects to find.
    method : {"local_outlier_factor", "isolation_forest"}
        The density around an object relative to that around its neighbors, or the number of random
        cuts that isolate it.  Both are fitted on at most 20,000 objects, chosen at random.
    scores : dict of str to float, optional
        Interest of some objects by identifier, from 0 (boring) to 5 (what is sought): the ranking
        then is that of `Interest`.
    id : str, optional
        Column of the identifiers, where it cannot be guessed.
    seed : int
        Of the sample, the forest and the model of the interest.

    Returns
    -------
    Table of at most n rows
        ``rank``, identifier and position, ``outlier_score`` (from 0 to 1 over the table), and with
        `scores` also ``interest`` (predicted, from 0 to 5) and ``combined_score``, by which the
        objects are ranked.

    Raises
    ------
    PredictionError
        If there is no such method, there are too few objects, or the scores are not of objects
        of the table.
    """
    if method not in METHODS:
        raise PredictionError(
            "Unknown `method` for outliers.",
            received=repr(method),
            allowed=METHODS,
            hint=nearest(str(method), METHODS),
        )
    if n < 1:
        raise PredictionError(f"`n` must be at least 1; got {n}.")
    scaling = Standardization.fit(read_embeddings(path, id=id))
    if scaling.count < _FEWEST:
        raise PredictionError(
            "There are too few objects with an embedding to find outliers among them.",
            received=f"{scaling.count} objects",
            allowed=f"{_FEWEST} or more",
        )
    interest = None
    if scores is not None:
        _, vectors = find_rows(path, list(scores), id=id)
        interest = Interest.fit(scaling.apply(vectors), list(scores.values()), seed=seed)
    compute = _fit(method, sample_vectors(path, scaling, _REFERENCES, id=id, seed=seed)[1], seed)
    unusual = np.full(scaling.length, -np.inf)
    predicted = np.zeros(scaling.length)
    distance = np.full(scaling.length, np.nan)
    for block in read_embeddings(path, id=id):
        own = np.flatnonzero(block.usable)
        if len(own):
            x, rows = scaling.apply(block.vectors[own]), own + block.start
            unusual[rows] = compute(x)
            if interest is not None:
                predicted[rows], distance[rows] = interest.predict(x), interest.distance(x)
    good = np.isfinite(unusual)
    low, high = unusual[good].min(), unusual[good].max()
    unusual = np.where(good, (unusual - low) / max(high - low, 1e-300), -np.inf)
    ranking = unusual
    if interest is not None:
        ranking = interest.combine(unusual, predicted, distance / np.nanmean(distance))
        ranking[~good] = -np.inf
    best = np.lexsort((np.arange(len(ranking)), -ranking))[: min(n, scaling.count)]
    table = build_table(take_rows(path, best, id=id))
    table["outlier_score"] = unusual[best].astype(np.float32)
    table["outlier_score"].description = f"{method.replace('_', ' ')}, from 0 to 1 over the table"
    if interest is not None:
        table["interest"] = predicted[best].astype(np.float32)
        table["interest"].description = "Predicted interest, from 0 to 5"
        table["combined_score"] = ranking[best].astype(np.float32)
        table["combined_score"].description = "Outlier score weighted by interest"
    return table


def _fit(method: str, x: NDArray[np.float64], seed: int) -> Score:
    """A function that is larger for more unusual objects."""
    from sklearn.ensemble import IsolationForest
    from sklearn.neighbors import NearestNeighbors

    if method == "isolation_forest":
        forest = IsolationForest(n_estimators=_TREES, random_state=seed).fit(x)
        return lambda points: -forest.score_samples(points)
    # Not scikit-learn's LocalOutlierFactor: with novelty=True it counts an object that it was
    # fitted on as its own neighbor.
    k = min(_NEIGHBORS, len(x) - 1)
    search = NearestNeighbors(n_neighbors=k + 1).fit(x)
    distances, neighbors = search.kneighbors(x)
    reach = distances[:, k]
    density = _compute_density(distances[:, 1:], reach[neighbors[:, 1:]])

    def compute(points: NDArray[np.float64]) -> NDArray[np.float64]:
        near, places = search.kneighbors(points)
        # An object of the sample finds itself first.
        own = near[:, :1] <= 0
        near = np.where(own, near[:, 1:], near[:, :-1])
        places = np.where(own, places[:, 1:], places[:, :-1])
        ratio = density[places].mean(axis=1) / _compute_density(near, reach[places])
        return np.log(ratio)

    return compute


def _compute_density(
    distances: NDArray[np.float64], reach: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Local reachability density, of shape (n,)."""
    # The constant keeps duplicates finite, as in scikit-learn.
    return np.asarray(1.0 / (np.maximum(distances, reach).mean(axis=1) + 1e-10))
