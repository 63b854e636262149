"""Who computes what: a catalogue divided into parts, the same on every machine.

A plan is a pure function of the catalogue, the images, the model and the way of drawing.  Its
fingerprint names it; a part that carries another one belongs to another prediction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from astrocnn.errors import PredictionError

__all__ = ["Plan", "digest", "parse_worker"]

_PART_BYTES = 64 * 1024**2
_ROWS_AT_MOST = 4096
_ROWS_AT_LEAST = 64


@dataclass(frozen=True)
class Plan:
    """The division of a catalogue into parts.

    Attributes
    ----------
    order : ndarray of int64, shape (n_rows,)
        Catalogue rows in the order of work: each image file is visited once.
    rows_per_part : int
        Number of rows in every part but the last.
    fingerprint : str
        SHA-256 over everything that the predicted numbers depend on.
    """

    order: np.ndarray
    rows_per_part: int
    fingerprint: str

    @classmethod
    def make(cls, order: np.ndarray, bytes_per_row: int, facts: Mapping[str, object]) -> Plan:
        """Divide `order` so that the images of one part take about 64 MiB.

        Parameters
        ----------
        order : ndarray of int64, shape (n_rows,)
            A permutation of the catalogue's rows.
        bytes_per_row : int
            Size of one object's image [bytes].
        facts : mapping
            JSON-able things the prediction depends on: digests of weights, inputs, catalogue...
        """
        rows = int(np.clip(_PART_BYTES // max(bytes_per_row, 1), _ROWS_AT_LEAST, _ROWS_AT_MOST))
        order = np.ascontiguousarray(order, dtype=np.int64)
        text = json.dumps({**facts, "rows_per_part": rows}, sort_keys=True)
        total = hashlib.sha256(text.encode())
        total.update(order.data)
        return cls(order, rows, total.hexdigest())

    def __len__(self) -> int:
        return -(-len(self.order) // self.rows_per_part)

    def rows(self, part: int) -> np.ndarray:
        """Catalogue rows of one part, in the order of work."""
        start = part * self.rows_per_part
        return self.order[start : start + self.rows_per_part]

    def path(self, folder: Path, part: int) -> Path:
        """Name of one part's file."""
        return folder / f"part-{part:06d}.fits"


def digest(*arrays: np.ndarray) -> str:
    """SHA-256 over the contents and types of arrays."""
    total = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(array.view(np.uint8).data if array.size else b"")
    return total.hexdigest()


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
    # isdecimal: superscripts and other digits that int() refuses are no numbers here.
    numbers = head.strip().isdecimal() and tail.strip().isdecimal()
    if not numbers or not 1 <= int(head) <= int(tail):
        raise PredictionError(
            "A worker is written i/n, with i from 1 to n.", received=text, hint="--worker 1/8"
        )
    return int(head), int(tail)
