"""Densities on a grid: quantiles, shortest intervals, modes, and histograms from few values.

Functions of a CDF work on rows: `grid` and `cdf` have the shape (n, m), the points of a row are
equally spaced, and the CDF rises linearly between them.  What it holds below the first or above
the last point counts as probability at that point.  Every operation is elementwise within its
row: the result of an object does not depend on the others, to the last bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

__all__ = ["cdf_at", "cell", "mode", "quantiles", "shortest_interval", "smoothed_histogram"]

Array = NDArray[np.float64]

# Bound the memory of a histogram from values; change no number.
_ROWS = 256
_VALUES_AT_ONCE = 64

# Lengths and probabilities that differ by no more than rounding are equal.
_ROUNDING = 1e-12


def cell(cdf: Array, levels: Array) -> NDArray[np.intp]:
    """Index i of the cell, between points i - 1 and i, in which the CDF reaches each level.

    Where the CDF stays at a level, the first such point counts; `levels` has the shape (n, q).
    """
    below = [np.count_nonzero(cdf < level[:, None], axis=1) for level in levels.T]
    return np.clip(np.stack(below, axis=1), 1, cdf.shape[1] - 1)


def quantiles(grid: Array, cdf: Array, levels: Array) -> Array:
    """Where the CDF reaches each of `levels`, of shape (n, q)."""
    i = cell(cdf, levels)
    below, above, start, end = (
        np.take_along_axis(a, j, axis=1) for a in (cdf, grid) for j in (i - 1, i)
    )
    rise = above - below
    fraction = np.where(rise > 0, (levels - below) / np.where(rise > 0, rise, 1.0), 0.0)
    # A level above the whole CDF belongs to the end of the grid, also behind a flat stretch.
    fraction = np.where((rise <= 0) & (levels > above), 1.0, fraction)
    return start + np.clip(fraction, 0.0, 1.0) * (end - start)


def shortest_interval(grid: Array, cdf: Array, mass: float) -> tuple[Array, Array]:
    """The shortest interval that holds exactly the probability `mass`.

    For a density that is constant within cells this is the highest-density region where that is
    connected.  The length of an interval of given mass is piecewise linear in its position, so
    the shortest one has an end at a point of the grid.

    Returns
    -------
    low, high : ndarray of shape (n,)
        The lowest interval where several are equally short.
    """
    n, m = cdf.shape
    # Below the first point lies what the CDF holds there, above the last one the rest.
    merged = np.concatenate([cdf, cdf], axis=1)
    merged[:, 0], merged[:, -1] = 0.0, 1.0
    merged[:, :m] += mass
    levels, reached = merged[:, :m], merged[:, m:]
    # One merge of two sorted rows gives the place of each level among the points: the cell in
    # which an interval that begins at its point ends.
    order = np.argsort(merged, axis=1, kind="stable")
    place = np.arange(m)
    until = np.flatnonzero(order < m).reshape(n, m) - (2 * m * np.arange(n)[:, None] + place)
    cells = np.where(levels <= 1.0 + _ROUNDING, np.minimum(until, m - 1) - place, m)
    # An interval that reaches into more cells than another is longer: few are left to compare,
    # those that begin at point j and those that end at point i.
    row, j = np.nonzero(cells == cells.min(axis=1, keepdims=True))
    i = j + cells[row, j]
    end = _interpolate(grid, cdf, row, np.maximum(i, 1), levels[row, j])
    begin = _interpolate(grid, cdf, row, np.minimum(j + 1, m - 1), reached[row, i] - mass)
    low = np.stack([grid[row, j], begin], axis=1).ravel()
    high = np.stack([end, grid[row, i]], axis=1).ravel()
    rows = np.repeat(row, 2)
    length = high - low
    shortest = np.minimum.reduceat(length, np.searchsorted(rows, np.arange(n)))
    # Within one cell all positions are equally short, whatever rounding makes of them.
    slack = _ROUNDING * (grid[:, -1] - grid[:, 0])
    best = np.flatnonzero(length <= (shortest + slack)[rows])
    best = best[np.searchsorted(rows[best], np.arange(n))]
    return low[best], high[best]


def _interpolate(
    grid: Array, cdf: Array, row: NDArray[np.intp], i: NDArray[np.intp], level: Array
) -> Array:
    """Where the CDF of each row reaches a level in cell i."""
    below, above, start, end = cdf[row, i - 1], cdf[row, i], grid[row, i - 1], grid[row, i]
    rise = above - below
    fraction = np.where(rise > 0, (level - below) / np.where(rise > 0, rise, 1.0), level > above)
    return start + np.clip(fraction, 0.0, 1.0) * (end - start)


def mode(grid: Array, cdf: Array) -> Array:
    """Center of the cell of the highest density, of shape (n,)."""
    best = np.argmax(np.diff(cdf, axis=1), axis=1)[:, None]
    start, end = (np.take_along_axis(grid, best + j, axis=1)[:, 0] for j in (0, 1))
    return 0.5 * (start + end)


def cdf_at(grid: Array, cdf: Array, values: Array) -> Array:
    """The CDF at one value per row, of shape (n,)."""
    n_cells = grid.shape[1] - 1
    span = grid[:, -1] - grid[:, 0]
    place = n_cells * (values - grid[:, 0]) / np.where(span > 0, span, 1.0)
    index = np.clip(np.floor(place), 0, n_cells - 1).astype(np.intp)[:, None]
    below, above = (np.take_along_axis(cdf, index + j, axis=1)[:, 0] for j in (0, 1))
    inside = below + (place - index[:, 0]) * (above - below)
    return np.where(values < grid[:, 0], 0.0, np.where(values >= grid[:, -1], 1.0, inside))


def smoothed_histogram(values: NDArray[np.floating], edges: Array) -> Array:
    """Probability of each bin from few equally probable values: a kernel density estimate.

    The values, of shape (n, m), are moved to the ends where they lie outside the equally spaced
    `edges`; a row with NaN gives NaN.  The result has the shape (n, n_bins).

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


def _smoothed(x: Array, edges: Array) -> Array:
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
