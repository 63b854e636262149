"""Predictive densities as extensions of a table of predictions: declared, stored, and read."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Column
from astropy.units import Unit
from numpy.typing import NDArray

from astrocnn.errors import PredictionError
from astrocnn.fits_file import open_fits
from astrocnn.plugins import nearest
from astrocnn.prediction.fits_headers import TableImage
from astrocnn.prediction.pdf_forms import FORMS, compute_largest_error
from astrocnn.targets import QuantityFamily, Target, Task

__all__ = [
    "ERROR",
    "PDF_FORMS",
    "DensityPlane",
    "StoredDensities",
    "build_planes",
    "describe_centers",
    "open_densities",
    "read_pdf",
    "select_densities",
]

PDF_FORMS = ("none", *FORMS)
"""What `astrocnn.prediction.predict` accepts as ``pdf``."""

ERROR = "CDFERR"
MAX_BINS = 1_000_000
_IDENTIFIER = "meta.id;meta.main"


@dataclass(frozen=True)
class DensityPlane:
    """The densities of one target.

    Attributes
    ----------
    target : Target
        Its family is one over a number.
    name : str
        EXTNAME of the densities; their grid is in ``<name>_GRID``.
    form : str
        A key of `FORMS`.
    """

    target: Target
    name: str
    form: str

    @property
    def family(self) -> QuantityFamily:
        """The family of the target."""
        assert isinstance(self.target.family, QuantityFamily)
        return self.target.family

    @property
    def edges(self) -> NDArray[np.float64]:
        """Edges of the bins, of shape (n_bins + 1,)."""
        return np.asarray(self.family.edges, np.float64)

    def image(self, error: float = 0.0) -> TableImage:
        """The extension of the densities, with the largest error of the CDF in its header."""
        form, edges, unit = FORMS[self.form], self.edges, self._unit()
        density = (Unit(unit) ** -1).to_string("fits")
        return TableImage(
            self.name,
            (form.width(len(edges) - 1),),
            form.dtype,
            unit=unit if self.form == "quantiles" else density,
            description=f"{self.target.name}: {form.sentence}. The predictive distribution is "
            f"the mean over draws; rows are those of PREDICTIONS, see {self.name}_GRID.",
            scale=form.scale(edges),
            blank=form.blank,
            cards=(
                ("PDFFORM", self.form, "how the density is stored"),
                ("TARGET", self.target.name, "predicted quantity"),
                ("PDFLOW", float(edges[0]), "lower end of the range"),
                ("PDFHIGH", float(edges[-1]), "upper end of the range"),
                ("PDFBINS", len(edges) - 1, "number of equal bins"),
                # Rounded up, because a rounded bound must stay a bound.
                (ERROR, round_up(error), "largest error of the CDF once stored"),
            ),
        )

    def grid(self) -> dict[str, dict[str, Column]]:
        """The extension that describes the numbers of `image`, by EXTNAME."""
        about = {
            "center": "Center of the bin",
            "low": "Lower edge of the bin",
            "high": "Upper edge of the bin",
            "level": "Probability below the value",
        }
        columns = {
            name: Column(
                values,
                unit=None if name == "level" else self._unit() or None,
                description=about[name],
            )
            for name, values in FORMS[self.form].grid(self.edges).items()
        }
        return {f"{self.name}_GRID": columns}

    def store(self, samples: NDArray[np.floating]) -> tuple[NDArray, float]:
        """Stored densities of some objects, and the largest error of their CDF.

        Parameters
        ----------
        samples : ndarray of shape (n_draws, n, units)
            Activated parameters.

        Returns
        -------
        stored : ndarray of shape (n, width)
        error : float

        Raises
        ------
        PredictionError
            If the masses of the family are no probabilities.
        """
        form, edges = FORMS[self.form], self.edges
        masses = self._predictive(samples)
        stored = self.empty(len(masses))
        # Rows without a prediction keep the placeholder.
        known = np.flatnonzero(np.isfinite(masses).all(axis=1))
        masses = masses[known]
        total = masses.sum(axis=1, keepdims=True)
        # A family may be the user's own, and is not trusted to give probabilities.
        if np.any(masses < 0) or np.any(np.abs(total - 1) > 1e-4):
            worst = float(total.flat[np.argmax(np.abs(total - 1))])
            raise PredictionError(
                f"The density of target '{self.target.name}' is not one.",
                received=f"masses from {masses.min():.3g}, with a sum of {worst:.6g}",
                allowed="masses of at least 0 that sum to 1",
            )
        # Removes what single precision left, so that stored integers add up exactly.
        masses /= total
        stored[known] = form.encode(masses, edges)
        return stored, compute_largest_error(form, masses, stored[known], edges)

    def empty(self, n: int) -> NDArray:
        """Placeholder for objects without a prediction."""
        form = FORMS[self.form]
        width = form.width(len(self.edges) - 1)
        return np.full((n, width), np.nan if form.blank is None else form.blank, form.dtype)

    def decode(self, stored: NDArray[Any]) -> NDArray[np.float64]:
        """Densities of shape (n, n_bins) from what `store` gave."""
        return _to_densities(FORMS[self.form].decode(stored, self.edges), self.edges)

    def describe_bins(self) -> dict[str, str]:
        """Metadata of a list column of densities."""
        return describe_centers(self.edges)

    def _predictive(self, samples: NDArray[np.floating]) -> NDArray[np.float64]:
        """Mean over draws, one draw in memory at a time."""
        total = np.zeros((samples.shape[1], len(self.edges) - 1))
        for draw in range(len(samples)):
            total += self.family.masses(samples[draw : draw + 1])[0]
        return total / len(samples)

    def _unit(self) -> str:
        units = {c.name: c.unit for c in self.target.family.columns()}
        return units.get("mean", "")


def build_planes(task: Task, form: str) -> tuple[DensityPlane, ...]:
    """Build the density planes of a task, in a storage form.

    Parameters
    ----------
    task : Task
    form : str
        One of `PDF_FORMS`.

    Raises
    ------
    PredictionError
        If there is no such form, or no target is a number.
    """
    if form not in PDF_FORMS:
        raise PredictionError(
            "A density is not stored in that form.",
            received=repr(form),
            allowed=list(PDF_FORMS),
            hint=nearest(str(form), PDF_FORMS),
        )
    if form == "none":
        return ()
    targets = [t for t in task.targets if isinstance(t.family, QuantityFamily)]
    if not targets:
        raise PredictionError(
            f"The task '{task.name}' has no target whose prediction is a density.",
            received=f"pdf={form!r} with targets {', '.join(task.names)}",
            hint="leave pdf at 'none'; classes have their probabilities as columns",
        )
    for target in targets:
        family = target.family
        assert isinstance(family, QuantityFamily)
        # Headers state the range and the number of bins, from which readers make the edges.
        edges = np.asarray(family.edges)
        if not np.allclose(edges, np.linspace(family.low, family.high, len(edges)), rtol=1e-12):
            raise PredictionError(
                f"The bins of target '{target.name}' are not equal.",
                allowed=f"edges in equal steps from {family.low} to {family.high}",
            )
    # With one density, as in most tasks, its name can be guessed.
    single = len(targets) == 1
    return tuple(
        DensityPlane(t, "PDF" if single else f"PDF_{t.prefix.upper()}", form) for t in targets
    )


def round_up(value: float) -> float:
    """Round a bound up to two digits.

    >>> round_up(1.234e-5)
    1.3e-05
    """
    if value == 0:
        return 0.0
    exponent = math.floor(math.log10(value)) - 1
    digits = math.ceil(value / 10.0**exponent)
    # A power of ten may be rounded, and leave the first bound below the value.
    bounds = (float(f"{digits + more}e{exponent}") for more in (0, 1))
    return next(bound for bound in bounds if bound >= value)


@dataclass(frozen=True)
class StoredDensities:
    """The stored densities of one target in an open file.

    Attributes
    ----------
    path : Path
        For messages.
    name : str
        EXTNAME.
    form : str
        A key of `FORMS`.
    edges : ndarray of shape (n_bins + 1,)
        Edges of the bins.
    values : ndarray of shape (n, width)
        As stored, memory-mapped.
    table : HDU
        The objects.
    """

    path: Path
    name: str
    form: str
    edges: NDArray[np.float64]
    values: NDArray[Any]
    table: Any

    def __len__(self) -> int:
        return len(self.values)

    @property
    def centers(self) -> NDArray[np.float64]:
        """Centers of the bins, of shape (n_bins,)."""
        return _get_centers(self.edges)

    def ids(self, rows: slice) -> NDArray[Any]:
        """Identifiers of some rows: integers, or text."""
        with _damage_refused(self.path):
            header = self.table.header
            numbers = range(1, header["TFIELDS"] + 1)
            # By UCD, because the catalogue decides how the column is named.
            number = next((i for i in numbers if header.get(f"TUCD{i}") == _IDENTIFIER), 1)
            values = np.asarray(self.table.data[header[f"TTYPE{number}"]][rows])
            # FITS gives bytes and big-endian numbers, which other libraries refuse.
            kind = values.dtype.newbyteorder("=") if values.dtype.kind != "S" else np.dtype(str)
            return values.astype(kind)

    def read(self, rows: slice) -> NDArray[np.float64]:
        """Densities of some rows, of shape (n, n_bins)."""
        masses = FORMS[self.form].decode(np.asarray(self.values[rows]), self.edges)
        return _to_densities(masses, self.edges)


def _to_densities(masses: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    return masses * ((len(edges) - 1) / (edges[-1] - edges[0]))


def _get_centers(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    return (edges[:-1] + edges[1:]) / 2


def describe_centers(edges: NDArray[np.float64]) -> dict[str, str]:
    """Metadata of a list column of densities: the centers of the bins as JSON."""
    return {"centers": json.dumps(_get_centers(edges).tolist())}


@contextmanager
def open_densities(path: str | os.PathLike[str]) -> Iterator[dict[str, StoredDensities]]:
    """Open the densities of a table of predictions, by target; empty if there are none."""
    path = Path(path)
    with open_fits(path, error=PredictionError):
        pass  # what it declares is in the file
    with ExitStack() as stack:
        with _damage_refused(path):
            # Blank integers are recognized here, so astropy must not scale them.
            options = {"memmap": True, "do_not_scale_image_data": True}
            hdus = stack.enter_context(fits.open(path, **options))
            # By a card, since the names follow the targets.
            images = [unit for unit in hdus if "PDFFORM" in unit.header]
            stored = {str(u.header["TARGET"]): _describe(u, hdus, path) for u in images}
        yield stored


def _describe(unit: Any, hdus: Any, path: Path) -> StoredDensities:
    """The densities in an extension.

    Raises
    ------
    ValueError, LookupError, TypeError
        If its header does not describe its data.
    """
    header, table = unit.header, hdus["PREDICTIONS"]
    form, n_bins, n = header["PDFFORM"], int(header["PDFBINS"]), int(table.header["NAXIS2"])
    low, high = float(header["PDFLOW"]), float(header["PDFHIGH"])
    # Before memory is taken for the edges: a damaged header may state any number.
    if not (0 < n_bins <= MAX_BINS and math.isfinite(high - low) and low < high):
        raise ValueError(f"{n_bins} bins from {low} to {high}")
    expected = (n, FORMS[form].width(n_bins))
    if unit.shape != expected or unit.data.dtype.newbyteorder("=") != FORMS[form].dtype:
        raise ValueError(f"densities of shape {unit.shape}, not {expected}")
    edges = np.linspace(low, high, n_bins + 1)
    return StoredDensities(path, unit.name, form, edges, unit.data, table)


@contextmanager
def _damage_refused(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # astropy raises many types for damaged headers
        raise PredictionError(
            f"The densities in '{path}' are damaged.",
            received=f"{type(error).__name__}: {error}"[:300],
        ) from error


def select_densities(
    stored: Mapping[str, StoredDensities], target: str | None, path: str | os.PathLike[str]
) -> StoredDensities:
    """Select the densities of one target; it is optional if there is only one.

    Raises
    ------
    PredictionError
        If there are none, or several and none is named.
    """
    if not stored:
        raise PredictionError(
            f"'{path}' holds no predictive densities.",
            hint="predict again with pdf='float32', 'int16' or 'quantiles'",
        )
    if target is None and len(stored) == 1:
        return next(iter(stored.values()))
    if target is None or target not in stored:
        raise PredictionError(
            f"'{path}' holds the densities of several targets: name one."
            if target is None
            else f"'{path}' holds no density of target '{target}'.",
            allowed=list(stored),
            hint=nearest(target or "", list(stored)),
        )
    return stored[target]


def read_pdf(
    path: str | os.PathLike[str], target: str | None = None, rows: slice = slice(None)
) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
    """Read the predictive densities of a table of predictions, in any storage form.

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
    with open_densities(path) as stored:
        densities = select_densities(stored, target, path)
        return densities.ids(rows), densities.centers, densities.read(rows)
