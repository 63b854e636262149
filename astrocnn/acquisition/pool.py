"""The pool of objects without a label: their predictions, read block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.acquisition.batch import compute_score
from astrocnn.catalog import Catalog
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.estimators.base import Estimator
from astrocnn.imaging import Source
from astrocnn.prediction.objects import find_usable
from astrocnn.progress import track
from astrocnn.targets import ClassFamily, Task

__all__ = ["Pool", "find_labelled_rows", "find_target", "read_pool"]

_BLOCK = 512


@dataclass(frozen=True, eq=False)
class Pool:
    """Predictions of the objects of a pool that a label would tell most about.

    Attributes
    ----------
    rows : ndarray of int, shape (k,)
        Their rows of the catalogue, the largest score first.
    samples : ndarray of shape (n_draws, k, n_classes)
        Probabilities of each draw.
    scores : ndarray of shape (k,)
        See `astrocnn.acquisition.compute_score`.
    usable : ndarray of int, shape (m,)
        Rows of all objects of the pool that can be predicted.
    """

    rows: NDArray[np.int64]
    samples: NDArray[np.float32]
    scores: NDArray[np.float64]
    usable: NDArray[np.int64]

    @property
    def classes(self) -> NDArray[np.int64]:
        """Predicted class of each object, of shape (k,)."""
        return np.asarray(self.samples.mean(axis=0).argmax(axis=-1))

    def select(self, chosen: NDArray[Any]) -> Pool:
        """Some of its objects."""
        return Pool(self.rows[chosen], self.samples[:, chosen], self.scores[chosen], self.usable)


def find_target(task: Task, name: str | None = None) -> str:
    """Name of a target with classes: the given one, or the first.

    Raises
    ------
    ConfigError
        If there is none, or it has no classes.
    """
    names = [t.name for t in task.targets if isinstance(t.family, ClassFamily)]
    if not names or name not in (None, *names):
        raise ConfigError(
            "Objects to label are chosen by a target with classes.",
            received=name or ", ".join(task.names),
            allowed=names or "classes, or yes or no questions",
        )
    return name or names[0]


def find_labelled_rows(catalog: Catalog, task: Task, target: str) -> NDArray[np.bool_]:
    """Whether each object of a catalogue has a label, of shape (n,); none without the column."""
    column = task.target(target).column
    if not isinstance(column, str) or column not in catalog.table.colnames:
        return np.zeros(len(catalog), bool)
    _, weight = task.target(target).encode(*catalog.column(column))
    return np.asarray(weight > 0)


def read_pool(
    estimator: Estimator,
    catalog: Catalog,
    source: Source,
    rows: NDArray[np.integer],
    *,
    target: str,
    score: str,
    keep: int,
    by_class: bool = False,
    draws: int = 50,
    seed: int = 0,
) -> Pool:
    """Predict some rows of a catalogue, and keep those with the largest scores.

    Memory is bounded by `keep` and a block of images.

    Parameters
    ----------
    estimator, catalog, source, draws, seed
        As for `astrocnn.prediction.predict`.
    rows : ndarray of int
        Rows of the pool.
    target : str
        Target with classes.
    score : str
        See `astrocnn.acquisition.compute_score`.
    keep : int
        Objects to keep; with `by_class` of each predicted class.

    Raises
    ------
    PredictionError
        If no object can be predicted.
    InputsError, ModelError
        As for `astrocnn.prediction.predict`.
    """
    estimator.inputs.check(source)
    catalog.refuse_sentinels(estimator.inputs.scalars)
    family = estimator.task.target(target).family
    assert isinstance(family, ClassFamily)
    kept: Pool | None = None
    for block in track(_blocks(source, rows), "predicting", total=-(-len(rows) // _BLOCK)):
        objects, cutouts = catalog[block], source.read(block)
        _, usable, scalars = find_usable(estimator, objects, cutouts)
        if not len(usable):
            continue
        raw = estimator.sample(
            cutouts.images[usable],
            None if scalars is None else scalars[usable],
            draws=draws,
            seed=seed,
        )[target]
        samples = np.asarray(family.to_probabilities(raw), np.float32)
        added = Pool(block[usable], samples, compute_score(samples, score), block[usable])
        kept = _prune(_join(kept, added), keep, by_class)
    if kept is None:
        raise PredictionError(
            "No object of the pool can be predicted.",
            received=f"{len(rows)} objects without a label",
            hint="compare catalogue and survey with 'show'",
        )
    return kept


def _blocks(source: Source, rows: NDArray[np.integer]) -> Iterator[NDArray[np.int64]]:
    wanted = np.zeros(len(source), bool)
    wanted[rows] = True
    order = np.asarray(source.order(), np.int64)
    order = order[wanted[order]]
    for start in range(0, len(order), _BLOCK):
        yield order[start : start + _BLOCK]


def _join(first: Pool | None, second: Pool) -> Pool:
    if first is None:
        return second
    return Pool(
        np.concatenate([first.rows, second.rows]),
        np.concatenate([first.samples, second.samples], axis=1),
        np.concatenate([first.scores, second.scores]),
        np.concatenate([first.usable, second.usable]),
    )


def _prune(pool: Pool, keep: int, by_class: bool) -> Pool:
    # Rows of equal scores are in the order of the catalogue, whatever the order of reading.
    order = np.lexsort((pool.rows, -pool.scores))
    if not by_class:
        return pool.select(order[:keep])
    classes = pool.classes[order]
    places = np.zeros(len(order), np.int64)
    for number in np.unique(classes):
        same = classes == number
        places[same] = np.arange(same.sum())
    return pool.select(order[places < keep])
