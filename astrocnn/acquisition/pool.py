"""The pool of objects without a label: their scores, computed in chunks as predictions are."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from numpy.typing import NDArray

from astrocnn.acquisition.batch import compute_score
from astrocnn.calibration import Extra
from astrocnn.catalog import Catalog
from astrocnn.column import Column
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.estimators.base import Estimator
from astrocnn.flags import Flag
from astrocnn.imaging import Cutouts, Source, get_state
from astrocnn.imaging.files import compute_digest
from astrocnn.prediction.engine import Provenance, compute_table
from astrocnn.prediction.layout import Layout
from astrocnn.prediction.objects import ChunkPrediction, find_usable
from astrocnn.stored_files import compute_array_digest
from astrocnn.targets import ClassFamily, Task

__all__ = [
    "Pool",
    "find_labelled_rows",
    "find_target",
    "read_pool",
    "remove_scores",
    "sample_objects",
]

_BLOCK = 512
_SCORES = "SCORES"
_FILE = "scores.fits"


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
    parts: Path | None = None,
) -> Pool:
    """Score some rows of a catalogue, and sample those with the largest scores.

    Scores are computed in chunks, which are files until all are there: a call that was
    interrupted goes on where it was.  Memory is bounded by a chunk and `keep`.

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
    parts : Path, optional
        Folder of the scores; they are kept, so that the next call needs no images but those of
        the objects to keep.  By default a temporary one.

    Raises
    ------
    PredictionError
        If no object can be predicted, or `parts` holds scores of another model or catalogue.
    InputsError, ModelError
        As for `astrocnn.prediction.predict`.
    """
    numbers = np.asarray(rows, np.int64)
    scoring = _Scoring(target, score, draws, seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if parts is None else parts
        folder.mkdir(parents=True, exist_ok=True)
        scores, classes = _read_scores(estimator, catalog, source, numbers, folder, scoring)
    usable = np.flatnonzero(classes >= 0)
    if not len(usable):
        raise PredictionError(
            "No object of the pool can be predicted.",
            received=f"{len(rows)} objects without a label",
            hint="compare catalogue and survey with 'show'",
        )
    best = _find_best(scores, classes, keep, by_class)
    samples = sample_objects(
        estimator, catalog, source, numbers[best], target=target, draws=draws, seed=seed
    )
    return Pool(numbers[best], samples, scores[best], numbers[usable])


def _find_best(
    scores: NDArray[np.float64], classes: NDArray[np.int64], keep: int, by_class: bool
) -> NDArray[np.int64]:
    """Places of the largest scores, of each class or of all, without those of the class -1."""
    # Stable: equal scores are in the order of the catalogue.
    order = np.argsort(-scores, kind="stable")
    order = order[classes[order] >= 0]
    if not by_class:
        return order[:keep]
    places = np.zeros(len(order), np.int64)
    for number in np.unique(classes[order]):
        same = classes[order] == number
        places[same] = np.arange(same.sum())
    return order[places < keep]


def sample_objects(
    estimator: Estimator,
    catalog: Catalog,
    source: Source,
    rows: NDArray[np.integer],
    *,
    target: str,
    draws: int,
    seed: int,
) -> NDArray[np.float32]:
    """Class probabilities of each draw for some usable objects, (n_draws, n, n_classes)."""
    # Each image file is visited once; the samples are in the order that was asked for.
    order = _Subset(source, rows).order()
    blocks = []
    for start in range(0, len(order), _BLOCK):
        block = rows[order[start : start + _BLOCK]]
        cutouts = source.read(block)
        _, _, scalars = find_usable(estimator, catalog[block], cutouts)
        blocks.append(_sample(estimator, cutouts.images, scalars, target, draws, seed))
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return np.concatenate(blocks, axis=1)[:, back]


def remove_scores(parts: Path) -> None:
    """Remove the scores that `read_pool` keeps, and their folder if nothing else is in it."""
    (parts / _FILE).unlink(missing_ok=True)
    with suppress(OSError):
        parts.rmdir()


def _read_scores(
    estimator: Estimator,
    catalog: Catalog,
    source: Source,
    rows: NDArray[np.integer],
    folder: Path,
    scoring: _Scoring,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Score and predicted class of each row; NaN and -1 where it cannot be predicted."""
    options = {"scores": scoring.score, "target": scoring.target}
    origin = Provenance(
        estimator,
        catalog[rows],
        _Subset(source, rows),
        {**options, "draws": scoring.draws, "seed": scoring.seed},
        (),
        {},
    )
    table = compute_table(folder / _FILE, origin, scoring)
    with fits.open(table) as hdus:
        data = hdus[_SCORES].data
        predicted = (data["flags"] & int(Flag.NOT_PREDICTED)) == 0
        return np.array(data["score"], np.float64), np.where(predicted, data["class"], -1)


def _sample(
    estimator: Estimator,
    images: NDArray[np.float32],
    scalars: NDArray[np.float32] | None,
    target: str,
    draws: int,
    seed: int,
) -> NDArray[np.float32]:
    family = estimator.task.target(target).family
    assert isinstance(family, ClassFamily)
    raw = estimator.sample(images, scalars, draws=draws, seed=seed)[target]
    return np.asarray(family.to_probabilities(raw), np.float32)


@dataclass(frozen=True)
class _Scoring:
    """What is computed for each chunk."""

    target: str
    score: str
    draws: int
    seed: int

    def build_layout(
        self, estimator: Estimator, catalog: Catalog, extras: Sequence[Extra]
    ) -> Layout:
        """Score and predicted class."""
        columns = (
            Column("score", "float64", ucd="stat.value", description=f"{self.score} of an object"),
            Column("class", "int16", ucd="meta.code.class", description="Predicted class, from 0"),
        )
        return Layout.join(catalog, [("the scores", columns)], name=_SCORES)

    def compute(
        self,
        estimator: Estimator,
        catalog: Catalog,
        cutouts: Cutouts,
        extras: Sequence[Extra],
        layout: Layout,
    ) -> ChunkPrediction:
        """Score some rows."""
        flags, usable, scalars = find_usable(estimator, catalog, cutouts)
        scores = np.full(len(catalog), np.nan)
        classes = np.full(len(catalog), -1, np.int16)
        for start in range(0, len(usable), _BLOCK):
            rows = usable[start : start + _BLOCK]
            numbers = None if scalars is None else scalars[rows]
            samples = _sample(
                estimator, cutouts.images[rows], numbers, self.target, self.draws, self.seed
            )
            scores[rows] = compute_score(samples, self.score)
            classes[rows] = samples.mean(axis=0).argmax(axis=-1)
        return ChunkPrediction({"flags": flags, "score": scores, "class": classes}, {}, {})


class _Subset:
    """Some rows of a source."""

    def __init__(self, source: Source, rows: NDArray[np.integer]) -> None:
        self.source, self.rows = source, np.asarray(rows, np.int64)
        self.bands, self.size = source.bands, source.size
        self.pixel_scale, self.unit = source.pixel_scale, source.unit

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def fingerprint(self) -> str:
        return compute_digest((self.source.fingerprint, compute_array_digest([self.rows])))

    def order(self) -> NDArray[np.int64]:
        place = np.full(len(self.source), -1, np.int64)
        place[self.rows] = np.arange(len(self.rows))
        order = place[np.asarray(self.source.order(), np.int64)]
        return order[order >= 0]

    def read(self, rows: npt.ArrayLike, out: np.ndarray | None = None) -> Cutouts:
        return self.source.read(self.rows[np.asarray(rows, np.int64)], out)

    def state(self, rows: npt.ArrayLike) -> str:
        return get_state(self.source, self.rows[np.asarray(rows, np.int64)])
