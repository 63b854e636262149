"""Storage forms of binned densities: the interface, and three forms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["FORMS", "LEVELS", "Form", "compute_largest_error", "cumulative"]

# The largest integer of 16 bits: all of the probability may be in one bin.
N_QUANTA = 32767
# Steps of 0.02, finer in the tails, with both ends: the density integrates to one.
LEVELS = np.array(
    [0, 0.001, 0.005, 0.01, *np.arange(1, 50) / 50, 0.99, 0.995, 0.999, 1], dtype=np.float64
)


class Form(ABC):
    """A storage form of densities.  Each row is stored independently."""

    dtype: ClassVar[str] = "float32"
    """Type of the stored numbers."""

    blank: ClassVar[int | None] = None
    """The stored integer of a row without a density; None when that is NaN."""

    sentence: ClassVar[str]
    """What the stored numbers are, for the header."""

    def width(self, n_bins: int) -> int:
        """Number of stored values per row."""
        return n_bins

    def scale(self, edges: NDArray[np.float64]) -> float | None:
        """BSCALE of the stored integers; None for floats."""
        return None

    def grid(self, edges: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Columns of the table that describes the stored numbers, by name."""
        return {"center": (edges[:-1] + edges[1:]) / 2, "low": edges[:-1], "high": edges[1:]}

    @abstractmethod
    def encode(
        self, masses: NDArray[np.float64], edges: NDArray[np.float64]
    ) -> NDArray[np.generic]:
        """Stored numbers of shape (n, width) from finite masses of shape (n, n_bins), sum 1."""

    @abstractmethod
    def decode(
        self, stored: NDArray[np.generic], edges: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Masses of shape (n, n_bins); rows without a density are NaN."""


class Float32(Form):
    """The density in each bin, rounded to a relative 6e-8."""

    sentence = "probability density in each bin"

    def encode(
        self, masses: NDArray[np.float64], edges: NDArray[np.float64]
    ) -> NDArray[np.generic]:
        """Mass over width of the bin."""
        return (masses / _step(edges)).astype(np.float32)

    def decode(
        self, stored: NDArray[np.generic], edges: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Density times width of the bin."""
        return np.asarray(stored, np.float64) * _step(edges)


class Int16(Form):
    """The density in each bin as a multiple of that of 1/32767 of the probability.

    FITS has no floats of 16 bits.  The cumulative probability is rounded to multiples of 1/32767,
    and each bin gets the difference between its two edges.  So the integers of a row sum to 32767
    exactly, errors do not pile up over the bins, and an empty bin stays exactly empty.
    """

    dtype = "int16"
    # Free, because differences of a cumulative probability are never negative.
    blank = -32768
    sentence = "probability density in each bin, rounded so that its integral is kept"

    def scale(self, edges: NDArray[np.float64]) -> float:
        """Density of one quantum of probability in a bin."""
        return 1 / (N_QUANTA * _step(edges))

    def encode(
        self, masses: NDArray[np.float64], edges: NDArray[np.float64]
    ) -> NDArray[np.generic]:
        """Differences of the rounded cumulative probability."""
        return np.diff(np.rint(cumulative(masses) * N_QUANTA), axis=1).astype(np.int16)

    def decode(
        self, stored: NDArray[np.generic], edges: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Quanta as probabilities."""
        return np.where(stored == self.blank, np.nan, np.asarray(stored, np.float64) / N_QUANTA)


class Quantiles(Form):
    """Values at fixed levels of probability, each level kept to the precision of a float32.

    The smallest form, whose size does not grow with the number of bins; between two levels the
    probability is spread evenly, so a narrow gap between two peaks is smoothed.
    """

    sentence = "values below which lie the parts of the probability that the grid names"

    def width(self, n_bins: int) -> int:
        """Number of levels."""
        return LEVELS.size

    def grid(self, edges: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """The levels."""
        return {"level": LEVELS}

    def encode(self, masses: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray:
        """Inverse of the cumulative probability, which is a straight line in each bin."""
        below = cumulative(masses)
        # Exactly 1 at the end, where the last level is looked up.
        below /= below[:, -1:]
        values = _interpolate(LEVELS, below, np.broadcast_to(edges, below.shape))
        # The last level is reached where the density ends, not where the range does.
        values[:, -1] = edges[np.argmax(below >= 1, axis=1)]
        return values.astype(np.float32)

    def decode(self, stored: NDArray, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability between the edges, with straight lines between the levels."""
        values = np.asarray(stored, np.float64)
        below = _interpolate(edges, values, np.broadcast_to(LEVELS, values.shape))
        # The ends of the range are not numbers of single precision.
        below[:, 0], below[:, -1] = 0.0, 1.0
        return np.where(np.isfinite(values[:, :1]), np.diff(below, axis=1), np.nan)


FORMS: Mapping[str, Form] = {"float32": Float32(), "int16": Int16(), "quantiles": Quantiles()}


def cumulative(masses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability below each edge of the bins, of shape (n, n_bins + 1)."""
    return np.concatenate([np.zeros_like(masses[:, :1]), np.cumsum(masses, axis=1)], axis=1)


def compute_largest_error(
    form: Form,
    masses: NDArray[np.float64],
    stored: NDArray[np.generic],
    edges: NDArray[np.float64],
) -> float:
    """Largest difference between the cumulative probability before storing and after reading.

    Between the edges both are straight lines, so the largest difference is at an edge.
    """
    change = cumulative(form.decode(stored, edges)) - cumulative(masses)
    return float(np.max(np.abs(change), initial=0.0))


def _step(edges: NDArray[np.float64]) -> float:
    """Width of equal bins."""
    return float(edges[-1] - edges[0]) / (len(edges) - 1)


def _interpolate(
    points: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate (x, y) of each row linearly at `points`; x is non-decreasing."""
    interpolated = np.empty((len(x), points.size))
    rows = np.arange(len(x))
    # numpy.interp has one table for all points, and here each row has its own.
    for i, point in enumerate(points):
        # Of several equal x the last one: bins without probability are crossed in one step.
        left = np.clip(np.sum(x <= point, axis=1) - 1, 0, x.shape[1] - 2)
        start, length = x[rows, left], x[rows, left + 1] - x[rows, left]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(length > 0, (point - start) / length, 1.0)
        rise = y[rows, left + 1] - y[rows, left]
        interpolated[:, i] = y[rows, left] + np.clip(share, 0.0, 1.0) * rise
    return interpolated
