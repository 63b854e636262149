"""Densities as quantiles: the values below which lie given parts of the probability.

The smallest form, whose size does not grow with the number of bins; between two levels the
probability is spread evenly, so a narrow gap between two peaks is smoothed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrocnn.prediction.pdf.form import cumulative

__all__ = ["FORM", "LEVELS"]

# Steps of 0.02, finer in the tails, with both ends: the density integrates to one.
LEVELS = np.array(
    [0, 0.001, 0.005, 0.01, *np.arange(1, 50) / 50, 0.99, 0.995, 0.999, 1], dtype=np.float64
)


@dataclass(frozen=True)
class Quantiles:
    """Values at fixed levels of probability, each level kept to the precision of a float32."""

    dtype: str = "float32"
    blank: None = None
    sentence: str = "values below which lie the parts of the probability that the grid names"

    def width(self, n_bins: int) -> int:
        """As many as there are levels."""
        return LEVELS.size

    def scale(self, edges: NDArray[np.float64]) -> None:
        """Nothing to scale."""

    def grid(self, edges: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """The levels."""
        return {"level": LEVELS}

    def encode(self, masses: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray:
        """Inverse of the cumulative probability, which is a straight line in each bin."""
        below = cumulative(masses)
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


def _interpolate(
    where: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Value at each `where` of the line through (x, y) of each row; x never falls."""
    found = np.empty((len(x), where.size))
    rows = np.arange(len(x))
    for i, point in enumerate(where):
        left = np.clip(np.sum(x <= point, axis=1) - 1, 0, x.shape[1] - 2)
        start, length = x[rows, left], x[rows, left + 1] - x[rows, left]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(length > 0, (point - start) / length, 1.0)
        rise = y[rows, left + 1] - y[rows, left]
        found[:, i] = y[rows, left] + np.clip(share, 0.0, 1.0) * rise
    return found


FORM = Quantiles()
