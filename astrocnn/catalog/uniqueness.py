"""Whether identifiers of a catalogue in partitions repeat: exact, with bounded memory.

Each identifier goes into one of many files by a hash of it, so that equal ones meet; each file is
then sorted by itself.  Several processes write files of their own, and a partition that one of them
was killed in is written again by another: with each identifier stands its partition, so that the
same one twice is no repetition.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from astrocnn.errors import CatalogError

__all__ = ["KeyWriter", "validate_unique"]

ROWS = 1 << 22
"""Identifiers in all files of one hash, about."""

MOST_FILES = 512
_SHOWN = 5
_RECORDS = {
    "numbers": np.dtype([("a", "<i8"), ("part", "<u4")]),
    "text": np.dtype([("a", "<u8"), ("b", "<u8"), ("part", "<u4")]),
}
"""By suffix of the files: integers, or digests of texts, of which no two are alike by chance."""


class KeyWriter:
    """Write the identifiers of partitions into files of one process.

    Parameters
    ----------
    folder : Path
        Of all processes; 12 bytes are written for an integer and 20 for a text.
    n_rows : int
        Number of all rows, about; the same in all processes.
    """

    def __init__(self, folder: Path, n_rows: int) -> None:
        self._folder = folder / secrets.token_hex(8)
        self._n_files = min(MOST_FILES, 1 + n_rows // ROWS)

    def add(self, ids: np.ndarray, part: int) -> None:
        """Add the identifiers, int64 or str, of a partition; they are in the files afterwards."""
        kind = "numbers" if ids.dtype.kind in "iu" else "text"
        keys = _compute_keys(ids, kind, part)
        place = _mix(keys["a"]) % np.uint64(self._n_files)
        order = np.argsort(place, kind="stable")
        ends = np.searchsorted(place[order], np.arange(self._n_files + 1, dtype=np.uint64))
        ordered = keys[order]
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in range(self._n_files):
            with (self._folder / f"{number}.{kind}").open("ab") as stream:
                stream.write(ordered[ends[number] : ends[number + 1]].tobytes())


def validate_unique(folder: Path, column: str) -> None:
    """Refuse identifiers that occur in more than one partition.

    Parameters
    ----------
    folder : Path
        What one or more `KeyWriter` wrote.
    column : str
        Name of the identifiers.

    Raises
    ------
    CatalogError
        Naming some of those that repeat.
    """
    files = [file for one in folder.iterdir() for file in one.iterdir() if os.path.getsize(file)]
    kinds = {file.suffix[1:] for file in files}
    if len(kinds) > 1:
        raise CatalogError(
            f"The identifiers '{column}' are numbers in some partitions and text in others."
        )
    by_place: dict[str, list[Path]] = {}
    for file in files:
        by_place.setdefault(file.stem, []).append(file)
    for group in by_place.values():
        (kind,) = kinds
        repeated = _find_repeated(np.concatenate([*_read(group, kind)]))
        if len(repeated):
            some = repeated[:_SHOWN].tolist() if kind == "numbers" else None
            raise CatalogError(
                f"Identifiers in the column '{column}' occur more than once in the partitions.",
                received=some or f"{len(repeated)} of them",
                hint="give another column as the identifier (--id), or remove the repeated rows",
            )


def _read(files: list[Path], kind: str) -> Iterator[np.ndarray]:
    record = _RECORDS[kind]
    for file in files:
        # A process that was killed may have left a part of a record.
        yield np.fromfile(file, record, count=os.path.getsize(file) // record.itemsize)


def _find_repeated(keys: np.ndarray) -> np.ndarray:
    """Keys, each once, that stand with more than one partition."""
    order = np.argsort(keys["a"])
    ordered = keys["a"][order]
    same = np.concatenate([[False], ordered[1:] == ordered[:-1], [False]])
    # Few: of different texts hardly two have the same first half of the digest.
    some = keys[order[same[1:] | same[:-1]]]
    names = ["part", *(name for name in ("b", "a") if name in (keys.dtype.names or ()))]
    some = some[np.lexsort([some[name] for name in names])]
    alike = some["part"][1:] != some["part"][:-1]
    for name in names[1:]:
        alike &= some[name][1:] == some[name][:-1]
    return np.unique(some["a"][1:][alike])


def _compute_keys(ids: np.ndarray, kind: str, part: int) -> np.ndarray:
    keys = np.empty(len(ids), _RECORDS[kind])
    keys["part"] = part
    if kind == "numbers":
        keys["a"] = ids
        return keys
    digests = b"".join(hashlib.blake2b(str(i).encode(), digest_size=16).digest() for i in ids)
    halves = np.frombuffer(digests, "<u8").reshape(-1, 2)
    keys["a"], keys["b"] = halves[:, 0], halves[:, 1]
    return keys


def _mix(keys: np.ndarray) -> np.ndarray:
    """Spread consecutive integers evenly (the finalizer of MurmurHash3)."""
    mixed = keys.astype(keys.dtype.str.replace("i", "u"))
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed ^= mixed >> np.uint64(33)
        mixed *= np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(33))
