"""A histogram from few values per object: a kernel density that keeps mean and variance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

__all__ = ["smoothed_histogram"]

# Bound the memory; change no number.
_ROWS = 256
_VALUES_AT_ONCE = 64


def smoothed_histogram(
    values: NDArray[np.floating], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probability of each bin from equally probable values.

    Parameters
    ----------
    values : ndarray of shape (n, m)
        Those outside the bins are moved to their ends; a row with NaN gives NaN.
    edges : ndarray of shape (n_bins + 1,)
        Equally spaced.

    Returns
    -------
    ndarray of shape (n, n_bins)

    References
    ----------
    Silverman 1986, Density Estimation, equation 3.31 (bandwidth) and section 6.4 (values drawn
    towards their mean, so that the kernel does not widen the density).
    """
    x = np.asarray(values, np.float64)
    out = np.empty((len(x), len(edges) - 1))
    for start in range(0, len(x), _ROWS):
        part = slice(start, start + _ROWS)
        out[part] = _smoothed(np.clip(x[part], edges[0], edges[-1]), edges)
    return out


def _smoothed(x: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    m = x.shape[1]
    width = edges[1] - edges[0]
    mean, std = x.mean(axis=1), x.std(axis=1)
    spread = np.minimum(std, np.subtract(*np.percentile(x, [75, 25], axis=1)) / 1.349)
    bandwidth = np.maximum(0.9 * spread * m**-0.2, 0.5 * width)[:, None]
    # Rounding to bins adds width^2 / 12 to the variance (Sheppard), the even density in each again.
    added = bandwidth**2 + width * width / 6.0
    shrink = np.sqrt(np.maximum(1.0 - added / np.maximum(std[:, None] ** 2, added), 0.0))
    x = mean[:, None] + shrink * (x - mean[:, None])
    cdf = np.zeros((len(x), len(edges)))
    for start in range(0, m, _VALUES_AT_ONCE):
        part = x[:, start : start + _VALUES_AT_ONCE, None]
        cdf += ndtr((edges - part) / bandwidth[..., None]).sum(axis=1)
    cdf /= m
    cdf[:, 0] = np.where(np.isnan(cdf[:, 0]), np.nan, 0.0)
    cdf[:, -1] = np.where(np.isnan(cdf[:, -1]), np.nan, 1.0)
    return np.diff(cdf, axis=1)
