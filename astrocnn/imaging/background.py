"""Background and noise of the sky, measured on the images themselves."""

from __future__ import annotations

import numpy as np
import scipy.ndimage

__all__ = ["estimate_background", "estimate_sky_noise"]

CLIP = 3.0
ROUNDS = 10


def estimate_background(
    image: np.ndarray, bad: np.ndarray, box: int
) -> tuple[np.ndarray, np.ndarray]:
    """Smooth background and pixel noise.

    The image is divided into boxes; in each the values are clipped at three standard deviations
    around the median until nothing changes.  The boxes are smoothed with a 3 x 3 median and
    interpolated linearly.  The background of a box is 2.5 median - 1.5 mean, or the median where
    the two differ much, as SExtractor estimates it.

    Parameters
    ----------
    image : ndarray of shape (height, width)
        Image.
    bad : ndarray of shape (height, width)
        True where there is no data.
    box : int
        Side of a box [pixel]; fewer pixels in the last row and column.

    Returns
    -------
    background, noise : ndarray of shape (height, width)
        In the unit of the image.

    References
    ----------
    Bertin & Arnouts 1996, A&AS 117, 393, section 3.
    """
    grid = tuple(max(1, round(side / box)) for side in image.shape)
    edges = [
        np.linspace(0, side, n + 1).astype(int) for side, n in zip(image.shape, grid, strict=True)
    ]
    # A box with few valid pixels has no reliable estimate and takes the median of the others.
    level, noise = np.full(grid, np.nan), np.full(grid, np.nan)
    for row, column in np.ndindex(*grid):
        part = np.s_[edges[0][row] : edges[0][row + 1], edges[1][column] : edges[1][column + 1]]
        values = image[part][~bad[part]]
        if values.size > 0.1 * bad[part].size:
            level[row, column], noise[row, column] = _clipped(values)
    if np.isnan(level).all():
        level[:], noise[:] = _clipped(image[~bad])
    return _spread(level, edges, image.shape), _spread(noise, edges, image.shape)


def _clipped(values: np.ndarray) -> tuple[float, float]:
    for _ in range(ROUNDS):
        middle, sigma = np.median(values), np.std(values)
        clipped = values[np.abs(values - middle) <= CLIP * sigma]
        if clipped.size == values.size or not sigma > 0:
            break
        values = clipped
    mean, median, sigma = np.mean(values), np.median(values), np.std(values)
    # Where the mean is far from the median, faint objects fill the box and the mode estimate fails.
    crowded = abs(mean - median) > 0.3 * sigma
    return float(median if crowded else 2.5 * median - 1.5 * mean), float(sigma)


def _spread(plane: np.ndarray, edges: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Boxes to pixels; boxes without data take the median of the others."""
    plane = np.where(np.isnan(plane), np.nanmedian(plane), plane)
    plane = scipy.ndimage.median_filter(plane, size=3, mode="nearest")
    positions = []
    for side, edge in zip(shape, edges, strict=True):
        middle = (edge[:-1] + edge[1:] - 1) / 2
        positions.append(np.interp(np.arange(side), middle, np.arange(middle.size)))
    # Linear along each axis in turn.
    for axis, position in enumerate(positions):
        low = np.floor(position).astype(int)
        high = np.minimum(low + 1, plane.shape[axis] - 1)
        weight = position - low
        weight = weight[:, None] if axis == 0 else weight[None, :]
        plane = (1 - weight) * np.take(plane, low, axis) + weight * np.take(plane, high, axis)
    return plane


def estimate_sky_noise(images: np.ndarray) -> np.ndarray:
    """Estimate the noise of the sky in each image and band.

    The median minus the 15.87th percentile of the pixels in a frame along the border, an eighth
    of the image wide: for Gaussian noise that is one standard deviation, and objects, which
    only brighten pixels and mostly sit in the middle, hardly move it.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_bands)
        Linear fluxes; pixels that are not finite are left out.

    Returns
    -------
    ndarray of shape (n, n_bands)
        One standard deviation [unit of the image]; NaN where a band has no data in the frame.
    """
    n, height, width, n_bands = images.shape
    rim = np.ones((height, width), bool)
    edge_y, edge_x = max(1, height // 8), max(1, width // 8)
    rim[edge_y : height - edge_y, edge_x : width - edge_x] = False
    pixels = images[:, rim, :].astype(np.float64)
    pixels[~np.isfinite(pixels)] = np.nan
    pixels.sort(axis=1)  # NaN goes to the end
    counts = np.isfinite(pixels).sum(axis=1)
    if pixels.shape[1] == 0:
        return np.full((n, n_bands), np.nan)
    middle = _quantile(pixels, counts, 0.5)
    return np.where(counts > 1, middle - _quantile(pixels, counts, 0.158655), np.nan)


def _quantile(ordered: np.ndarray, counts: np.ndarray, q: float) -> np.ndarray:
    """Linear quantile along axis 1 of sorted values of which the first `counts` are finite."""
    position = q * np.maximum(counts - 1, 0)
    low = position.astype(np.int64)
    high = np.minimum(low + 1, np.maximum(counts - 1, 0))
    below = np.take_along_axis(ordered, low[:, None, :], axis=1)[:, 0]
    above = np.take_along_axis(ordered, high[:, None, :], axis=1)[:, 0]
    result: np.ndarray = below + (position - low) * (above - below)
    return result
