"""A table of predictions in memory, with its flags in words and its densities on demand."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray

from astrocnn.errors import PredictionError
from astrocnn.fits_file import open_fits
from astrocnn.flags import Flag, describe
from astrocnn.prediction.pdf import read_pdf

__all__ = ["Predictions", "read_predictions"]


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


def read_predictions(path: str | os.PathLike[str]) -> Predictions:
    """Read a table of predictions.

    Parameters
    ----------
    path : path-like
        What `predict` wrote.

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
