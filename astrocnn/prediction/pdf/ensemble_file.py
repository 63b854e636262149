"""From the finished FITS table to an ensemble of qp, the format of photo-z PDFs in RAIL.

References
----------
qp: Malz, Marshall et al. 2018 (AJ 156, 35); https://qp.readthedocs.io
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrocnn.atomic import replacing
from astrocnn.catalog.fits_table import read_blocks
from astrocnn.errors import PredictionError
from astrocnn.prediction.pdf.reading import choose, open_densities

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["to_qp"]

ROWS = 16384
SUFFIXES = (".hdf5", ".h5")


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
    with replacing(out) as temporary, open_densities(table) as found:
        densities = choose(found, target, table)
        n, start = len(densities), 0
        if n == 0:
            raise PredictionError(f"'{table}' has no rows, and qp knows no empty ensemble.")
        groups = file = None
        for block in read_blocks(table, "PREDICTIONS", ROWS):
            rows = slice(start, start + len(block))
            ensemble = qp.hist.create_ensemble(
                bins=densities.edges,
                pdfs=densities.read(rows),
                norm=False,
                warn=False,
                ancil=_ancillary(block),
            )
            if groups is None:
                groups, file = ensemble.initializeHdf5Write(str(temporary), n)
            ensemble.writeHdf5Chunk(groups, rows.start, rows.stop)
            start = rows.stop
        ensemble.finalizeHdf5Write(file)
    return out


def _ancillary(block: Table) -> dict[str, np.ndarray]:
    return {name: _plain(block[name]) for name in block.colnames}


def _plain(column: Any) -> np.ndarray:
    """Values without a mask: HDF5 has none; what stands for a missing integer stays."""
    values = np.ma.getdata(column)
    if values.dtype.kind == "U":
        return np.strings.encode(values, "utf-8")
    return np.asarray(values)
