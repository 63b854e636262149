"""The cleaned catalogue: selected objects with all their columns, the others with the reason."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from astrocnn.catalog import Catalog
from astrocnn.column import Column, ascii_text, fits_name
from astrocnn.errors import PredictionError
from astrocnn.flags import UNUSABLE, Flag
from astrocnn.prediction.table import TableWriter

__all__ = ["Cleaned", "cleaned", "write_cleaned"]

_COLUMNS = ("selected", "rejected_for", "flags")
_NO_PREDICTION = UNUSABLE | Flag.BAND_MISSING


@dataclass(frozen=True, eq=False)
class Cleaned:
    """A catalogue divided in two.

    Parameters
    ----------
    selected : Table
        Rows of the catalogue that are selected, with all its columns, in its order.
    rejected : Table
        Identifier and position of all other rows, with ``selected`` (0, or -1 without a
        prediction), ``reason`` and ``flags``.
    """

    selected: Table
    rejected: Table

    @property
    def counts(self) -> dict[str, int]:
        """How many rows were rejected for each reason, the commonest first."""
        reasons, counts = np.unique(np.asarray(self.rejected["reason"], str), return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return {str(reasons[i]): int(counts[i]) for i in order}


def cleaned(catalog: Catalog, predictions: Table) -> Cleaned:
    """Divide a catalogue by the column ``selected`` of its predictions.

    Parameters
    ----------
    catalog : Catalog
        The objects.
    predictions : Table
        The table ``PREDICTIONS``, with a row for each object; rows are matched by identifier.

    Returns
    -------
    Cleaned
        Every row of the catalogue is in just one of its two tables.

    Raises
    ------
    PredictionError
        If the predictions have no selection, or are not of the objects of the catalogue.

    Examples
    --------
    >>> catalog = Catalog.from_table({"id": [7, 8, 9], "mag": [20.0, 21.0, 22.0]})
    >>> predictions = Table({"id": [9, 8, 7], "selected": [1, -1, 0], "flags": [0, 2050, 0],
    ...                      "rejected_for": ["", "", "ghost"]})
    >>> made = cleaned(catalog, predictions)
    >>> made.selected["mag"].tolist(), made.rejected["reason"].tolist()
    ([22.0], ['ghost', 'not predicted: no coverage'])
    """
    absent = [name for name in _COLUMNS if name not in predictions.colnames]
    if absent:
        raise PredictionError(
            "The predictions say of no object whether it is selected.",
            received=f"no column {', '.join(map(repr, absent))}",
            hint="fit a selection to the model and predict again",
        )
    rows = _matched(catalog, predictions)
    verdict = np.ma.filled(np.ma.asarray(predictions["selected"]), -1)[rows]
    flags = np.ma.filled(np.ma.asarray(predictions["flags"]), 0)[rows]
    why = np.asarray(np.ma.filled(np.ma.asarray(predictions["rejected_for"]), ""))[rows]
    why = np.char.decode(why, "ascii") if why.dtype.kind == "S" else why.astype(str)
    keep = verdict == 1
    rejected = Table({name: column[~keep] for name, column, _ in catalog.role_columns()})
    rejected["selected"] = verdict[~keep].astype(np.int16)
    rejected["selected"].description = "0: rejected, -1: not predicted"
    reasons = [_reason(*row) for row in zip(verdict[~keep], why[~keep], flags[~keep], strict=True)]
    rejected["reason"] = np.array(reasons, dtype=str) if reasons else np.zeros(0, "U1")
    rejected["flags"] = flags[~keep].astype(np.int32)
    rejected["flags"].description = "bit mask of the prediction"
    return Cleaned(catalog.table[keep], rejected)


def write_cleaned(
    made: Cleaned,
    out: str | os.PathLike[str],
    rejected: str | os.PathLike[str] | None = None,
    cards: Sequence[tuple[str, Any, str]] = (),
) -> tuple[Path, Path]:
    """Write both tables as FITS, each whole or not at all.

    Parameters
    ----------
    made : Cleaned
        What is written.
    out : path
        The cleaned catalogue, in the extension ``CATALOG``.
    rejected : path, optional
        The rejected objects, in the extension ``REJECTED``; ``<out>-rejected.fits`` beside the
        catalogue when left out.
    cards : sequence of (keyword, value, comment)
        Provenance for both primary headers.

    Returns
    -------
    tuple of Path
        Both files.

    Raises
    ------
    PredictionError
        If a column cannot be stored in FITS.
    """
    out = Path(out)
    other = out.with_name(f"{out.stem}-rejected.fits") if rejected is None else Path(rejected)
    for path, table, name in ((other, made.rejected, "REJECTED"), (out, made.selected, "CATALOG")):
        columns = {key: table[key] for key in table.colnames}
        layout = [Column.like(key, column) for key, column in columns.items()]
        with TableWriter(path, layout, len(table), cards, name=name) as writer:
            writer.put(np.arange(len(table)), columns)
    return out, other


def _matched(catalog: Catalog, predictions: Table) -> np.ndarray:
    """The row of the predictions for each row of the catalogue."""
    name = fits_name(catalog.roles.id)
    wanted = _as_stored(catalog.ids)
    given = _as_stored(Catalog.from_table(predictions, id=_named(name, predictions)).ids)
    if len(wanted) == len(given) and wanted.dtype.kind == given.dtype.kind:
        if np.array_equal(wanted, given):
            return np.arange(len(wanted))
        order = np.argsort(given, kind="stable")
        place = np.minimum(np.searchsorted(given, wanted, sorter=order), len(given) - 1)
        rows = order[place]
        if np.array_equal(given[rows], wanted):
            return np.asarray(rows)
    strangers = int((~np.isin(wanted, given)).sum())
    raise PredictionError(
        "The predictions are not of the objects of this catalogue.",
        received=f"{len(given)} predictions; {strangers} of {len(wanted)} objects have none",
        allowed="one prediction for each object",
        hint="the catalogue that was predicted",
    )


def _named(name: str, predictions: Table) -> str:
    if name not in predictions.colnames:
        raise PredictionError(
            f"The predictions have no column '{name}', the identifier of the catalogue.",
            allowed=predictions.colnames,
        )
    return name


def _as_stored(ids: np.ndarray) -> np.ndarray:
    """Identifiers as a table of predictions spells them."""
    return np.char.decode(ascii_text(ids), "ascii") if ids.dtype.kind == "U" else ids


def _reason(verdict: int, why: str, flags: int) -> str:
    if verdict == 0:
        return why
    bits = [f for f in Flag if f & _NO_PREDICTION & int(flags)]
    names = ", ".join(str(f.name).lower().replace("_", " ") for f in bits)
    return f"not predicted: {names}" if names else "not predicted"
