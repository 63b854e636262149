"""Whether identifiers of a catalogue in partitions repeat: exact, with bounded memory.

Each identifier goes into one of many files by a hash of it, so that equal ones meet; each file is
then sorted by itself.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from astrocnn.errors import CatalogError

__all__ = ["validate_unique"]

ROWS = 1 << 22
"""Identifiers in one file of the scratch folder, about."""

MOST_FILES = 512
_SHOWN = 5


def validate_unique(ids: Iterable[np.ndarray], n_rows: int, column: str, scratch: Path) -> None:
    """Refuse identifiers that occur more than once.

    Parameters
    ----------
    ids : iterable of ndarray of int64 or str, shape (n,)
        Those of each partition, all of one type.
    n_rows : int
        Number of all, about.
    column : str
        Their name.
    scratch : Path
        Folder for temporary files of 8 bytes for an integer and 16 for a text.

    Raises
    ------
    CatalogError
        Naming some of those that repeat.
    """
    n_files = min(MOST_FILES, 1 + n_rows // ROWS)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=scratch) as folder, ExitStack() as stack:
        paths = [Path(folder, f"{number}.bin") for number in range(n_files)]
        streams = [stack.enter_context(path.open("wb")) for path in paths]
        kinds = set()
        for part in ids:
            keys = _compute_keys(part)
            kinds.add(keys.dtype)
            place = _mix(keys) % np.uint64(n_files)
            order = np.argsort(place, kind="stable")
            ends = np.searchsorted(place[order], np.arange(n_files + 1, dtype=np.uint64))
            ordered = keys[order]
            for number, stream in enumerate(streams):
                ordered[ends[number] : ends[number + 1]].tofile(stream)
        if len(kinds) > 1:
            raise CatalogError(
                f"The identifiers '{column}' are numbers in some partitions and text in others."
            )
        stack.close()
        for path in paths:
            _refuse_repeated(np.fromfile(path, dtype=next(iter(kinds), np.int64)), column)


def _compute_keys(values: np.ndarray) -> np.ndarray:
    """Integers as they are; texts as digests, of which no two are alike by chance."""
    if values.dtype.kind in "iu":
        return np.ascontiguousarray(values).astype(np.int64)
    digests = b"".join(
        hashlib.blake2b(str(text).encode(), digest_size=16).digest() for text in values
    )
    return np.frombuffer(digests, dtype=[("a", "<u8"), ("b", "<u8")])


def _mix(keys: np.ndarray) -> np.ndarray:
    """Spread consecutive integers evenly (the finalizer of MurmurHash3)."""
    if keys.dtype.names:
        return np.asarray(keys["a"])
    mixed = keys.view(np.uint64).copy()
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed ^= mixed >> np.uint64(33)
        mixed *= np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(33))


def _refuse_repeated(keys: np.ndarray, column: str) -> None:
    keys.sort()
    repeated = keys[1:][keys[1:] == keys[:-1]]
    if len(repeated):
        some = None if keys.dtype.names else np.unique(repeated)[:_SHOWN].tolist()
        raise CatalogError(
            f"Identifiers in the column '{column}' occur more than once in the partitions.",
            received=some or f"{len(repeated)} repetitions",
            hint="give another column as the identifier (--id), or remove the repeated rows",
        )
