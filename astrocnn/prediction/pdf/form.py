"""How the masses of a density in equal bins are stored: the contract of a form."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Form", "cumulative", "largest_error"]


class Form(Protocol):
    """One way to store a density.  Each row is stored by itself."""

    dtype: str
    """Type of the stored numbers."""

    blank: int | None
    """The stored integer of a row without a density; None when that is NaN."""

    sentence: str
    """What the stored numbers are, for the header."""

    def width(self, n_bins: int) -> int:
        """How many numbers are stored for one row."""

    def scale(self, edges: NDArray[np.float64]) -> float | None:
        """BSCALE of the stored integers; None for floats."""

    def grid(self, edges: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Columns of the table that explains the stored numbers, by name."""

    def encode(
        self, masses: NDArray[np.float64], edges: NDArray[np.float64]
    ) -> NDArray[np.generic]:
        """Stored numbers of shape (n, width) from finite masses of shape (n, n_bins), sum 1."""

    def decode(
        self, stored: NDArray[np.generic], edges: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Masses of shape (n, n_bins); rows without a density are NaN."""


def cumulative(masses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability below each edge of the bins, of shape (n, n_bins + 1)."""
    return np.concatenate([np.zeros_like(masses[:, :1]), np.cumsum(masses, axis=1)], axis=1)


def largest_error(
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
