"""A table of predictions in memory, with its flags in words and its densities on demand."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray

from astrocnn.catalog.columns import convert_table
from astrocnn.errors import PredictionError
from astrocnn.fits_file import open_fits
from astrocnn.flags import Flag, describe
from astrocnn.prediction.parquet_writer import CARDS
from astrocnn.prediction.pdf import read_pdf
from astrocnn.stored_files import Stored, parse_json, read_json

__all__ = [
    "MANIFEST",
    "PartitionManifest",
    "PartitionedPredictions",
    "Predictions",
    "parse_cards",
    "read_partitions",
    "read_predictions",
]

MANIFEST = "_predictions.json"
"""File of a complete data set in partitions; readers of Parquet skip names that begin so."""


@dataclass(frozen=True, eq=False, repr=False)
class Predictions:
    """What `predict` wrote.

    Attributes
    ----------
    path : Path
        The file.
    table : Table of n rows
        Identifier, position, ``flags`` and the predicted columns, with units and descriptions;
        the cards of the primary header are its ``meta``.
    """

    path: Path
    table: Table

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        predicted = int(np.sum((np.asarray(self.table["flags"]) & int(Flag.NOT_PREDICTED)) == 0))
        names = ", ".join(self.table.colnames)
        return f"<Predictions of {predicted} of {len(self)} objects in {self.path}: {names}>"

    def flags(self, row: int) -> list[str]:
        """Sentences of the flags of one row; empty for none."""
        return describe(int(self.table["flags"][row]))

    def count_flags(self) -> dict[str, int]:
        """Number of rows by flag, for the flags that occur."""
        mask = np.asarray(self.table["flags"])
        counts = {flag.sentence: int(np.count_nonzero(mask & int(flag))) for flag in Flag}
        return {sentence: n for sentence, n in counts.items() if n}

    def pdf(
        self, target: str | None = None, rows: slice = slice(None)
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Centers of the bins, and densities of shape (n, n_bins), in the order of the file.

        `target` and `rows` are as for `read_pdf`.

        Raises
        ------
        PredictionError
            If the table has no densities, or those of several targets and none is named.
        """
        _, grid, density = read_pdf(self.path, target, rows)
        return grid, density


class PartitionedPredictions(Sequence[Predictions]):
    """Predictions in partitions; each is read when it is asked for.

    Parameters
    ----------
    path : Path
        The folder.
    manifest : PartitionManifest
        What it holds.

    Attributes
    ----------
    path : Path
        The folder.
    files : tuple of Path
        The partitions, in order.
    rows : int
        Of all partitions.
    """

    def __init__(self, path: Path, manifest: PartitionManifest) -> None:
        self.path, self.rows = path, manifest.rows
        files = (path / name for name in manifest.files)
        # A partition of the catalogue without rows has none here.
        self.files = tuple(file for file in files if file.is_file())

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        return f"<Predictions of {self.rows} objects in {len(self)} partitions in {self.path}>"

    @overload
    def __getitem__(self, number: int) -> Predictions: ...
    @overload
    def __getitem__(self, number: slice) -> list[Predictions]: ...
    def __getitem__(self, number: int | slice) -> Predictions | list[Predictions]:
        if isinstance(number, slice):
            return [_read_parquet(file) for file in self.files[number]]
        return _read_parquet(self.files[number])


class PartitionManifest(Stored):
    """The file of a complete data set.

    Attributes
    ----------
    rows : int
        Of all partitions.
    files : tuple of str
        Partitions in order, by their paths in the folder.
    """

    rows: int
    files: tuple[str, ...]


def read_partitions(path: str | os.PathLike[str]) -> PartitionedPredictions:
    """Open a folder of predictions in partitions.

    Parameters
    ----------
    path : path-like
        Folder that `predict_partitions` or ``predict --out DIR`` wrote.

    Raises
    ------
    PredictionError
        If the folder is not a complete data set of predictions.

    Examples
    --------
    >>> for part in read_partitions("predictions"):  # doctest: +SKIP
    ...     part.table["z_mean"].mean()
    """
    manifest = Path(path, MANIFEST)
    hint = "give the command again that writes it, until it ends"
    content: PartitionManifest = read_json(manifest, PartitionManifest, PredictionError, hint)
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in content.files):
        raise PredictionError(f"'{manifest}' names files outside of its folder.")
    return PartitionedPredictions(Path(path), content)


def _read_parquet(path: Path) -> Predictions:
    """Read a table of predictions that was written as Parquet."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            cards = parse_cards(file.schema_arrow, path)
            names = [n for n in file.schema_arrow.names if n.split("_")[0] != "PDF"]
            content = file.read(columns=names)
    except (pa.ArrowException, OSError) as error:
        raise PredictionError(f"'{path}' cannot be read.", received=str(error)[:300]) from error
    table = convert_table(content)
    for name in table.colnames:
        about = {k.decode(): v.decode() for k, v in (content.field(name).metadata or {}).items()}
        table[name].unit = about.get("unit")
        table[name].description = about.get("description")
        if "ucd" in about:
            table[name].meta["ucd"] = about["ucd"]
    table.meta = cards
    return Predictions(path, table)


def parse_cards(schema: Any, path: Path) -> dict[str, Any]:
    """Cards of the primary header in the metadata of a Parquet file.

    Raises
    ------
    PredictionError
        If the file is no table of predictions.
    """
    content = (schema.metadata or {}).get(CARDS.encode())
    if content is None:
        raise PredictionError(f"'{path}' is not a table of predictions.", received=schema.names)
    cards: dict[str, Any] = parse_json(content, dict[str, Any], f"'{path}'", PredictionError)
    return cards


def read_predictions(path: str | os.PathLike[str]) -> Predictions:
    """Read a table of predictions.

    Parameters
    ----------
    path : path-like
        What `predict` wrote, FITS or Parquet; for a folder see `read_partitions`.

    Raises
    ------
    PredictionError
        If the file cannot be read, or is not a table of predictions.

    Examples
    --------
    >>> predictions = read_predictions("predictions.fits")  # doctest: +SKIP
    >>> predictions.table["z_mean"].mean(), predictions.flags(0)  # doctest: +SKIP
    >>> grid, density = predictions.pdf()  # doctest: +SKIP
    """
    path = Path(path)
    if path.suffix == ".parquet":
        return _read_parquet(path)
    with open_fits(path, error=PredictionError) as hdus:
        cards: dict[str, Any] = {c.keyword: c.value for c in hdus[0].header.cards if c.keyword}
        names = [hdu.name for hdu in hdus]
        if "PREDICTIONS" not in names or "FPRINT" not in cards:
            raise PredictionError(f"'{path}' is not a table of predictions.", received=names)
        hdu = hdus["PREDICTIONS"]
        # A copy, since the file is closed at the end of this block.
        table = Table.read(fits.BinTableHDU(hdu.data, hdu.header))
        for number, column in enumerate(table.columns.values(), 1):
            # astropy does not read descriptions from TCOMM.
            column.description = hdu.header.get(f"TCOMM{number}")
    table.meta = cards
    return Predictions(path, table)
