"""Quantiles, shortest intervals and the mode of densities told by their CDF on a grid.

Every function works on rows: `grid` and `cdf` have the shape (n, m), the CDF rises linearly
between the points of the grid.  What it holds below the first or above the last point counts as
probability at that point.  No row influences another, to the last bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["at", "cell", "mode", "quantiles", "shortest"]

Array = NDArray[np.float64]


def cell(cdf: Array, levels: Array, side: str = "left") -> NDArray[np.intp]:
    """Index i of the cell, between points i - 1 and i, in which the CDF reaches a level.

    Parameters
    ----------
    cdf : ndarray of shape (n, m)
        Never falling along a row.
    levels : ndarray of shape (n, q)
        Probabilities.
    side : str
        Where the CDF stays at the level for a while: ``"left"`` takes the first such point,
        ``"right"`` the last.
    """
    n_points = cdf.shape[1]
    first = np.zeros(levels.shape, np.intp)
    last = np.full(levels.shape, n_points, np.intp)
    for _ in range(n_points.bit_length()):
        middle = (first + last) // 2
        value = np.take_along_axis(cdf, np.minimum(middle, n_points - 1), axis=1)
        below = value < levels if side == "left" else value <= levels
        searching = first < last
        first = np.where(searching & below, middle + 1, first)
        last = np.where(searching & ~below, middle, last)
    return np.clip(first, 1, n_points - 1)


def quantiles(grid: Array, cdf: Array, levels: Array, side: str = "left") -> Array:
    """Where the CDF reaches each of `levels`, of shape (n, q); see `cell`."""
    i = cell(cdf, levels, side)
    below, above = (np.take_along_axis(cdf, j, axis=1) for j in (i - 1, i))
    start, end = (np.take_along_axis(grid, j, axis=1) for j in (i - 1, i))
    rise = above - below
    share = np.where(rise > 0, (levels - below) / np.where(rise > 0, rise, 1.0), 0.0)
    # A level above the whole CDF belongs to the end of the grid, also behind a level stretch.
    share = np.where((rise <= 0) & (levels > above), 1.0, share)
    return start + np.clip(share, 0.0, 1.0) * (end - start)


def shortest(grid: Array, cdf: Array, mass: float) -> tuple[Array, Array]:
    """The shortest interval that holds exactly the probability `mass`.

    For a density that is constant within cells this is the highest-density region where that is
    connected.  The length of an interval of given mass is piecewise linear in its position, so
    the shortest one has an end at a point of the grid: these are tried, all of them.

    Returns
    -------
    low, high : ndarray of shape (n,)
    """
    before, until = cdf.copy(), cdf.copy()
    before[:, 0], until[:, -1] = 0.0, 1.0
    ends = quantiles(grid, cdf, before + mass, "left")
    starts = quantiles(grid, cdf, until - mass, "right")
    low = np.concatenate([grid, starts], axis=1)
    high = np.concatenate([ends, grid], axis=1)
    rounding = 1e-12
    holds = np.concatenate([before + mass <= 1 + rounding, until - mass >= -rounding], axis=1)
    length = np.where(holds, high - low, np.inf)
    # Within one cell all positions are equally short: the lowest, whatever rounding says.
    slack = rounding * (grid[:, -1:] - grid[:, :1])
    best = np.argmax(length <= length.min(axis=1, keepdims=True) + slack, axis=1)[:, None]
    return (
        np.take_along_axis(low, best, axis=1)[:, 0],
        np.take_along_axis(high, best, axis=1)[:, 0],
    )


def mode(grid: Array, cdf: Array) -> Array:
    """Center of the cell of the highest density, of shape (n,); cells of a row are equally wide."""
    best = np.argmax(np.diff(cdf, axis=1), axis=1)[:, None]
    start, end = (np.take_along_axis(grid, best + j, axis=1)[:, 0] for j in (0, 1))
    return 0.5 * (start + end)


def at(grid: Array, cdf: Array, values: Array) -> Array:
    """The CDF at one value per row, of shape (n,); the points of a row are equally spaced."""
    n_cells = grid.shape[1] - 1
    span = grid[:, -1] - grid[:, 0]
    place = n_cells * (values - grid[:, 0]) / np.where(span > 0, span, 1.0)
    index = np.clip(np.floor(place), 0, n_cells - 1).astype(np.intp)[:, None]
    below, above = (np.take_along_axis(cdf, index + j, axis=1)[:, 0] for j in (0, 1))
    inside = below + (place - index[:, 0]) * (above - below)
    return np.where(values < grid[:, 0], 0.0, np.where(values >= grid[:, -1], 1.0, inside))
