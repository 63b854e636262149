"""Chunks of a catalogue: their rows, and their files until they are merged.

A plan is a pure function of the catalogue, the images, the model and the options.  Its
fingerprint names it; a chunk that carries another one belongs to another prediction.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from astrocnn.atomic import remove_leftovers
from astrocnn.catalog import Catalog
from astrocnn.column import fits_name
from astrocnn.errors import PredictionError
from astrocnn.prediction.fits_headers import is_intact, read_primary_header
from astrocnn.prediction.layout import ROW, Layout
from astrocnn.prediction.objects import ChunkPrediction
from astrocnn.prediction.pdf import ERROR
from astrocnn.prediction.table_writer import TableWriter

__all__ = [
    "Plan",
    "exists",
    "get_own_values",
    "read_fingerprint",
    "is_finished",
    "merge",
    "open_table",
    "parse_worker",
    "remove",
    "set_errors",
    "validate_worker",
    "write",
]

SESSION = "session"
"""Folder beside the chunks with what workers compute them from."""

# Of two chunks: while one is predicted, the images of the next are read.
_IMAGE_BYTES = 64 * 1024**2
# So much is lost at most in a crash; so many rows at least share the cost of a file.
_MAX_ROWS = 4096
_MIN_ROWS = 64
_MERGE_ROWS = 65536


@dataclass(frozen=True)
class Plan:
    """The division of a catalogue into chunks, the same on every machine.

    Attributes
    ----------
    order : ndarray of int64, shape (n_rows,)
        Catalogue rows in the order of work: each image file is visited once.
    rows_per_chunk : int
        Number of rows in every chunk but the last.
    fingerprint : str
        SHA-256 over everything that the predicted numbers depend on.
    """

    order: np.ndarray
    rows_per_chunk: int
    fingerprint: str

    @classmethod
    def make(cls, order: np.ndarray, bytes_per_row: int, facts: Mapping[str, object]) -> Plan:
        """Divide `order` so that the images of one chunk take about 64 MiB.

        Parameters
        ----------
        order : ndarray of int64, shape (n_rows,)
            A permutation of the catalogue's rows.
        bytes_per_row : int
            Size of one object's image [bytes].
        facts : mapping
            JSON-able things the prediction depends on: digests of weights, inputs, catalogue...
        """
        rows = int(np.clip(_IMAGE_BYTES // max(bytes_per_row, 1), _MIN_ROWS, _MAX_ROWS))
        order = np.ascontiguousarray(order, dtype=np.int64)
        # The division counts too, or chunks of another length would be taken for these.
        text = json.dumps({**facts, "rows_per_chunk": rows}, sort_keys=True)
        total = hashlib.sha256(text.encode())
        # Chunks are named by number: another order of work is another prediction.
        total.update(order.data)
        return cls(order, rows, total.hexdigest())

    def __len__(self) -> int:
        return -(-len(self.order) // self.rows_per_chunk)

    def rows(self, chunk: int) -> np.ndarray:
        """Catalogue rows of one chunk, in the order of work."""
        start = chunk * self.rows_per_chunk
        return self.order[start : start + self.rows_per_chunk]

    def path(self, folder: Path, chunk: int) -> Path:
        """Name of one chunk's file."""
        return folder / f"part-{chunk:06d}.fits"


def parse_worker(text: str) -> tuple[int, int]:
    """Read ``"i/n"``: worker i of n, counted from 1.

    Parameters
    ----------
    text : str
        As given to ``--worker``.

    Returns
    -------
    i, n : int

    Raises
    ------
    PredictionError
        If the text is not of that form or i is not in 1..n.

    Examples
    --------
    >>> parse_worker("2/8")
    (2, 8)
    """
    head, _, tail = text.partition("/")
    # isdecimal refuses superscripts and other digits that int() cannot read.
    if not (head.strip().isdecimal() and tail.strip().isdecimal()):
        raise _invalid_worker(text)
    validate_worker(int(head), int(tail))
    return int(head), int(tail)


def validate_worker(i: int, n: int) -> None:
    """Raise if the worker is not in 1 to n."""
    if not 1 <= i <= n:
        raise _invalid_worker(f"{i}/{n}")


def _invalid_worker(received: str) -> PredictionError:
    return PredictionError(
        "A worker must be given as i/n, with i from 1 to n.",
        received=received,
        hint="--worker 1/8",
    )


def read_fingerprint(path: Path) -> str | None:
    """Read the fingerprint of the prediction in a file; None for any other file."""
    value = (read_primary_header(path) or {}).get("FPRINT")
    return None if value is None else str(value)


def is_finished(out: Path, fingerprint: str) -> bool:
    """Whether the table of a prediction exists and is intact."""
    return out.is_file() and read_fingerprint(out) == fingerprint and is_intact(out)


def open_table(
    path: Path, layout: Layout, n_rows: int, cards: Sequence[tuple[str, object, str]]
) -> TableWriter:
    """A writer of the whole table of a layout."""
    return TableWriter(
        path,
        [*layout.own, *layout.predicted],
        n_rows,
        cards,
        images=[plane.image() for plane in layout.planes],
        tables={name: grid for plane in layout.planes for name, grid in plane.grid().items()},
        name=layout.name,
    )


def get_own_values(catalog: Catalog) -> dict[str, np.ndarray]:
    """Values of the catalogue's own columns in the table."""
    return {fits_name(name): column for name, column, _ in catalog.role_columns()}


def set_errors(writer: TableWriter, errors: Mapping[str, float]) -> None:
    """State the largest error of stored densities, by plane, rounded up, in their headers."""
    for name, error in errors.items():
        writer.set_card(name, ERROR, error)


def write(
    plan: Plan,
    folder: Path,
    chunk: int,
    predicted: ChunkPrediction,
    layout: Layout,
    state: str = "",
) -> None:
    """Write the file of one chunk, and the state of the images that it was computed from."""
    rows = plan.rows(chunk)
    # Row numbers, since chunks are in the order of work and the table in that of the catalogue.
    columns = [ROW, *layout.predicted]
    cards = [
        ("FPRINT", plan.fingerprint, "fingerprint of the prediction"),
        ("IMGSTATE", state, "lengths and times of the image files"),
    ]
    images = [plane.image(predicted.errors[plane.name]) for plane in layout.planes]
    with TableWriter(
        plan.path(folder, chunk), columns, len(rows), cards, images=images, name=layout.name
    ) as writer:
        values = {"ROW": rows, **predicted.columns, **predicted.densities}
        writer.put(np.arange(len(rows)), values)


def exists(plan: Plan, folder: Path, chunk: int, state: str) -> bool:
    """Whether the file of a chunk exists, is intact, and is of the images as they are now.

    Raises
    ------
    PredictionError
        If the file belongs to another prediction, or was not made by a prediction.
    """
    path = plan.path(folder, chunk)
    header = read_primary_header(path)
    # Absent, or damaged in its first block: computed either way.
    if header is None:
        return False
    # A file that is not ours is never replaced, whatever its name.
    if not {"FPRINT", "IMGSTATE"} & set(header):
        raise PredictionError(
            f"'{path}' is not a chunk of a prediction; it is not replaced.",
            hint="write to another --out, or move that file elsewhere",
        )
    # Damage first: a flipped bit in the fingerprint does not make another prediction.
    if not is_intact(path):
        return False
    if header.get("FPRINT") != plan.fingerprint:
        raise PredictionError(
            f"{folder} holds chunks of another prediction (model, catalogue, images or draws).",
            received=path.name,
            hint="write to another --out, or remove that folder to start afresh",
        )
    return bool(header.get("IMGSTATE", "") == state)


def merge(
    plan: Plan,
    folder: Path,
    out: Path,
    catalog: Catalog,
    layout: Layout,
    cards: Sequence[tuple[str, object, str]],
) -> None:
    """Merge all chunks into the table, in the order of the catalogue."""
    names = [column.name for column in layout.predicted]
    # The header of the table states the largest error of any chunk.
    errors = {plane.name: 0.0 for plane in layout.planes}
    # Chunks hold what was predicted only: identifiers and positions are those of the catalogue.
    own = get_own_values(catalog)
    with open_table(out, layout, len(catalog), cards) as writer:
        for start in range(0, len(catalog), _MERGE_ROWS):
            rows = np.arange(start, min(start + _MERGE_ROWS, len(catalog)))
            writer.put(rows, {name: column[rows] for name, column in own.items()})
        for chunk in range(len(plan)):
            path = plan.path(folder, chunk)
            # Another process may have written here since the chunks were checked.
            if read_fingerprint(path) != plan.fingerprint:
                raise PredictionError(
                    "A chunk changed while the chunks were being merged.",
                    received=str(path),
                    hint="run the same command again",
                )
            # Densities are copied as they are stored, never scaled.
            with fits.open(path, memmap=True, do_not_scale_image_data=True) as hdus:
                records = hdus[layout.name].data
                # The fingerprint is that of the plan, and the same in all chunks.
                if not np.array_equal(records["ROW"], plan.rows(chunk)):
                    raise PredictionError(
                        "A chunk does not hold the rows it should.",
                        received=str(path),
                        hint="remove it and run the same command again",
                    )
                values = {name: np.asarray(records[name]) for name in names}
                for plane in layout.planes:
                    values[plane.name] = np.asarray(hdus[plane.name].data)
                    error = hdus[plane.name].header[ERROR]
                    errors[plane.name] = max(errors[plane.name], error)
                writer.put(np.asarray(records["ROW"], dtype=np.int64), values)
        set_errors(writer, errors)


def remove(plan: Plan, folder: Path) -> None:
    """Remove the chunks of a finished table, and their folder if nothing else is in it."""
    for chunk in range(len(plan)):
        plan.path(folder, chunk).unlink(missing_ok=True)
    # Another worker may have removed it already; files of the user are kept.
    with suppress(OSError):
        remove_leftovers(folder)
        shutil.rmtree(folder / SESSION, ignore_errors=True)
        folder.rmdir()
