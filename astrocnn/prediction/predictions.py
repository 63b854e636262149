"""Predictions on disk, of any form: read as a whole, or some rows and columns at a time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.table import Table, vstack
from numpy.typing import NDArray

from astrocnn.catalog.fits_table import read_fits_table
from astrocnn.catalog.parquet_table import read_parquet_columns, read_parquet_table
from astrocnn.display import Displayed
from astrocnn.errors import CatalogError, PredictionError
from astrocnn.fits_file import open_fits
from astrocnn.flags import Flag, describe
from astrocnn.plugins import nearest
from astrocnn.prediction.parquet_writer import CARDS
from astrocnn.prediction.pdf import read_pdf
from astrocnn.stored_files import Stored, parse_json, read_json

__all__ = [
    "MANIFEST",
    "PartitionManifest",
    "Predictions",
    "parse_cards",
    "read_predictions",
]

MANIFEST = "_predictions.json"
"""File of a complete data set in partitions; readers of Parquet skip names that begin so."""

_TABLE = "PREDICTIONS"
_BLOCK = 1 << 18
_DENSITY = "PDF"


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


class Predictions(Displayed):
    """What `predict` wrote; nothing but headers is read before it is asked for.

    Parameters
    ----------
    path : Path
        The file or folder.
    files : sequence of Path
        The files in it, one at least.

    Attributes
    ----------
    path : Path
    cards : dict of str to object
        Cards of the primary header; of a folder, those of the first partition.
    colnames : list of str
        Columns, but densities.
    partitions : list of Predictions
        One for each file; of a single file itself.
    """

    def __init__(self, path: Path, files: Sequence[Path]) -> None:
        self.path, self.files = path, tuple(files)
        self.cards, self.colnames = _read_about(self.files[0])

    @cached_property
    def _lengths(self) -> list[int]:
        return [_count_rows(file) for file in self.files]

    def __len__(self) -> int:
        return sum(self._lengths)

    def _facts(self) -> dict[str, object]:
        where = f"{len(self.files)} files of {self.path}" if len(self.files) > 1 else self.path
        return {"objects": len(self), "columns": self.colnames, "file": where}

    @property
    def partitions(self) -> list[Predictions]:
        """Predictions by file."""
        if len(self.files) == 1:
            return [self]
        return [Predictions(file, [file]) for file in self.files]

    @cached_property
    def table(self) -> Table:
        """All rows, with units and descriptions; `cards` are its ``meta``."""
        return self.read()

    def read(self, columns: Sequence[str] | None = None, rows: slice = slice(None)) -> Table:
        """Read some columns of some rows.

        Parameters
        ----------
        columns : sequence of str, optional
            All by default.
        rows : slice
            Without a step; only the files and row groups that hold them are read.

        Raises
        ------
        PredictionError
            If there is no such column, or a file is damaged.
        """
        unknown = [name for name in columns or () if name not in self.colnames]
        if unknown:
            raise PredictionError(
                f"'{self.path}' has no column '{unknown[0]}'.",
                allowed=self.colnames,
                hint=nearest(unknown[0], self.colnames),
            )
        names = list(self.colnames if columns is None else columns)
        parts = [_read_rows(file, names, inner) for file, inner in self._locate(rows)]
        table = parts[0] if len(parts) == 1 else vstack(parts, metadata_conflicts="silent")
        table.meta = dict(self.cards)
        return table

    def _locate(self, rows: slice) -> list[tuple[Path, slice]]:
        """Files that hold some rows, and their rows of these; one file at least."""
        first, last, _ = rows.indices(len(self))
        found, start = [], 0
        for file, length in zip(self.files, self._lengths, strict=True):
            inner = slice(max(first - start, 0), min(last - start, length))
            if inner.start < inner.stop:
                found.append((file, inner))
            start += length
        return found or [(self.files[0], slice(0, 0))]

    def flags(self, row: int) -> list[str]:
        """Sentences of the flags of one row; empty for none."""
        return describe(int(self.read(["flags"], slice(row, row + 1))["flags"][0]))

    def count_flags(self) -> dict[str, int]:
        """Number of rows by flag, for the flags that occur."""
        counts: Counter[str] = Counter()
        for start in range(0, len(self), _BLOCK):
            mask = np.asarray(self.read(["flags"], slice(start, start + _BLOCK))["flags"])
            for flag in Flag:
                counts[flag.sentence] += int(np.count_nonzero(mask & int(flag)))
        return {sentence: n for sentence, n in counts.items() if n}

    def pdf(
        self, target: str | None = None, rows: slice = slice(None)
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Centers of the bins, and densities of shape (n, n_bins), in the order of the rows.

        `target` and `rows` are as for `read_pdf`.

        Raises
        ------
        PredictionError
            If there are no densities, or those of several targets and none is named.
        """
        parts = [_read_densities(file, target, inner) for file, inner in self._locate(rows)]
        return parts[0][0], np.concatenate([density for _, density in parts])


def read_predictions(path: str | os.PathLike[str]) -> Predictions:
    """Open predictions of any form.

    Parameters
    ----------
    path : path-like
        What `predict` wrote: a FITS table, a Parquet file, or a folder of partitions, HATS too.

    Raises
    ------
    PredictionError
        If it cannot be read, or is not a table, or a complete folder, of predictions.

    Examples
    --------
    >>> predictions = read_predictions("predictions.fits")  # doctest: +SKIP
    >>> predictions.table["z_mean"].mean(), predictions.flags(0)  # doctest: +SKIP
    >>> grid, density = predictions.pdf(rows=slice(0, 1000))  # doctest: +SKIP
    >>> for part in read_predictions("predictions").partitions:  # doctest: +SKIP
    ...     part.read(["z_mean"])["z_mean"].mean()
    """
    path = Path(path)
    if not path.is_dir():
        return Predictions(path, [path])
    manifest = path / MANIFEST
    hint = "give the command again that writes it, until it ends"
    content: PartitionManifest = read_json(manifest, PartitionManifest, PredictionError, hint)
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in content.files):
        raise PredictionError(f"'{manifest}' names files outside of its folder.")
    if not content.files:
        raise PredictionError(f"'{manifest}' names no files.", hint=hint)
    return Predictions(path, [path / name for name in content.files])


def _is_parquet(path: Path) -> bool:
    return path.suffix == ".parquet"


def _read_about(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Cards of the primary header, and names of the columns."""
    if _is_parquet(path):
        schema = _read_schema(path)
        cards = parse_cards(schema, path)
        return cards, [name for name in schema.names if name.split("_")[0] != _DENSITY]
    with open_fits(path, error=PredictionError) as hdus:
        cards = {c.keyword: c.value for c in hdus[0].header.cards if c.keyword}
        names = [hdu.name for hdu in hdus]
        if _TABLE not in names or "FPRINT" not in cards:
            raise PredictionError(f"'{path}' is not a table of predictions.", received=names)
        return cards, list(hdus[_TABLE].columns.names)


def _count_rows(path: Path) -> int:
    if _is_parquet(path):
        with _damage_refused(path), pq.ParquetFile(path) as file:
            return int(file.metadata.num_rows)
    with open_fits(path, error=PredictionError) as hdus:
        return int(hdus[_TABLE].header["NAXIS2"])


def _read_rows(path: Path, names: list[str], rows: slice) -> Table:
    """Some columns of some rows of one file."""

    def choose(_: Sequence[str]) -> list[str]:
        return names

    with _damage_refused(path):
        if not _is_parquet(path):
            table = read_fits_table(path, _TABLE, choose, rows)
            return table[names]
        table = read_parquet_table(path, choose, rows)
        schema = _read_schema(path)
    for name in names:
        metadata = schema.field(name).metadata or {}
        about = {key.decode(): value.decode() for key, value in metadata.items()}
        table[name].unit = about.get("unit")
        table[name].description = about.get("description")
        if "ucd" in about:
            table[name].meta["ucd"] = about["ucd"]
    return table


def _read_densities(
    path: Path, target: str | None, rows: slice
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centers of the bins, and densities of some rows."""
    if not _is_parquet(path):
        _, grid, density = read_pdf(path, target, rows)
        return grid, density
    schema = _read_schema(path)
    known = {n: schema.field(n) for n in schema.names if n.split("_")[0] == _DENSITY}
    name = _DENSITY if target is None or list(known) == [_DENSITY] else f"PDF_{target.upper()}"
    if name not in known:
        raise PredictionError(
            f"'{path}' holds no predictive densities of one target of this name.",
            received=target,
            allowed=list(known),
            hint="predict again with pdf='float32', 'int16' or 'quantiles'" if not known else None,
        )
    centers = (known[name].metadata or {}).get(b"centers", b"[]")
    grid = np.array(parse_json(centers, list[float], f"'{path}'", PredictionError))
    with _damage_refused(path):
        lists = read_parquet_columns(path, [name], rows).column(0)
    # A row without a prediction has no list.
    known = ~lists.is_null().to_numpy()
    density = np.full((len(lists), len(grid)), np.nan)
    density[known] = pc.list_flatten(lists).to_numpy().reshape(-1, len(grid))
    return grid, density


def _read_schema(path: Path) -> pa.Schema:
    with _damage_refused(path), pq.ParquetFile(path) as file:
        return file.schema_arrow


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


@contextmanager
def _damage_refused(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, CatalogError) as error:
        raise PredictionError(f"'{path}' cannot be read.", received=str(error)[:300]) from error
