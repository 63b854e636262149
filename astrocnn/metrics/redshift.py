"""Scores of photometric redshifts as points: bias, scatter, outliers, also along any column.

All take weights of shape (..., n) and return values of shape (...).  The point estimate (mean,
median or mode of the density) is the caller's choice and belongs beside the number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrocnn.errors import ConfigError
from astrocnn.metrics.intervals import bootstrap
from astrocnn.metrics.weighted import (
    average,
    median_deviation,
    quantile,
    ratio,
    validate_finite,
    validate_weights,
)

__all__ = [
    "Trend",
    "bias",
    "bias_median",
    "deviation",
    "outlier_fraction",
    "outliers_rail",
    "sigma_iqr",
    "sigma_mad",
    "trend",
]


def deviation(predicted: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    """Scaled redshift error, (z_phot - z_spec) / (1 + z_spec), of shape (n,).

    Parameters
    ----------
    predicted, truth : array_like of shape (n,)
        Photometric and spectroscopic redshift.

    Raises
    ------
    ConfigError
        If a redshift is not finite, the lengths differ, or a true redshift is not above -1.

    Examples
    --------
    >>> deviation([0.21, 0.50], [0.10, 0.50]).round(3).tolist()
    [0.1, 0.0]
    """
    z = validate_finite(predicted, "photometric redshifts", 1)
    true = validate_finite(truth, "true redshifts", 1)
    if z.shape != true.shape:
        raise ConfigError(
            "There must be as many photometric as true redshifts.",
            received=f"{len(z)} and {len(true)}",
        )
    if np.any(true <= -1):
        raise ConfigError(
            "A true redshift must be above -1.",
            received=f"{float(true.min()):g}",
            hint="is this a missing-value sentinel?",
        )
    return (z - true) / (1 + true)


def bias(dz: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Mean deviation.

    Parameters
    ----------
    dz : array_like of shape (n,)
        From `deviation`.
    weights : array_like of shape (..., n), optional

    References
    ----------
    Pasquet et al. (2019), A&A 621, A26, section 4.2; Dey et al. (2022), MNRAS 515, 5285.
    """
    return average(dz, weights)


def bias_median(dz: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Median deviation, as RAIL defines the bias. See `bias`."""
    return quantile(dz, 0.5, weights)


def sigma_mad(dz: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """1.4826 median(abs(dz - median(dz))), also called sigma_NMAD: the sigma of a normal sample.

    See `bias` for the parameters.

    References
    ----------
    Ilbert et al. (2006), A&A 457, 841; Pasquet et al. (2019), section 4.2.
    """
    return 1.4826 * median_deviation(dz, weights)


def sigma_iqr(dz: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """(q75 - q25) / 1.349: the sigma of a normal sample, from its quartiles.

    See `bias` for the parameters.

    References
    ----------
    Graham et al. (2018), AJ 155, 1; LSST Science Requirements.
    """
    return (quantile(dz, 0.75, weights) - quantile(dz, 0.25, weights)) / 1.349


def outlier_fraction(
    dz: ArrayLike, limit: float, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Fraction of objects with abs(dz) above a limit, called eta.

    Parameters
    ----------
    dz, weights
        As for `bias`.
    limit : float
        0.05 by the custom of SDSS, 0.15 by that of Euclid and of deep fields.

    References
    ----------
    Pasquet et al. (2019), section 4.2 (0.05); Hildebrandt et al. (2010), A&A 523, A31 (0.15).
    """
    return average(np.abs(validate_finite(dz, "deviations", 1)) > limit, weights)


def outliers_rail(dz: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Fraction with abs(dz) > max(0.06, 3 sigma_IQR); the limit follows the weights.

    See `bias` for the parameters.

    References
    ----------
    Graham et al. (2018), section 2.3, as in RAIL.
    """
    x = np.abs(validate_finite(dz, "deviations", 1))
    w = validate_weights(weights, len(x))
    limit = np.maximum(0.06, 3 * sigma_iqr(dz, w))
    return ratio((w * (x > limit[..., None])).sum(axis=-1), w.sum(axis=-1))


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


def trend(
    dz: ArrayLike, by: ArrayLike, *, n_bins: int = 10, n_resamples: int = 400, seed: int = 0
) -> Trend:
    """Bias and scatter in bins of a column that hold equally many objects.

    Parameters
    ----------
    dz : array_like of shape (n,)
        Deviations, from `astrocnn.metrics.deviation` or plain residuals.
    by : array_like of shape (n,)
        The column; objects where it is not finite are left out and counted.
    n_bins : int
        Fewer where there are not ten objects for each, or where values repeat.
    n_resamples, seed : int
        Of the bootstrap behind each interval.

    Raises
    ------
    ConfigError
        If there are not as many deviations as values of the column.
    """
    x, along = validate_finite(dz, "deviations", 1), np.asarray(by, np.float64)
    if x.shape != along.shape or n_bins < 1:
        raise ConfigError(
            "A trend needs one value of the column per deviation, and a bin.",
            received=f"{along.shape} for {x.shape}, {n_bins} bins",
        )
    finite = np.isfinite(along)
    x, along = x[finite], along[finite]
    n_bins = min(n_bins, max(1, len(x) // 10))
    edges = np.unique(np.quantile(along, np.linspace(0, 1, n_bins + 1))) if len(x) else np.zeros(1)
    if len(edges) == 1 and len(x):
        edges = np.repeat(edges, 2)
    place = np.searchsorted(edges[1:-1], along, side="right")
    count = np.bincount(place, minlength=len(edges) - 1)
    center = np.array([np.median(along[place == i]) if c else np.nan for i, c in enumerate(count)])
    values = np.empty((2, 3, len(count)))
    for i in range(len(count)):
        inside = x[place == i]
        statistics = {"bias": partial(bias, inside), "sigma": partial(sigma_mad, inside)}
        scores = bootstrap(statistics, len(inside), n_resamples=n_resamples, seed=seed)
        values[:, :, i] = [(s.value, s.low, s.high) for s in scores.values()]
    mean, sigma = values
    return Trend(edges, center, count, mean[0], sigma[0], mean[1:], sigma[1:], int((~finite).sum()))
