"""Objects that are most similar to given ones, by exact search in one pass over the table."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from astropy.table import Table

from astrocnn.catalog import Catalog
from astrocnn.embeddings.blocks import (
    Standardization,
    find_rows,
    read_embeddings,
    take_rows,
)
from astrocnn.errors import PredictionError

__all__ = ["build_table", "find_similar"]


def find_similar(
    path: str | os.PathLike[str], to: Sequence[str], n: int = 50, *, id: str | None = None
) -> Table:
    """Find the objects whose embeddings are nearest to those of given objects.

    The distance is Euclidean between standardized features, to the nearest of the given objects.
    The search is exact: the table is read three times, block by block, which takes seconds per
    million objects, and no index is needed.

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
    names = np.array([text.strip() for text in dict.fromkeys(to)])
    table = build_table(take_rows(path, rows, id=id))
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
