"""Bringing images to another pixel grid with their flux conserved.

The pixels of an image hold flux.  A resampled pixel is the surface brightness at its place
times its own area, so that the sum over an object stays what it was.  Where the image has finer
pixels than the target, the surface brightness is averaged over the target pixel by sampling it
at steps of at most one image pixel; where it has coarser ones it is interpolated.

The map between the grids is the exact one at 5 x 5 Chebyshev nodes per cutout and a tensor
polynomial between them, whose error over a cutout is far below a thousandth of a pixel.

References
----------
Press et al. 2007, Numerical Recipes, section 5.8 (Chebyshev nodes);
Turkowski 1990, Graphics Gems I, 147 (windowed sinc filters).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

__all__ = ["GridMap", "compute_nodes", "resample", "resize"]

N_NODES = 5
MARGIN = 4
"""Pixels around the mapped area that the widest kernel needs."""


def compute_nodes(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute the 25 offsets x, y in the cutout at which the map must be known."""
    at = _chebyshev(size)
    y, x = np.meshgrid(at, at, indexing="ij")
    return x.ravel(), y.ravel()


class GridMap:
    """Map from the pixels of target cutouts to the pixels of an image.

    Parameters
    ----------
    size : int
        Side of the cutouts [pixel].
    x, y : ndarray of shape (n, 25)
        Image pixel coordinates of the nodes of each cutout; see `nodes`.

    Attributes
    ----------
    ok : ndarray of shape (n,)
        Whether all nodes of a cutout could be mapped.
    ratio : float
        Side of a target pixel in image pixels (the largest over the cutouts).
    """

    def __init__(self, size: int, x: np.ndarray, y: np.ndarray) -> None:
        self.size = size
        # A cutout that is not wholly on the projection has no polynomial and becomes NaN.
        self.ok = np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1)
        self.x = np.where(self.ok[:, None], x, 0).reshape(-1, N_NODES, N_NODES)
        self.y = np.where(self.ok[:, None], y, 0).reshape(-1, N_NODES, N_NODES)
        areas = self.area_ratio()[self.ok]
        self.ratio = float(np.sqrt(areas.max())) if areas.size else 1.0

    def __getitem__(self, rows: slice | np.ndarray) -> GridMap:
        part = GridMap.__new__(GridMap)
        part.size, part.ok, part.ratio = self.size, self.ok[rows], self.ratio
        part.x, part.y = self.x[rows], self.y[rows]
        return part

    def at(self, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute image coordinates on the product grid of offsets: two arrays (n, m, m)."""
        basis = _lagrange(self.size, offsets)
        return basis @ self.x @ basis.T, basis @ self.y @ basis.T

    def area_ratio(self) -> np.ndarray:
        """Compute the area of each target pixel in image pixels, of shape (n, size, size)."""
        # The determinant of the Jacobian, from the derivatives of the polynomials.
        offsets = np.arange(self.size, dtype=float)
        basis = _lagrange(self.size, offsets)
        slope = _lagrange(self.size, offsets, derivative=True)
        x_x, x_y = basis @ self.x @ slope.T, slope @ self.x @ basis.T
        y_x, y_y = basis @ self.y @ slope.T, slope @ self.y @ basis.T
        return np.abs(x_x * y_y - x_y * y_x)

    def bounds(self) -> tuple[np.ndarray, np.ndarray, int]:
        """First column and row of a square image window around each cutout, and its side."""
        # Corners and middles of the sides: between them the map bends by far less than MARGIN.
        edge = np.array([-0.5, (self.size - 1) / 2, self.size - 0.5])
        x, y = self.at(edge)
        low_x, low_y = x.min(axis=(1, 2)), y.min(axis=(1, 2))
        high_x, high_y = x.max(axis=(1, 2)), y.max(axis=(1, 2))
        spans = np.maximum(high_x - low_x, high_y - low_y)[self.ok]
        side = int(np.ceil(spans.max())) + 2 * MARGIN + 1 if spans.size else 1
        return _floor(low_x) - MARGIN, _floor(low_y) - MARGIN, side


def resample(
    windows: np.ndarray,
    x0: np.ndarray,
    y0: np.ndarray,
    grid_map: GridMap,
    method: str = "lanczos3",
    conserve: bool = True,
) -> np.ndarray:
    """Resample images on the pixels of the cutouts.

    Parameters
    ----------
    windows : ndarray of shape (n, side, side)
        Parts of the image, NaN without data.
    x0, y0 : ndarray of shape (n,)
        Image pixel of the first pixel of each window.
    grid_map : GridMap
        Map of these n cutouts.
    method : {"lanczos3", "bilinear", "nearest"}
        Interpolation of the surface brightness.
    conserve : bool
        Multiply with the area of the target pixels; False for images of surface brightness.

    Returns
    -------
    ndarray of shape (n, size, size)
        NaN where less than half of a target pixel has data.
    """
    size = grid_map.size
    # Image pixels up to 5 % finer than the target are interpolated: averaging would blur them.
    steps = max(1, int(np.ceil(grid_map.ratio - 0.05)))
    fine = (np.arange(size * steps) + 0.5) / steps - 0.5
    x, y = grid_map.at(fine)
    x -= x0[:, None, None]
    y -= y0[:, None, None]
    x[~grid_map.ok] = y[~grid_map.ok] = -10.0  # outside of every window
    values = _KERNELS[method](windows, x, y)
    if steps > 1:
        values = values.reshape(len(values), size, steps, size, steps)
        valid = np.isfinite(values)
        count = valid.sum(axis=(2, 4))
        total = np.where(valid, values, 0).sum(axis=(2, 4))
        with np.errstate(invalid="ignore", divide="ignore"):
            # As in the interpolation, half of a target pixel must have data.
            values = np.where(2 * count >= steps * steps, total / count, np.nan)
    if conserve:
        values = values * grid_map.area_ratio()
    return values


def _nearest(windows: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _take(windows, _floor(x + 0.5), _floor(y + 0.5))


def _bilinear(windows: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    left, low = _floor(x), _floor(y)
    across, up = x - left, y - low
    total = np.zeros(x.shape)
    weight = np.zeros(x.shape)
    for dy, wy in ((0, 1 - up), (1, up)):
        for dx, wx in ((0, 1 - across), (1, across)):
            value = _take(windows, left + dx, low + dy)
            w = np.where(np.isfinite(value), wx * wy, 0)
            total += w * np.nan_to_num(value)
            weight += w
    with np.errstate(invalid="ignore", divide="ignore"):
        # A hole keeps its size: half of the weight has to have data.
        return np.where(weight >= 0.5 - 1e-9, total / weight, np.nan)


def _lanczos3(windows: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    left, low = _floor(x), _floor(y)
    reach = range(-2, 4)
    weights_x = np.stack([_lanczos_kernel(x - left - d) for d in reach])
    weights_y = np.stack([_lanczos_kernel(y - low - d) for d in reach])
    # The sampled kernel does not sum to 1: without this a flat sky would show a pattern.
    weights_x /= weights_x.sum(axis=0)
    weights_y /= weights_y.sum(axis=0)
    total = np.zeros(x.shape)
    for i, dy in enumerate(reach):
        row = np.zeros(x.shape)
        for j, dx in enumerate(reach):
            row += weights_x[j] * _take(windows, left + dx, low + dy)
        total += weights_y[i] * row
    # Beside missing pixels the wide kernel has no meaning; the narrow one can still have.
    lost = ~np.isfinite(total)
    return np.where(lost, _bilinear(windows, x, y), total) if lost.any() else total


_KERNELS = {"nearest": _nearest, "bilinear": _bilinear, "lanczos3": _lanczos3}


def _lanczos_kernel(t: np.ndarray) -> np.ndarray:
    return np.where(np.abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0)


def _take(windows: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    n, height, width = windows.shape
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    # Indices outside are replaced by 0 before indexing, and their values by NaN afterwards.
    flat = np.arange(n)[:, None, None] * (height * width) + y * width + x
    return np.where(inside, windows.reshape(-1)[np.where(inside, flat, 0)], np.nan)


def _floor(value: np.ndarray) -> np.ndarray:
    return np.floor(value).astype(np.int64)


def _chebyshev(size: int) -> np.ndarray:
    # On the interval from -0.5 to size - 0.5: the nodes span whole pixels, not only their centers.
    k = np.arange(N_NODES)
    return (size - 1) / 2 - size / 2 * np.cos(np.pi * (2 * k + 1) / (2 * N_NODES))


def _lagrange(size: int, at: np.ndarray, derivative: bool = False) -> np.ndarray:
    """Matrix (len(at), 5) from values at the nodes to values, or slopes, at offsets."""
    center, half = (size - 1) / 2, size / 2
    vandermonde = np.polynomial.chebyshev.chebvander(
        (_chebyshev(size) - center) / half, N_NODES - 1
    )
    t = (np.asarray(at, float) - center) / half
    if derivative:
        identity = np.eye(N_NODES)
        columns = [
            np.polynomial.chebyshev.chebval(t, np.polynomial.chebyshev.chebder(row))
            for row in identity
        ]
        basis = np.stack(columns, axis=-1) / half
    else:
        basis = np.polynomial.chebyshev.chebvander(t, N_NODES - 1)
    return basis @ np.linalg.inv(vandermonde)


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Resize a square image to another number of pixels; values are averaged, not summed.

    To fewer pixels it is the exact mean over the area of each new pixel (anti-aliased); to more
    pixels it is linear interpolation.

    Parameters
    ----------
    image : ndarray of shape (side, side)
        NaN means no data.
    size : int
        New side [pixel].

    Returns
    -------
    ndarray of shape (size, size)
        NaN where less than half of the new pixel has data.
    """
    weights = _weights(image.shape[0], size)
    missing = np.isnan(image)
    if not missing.any():
        return _both_axes(weights, image)
    total = _both_axes(weights, np.where(missing, 0, image))
    fraction = _both_axes(weights, (~missing).astype(float))
    with np.errstate(invalid="ignore", divide="ignore"):
        # The tolerance allows for rounding in the sums of the weights.
        return np.where(fraction >= 0.5 - 1e-9, total / fraction, np.nan)


def _both_axes(weights: csr_array, image: np.ndarray) -> np.ndarray:
    return (weights @ (weights @ image).T).T


# The matrix depends on the two sizes only, and is the same for most objects of a survey.
@lru_cache(maxsize=16)
def _weights(side: int, size: int) -> csr_array:
    """Matrix (size, side) whose rows sum to one; a few pixels in each, so it is kept sparse."""
    old = np.arange(side)
    if size < side:
        edges = np.linspace(0, side, size + 1)
        low = np.maximum(edges[:-1, None], old)
        high = np.minimum(edges[1:, None], old + 1)
        weights = np.clip(high - low, 0, None)
    else:
        at = np.clip((np.arange(size) + 0.5) * side / size - 0.5, 0, side - 1)
        weights = np.clip(1 - np.abs(at[:, None] - old), 0, None)
    return csr_array(weights / weights.sum(axis=1, keepdims=True))
