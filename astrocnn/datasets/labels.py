"""Encoded labels of shards, the rows that can be used, and the training, validation, test split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.catalog import SPLITS, assign_splits, group_duplicates
from astrocnn.datasets.shards import Shards
from astrocnn.errors import InputsError
from astrocnn.flags import Flag
from astrocnn.imaging import Inputs
from astrocnn.targets import Task

__all__ = ["read_labels", "split_rows", "find_usable_rows"]


def find_usable_rows(shards: Shards, inputs: Inputs) -> tuple[np.ndarray, dict[str, int]]:
    """Rows that can be trained on or predicted, and why the others cannot.

    Parameters
    ----------
    shards : Shards
    inputs : Inputs
        With ``mask_channel`` a row may lack some bands, otherwise none; without bands it needs
        no image, only its scalars.

    Returns
    -------
    rows : ndarray of int64
        Ascending.
    reasons : dict of str to int
        Number of rows left out, by sentence of `astrocnn.flags.Flag`; a row may count twice.

    Raises
    ------
    InputsError
        If no row is left.
    """
    inputs.check(shards)
    flags = shards.flags.astype(np.int32)
    if inputs.scalars:
        # Computed for these inputs: the shards may have been written for other scalars.
        flags[~np.isfinite(shards.scalars(inputs.scalars)).all(axis=1)] |= Flag.SCALAR_MISSING
    refused = inputs.refused
    if inputs.bands:
        empty = np.asarray(shards.objects["no_data"]).min(axis=1) >= 1
        # Every band is empty: a mask channel cannot make up for an image without any pixel.
        flags[empty] |= Flag.NO_COVERAGE
    bad = (flags & int(refused)) != 0
    reasons = {
        flag.sentence: int(((flags & flag.value) != 0).sum())
        for flag in Flag
        if flag.value & int(refused) and (flags & flag.value).any()
    }
    if bad.all():
        raise InputsError(
            f"None of the {len(flags)} objects has {'images' if inputs.bands else 'scalars'} "
            "to work with.",
            received="; ".join(f"{n} x {sentence}" for sentence, n in reasons.items()),
            hint="'astrocnn check' compares the catalogue with the files and their coverage",
        )
    return np.flatnonzero(~bad), reasons


def read_labels(
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
        Defines the labels.
    inputs : Inputs, optional
        What a row must have, see `find_usable_rows`; those of the shards by default.
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
        # Duplicates share a split: otherwise a test object would be in the training set.
        split = assign_splits(group_duplicates(shards.ids, shards.content), fractions, seed)
    _, weights = read_labels(shards, task)
    # One label of several targets is enough; the others have weight 0 in the loss.
    labelled = np.any([weight > 0 for weight in weights.values()], axis=0)
    rows, _ = find_usable_rows(shards, shards.inputs if inputs is None else inputs)
    rows = rows[labelled[rows]]
    train, validation, test = (rows[split[rows] == number] for number in range(len(SPLITS)))
    return train, validation, test
