"""Scores of photometric redshifts as points: bias, scatter, outliers.

All take weights of shape (..., n) and return values of shape (...).  The point estimate (mean,
median or mode of the density) is the caller's choice and belongs beside the number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import ConfigError
from astrocnn.metrics._checks import finite, ratio, weights_for
from astrocnn.metrics._weighted import average, median_deviation, quantile

__all__ = [
    "bias",
    "bias_median",
    "deviation",
    "outlier_fraction",
    "outliers_rail",
    "sigma_iqr",
    "sigma_mad",
]


def deviation(predicted: Any, truth: Any) -> NDArray[np.float64]:
    """Scaled redshift error, (z_phot - z_spec) / (1 + z_spec).

    Parameters
    ----------
    predicted, truth : array_like of shape (n,)
        Photometric and spectroscopic redshift.

    Returns
    -------
    dz : ndarray of shape (n,)

    Raises
    ------
    ConfigError
        If a redshift is not finite, the lengths differ, or a true redshift is not above -1.

    Examples
    --------
    >>> deviation([0.21, 0.50], [0.10, 0.50]).round(3).tolist()
    [0.1, 0.0]
    """
    z, true = finite(predicted, "photometric redshifts", 1), finite(truth, "true redshifts", 1)
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


def bias(dz: Any, weights: Any = None) -> NDArray[np.float64]:
    """Mean deviation.

    Parameters
    ----------
    dz : array_like of shape (n,)
        From `deviation`.
    weights : array_like of shape (..., n), optional
        Weight of each object, 1 when left out.

    Returns
    -------
    ndarray of shape (...)

    References
    ----------
    Pasquet et al. (2019), A&A 621, A26, section 4.2; Dey et al. (2022), MNRAS 515, 5285.
    """
    return average(dz, weights)


def bias_median(dz: Any, weights: Any = None) -> NDArray[np.float64]:
    """Median deviation, as RAIL defines the bias.

    Parameters
    ----------
    dz : array_like of shape (n,)
        From `deviation`.
    weights : array_like of shape (..., n), optional
        Weight of each object, 1 when left out.

    Returns
    -------
    ndarray of shape (...)
    """
    return quantile(dz, 0.5, weights)


def sigma_mad(dz: Any, weights: Any = None) -> NDArray[np.float64]:
    """1.4826 median |dz - median(dz)|, also called sigma_NMAD: the sigma of a normal sample.

    Parameters
    ----------
    dz : array_like of shape (n,)
        From `deviation`.
    weights : array_like of shape (..., n), optional
        Weight of each object, 1 when left out.

    Returns
    -------
    ndarray of shape (...)

    References
    ----------
    Ilbert et al. (2006), A&A 457, 841; Pasquet et al. (2019), section 4.2.
    """
    return 1.4826 * median_deviation(dz, weights)


def sigma_iqr(dz: Any, weights: Any = None) -> NDArray[np.float64]:
    """(q75 - q25) / 1.349: the sigma of a normal sample, from its quartiles.

    Parameters
    ----------
    dz : array_like of shape (n,)
        From `deviation`.
    weights : array_like of shape (..., n), optional
        Weight of each object, 1 when left out.

    Returns
    -------
    ndarray of shape (...)

    References
    ----------
    Graham et al. (2018), AJ 155, 1; LSST Science Requirements.
    """
    return (quantile(dz, 0.75, weights) - quantile(dz, 0.25, weights)) / 1.349


def outlier_fraction(dz: Any, limit: float, weights: Any = None) -> NDArray[np.float64]:
    """Fraction of objects with |dz| above a limit, called eta.

    Parameters
    ----------
    dz : array_like of shape (n,)
        From `deviation`.
    limit : float
        0.05 by the custom of SDSS, 0.15 by that of Euclid and of deep fields.
    weights : array_like of shape (..., n), optional
        Weight of each object, 1 when left out.

    Returns
    -------
    ndarray of shape (...)

    References
    ----------
    Pasquet et al. (2019), section 4.2 (0.05); Hildebrandt et al. (2010), A&A 523, A31 (0.15).
    """
    return average(np.abs(finite(dz, "deviations", 1)) > limit, weights)


def outliers_rail(dz: Any, weights: Any = None) -> NDArray[np.float64]:
    """Fraction with |dz| > max(0.06, 3 sigma_IQR); the limit follows the weights.

    Parameters
    ----------
    dz : array_like of shape (n,)
        From `deviation`.
    weights : array_like of shape (..., n), optional
        Weight of each object, 1 when left out.

    Returns
    -------
    ndarray of shape (...)

    References
    ----------
    Graham et al. (2018), section 2.3, as in RAIL.
    """
    x = np.abs(finite(dz, "deviations", 1))
    w = weights_for(weights, len(x))
    limit = np.maximum(0.06, 3 * sigma_iqr(dz, w))
    return ratio((w * (x > limit[..., None])).sum(axis=-1), w.sum(axis=-1))
