"""What is known of the partitions of a catalogue before they are predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from astrocnn.atomic import temporary_folder, write_text
from astrocnn.catalog import Catalog, PartitionedCatalog
from astrocnn.catalog.uniqueness import KeyWriter, validate_unique
from astrocnn.column import Column
from astrocnn.errors import CatalogError, ClusterError
from astrocnn.progress import track
from astrocnn.scheduling import Scheduler, StoredTask, run_tasks
from astrocnn.stored_files import Stored, compute_array_digest, read_json

__all__ = ["Entry", "compute_digest", "scan"]

_ABOUT = "catalog.json"


class Entry(Stored):
    """A partition as it was when the work began.

    Attributes
    ----------
    number : int
        Which.
    rows : int
    digest : str
        Of the columns that are needed.
    own : tuple of Column
        What holds its identifiers and positions.
    """

    number: int
    rows: int
    digest: str
    own: tuple[Column, ...]


def compute_digest(catalog: Catalog) -> str:
    """Digest of the columns of a partition that were read."""
    positions = [p for p in (catalog.ra, catalog.dec) if p is not None]
    columns = [np.ma.filled(catalog.table[name], 0) for name in catalog.table.colnames]
    return compute_array_digest([catalog.ids, *positions, *columns])


@dataclass
class _Scan:
    """Reads partitions and distributes their identifiers."""

    catalog: PartitionedCatalog
    keys: KeyWriter

    def compute_parts(self, numbers: Sequence[int]) -> list[Entry]:
        """Describe some partitions."""
        return [self._describe(number) for number in numbers]

    def _describe(self, number: int) -> Entry:
        part = self.catalog.read(number)
        self.keys.add(part.ids, number)
        return Entry(
            number=number,
            rows=len(part),
            digest=compute_digest(part),
            own=tuple(Column.like(*column) for column in part.role_columns()),
        )


def scan(
    catalog: PartitionedCatalog, folder: Path, scheduler: Scheduler | None
) -> tuple[tuple[Entry, ...], tuple[Column, ...]]:
    """Read all partitions once, here or by the workers of a scheduler.

    Parameters
    ----------
    catalog : PartitionedCatalog
        With the columns that are needed.
    folder : Path
        Beside which temporary files are written, where workers see them.
    scheduler : Scheduler or None
        Who reads.

    Returns
    -------
    entries : tuple of Entry
        In order.
    own : tuple of Column
        Columns of identifier and position that hold the values of all partitions.

    Raises
    ------
    CatalogError
        If identifiers repeat, or the types of columns of identifier and position differ.
    """
    numbers = range(len(catalog))
    with temporary_folder(folder) as temporary:
        write_text(temporary / _ABOUT, catalog.model_dump_json())
        if scheduler is None:
            work = _open(temporary, {})
            found = [work.compute_parts([n]) for n in track(numbers, "reading the catalogue")]
        else:
            task = StoredTask(_open, temporary, {})
            found = list(run_tasks(scheduler, task, numbers, "reading the catalogue", count=_count))
        entries = sorted((entry for part in found for entry in part), key=lambda e: e.number)
        validate_unique(temporary / "keys", catalog.roles.id)
    own = entries[0].own
    for entry in entries[1:]:
        place = str(catalog.partitions[entry.number])
        own = tuple(_widen(a, b, place) for a, b in zip(own, entry.own, strict=True))
    return tuple(entries), own


def _count(entries: list[Entry]) -> int:
    return sum(entry.rows for entry in entries)


def _open(folder: Path, own: Mapping[str, Any]) -> _Scan:
    catalog: PartitionedCatalog = read_json(folder / _ABOUT, PartitionedCatalog, ClusterError)
    return _Scan(catalog, KeyWriter(folder / "keys", catalog.n_rows))


def _widen(one: Column, other: Column, place: str) -> Column:
    """The column that holds the values of two partitions."""
    kinds = np.dtype(one.dtype), np.dtype(other.dtype)
    if kinds[0].kind != kinds[1].kind or (kinds[0].kind != "U" and kinds[0] != kinds[1]):
        raise CatalogError(
            f"The partition '{place}' has another type of the column '{one.name}'.",
            received=str(other.dtype),
            allowed=f"{one.dtype}, as in the partitions before it",
        )
    return replace(
        one,
        dtype=max(kinds, key=lambda kind: kind.itemsize).str.lstrip("<>=|"),
        nullable=one.nullable or other.nullable,
        null=one.null if one.nullable else other.null,
        escaped=one.escaped or other.escaped,
    )
