"""Densities as they are, in single precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FORM"]


@dataclass(frozen=True)
class Float32:
    """The density in each bin, rounded to a relative 6e-8."""

    dtype: str = "float32"
    blank: None = None
    sentence: str = "probability density in each bin"

    def width(self, n_bins: int) -> int:
        """One number a bin."""
        return n_bins

    def scale(self, edges: NDArray[np.float64]) -> None:
        """Nothing to scale."""

    def grid(self, edges: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Centers and edges of the bins."""
        return bins(edges)

    def encode(self, masses: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray:
        """Mass over width of the bin."""
        return (masses / step(edges)).astype(np.float32)

    def decode(self, stored: NDArray, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Density times width of the bin."""
        return np.asarray(stored, np.float64) * step(edges)


def step(edges: NDArray[np.float64]) -> float:
    """Width of equal bins."""
    return float(edges[-1] - edges[0]) / (len(edges) - 1)


def bins(edges: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Centers and edges of bins as columns."""
    return {"center": (edges[:-1] + edges[1:]) / 2, "low": edges[:-1], "high": edges[1:]}


FORM = Float32()
