"""The cutting of shards, in this process or in workers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from astrocnn import atomic
from astrocnn.catalog import Catalog
from astrocnn.column import Column
from astrocnn.datasets import shard_file
from astrocnn.datasets.columns import encode
from astrocnn.datasets.object_store import read_array, read_objects, write_array, write_objects
from astrocnn.errors import ClusterError, InputsError
from astrocnn.imaging import Inputs, Source, get_state
from astrocnn.scheduling import StoredTask
from astrocnn.stored_files import Stored, read_json

__all__ = ["OWN", "SESSION", "STATE", "Cutter", "CutShard", "store"]

STATE = "IMGSTATE"
"""Header card with the lengths and times of the image files, as a digest."""

OWN = {
    "id": "identifier, as given",
    "ra": "right ascension, ICRS",
    "dec": "declination, ICRS",
    "flags": "bit mask of astrocnn.flags.Flag",
    "no_data": "fraction of pixels without data, per band",
    "row": "row of the catalogue, from 0",
    "content": "hash of the pixels; empty when there are none",
}
"""Columns that every shard has."""

SESSION = "session"
"""Folder beside the shards with what workers cut them from."""

_ABOUT = "session.json"


@dataclass(frozen=True)
class CutShard:
    """A shard that was written: its number, the state of its images, and digests by name."""

    number: int
    rows: int
    state: str
    sums: Mapping[str, str]


@dataclass
class Cutter:
    """What the shards of a catalogue are cut from.

    Attributes
    ----------
    directory : Path
        Where they are.
    source, inputs
        As for `astrocnn.datasets.write_shards`.
    order : ndarray of int64, shape (n,)
        Rows in the order of work.
    rows_per_shard : int
        In every shard but the last.
    flags : ndarray of int32, shape (n,)
        Of the catalogue.
    own, kept : list of (Column, ndarray)
        Encoded columns before and after those of the images.
    cards : mapping of str to str
        Fingerprints for the headers.
    """

    directory: Path
    source: Source
    inputs: Inputs
    order: np.ndarray
    rows_per_shard: int
    flags: np.ndarray
    own: list[tuple[Column, np.ndarray]]
    kept: list[tuple[Column, np.ndarray]]
    cards: Mapping[str, str]

    def __len__(self) -> int:
        return -(-len(self.order) // self.rows_per_shard)

    def rows(self, number: int) -> np.ndarray:
        """Rows of one shard."""
        start = number * self.rows_per_shard
        return self.order[start : start + self.rows_per_shard]

    def path(self, number: int) -> Path:
        """File of one shard."""
        return self.directory / shard_file.format_name(number)

    def compute_parts(self, numbers: Sequence[int]) -> list[CutShard]:
        """Cut some shards and write their files."""
        return [self.cut(number) for number in numbers]

    def cut(self, number: int) -> CutShard:
        """Cut one shard and write its file."""
        rows = self.rows(number)
        state = get_state(self.source, rows)
        images, fresh = self._read(rows)
        columns = [
            *((declared, values[rows]) for declared, values in self.own),
            *fresh,
            *((declared, values[rows]) for declared, values in self.kept),
        ]
        table = [declared.fits_column(values) for declared, values in columns]
        path = self.path(number)
        cards = {**self.cards, STATE: state}
        shard_file.write_shard(path, images, table, self.inputs, cards, OWN)
        return CutShard(number, len(rows), state, self.compute_sums(number))

    def compute_sums(self, number: int) -> dict[str, str]:
        """Digests of the file of a shard."""
        path = self.path(number)
        header = shard_file.read_header(path, ())
        assert header is not None
        n_bytes = 4 * header.rows * self.inputs.size**2 * self.inputs.n_bands
        return {
            "sha256": atomic.sha256(path),
            "table_sha256": shard_file.compute_table_digest(path, header.offset, n_bytes),
        }

    def _read(self, rows: np.ndarray) -> tuple[np.ndarray, list[tuple[Column, np.ndarray]]]:
        """Big-endian images of some rows, and the columns that follow from them."""
        inputs = self.inputs
        cutouts = self.source.read(rows)
        expected = (len(rows), inputs.size, inputs.size, inputs.n_bands)
        if cutouts.images.shape != expected:
            raise InputsError(
                "The source gave cutouts of another shape.",
                received=cutouts.images.shape,
                allowed=expected,
            )
        # Big-endian from the start: the bytes hashed are the bytes written.
        images = np.empty(expected, ">f4")
        images[...] = cutouts.images
        missing = ~np.isfinite(images)
        images[missing] = np.nan  # one bit pattern, so that equal images have equal hashes
        more = {
            "flags": (self.flags[rows] | cutouts.flags).astype(np.int32),
            # Per band, since a band that is missing as a whole is filled and masked by itself.
            "no_data": (missing.sum(axis=(1, 2)) / max(1, inputs.size**2)).astype(np.float32),
            "row": rows,
            "content": shard_file.content_hashes(images),
        }
        if not inputs.bands:
            del more["no_data"]
        return images, [encode(name, name, column) for name, column in more.items()]


class _About(Stored):
    """The file that describes a stored cutter."""

    inputs: Inputs
    rows_per_shard: int
    own: tuple[Column, ...]
    kept: tuple[Column, ...]
    cards: dict[str, str]


def store(cutter: Cutter, catalog: Catalog) -> StoredTask:
    """Write what workers need into a folder beside the shards; what to send to them."""
    folder = cutter.directory / SESSION
    with atomic.replacing_folder(folder) as temporary:
        source = write_objects(temporary, catalog, cutter.source, ())
        write_array(temporary, "order", cutter.order)
        write_array(temporary, "all-flags", cutter.flags)
        for number, (_, values) in enumerate((*cutter.own, *cutter.kept)):
            write_array(temporary, f"encoded-{number}", values)
        about = {
            "inputs": cutter.inputs.to_dict(),
            "rows_per_shard": cutter.rows_per_shard,
            "own": [asdict(declared) for declared, _ in cutter.own],
            "kept": [asdict(declared) for declared, _ in cutter.kept],
            "cards": dict(cutter.cards),
        }
        atomic.write_text(temporary / _ABOUT, json.dumps(about))
    kind = getattr(getattr(cutter.source, "survey", None), "kind", None)
    return StoredTask(_open, folder.resolve(), {"source": source, "kind": kind})


def _open(folder: Path, own: Mapping[str, Any]) -> Cutter:
    """Open a stored cutter in a worker."""
    about: _About = read_json(folder / _ABOUT, _About, ClusterError)
    _, source = read_objects(folder, own["source"], own["kind"])
    declared = (*about.own, *about.kept)
    pairs = [(column, read_array(folder, f"encoded-{n}")) for n, column in enumerate(declared)]
    return Cutter(
        folder.parent,
        source,
        about.inputs,
        read_array(folder, "order"),
        about.rows_per_shard,
        read_array(folder, "all-flags"),
        pairs[: len(about.own)],
        pairs[len(about.own) :],
        about.cards,
    )
