"""What calibration asks of the mean over draws of a density: its CDF at the edges and quantiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from astrocnn.targets import QuantityFamily, density_grid

__all__ = ["mean_masses", "quantiles"]


def mean_masses(family: QuantityFamily, samples: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean over draws of the probability in each bin, of shape (n, n_bins)."""
    first = family.masses(samples[:1])[0]
    shift = np.zeros_like(first)
    for t in range(1, len(samples)):  # one draw in memory at a time
        shift += family.masses(samples[t : t + 1])[0] - first
    return first + shift / len(samples)


def quantiles(
    family: QuantityFamily, samples: NDArray[np.floating], levels: Sequence[float]
) -> NDArray[np.float64]:
    """Quantiles of the mean over draws, of shape (n, n_levels); NaN without a prediction."""
    masses = mean_masses(family, samples)
    rows = np.flatnonzero(np.isfinite(masses).all(axis=1))
    out = np.full((len(masses), len(levels)), np.nan)
    cdf = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(masses[rows], axis=1)], axis=1)
    shape = (len(rows), len(levels))
    out[rows] = density_grid.quantiles(
        np.broadcast_to(family.edges, cdf.shape),
        cdf / cdf[:, -1:],
        np.broadcast_to(np.asarray(levels, np.float64), shape),
    )
    return out
