"""Objects that are most similar to given ones: by an exact search, or by an index."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrocnn.catalog import Catalog
from astrocnn.embeddings.blocks import (
    Standardization,
    find_ids,
    find_rows,
    read_embeddings,
    take_rows,
)
from astrocnn.embeddings.index import NeighborIndex
from astrocnn.errors import PredictionError

__all__ = ["build_table", "find_similar"]


def find_similar(
    path: str | os.PathLike[str],
    to: Sequence[str],
    n: int = 50,
    *,
    id: str | None = None,
    index: NeighborIndex | None = None,
) -> Table:
    """Find the objects whose embeddings are nearest to those of given objects.

    The distance is Euclidean between standardized features, to the nearest of the given objects.
    Without an index the search is exact: the table is read three times, block by block, which
    takes seconds per million objects.  With one it takes milliseconds for any number of objects,
    and finds most of the nearest ones: see its `recall`.

    Parameters
    ----------
    path : path-like
        Table of embeddings, as for `read_embeddings`.
    to : sequence of str
        Identifiers of the examples.
    n : int
        Number of objects to find; the examples themselves are not counted.
    id : str, optional
        Column of the identifiers, where it cannot be guessed.
    index : NeighborIndex, optional
        Of this table, from `open_index`.

    Returns
    -------
    Table of at most n rows
        ``rank`` (from 1), identifier and position, ``distance``, and ``nearest``: the identifier
        of the nearest example.  Equal distances are in the order of the table.

    Raises
    ------
    PredictionError
        If an identifier is not in the table, or its object has no embedding.
    """
    if n < 1:
        raise PredictionError(f"`n` must be at least 1; got {n}.")
    if index is not None:
        return _search_index(index, to, n)
    examples, targets = find_rows(path, to, id=id)
    scaling = Standardization.fit(read_embeddings(path, id=id))
    places = scaling.apply(targets)
    rows = np.empty(0, np.int64)
    distances, nearest = np.empty(0), np.empty(0, np.int64)
    for block in read_embeddings(path, id=id):
        own = np.flatnonzero(block.usable)
        own = own[~np.isin(own + block.start, examples)]
        if not len(own):
            continue
        x = scaling.apply(block.vectors[own])
        each = np.stack([np.sqrt(((x - place) ** 2).sum(axis=1)) for place in places])
        rows = np.concatenate([rows, own + block.start])
        distances = np.concatenate([distances, each.min(axis=0)])
        nearest = np.concatenate([nearest, each.argmin(axis=0)])
        best = np.lexsort((rows, distances))[:n]
        rows, distances, nearest = rows[best], distances[best], nearest[best]
    if not len(rows):
        raise PredictionError("No other object has an embedding.")
    return _describe(take_rows(path, rows, id=id), to, distances, nearest)


def _search_index(index: NeighborIndex, to: Sequence[str], n: int) -> Table:
    """The nearest objects by an index."""
    examples = find_ids(index.ids, to)
    places = index.get_vectors(examples)
    if empty := [t for t, v in zip(to, places, strict=False) if not np.isfinite(v).all()]:
        raise PredictionError(
            "An object has no embedding, because it has no usable image.",
            received=empty,
            hint="its flags say why; choose another object",
        )
    # The examples find themselves and each other.
    rows, distances = index.search(places, n + len(examples))
    best: dict[int, tuple[float, int]] = {}
    for k, (own, far) in enumerate(zip(rows.tolist(), distances.tolist(), strict=True)):
        for row, distance in zip(own, far, strict=True):
            best[row] = min(best.get(row, (np.inf, k)), (distance, k))
    for row in examples.tolist():
        best.pop(row, None)
    if not best:
        raise PredictionError("No other object has an embedding.")
    ordered = sorted(best, key=lambda row: (best[row][0], row))[:n]
    found = np.array([best[row] for row in ordered])
    objects = index.take(np.array(ordered))
    return _describe(objects, to, found[:, 0], found[:, 1].astype(np.int64))


def _describe(
    objects: Catalog,
    to: Sequence[str],
    distances: NDArray[np.float64],
    nearest: NDArray[np.integer],
) -> Table:
    """The table of a search."""
    names = np.array(list(dict.fromkeys(text.strip() for text in to)))
    table = build_table(objects)
    table["distance"] = distances.astype(np.float32)
    table["distance"].description = "Euclidean distance in standardized features"
    table["nearest"] = names[nearest]
    table["nearest"].description = "Nearest of the given objects"
    return table


def build_table(objects: Catalog) -> Table:
    """A table of objects in the order of a ranking: ``rank``, identifier, position."""
    table = Table({"rank": np.arange(1, len(objects) + 1, dtype=np.int32)})
    table["rank"].description = "Place in the ranking, from 1"
    for name, column, _ in objects.role_columns():
        table[name] = column
    return table
