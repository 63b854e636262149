"""Ranking of the objects of a catalogue for labelling."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrocnn.acquisition.batch import (
    METHODS,
    SCORES,
    choose_batch,
    choose_diverse,
    compute_score,
)
from astrocnn.acquisition.pool import (
    Pool,
    find_labelled_rows,
    find_target,
    read_pool,
    remove_scores,
    sample_objects,
)
from astrocnn.catalog import Catalog
from astrocnn.errors import PredictionError
from astrocnn.estimators.base import Estimator, compute_features
from astrocnn.imaging import Source
from astrocnn.plugins import nearest
from astrocnn.prediction.objects import stack_scalars

__all__ = ["acquire"]

_CANDIDATES = 5
"""Candidates of batch methods for each object to choose."""

_DESCRIPTIONS = {
    "bald": "Mutual information of label and network, in nat",
    "entropy": "Predictive entropy, in nat",
    "margin": "One minus the difference of the two largest probabilities",
}


def acquire(
    estimator: Estimator,
    catalog: Catalog,
    source: Source,
    n: int,
    *,
    method: str = "batchbald",
    random: float = 0.2,
    balance: bool = False,
    target: str | None = None,
    draws: int = 50,
    seed: int = 0,
    parts: str | os.PathLike[str] | None = None,
) -> Table:
    """Choose the objects of a catalogue that are worth labelling next.

    Objects that have a label in the catalogue are left out.

    Parameters
    ----------
    estimator : Estimator
        A trained estimator with draws.
    catalog, source
        The objects, and their images, row for row.
    n : int
        Objects to choose.
    method : {"batchbald", "kmeans", "bald", "entropy", "margin", "random"}
        Largest joint mutual information of the batch; the largest mutual information in each of
        n groups of similar objects (k-means of the features); the largest mutual information,
        entropy or smallest margin of single objects; or chance.
    random : float
        Fraction of the objects that is chosen by chance, from 0 to 1: their labels are an unbiased
        test set, which the others are not.
    balance : bool
        Choose as many objects of each predicted class.
    target : str, optional
        Target with classes; the first one by default.
    draws, seed
        Of Monte-Carlo dropout, and of all that is chosen by chance.
    parts : path-like, optional
        Folder in which the scores of the objects are kept, chunk by chunk, until the choice is
        made: the same call resumes an interrupted one.

    Returns
    -------
    Table of at most n rows
        ``rank``, identifier and position, ``chosen_by`` (the method, or "random"), ``score``
        (that of the method; for batches, groups and chance the mutual information in nat, or
        without draws the entropy), ``predicted`` and its ``probability``.  The objects chosen by
        chance stand at random ranks among the others, so that the part of them in the first ranks
        is a random sample too.

    Raises
    ------
    PredictionError
        If the method is unknown, a number is out of its range, there is no object to choose, or
        `parts` holds scores of another model or catalogue.
    ConfigError
        If there is no such target with classes.
    ModelError
        If the estimator has no draws.
    """
    if method not in METHODS:
        raise PredictionError(
            "Unknown `method` to choose objects.",
            received=repr(method),
            allowed=METHODS,
            hint=nearest(str(method), METHODS),
        )
    if n < 1 or not 0 <= random <= 1:
        raise PredictionError(
            "`n` must be at least 1, and `random` a fraction.",
            received=f"n = {n}, random = {random}",
        )
    if method in ("batchbald", "kmeans", "bald") and draws < 2:
        raise PredictionError(
            f"The method '{method}' needs draws.",
            received=f"draws = {draws}",
            hint="--draws 50, or --method entropy",
        )
    name = find_target(estimator.task, target)
    rows = np.flatnonzero(~find_labelled_rows(catalog, estimator.task, name))
    if not len(rows):
        raise PredictionError(
            "All objects of the catalogue have a label.",
            received=f"{len(catalog)} objects",
            hint="give a catalogue with objects that have none: --catalog FILE",
        )
    score = method if method in SCORES else "bald" if draws > 1 else "entropy"
    rng = np.random.default_rng(seed)
    pool = read_pool(
        estimator,
        catalog,
        source,
        rows,
        target=name,
        score=score,
        # Some of the candidates may be chosen by chance.
        keep=(_CANDIDATES + 1) * n,
        by_class=balance,
        draws=draws,
        seed=seed,
        parts=None if parts is None else Path(parts),
    )
    usable = np.sort(pool.usable)
    n = min(n, len(usable))
    share = n if method == "random" else round(random * n)
    by_chance = rng.choice(usable, share, replace=False)
    rest = pool.select(~np.isin(pool.rows, by_chance))
    if balance:
        chosen = _choose_balanced(rest, n - share, method, estimator, catalog, source, seed)
    else:
        chosen = _choose(rest, n - share, method, estimator, catalog, source, seed)
    order = np.concatenate([rest.rows[chosen], by_chance])
    kinds = np.array([method] * len(chosen) + ["random"] * share)
    places = np.empty(len(order), np.int64)
    mixed = np.sort(rng.choice(len(order), share, replace=False))
    places[len(chosen) :] = mixed
    places[: len(chosen)] = np.setdiff1d(np.arange(len(order)), mixed)
    back = np.argsort(places)
    table = _build_table(
        estimator, catalog, source, order[back], kinds[back], name, score, draws, seed
    )
    if parts is not None:
        remove_scores(Path(parts))
    return table


def _choose(
    pool: Pool,
    n: int,
    method: str,
    estimator: Estimator,
    catalog: Catalog,
    source: Source,
    seed: int,
) -> NDArray[np.int64]:
    """Places in the pool of the objects that a method chooses, in order."""
    best = pool.select(np.arange(min(len(pool.rows), _CANDIDATES * n)))
    if method == "batchbald":
        return choose_batch(best.samples, n, seed=seed)[0]
    if method == "kmeans" and len(best.rows) > 1:
        scalars = stack_scalars(catalog[best.rows], estimator.inputs.scalars)
        images = source.read(best.rows).images
        vectors = compute_features(estimator, images, scalars, None)
        return choose_diverse(vectors, best.scores, n, seed=seed)
    return np.arange(min(n, len(pool.rows)))


def _choose_balanced(
    pool: Pool,
    n: int,
    method: str,
    estimator: Estimator,
    catalog: Catalog,
    source: Source,
    seed: int,
) -> NDArray[np.int64]:
    """As `_choose`, as many of each predicted class as there are, in turn."""
    classes = pool.classes
    counts = np.bincount(classes, minlength=pool.samples.shape[-1])
    quotas = np.zeros_like(counts)
    while quotas.sum() < min(n, len(classes)):
        # One more for the class that has fewest, among those with objects left.
        quotas[np.argmin(np.where(quotas < counts, quotas, len(classes) + 1))] += 1
    parts = []
    for number in np.flatnonzero(quotas):
        own = np.flatnonzero(classes == number)
        size = int(quotas[number])
        some = _choose(pool.select(own), size, method, estimator, catalog, source, seed)
        parts.append(own[some])
    turns = [(k, part[k]) for part in parts for k in range(len(part))]
    return np.array([row for _, row in sorted(turns, key=lambda turn: turn[0])], np.int64)


def _build_table(
    estimator: Estimator,
    catalog: Catalog,
    source: Source,
    rows: NDArray[np.int64],
    kinds: NDArray[np.str_],
    target: str,
    score: str,
    draws: int,
    seed: int,
) -> Table:
    # Objects that were chosen by chance are not among the candidates that were kept.
    samples = sample_objects(
        estimator, catalog, source, rows, target=target, draws=draws, seed=seed
    )
    mean = samples.mean(axis=0, dtype=np.float64)
    names = np.array(estimator.task.target(target).family.classes)  # type: ignore[attr-defined]
    table = Table({"rank": np.arange(1, len(rows) + 1, dtype=np.int32)})
    table["rank"].description = "Order of labelling, from 1"
    for name, column, _ in catalog[rows].role_columns():
        table[name] = column
    table["chosen_by"] = kinds
    table["chosen_by"].description = "Method, or random: an unbiased sample"
    table["score"] = compute_score(samples, score).astype(np.float32)
    table["score"].description = _DESCRIPTIONS[score]
    table["predicted"] = names[mean.argmax(axis=1)]
    table["predicted"].description = "Most probable class"
    table["probability"] = mean.max(axis=1).astype(np.float32)
    table["probability"].description = "Its probability, mean over draws"
    return table
