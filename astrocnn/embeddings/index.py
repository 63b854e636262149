"""An approximate index of nearest neighbors, for tables that are searched again and again.

References
----------
Malkov & Yashunin 2020, IEEE TPAMI 42, 824 (arXiv:1603.09320): hierarchical navigable small worlds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrocnn.atomic import replacing_folder, sha256
from astrocnn.catalog import Catalog
from astrocnn.datasets.object_store import read_array, write_array
from astrocnn.embeddings.blocks import Standardization, read_embeddings, sample_vectors
from astrocnn.errors import ConfigError, MissingDependency, PredictionError
from astrocnn.progress import track
from astrocnn.stored_files import Stored, read_json

__all__ = ["NeighborIndex", "open_index"]

_ABOUT, _FILE = "index.json", "index.usearch"
_PROBES, _NEAREST = 100, 50
_EXPANSION = 256
"""Candidates of a search: more raise the recall and the time."""


class _About(Stored):
    table_bytes: int
    table_time: int
    sha256: str
    count: int
    recall: float
    location: tuple[float, ...]
    scale: tuple[float, ...]
    columns: dict[str, str]


@dataclass(frozen=True, eq=False)
class NeighborIndex:
    """An index of the standardized vectors of a table of embeddings.

    Attributes
    ----------
    count : int
        Objects in it.
    recall : float
        Fraction of the 50 exact nearest neighbors that it finds, measured on 100 objects.
    """

    count: int
    recall: float
    scaling: Standardization
    _index: Any
    _columns: dict[str, NDArray[Any]]

    @property
    def ids(self) -> NDArray[Any]:
        """Identifiers of the rows of the table."""
        return next(iter(self._columns.values()))

    def take(self, rows: NDArray[np.integer]) -> Catalog:
        """Identifiers and positions of some rows."""
        id, ra, dec = (*self._columns, None, None)[:3]
        table = Table({name: values[rows] for name, values in self._columns.items()})
        return Catalog.from_table(table, id=id, ra=ra, dec=dec)

    def get_vectors(self, rows: NDArray[np.integer]) -> NDArray[np.float64]:
        """Standardized vectors of some rows, NaN where there is no embedding."""
        found = [self._index.get(int(row)) for row in rows]
        width = len(self.scaling.location)
        empty = np.full(width, np.nan)
        return np.array([empty if v is None else np.ravel(v) for v in found], np.float64)

    def search(
        self, vectors: NDArray[np.floating], n: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rows of the nearest objects and their distances, each of shape (k, n).

        Parameters
        ----------
        vectors : ndarray of shape (k, d)
            Standardized.
        n : int
            At most `count`.
        """
        # More candidates than neighbors, or the last ones would be found by chance.
        self._index.expansion_search = max(_EXPANSION, 4 * n)
        found = self._index.search(np.asarray(vectors, np.float32), min(n, self.count))
        rows = np.atleast_2d(np.asarray(found.keys)).astype(np.int64)
        return rows, np.sqrt(np.atleast_2d(np.asarray(found.distances, np.float64)))


def open_index(
    path: str | os.PathLike[str], folder: str | os.PathLike[str], *, id: str | None = None
) -> NeighborIndex:
    """Open the index of a table, and build it first where it is missing or of another table.

    Parameters
    ----------
    path, id
        As for `read_embeddings`.
    folder : path-like
        Where the index is kept: it takes about as much space as the vectors.

    Raises
    ------
    PredictionError
        If the table holds no embeddings, or the index is damaged.
    ConfigError
        If the folder holds something else.
    MissingDependency
        If usearch is not installed.
    """
    try:
        from usearch.index import Index
    except ImportError as error:
        raise MissingDependency("usearch", "similar", "for an index of neighbors") from error
    path, folder = Path(path), Path(folder)
    if folder.exists() and not (folder / _ABOUT).is_file():
        raise ConfigError(
            "The folder exists, and no index is in it.", received=str(folder), hint="name another"
        )
    state = path.stat() if path.is_file() else None
    if state is None or not folder.is_dir():
        _build(path, folder, id, Index)
    about: _About = read_json(folder / _ABOUT, _About, PredictionError)
    same = id in (None, next(iter(about.columns), None))
    if state is not None and not (
        same and (about.table_bytes, about.table_time) == _get_state(path)
    ):
        _build(path, folder, id, Index)
        about = read_json(folder / _ABOUT, _About, PredictionError)
    # The library trusts what it maps.
    if sha256(folder / _FILE) != about.sha256:
        raise PredictionError("The index is damaged.", received=str(folder), hint="remove it")
    columns = {name: read_array(folder, stem) for name, stem in about.columns.items()}
    scaling = Standardization(
        np.array(about.location),
        np.array(about.scale),
        about.count,
        len(next(iter(columns.values()))),
    )
    index = Index.restore(str(folder / _FILE), view=True)
    return NeighborIndex(about.count, about.recall, scaling, index, columns)


def _get_state(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _build(path: Path, folder: Path, id: str | None, kind: Any) -> None:
    scaling = Standardization.fit(read_embeddings(path, id=id))
    state = _get_state(path)
    index = kind(ndim=len(scaling.location), metric="l2sq", dtype="f32", expansion_add=_EXPANSION)
    parts: dict[str, list[NDArray[Any]]] = {}
    blocks = read_embeddings(path, id=id)
    for block in track(blocks, "index, blocks", total=None):
        rows = np.flatnonzero(block.usable)
        vectors = scaling.apply(block.vectors[rows]).astype(np.float32)
        index.add((rows + block.start).astype(np.uint64), vectors)
        for name, column, _ in block.catalog.role_columns():
            parts.setdefault(name, []).append(np.asarray(column))
    with replacing_folder(folder) as temporary:
        stems = {}
        for number, (name, values) in enumerate(parts.items()):
            stems[name] = f"column-{number}"
            write_array(temporary, stems[name], np.concatenate(values))
        index.save(str(temporary / _FILE))
        about = _About(
            table_bytes=state[0],
            table_time=state[1],
            sha256=sha256(temporary / _FILE),
            count=scaling.count,
            recall=_measure_recall(path, id, scaling, index),
            location=tuple(scaling.location.tolist()),
            scale=tuple(scaling.scale.tolist()),
            columns=stems,
        )
        (temporary / _ABOUT).write_text(about.model_dump_json(), encoding="utf-8")


def _measure_recall(path: Path, id: str | None, scaling: Standardization, index: Any) -> float:
    """Fraction of the exact nearest neighbors of some objects that the index finds."""
    n = min(_NEAREST, scaling.count)
    _, probes = sample_vectors(path, scaling, _PROBES, id=id)
    best = np.full((len(probes), n), np.inf)
    for block in read_embeddings(path, id=id):
        x = scaling.apply(block.vectors[block.usable])
        # In parts, since all differences at once would not fit in memory.
        for start in range(0, len(x), 4096):
            part = x[start : start + 4096]
            squares = (part**2).sum(axis=1) - 2 * probes @ part.T + (probes**2).sum(axis=1)[:, None]
            best = np.sort(np.concatenate([best, squares], axis=1), axis=1)[:, :n]
    index.expansion_search = max(_EXPANSION, 4 * n)
    found = index.search(probes.astype(np.float32), n)
    reach = np.asarray(found.distances, np.float64)
    # By distance, since equal distances have no order; rounding to single precision allowed.
    limit = best[:, -1:] * (1 + 1e-4) + 1e-4
    return float(np.mean(reach.reshape(len(probes), -1) <= limit))
