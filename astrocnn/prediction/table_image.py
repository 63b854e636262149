"""One image extension of a table of predictions: its declaration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["TableImage"]


@dataclass(frozen=True)
class TableImage:
    """An image extension with one row for each row of the table, such as a PDF.

    Parameters
    ----------
    name : str
        EXTNAME, and the name under which `TableWriter.put` takes its values.
    shape : tuple of int
        Shape of the values of one row.
    dtype : str
        ``float32``, ``float64``, ``int16``, ``int32`` or ``int64``.
    unit : str
        FITS unit (BUNIT).
    description : str
        One sentence, written as a comment.
    scale : float, optional
        BSCALE of integers: the value is the integer times this.
    blank : int, optional
        BLANK of integers: the one that stands for a missing value.
    cards : tuple of (keyword, value, comment)
        Further cards of its header.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    unit: str = ""
    description: str = ""
    scale: float | None = None
    blank: int | None = None
    cards: tuple[tuple[str, Any, str], ...] = ()
