"""What the readers of weights share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Damaged", "as_float32", "view_tensor"]


class Damaged(Exception):
    """A file that does not hold what it should; the caller knows its name.

    Parameters
    ----------
    what : str
        What is wrong, without a capital letter.
    hint : str, optional
        What to try.
    """

    def __init__(self, what: str, hint: str | None = None) -> None:
        super().__init__(what)
        self.hint = hint


def as_float32(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Numbers of bfloat16, which numpy does not know, from their bits."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def view_tensor(
    storage: NDArray[Any], offset: int, shape: Sequence[int], strides: Sequence[int]
) -> NDArray[Any]:
    """A tensor in a flat storage, read by its strides; nothing is copied.

    Parameters
    ----------
    storage : ndarray of shape (n,)
    offset : int
        Position of the first number.
    shape, strides : sequence of int
        Strides are counted in numbers, not in bytes.

    Raises
    ------
    Damaged
        If it reaches beyond the storage, or is larger than it.
    """
    numbers = [offset, *shape, *strides]
    if len(shape) != len(strides) or any(type(n) is not int or n < 0 for n in numbers):
        raise Damaged(f"a tensor of shape {tuple(shape)} with strides {tuple(strides)}")
    size, last = 1, offset
    for length, stride in zip(shape, strides, strict=True):
        size *= length
        last += (length - 1) * stride
    # Strides of 0 would make a large array of a few bytes.
    if size > len(storage) or (size and last >= len(storage)):
        raise Damaged(f"a tensor of shape {tuple(shape)} beyond its {len(storage)} numbers")
    if not size:
        return np.zeros(tuple(shape), storage.dtype)
    steps = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], tuple(shape), steps, writeable=False)
