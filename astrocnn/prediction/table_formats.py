"""The FITS table as CSV, Parquet and a qp ensemble, block by block.

References
----------
qp: Malz, Marshall et al. 2018 (AJ 156, 35); https://qp.readthedocs.io
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table
from pyarrow import csv

from astrocnn.atomic import replacing
from astrocnn.catalog.fits_table import read_blocks
from astrocnn.errors import PredictionError
from astrocnn.fits_file import open_fits
from astrocnn.prediction.fits_headers import ESCAPED
from astrocnn.prediction.parquet_writer import CARDS, GROUP_ROWS, build_lists
from astrocnn.prediction.pdf import describe_centers, open_densities, select_densities

__all__ = ["read_text_blocks", "to_csv", "to_parquet", "to_qp"]

# Fewer rows, because each has hundreds of bins in double precision.
QP_ROWS = 16384
SUFFIXES = (".hdf5", ".h5")
_OF_FITS = {"SIMPLE", "BITPIX", "NAXIS", "EXTEND", "NEXTEND", "CHECKSUM", "DATASUM", "LONGSTRN", ""}


def to_csv(
    table: str | os.PathLike[str], out: str | os.PathLike[str], *, hdu: str = "PREDICTIONS"
) -> Path:
    """Write a FITS table as CSV.

    Integers are exact, floats are the shortest text that reads back the same, a missing value is
    an empty field, and a vector column becomes one column per element.

    Parameters
    ----------
    table, out : path
        FITS file to read, CSV file to write.
    hdu : str
        The extension.

    Returns
    -------
    Path
        `out`.
    """
    with replacing(out) as temporary, temporary.open("wb") as stream:
        writer = None
        for block in read_text_blocks(table, hdu, GROUP_ROWS):
            batch = pa.table(dict(_flat_columns(block)))
            # The types of the columns are known only with the first block.
            writer = writer or csv.CSVWriter(stream, batch.schema)
            writer.write_table(batch)
        if writer is not None:
            writer.close()
    return Path(out)


def to_parquet(
    table: str | os.PathLike[str], out: str | os.PathLike[str], *, hdu: str = "PREDICTIONS"
) -> Path:
    """Write a FITS table as Parquet.

    Integers and their missing values are exact, vector columns become lists of fixed length,
    units, UCDs and descriptions go into the metadata of the fields, the cards of the primary header
    as JSON into that of the file, under ``astrocnn``.  Pages have checksums.  Predictive densities
    become a list column ``PDF`` (of several targets: ``PDF_<TARGET>``) of single precision, whose
    metadata hold the centers of the bins as JSON; without a prediction the list is missing.

    Parameters
    ----------
    table, out : path
        FITS file to read, Parquet file to write.
    hdu : str
        The extension.

    Returns
    -------
    Path
        `out`.
    """
    cards, ucds = _read_about(table, hdu)
    with replacing(out) as temporary, open_densities(table) as stored:
        # Densities have the rows of PREDICTIONS, and not those of another extension.
        densities = {d.name: d for d in stored.values()} if hdu == "PREDICTIONS" else {}
        writer, start = None, 0
        for block in read_text_blocks(table, hdu, GROUP_ROWS):
            names = [*block.colnames, *densities]
            arrays = [_arrow(block[name]) for name in block.colnames]
            rows = slice(start, start + len(block))
            arrays += [build_lists(d.read(rows).astype(np.float32)) for d in densities.values()]
            if writer is None:
                about = [_about(block[name], ucds.get(name)) for name in block.colnames]
                about += [describe_centers(d.edges) for d in densities.values()]
                fields = [
                    pa.field(name, array.type, metadata=metadata)
                    for name, array, metadata in zip(names, arrays, about, strict=True)
                ]
                schema = pa.schema(fields, {CARDS: json.dumps(cards)})
                writer = pq.ParquetWriter(temporary, schema, write_page_checksum=True)
            # All blocks have the types of the first: a file has one schema.
            writer.write_table(pa.Table.from_arrays(arrays, schema=writer.schema))
            start = rows.stop
        if writer is not None:
            writer.close()
    return Path(out)


def to_qp(
    table: str | os.PathLike[str], out: str | os.PathLike[str], *, target: str | None = None
) -> Path:
    """Write the predictive densities of a table as an ensemble file that ``qp.read`` opens.

    The densities are histograms (``qp.hist``) on the bins of the prediction, in the order of the
    table and as many; an object without a prediction has a density of NaN, which qp says in a
    warning when it reads the file. All columns of the table go with them as ancillary data:
    integers are exact 64-bit integers, text is kept as bytes that qp decodes.

    Parameters
    ----------
    table : path-like
        What `predict` wrote with ``pdf`` other than "none".
    out : path-like
        File to write, ``.hdf5`` or ``.h5``.
    target : str, optional
        Which quantity, where the table has several.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    PredictionError
        If qp is not installed, the table has no densities, or `out` is no HDF5 file.
    """
    out = Path(out)
    if out.suffix not in SUFFIXES:
        raise PredictionError(
            "An ensemble of qp is an HDF5 file.", received=str(out), allowed=list(SUFFIXES)
        )
    try:
        import qp
    except ImportError as error:
        raise PredictionError(
            "Ensembles are written with qp, which is not installed.",
            hint="pip install 'astrocnn[photoz]'",
        ) from error
    with replacing(out) as temporary, open_densities(table) as stored:
        densities = select_densities(stored, target, table)
        n, start = len(densities), 0
        if n == 0:
            raise PredictionError(f"'{table}' has no rows, and qp knows no empty ensemble.")
        # HDF5 locks its files itself, so it needs a file of its own.
        temporary.unlink()
        groups = file = None
        for block in read_blocks(table, "PREDICTIONS", QP_ROWS):
            rows = slice(start, start + len(block))
            ensemble = qp.hist.create_ensemble(
                bins=densities.edges,
                pdfs=densities.read(rows),
                norm=False,
                warn=False,
                ancil=_ancillary(block),
            )
            if groups is None:
                # The file has its final length from the start, and is filled chunk by chunk.
                groups, file = ensemble.initializeHdf5Write(str(temporary), n)
            ensemble.writeHdf5Chunk(groups, rows.start, rows.stop)
            start = rows.stop
        ensemble.finalizeHdf5Write(file)
    return out


def read_text_blocks(
    table: str | os.PathLike[str], hdu: str | int, rows: int = GROUP_ROWS
) -> Iterator[Table]:
    """Blocks of a table, with text as it was before FITS; these formats hold any character."""
    with open_fits(table, error=PredictionError) as hdus:
        header = hdus[hdu].header
        numbers = range(1, int(header["TFIELDS"]) + 1)
        escaped = [str(header[f"TTYPE{n}"]) for n in numbers if header.get(f"{ESCAPED}{n}") is True]
    for block in read_blocks(table, hdu, rows):
        for name in escaped:
            plain = [text.encode("ascii").decode("unicode_escape") for text in block[name]]
            block[name] = np.array(plain, dtype=str)
        yield block


def _arrow(column: Any) -> Any:
    values, mask = np.ma.getdata(column), np.ma.getmaskarray(column)
    if values.ndim == 1:
        if values.dtype.kind == "U":
            return pa.array(values.tolist(), type=pa.string())
        return pa.array(values, mask=mask if mask.any() else None)
    flat = pa.array(values.reshape(-1), mask=mask.reshape(-1) if mask.any() else None)
    return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(values.shape[1:])))


def _flat_columns(block: Table) -> Iterator[tuple[str, Any]]:
    for name in block.colnames:
        column = block[name]
        values, mask = np.ma.getdata(column), np.ma.getmaskarray(column)
        flat = values.reshape(len(values), -1)
        gone = mask.reshape(len(values), -1)
        if values.dtype.kind == "f":
            # Java readers such as TOPCAT read "nan" as text.
            gone = gone | np.isnan(flat)
        for i in range(flat.shape[1]):
            label = name if values.ndim == 1 else f"{name}_{i}"
            if values.dtype.kind == "U":
                yield label, pa.array(flat[:, i].tolist(), type=pa.string())
            else:
                yield label, pa.array(flat[:, i], mask=gone[:, i])


def _read_about(table: str | os.PathLike[str], hdu: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Cards of the primary header, and the UCDs of columns."""
    with open_fits(table, error=PredictionError) as hdus:
        # A card without a value, or with a complex one, has none in JSON.
        cards = {
            card.keyword: card.value if isinstance(card.value, (str, int, float)) else None
            for card in hdus[0].header.cards
            if card.keyword not in _OF_FITS
        }
        header = hdus[hdu].header
        numbers = range(1, int(header["TFIELDS"]) + 1)
        return cards, {str(header[f"TTYPE{n}"]): str(header.get(f"TUCD{n}", "")) for n in numbers}


def _about(column: Any, ucd: str | None) -> dict[str, str]:
    unit = column.unit and str(column.unit)
    about = {"unit": unit, "ucd": ucd, "description": column.description}
    return {key: str(value) for key, value in about.items() if value}


def _ancillary(block: Table) -> dict[str, np.ndarray]:
    return {name: _plain(block[name]) for name in block.colnames}


def _plain(column: Any) -> np.ndarray:
    """Remove masks, which HDF5 lacks; placeholders of missing integers stay."""
    values = np.ma.getdata(column)
    if values.dtype.kind == "U":
        return np.strings.encode(values, "utf-8")
    return np.asarray(values)
