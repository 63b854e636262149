"""Bias and scatter along any column: redshift, magnitude, size, seeing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import ConfigError
from astrocnn.metrics._checks import finite
from astrocnn.metrics.intervals import bootstrap
from astrocnn.metrics.redshift import bias, sigma_mad

__all__ = ["Trend", "trend"]


@dataclass(frozen=True, eq=False)
class Trend:
    """Bias and scatter in bins; arrays of shape (n_bins,), intervals of shape (2, n_bins).

    Parameters
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Edges of the bins.
    center : ndarray
        Median of the column in each bin.
    count : ndarray of int
        Objects in each bin.
    bias, sigma : ndarray
        Mean deviation, and sigma_MAD.
    bias_interval, sigma_interval : ndarray of shape (2, n_bins)
        Ends of their 95 % bootstrap intervals.
    n_excluded : int
        Objects where the column is not finite.
    """

    edges: NDArray[np.float64]
    center: NDArray[np.float64]
    count: NDArray[np.intp]
    bias: NDArray[np.float64]
    sigma: NDArray[np.float64]
    bias_interval: NDArray[np.float64]
    sigma_interval: NDArray[np.float64]
    n_excluded: int


def trend(dz: Any, by: Any, *, n_bins: int = 10, n_resamples: int = 400, seed: int = 0) -> Trend:
    """Bias and scatter in bins of a column that hold equally many objects.

    Parameters
    ----------
    dz : array_like of shape (n,)
        Deviations, from `astrocnn.metrics.deviation` or plain residuals.
    by : array_like of shape (n,)
        The column; objects where it is not finite are left out and counted.
    n_bins : int
        Fewer where there are not ten objects for each, or where values repeat.
    n_resamples : int
        Bootstrap resamples behind each interval.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Trend

    Raises
    ------
    ConfigError
        If there are not as many deviations as values of the column.
    """
    x, along = finite(dz, "deviations", 1), np.asarray(by, np.float64)
    if x.shape != along.shape or n_bins < 1:
        raise ConfigError(
            "A trend needs one value of the column per deviation, and a bin.",
            received=f"{along.shape} for {x.shape}, {n_bins} bins",
        )
    known = np.isfinite(along)
    x, along = x[known], along[known]
    n_bins = min(n_bins, max(1, len(x) // 10))
    edges = np.unique(np.quantile(along, np.linspace(0, 1, n_bins + 1))) if len(x) else np.zeros(1)
    if len(edges) == 1:
        edges = np.repeat(edges, 2) if len(x) else np.zeros(1)
    place = np.clip(np.searchsorted(edges[1:-1], along, side="right"), 0, None)
    count = np.bincount(place, minlength=len(edges) - 1)
    found = [
        bootstrap(
            {"bias": partial(bias, d), "sigma": partial(sigma_mad, d)},
            len(d),
            n_resamples=n_resamples,
            seed=seed,
        )
        for d in (x[place == i] for i in range(len(count)))
    ]
    values = {
        name: np.array([[s[name].value, s[name].low, s[name].high] for s in found]).reshape(-1, 3)
        for name in ("bias", "sigma")
    }
    center = np.array([np.median(along[place == i]) if c else np.nan for i, c in enumerate(count)])
    return Trend(
        edges,
        center,
        count,
        values["bias"][:, 0],
        values["sigma"][:, 0],
        values["bias"][:, 1:].T,
        values["sigma"][:, 1:].T,
        int((~known).sum()),
    )
