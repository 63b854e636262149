"""Whether identifiers of a catalogue in partitions repeat: exact, with bounded memory.

Each identifier goes into one of many files by a hash of it, so that equal ones meet; each file is
then sorted by itself.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from astrocnn.catalog.parquet_table import open_parquet
from astrocnn.errors import CatalogError

__all__ = ["validate_unique"]

ROWS = 1 << 22
"""Identifiers in one file of the scratch folder, about."""

BATCH = 1 << 17
MOST_FILES = 512
_SHOWN = 5


def validate_unique(files: Iterable[Path], column: str, scratch: Path) -> int:
    """Refuse identifiers that occur more than once in Parquet files.

    Parameters
    ----------
    files : iterable of Path
        The partitions.
    column : str
        The identifiers: integers of 64 bits, or text.
    scratch : Path
        Folder for temporary files of 8 bytes for an integer and 16 for a text.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    CatalogError
        Naming some of those that repeat.
    """
    files = list(files)
    n_rows = sum(_count_rows(file, column) for file in files)
    n_files = min(MOST_FILES, 1 + n_rows // ROWS)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=scratch) as folder, ExitStack() as stack:
        paths = [Path(folder, f"{number}.bin") for number in range(n_files)]
        streams = [stack.enter_context(path.open("wb")) for path in paths]
        kinds = set()
        for file in files:
            for keys in _read_keys(file, column):
                kinds.add(keys.dtype)
                place = _mix(keys) % np.uint64(n_files)
                order = np.argsort(place, kind="stable")
                ends = np.searchsorted(place[order], np.arange(n_files + 1, dtype=np.uint64))
                for number, stream in enumerate(streams):
                    keys[order[ends[number] : ends[number + 1]]].tofile(stream)
        if len(kinds) > 1:
            raise CatalogError(
                f"The identifiers '{column}' are numbers in some partitions and text in others."
            )
        stack.close()
        for path in paths:
            _refuse_repeated(np.fromfile(path, dtype=next(iter(kinds), np.int64)), column)
    return n_rows


def _count_rows(file: Path, column: str) -> int:
    with open_parquet(file) as opened:
        if column not in opened.schema_arrow.names:
            raise CatalogError(
                f"The partition '{file}' has no column '{column}'.",
                allowed="the columns of the first partition",
            )
        return int(opened.metadata.num_rows)


def _read_keys(file: Path, column: str) -> Iterator[np.ndarray]:
    with open_parquet(file) as opened:
        for batch in opened.iter_batches(BATCH, columns=[column]):
            values = batch.column(0)
            if values.null_count:
                raise CatalogError(f"The partition '{file}' has rows without '{column}'.")
            yield _compute_keys(values.to_numpy(zero_copy_only=False))


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
