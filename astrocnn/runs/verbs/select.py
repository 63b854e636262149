"""``astrocnn select``: divide a catalogue into selected and rejected rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from astropy.table import Table as AstropyTable
from rich.table import Table

from astrocnn.catalog import read_catalog
from astrocnn.errors import ConfigError
from astrocnn.plugins import nearest_file
from astrocnn.prediction.selection import select_objects, write_selected
from astrocnn.terminal import build_table

__all__ = ["run"]

MOST = 15
"""Maximum number of rejection reasons (or combinations) reported separately."""


def run(predictions: Path, *, catalog: Path, out: Path) -> Iterator[Table | str]:
    """Divide a catalogue by the column ``selected`` of its predictions.

    Raises
    ------
    ConfigError
        If a table does not exist, or one of them would be replaced.
    PredictionError
        If the predictions have no selection, or are not of the catalogue's objects.
    """
    for path in (predictions, catalog):
        if not path.is_file():
            hint = nearest_file(path) or "'astrocnn predict' writes a table of predictions"
            raise ConfigError("The table does not exist.", received=str(path), hint=hint)
        if out.exists() and out.samefile(path):
            raise ConfigError("A table that is read would be replaced.", received=str(out))
    made = select_objects(read_catalog(catalog), AstropyTable.read(predictions, hdu="PREDICTIONS"))
    kept, rejected = write_selected(made, out)
    yield f"{len(made.selected)} selected: {kept}"
    yield f"{len(made.rejected)} rejected: {rejected}"
    if made.counts:
        table = build_table("Rejected for", ["reason", "rows"], left=["reason"])
        first, others = list(made.counts.items())[:MOST], list(made.counts.values())[MOST:]
        for reason, count in first:
            table.add_row(reason, str(count))
        if others:
            table.add_row(f"{len(others)} rarer combinations", str(sum(others)))
        yield table
