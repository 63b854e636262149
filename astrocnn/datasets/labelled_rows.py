"""Labels of shards as a task encodes them, and which rows train, validate and test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from astrocnn.catalog import SPLITS, assign_splits, group_duplicates
from astrocnn.datasets.shards import Shards
from astrocnn.datasets.usable_rows import usable
from astrocnn.imaging import Inputs
from astrocnn.targets import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["labels", "split_rows"]


def labels(
    shards: Shards, task: Task, rows: Any = slice(None)
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Labels of some rows by target, encoded, and their weights.

    Parameters
    ----------
    shards : Shards
    task : Task
    rows : ndarray of int of shape (n,), or slice
        All by default.

    Returns
    -------
    encoded : dict of str to ndarray of shape (n, k)
    weights : dict of str to ndarray of shape (n,)
        1 where there is a label and 0 where there is none.

    Raises
    ------
    CatalogError
        If a label column is absent, or holds a value that is neither a label nor mapped.
    """
    columns = {name: shards.column(name) for name in task.label_columns}
    return task.encode(
        {k: (values[rows], missing[rows]) for k, (values, missing) in columns.items()}
    )


def split_rows(
    shards: Shards,
    task: Task,
    inputs: Inputs | None = None,
    *,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    split: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows to train, validate and test with: those that have images and at least one label.

    Parameters
    ----------
    shards : Shards
    task : Task
        Says what a label is.
    inputs : Inputs, optional
        What a row must have, see `usable`; those of the shards by default.
    fractions : (float, float, float)
        Expected parts; they add up to 1.
    seed : int
        Another seed, another division.
    split : ndarray of int of shape (n_rows,), optional
        Split of every row of the shards as `astrocnn.catalog.assign_splits` gives it, for instance
        by `compute_sky_keys`.  By default a hash of the identifier decides, so that a row keeps its
        split when others come or go, and byte-identical images share one.

    Returns
    -------
    train, validation, test : ndarray of int64
        Ascending.

    Raises
    ------
    CatalogError
        If a label column is absent, or holds a value that is neither a label nor mapped.
    InputsError
        If no row has images.
    """
    if split is None:
        split = assign_splits(group_duplicates(shards.ids, shards.content), fractions, seed)
    _, weights = labels(shards, task)
    labelled = np.any([weight > 0 for weight in weights.values()], axis=0)
    rows, _ = usable(shards, shards.inputs if inputs is None else inputs)
    rows = rows[labelled[rows]]
    train, validation, test = (rows[split[rows] == number] for number in range(len(SPLITS)))
    return train, validation, test
