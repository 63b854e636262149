"""Evaluate a network in blocks of one size, so that no result depends on how many come together.

Linear algebra libraries choose their kernels by the number of rows: one row alone and the same row
among 64 differ in the last bits.  Blocks of one fixed size, the last one padded, leave nothing to
choose; within a block the bits of a row do not depend on its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import ops
from astrocnn.errors import ModelError

__all__ = ["BLOCK", "in_blocks"]

BLOCK = 64
"""Objects evaluated together."""


def in_blocks(
    function: Callable[[dict[str, Any]], Mapping[str, Any]],
    arrays: Mapping[str, NDArray[Any]],
    *,
    axis: int = 1,
    block: int = BLOCK,
) -> dict[str, NDArray[Any]]:
    """Call a function on blocks of rows of one fixed size and join the answers.

    Parameters
    ----------
    function : callable
        From a dict of arrays of `block` rows to a dict of arrays or tensors with as many along
        `axis`.
    arrays : mapping of str to ndarray of shape (n, ...)
        Its inputs; all of one length, at least one row.
    axis : int
        Where the objects are in the answers: 1 for samples of shape (n_draws, n, units).
    block : int
        Rows of each call.  The last block repeats its last row, and the repetitions are cut off.

    Returns
    -------
    dict of str to ndarray
        The answers for the n rows.

    Raises
    ------
    ModelError
        If the arrays differ in length or are empty.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ModelError("The inputs of a network need one common length.", received=lengths)
    n = next(iter(lengths.values()))
    parts: list[dict[str, NDArray[Any]]] = []
    for start in range(0, n, block):
        rows = np.minimum(np.arange(start, start + block), n - 1)
        whole = start + block <= n
        piece = {k: a[start : start + block] if whole else a[rows] for k, a in arrays.items()}
        wanted = [slice(None)] * axis + [slice(0, min(block, n - start))]
        parts.append({k: _numpy(v)[tuple(wanted)] for k, v in function(piece).items()})
    return {key: np.concatenate([part[key] for part in parts], axis=axis) for key in parts[0]}


def _numpy(value: Any) -> NDArray[Any]:
    if isinstance(value, np.ndarray):
        return value

    return ops.convert_to_numpy(value)
