"""Densities as 16-bit integers: half the size of single precision.

FITS has no floats of 16 bits.  The cumulative probability is what is rounded, to multiples of
1/32767; each bin gets the difference between its two edges.  So the integers of a row sum to
32767 exactly, errors do not pile up over the bins, and an empty bin stays exactly empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrocnn.prediction.pdf.float32 import bins, step
from astrocnn.prediction.pdf.form import cumulative

__all__ = ["FORM"]

QUANTA = 32767


@dataclass(frozen=True)
class Int16:
    """The density in each bin as a multiple of that of 1/32767 of the probability."""

    dtype: str = "int16"
    blank: int = -32768
    sentence: str = "probability density in each bin, rounded so that its integral is kept"

    def width(self, n_bins: int) -> int:
        """One number a bin."""
        return n_bins

    def scale(self, edges: NDArray[np.float64]) -> float:
        """Density of one quantum of probability in a bin."""
        return 1 / (QUANTA * step(edges))

    def grid(self, edges: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Centers and edges of the bins."""
        return bins(edges)

    def encode(self, masses: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray:
        """Differences of the rounded cumulative probability."""
        return np.diff(np.rint(cumulative(masses) * QUANTA), axis=1).astype(np.int16)

    def decode(self, stored: NDArray, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Quanta as probabilities."""
        return np.where(stored == self.blank, np.nan, np.asarray(stored, np.float64) / QUANTA)


FORM = Int16()
