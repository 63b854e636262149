"""Densities out of a table of predictions, however they are stored."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from astrocnn.errors import PredictionError
from astrocnn.plugins import nearest
from astrocnn.prediction.pdf.plane import FORMS

__all__ = ["Densities", "choose", "open_densities", "read_pdf"]

_IDENTIFIER = "meta.id;meta.main"


@dataclass(frozen=True)
class Densities:
    """The stored densities of one target in an open file.

    Attributes
    ----------
    table : HDU
        The objects.
    image : HDU
        Their stored densities.
    """

    table: Any
    image: Any

    def __len__(self) -> int:
        return int(self.table.header["NAXIS2"])

    @property
    def edges(self) -> NDArray[np.float64]:
        """Edges of the bins, of shape (n_bins + 1,)."""
        header = self.image.header
        return np.linspace(header["PDFLOW"], header["PDFHIGH"], header["PDFBINS"] + 1)

    @property
    def centers(self) -> NDArray[np.float64]:
        """Centers of the bins, of shape (n_bins,)."""
        return (self.edges[:-1] + self.edges[1:]) / 2

    def ids(self, rows: slice) -> NDArray[Any]:
        """Identifiers of some rows: integers, or text."""
        header = self.table.header
        number = next(
            (i for i in range(1, header["TFIELDS"] + 1) if header.get(f"TUCD{i}") == _IDENTIFIER), 1
        )
        values = np.asarray(self.table.data[header[f"TTYPE{number}"]][rows])
        return values.astype(values.dtype.newbyteorder("=") if values.dtype.kind != "S" else str)

    def read(self, rows: slice) -> NDArray[np.float64]:
        """Densities of some rows, of shape (n, n_bins)."""
        edges = self.edges
        masses = FORMS[self.image.header["PDFFORM"]].decode(
            np.asarray(self.image.data[rows]), edges
        )
        return masses * ((len(edges) - 1) / (edges[-1] - edges[0]))


@contextmanager
def open_densities(path: str | os.PathLike[str]) -> Iterator[dict[str, Densities]]:
    """Open a table of predictions; its densities by target, none where it has none."""
    # Blank integers are told from values here, so that astropy may not scale them.
    with fits.open(Path(path), memmap=True, do_not_scale_image_data=True) as hdus:
        images = [unit for unit in hdus if "PDFFORM" in unit.header]
        yield {unit.header["TARGET"]: Densities(hdus["PREDICTIONS"], unit) for unit in images}


def choose(
    found: Mapping[str, Densities], target: str | None, path: str | os.PathLike[str]
) -> Densities:
    """The densities of one target; the target can be left out where there is only one.

    Raises
    ------
    PredictionError
        If there are none, or several and none is named.
    """
    if not found:
        raise PredictionError(
            f"'{path}' holds no predictive densities.",
            hint="predict again with pdf='float32', 'int16' or 'quantiles'",
        )
    if target is None and len(found) == 1:
        return next(iter(found.values()))
    if target not in found:
        raise PredictionError(
            f"'{path}' holds the densities of several targets: name one."
            if target is None
            else f"'{path}' holds no density of target '{target}'.",
            allowed=list(found),
            hint=nearest(target or "", list(found)),
        )
    return found[target]


def read_pdf(
    path: str | os.PathLike[str], target: str | None = None, rows: slice = slice(None)
) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
    """Read the predictive densities of a table of predictions, in whichever form they are.

    Parameters
    ----------
    path : path-like
        What `predict` wrote with ``pdf`` other than "none".
    target : str, optional
        Which quantity, where the table has several.
    rows : slice
        Which rows; all by default, which takes 8 bytes per bin and object.

    Returns
    -------
    ids : ndarray of shape (n,)
        Identifiers in the order of the table: int64 or text.
    grid : ndarray of shape (n_bins,)
        Centers of equal bins [unit of the quantity].
    density : ndarray of shape (n, n_bins)
        Probability density, constant in each bin [1 / unit of the quantity]; its sum times the
        width of a bin is 1. Rows without a prediction are NaN. The cumulative probability is
        that of the prediction up to the error in the card ``CDFERR``.

    Raises
    ------
    PredictionError
        If the table has no densities, or those of several targets and none is named.

    Examples
    --------
    >>> ids, z, density = read_pdf("predictions.fits")  # doctest: +SKIP
    >>> mean = (density * z).sum(axis=1) * (z[1] - z[0])  # doctest: +SKIP
    """
    with open_densities(path) as found:
        densities = choose(found, target, path)
        return densities.ids(rows), densities.centers, densities.read(rows)
