"""Division of a catalogue into selected objects, and rejected ones with the reason."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from astrocnn.catalog import Catalog
from astrocnn.column import Column, fits_name
from astrocnn.errors import PredictionError
from astrocnn.flags import UNUSABLE, Flag
from astrocnn.prediction.table_writer import TableWriter

__all__ = ["SelectedCatalog", "select_objects", "write_selected"]

_COLUMNS = ("selected", "rejected_for", "flags")
# What can keep a row from being predicted; other flags are no reasons.
_NO_PREDICTION = UNUSABLE | Flag.BAND_MISSING


@dataclass(frozen=True, eq=False)
class SelectedCatalog:
    """A catalogue divided into selected and rejected rows.

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
        """Number of rejected rows per reason, the most frequent first."""
        reasons, counts = np.unique(np.asarray(self.rejected["reason"], str), return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return {str(reasons[i]): int(counts[i]) for i in order}


def select_objects(catalog: Catalog, predictions: Table) -> SelectedCatalog:
    """Divide a catalogue by the column ``selected`` of its predictions.

    Parameters
    ----------
    catalog : Catalog
        The objects.
    predictions : Table
        The table ``PREDICTIONS``, with a row for each object; rows are matched by identifier.

    Returns
    -------
    SelectedCatalog
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
    >>> divided = select_objects(catalog, predictions)
    >>> divided.selected["mag"].tolist(), divided.rejected["reason"].tolist()
    ([22.0], ['ghost', 'not predicted: no coverage'])
    """
    missing = [name for name in _COLUMNS if name not in predictions.colnames]
    if missing:
        raise PredictionError(
            "The predictions hold no selection.",
            received=f"no column {', '.join(map(repr, missing))}",
            hint="set selection.completeness or selection.purity in the run file, calibrate the "
            "run and predict again",
        )
    # By identifier, because tables are sorted and joined with others in between.
    matched = _match_rows(catalog, predictions)
    # A verdict that another program left empty is none.
    verdict = np.ma.filled(np.ma.asarray(predictions["selected"]), -1)[matched]
    flags = np.ma.filled(np.ma.asarray(predictions["flags"]), 0)[matched]
    reason_texts = np.asarray(np.ma.filled(np.ma.asarray(predictions["rejected_for"]), ""))[matched]
    reason_texts = (
        np.char.decode(reason_texts, "ascii")
        # Text that was read from FITS is bytes.
        if reason_texts.dtype.kind == "S"
        else reason_texts.astype(str)
    )
    keep = verdict == 1
    rejected = Table({name: column[~keep] for name, column, _ in catalog.role_columns()})
    # An integer, because a logical column of FITS has no third state.
    rejected["selected"] = verdict[~keep].astype(np.int16)
    rejected["selected"].description = "0: rejected, -1: not predicted"
    reasons = [
        _describe_reason(*row)
        for row in zip(verdict[~keep], reason_texts[~keep], flags[~keep], strict=True)
    ]
    rejected["reason"] = np.array(reasons, dtype=str) if reasons else np.zeros(0, "U1")
    rejected["flags"] = flags[~keep].astype(np.int32)
    rejected["flags"].description = "bit mask of the prediction"
    return SelectedCatalog(catalog.table[keep], rejected)


def write_selected(
    divided: SelectedCatalog,
    out: str | os.PathLike[str],
    rejected: str | os.PathLike[str] | None = None,
    cards: Sequence[tuple[str, Any, str]] = (),
) -> tuple[Path, Path]:
    """Write both tables as FITS, each atomically.

    Parameters
    ----------
    divided : SelectedCatalog
        What is written.
    out : path
        The selected objects, in the extension ``CATALOG``.
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
    for path, table, name in (
        # The selection is written last: where it exists, the rejected objects do as well.
        (other, divided.rejected, "REJECTED"),
        (out, divided.selected, "CATALOG"),
    ):
        columns = {key: table[key] for key in table.colnames}
        layout = [Column.like(key, column) for key, column in columns.items()]
        with TableWriter(path, layout, len(table), cards, name=name) as writer:
            writer.put(np.arange(len(table)), columns)
    return out, other


def _match_rows(catalog: Catalog, predictions: Table) -> np.ndarray:
    """Find the row of the predictions for each row of the catalogue."""
    name = fits_name(catalog.roles.id)
    # Tables hold escapes in place of what is not ASCII, so escapes are compared.
    expected = _escape(catalog.ids)
    available = _escape(Catalog.from_table(predictions, id=_validate_column(name, predictions)).ids)
    if len(expected) == len(available) and expected.dtype.kind == available.dtype.kind:
        # Nearly always the order is the same, and nothing needs to be sorted.
        if np.array_equal(expected, available):
            return np.arange(len(expected))
        order = np.argsort(available, kind="stable")
        # An identifier beyond the last one is compared with the last, and differs.
        place = np.minimum(np.searchsorted(available, expected, sorter=order), len(available) - 1)
        rows = order[place]
        if np.array_equal(available[rows], expected):
            return np.asarray(rows)
    unknown = int((~np.isin(expected, available)).sum())
    raise PredictionError(
        "The predictions are not of the objects of this catalogue.",
        received=f"{len(available)} predictions; {unknown} of {len(expected)} objects have none",
        allowed="one prediction for each object",
        hint="the catalogue that was predicted",
    )


def _validate_column(name: str, predictions: Table) -> str:
    if name not in predictions.colnames:
        raise PredictionError(
            f"The predictions have no column '{name}', the identifier of the catalogue.",
            allowed=predictions.colnames,
        )
    return name


def _escape(ids: np.ndarray) -> np.ndarray:
    """Escape identifiers as in a table of predictions."""
    if ids.dtype.kind != "U":
        return ids
    return np.char.decode(Column.like("id", ids).encode(ids, len(ids)), "ascii")


def _describe_reason(verdict: int, reason: str, flags: int) -> str:
    if verdict == 0:
        return reason
    bits = [f for f in Flag if f & _NO_PREDICTION & int(flags)]
    names = ", ".join(str(f.name).lower().replace("_", " ") for f in bits)
    return f"not predicted: {names}" if names else "not predicted"
