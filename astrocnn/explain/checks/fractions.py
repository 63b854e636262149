"""Fractions of the attribution: in each band, and in a region that is known to be the cause.

References
----------
Lundberg et al. 2020, Nature Machine Intelligence 2, 56 (arXiv:1905.04610): the mean absolute
attribution as the importance of an input.
Zhang et al. 2016, ECCV (arXiv:1608.00507), section 4.1 (the pointing game).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from astrocnn import metrics
from astrocnn.errors import InputsError, ModelError

__all__ = ["Pointing", "band_fractions", "pointing", "sum_bands", "validate_maps"]


def validate_maps(maps: Any, shape: tuple[int, ...] | None = None) -> NDArray[np.float64]:
    """Finite maps of shape (n, height, width) or (n, height, width, n_channels).

    Raises InputsError if they have another shape, or others than the first three of `shape`.
    """
    values = np.asarray(maps, np.float64)
    same = shape is None or values.shape[:3] == tuple(shape)
    if values.ndim not in (3, 4) or not values.size or not same:
        n, height, width = ("n", "height", "width") if shape is None else shape
        raise InputsError(
            "`maps` must lie on the pixels of the images.",
            received=f"shape {values.shape}",
            allowed=f"({n}, {height}, {width}) or ({n}, {height}, {width}, n_channels)",
            hint="take a method whose result lies on the pixels",
        )
    if not np.isfinite(values).all():
        raise InputsError("`maps` must be finite.")
    return values


def sum_bands(maps: NDArray[np.float64], *, signed: bool = False) -> NDArray[np.float64]:
    """Attribution of each pixel, absolute or `signed`, over all bands: (n, height, width)."""
    values = maps if signed else np.abs(maps)
    return values if values.ndim == 3 else values.sum(axis=3)


def band_fractions(maps: Any) -> NDArray[np.float64]:
    """Fraction of the absolute attribution in each band, of shape (n, n_channels).

    Rows add up to 1, or are NaN for a map of zeros.  Fractions of gradients (saliency, SmoothGrad)
    are per unit of the normalized bands; those of integrated gradients count what each band adds,
    whatever its unit.

    Parameters
    ----------
    maps : array_like of shape (n, height, width, n_channels)
        Of a method with one value per band.

    Raises
    ------
    InputsError
        If the maps have no axis of bands.

    Examples
    --------
    >>> maps = np.zeros((1, 2, 2, 2))
    >>> maps[0, 0, 0], maps[0, 1, 1] = (3, 0), (-3, 2)
    >>> band_fractions(maps)
    array([[0.75, 0.25]])
    """
    values = validate_maps(maps)
    if values.ndim == 3:
        raise InputsError(
            "`maps` must have an axis of bands.",
            received=f"shape {values.shape}",
            allowed="(n, height, width, n_channels)",
            hint="saliency, smooth_grad and integrated_gradients do",
        )
    total = np.abs(values).sum(axis=(1, 2))
    norm = total.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(norm > 0, total / norm, np.nan)


class Pointing(NamedTuple):
    """Result of `pointing`; NaN for a map of zeros, or a mask without a pixel."""

    inside: NDArray[np.float64]
    """Fraction of the absolute attribution inside the true region, of shape (n,)."""
    expected: NDArray[np.float64]
    """The same for a uniform map: the fraction of the area, of shape (n,)."""
    hit: NDArray[np.float64]
    """1 where the maximum falls in the true region, else 0, of shape (n,).

    Where several pixels share the maximum, the fraction of them that does.
    """

    def scores(self, *, n_resamples: int = 1000, seed: int = 0) -> dict[str, metrics.Score]:
        """Means over the objects, with bootstrap intervals.

        Returns ``inside``, ``expected``, ``gain``, the first over the second, and ``hit``, which
        for a uniform map is the expected fraction as well.
        """
        used = np.isfinite(self.inside)
        inside, expected, hit = (values[used] for values in self)
        scores = metrics.bootstrap(
            {
                "inside": lambda w: metrics.average(inside, w),
                "expected": lambda w: metrics.average(expected, w),
                "gain": lambda w: metrics.average(inside, w) / metrics.average(expected, w),
                "hit": lambda w: metrics.average(hit, w),
            },
            int(used.sum()),
            n_resamples=n_resamples,
            seed=seed,
        )
        n_excluded = int((~used).sum())
        reason = "no attribution or no mask" if n_excluded else ""
        return {
            name: replace(s, n_excluded=n_excluded, reason=reason) for name, s in scores.items()
        }


def pointing(maps: Any, masks: Any, *, margin: int = 0) -> Pointing:
    """Compare maps with the pixels that are known to be the cause.

    Parameters
    ----------
    maps : array_like of shape (n, height, width) or (n, height, width, n_channels)
        Of any method; absolute values count, over all bands.
    masks : array_like of shape (n, height, width)
        True, or not zero, on the pixels of the cause.
    margin : int
        Pixels by which the masks are made wider on all sides, for methods of low resolution; the
        expected fraction grows with them.

    Raises
    ------
    InputsError
        If there is not a mask for each map, on the same pixels.
    ModelError
        If the margin is negative.

    Examples
    --------
    >>> maps, masks = np.zeros((1, 4, 4)), np.zeros((1, 4, 4), bool)
    >>> maps[0, 1, 1], maps[0, 3, 3], masks[0, :2, :2] = 3.0, -1.0, True
    >>> result = pointing(maps, masks)
    >>> result.inside, result.expected, result.hit
    (array([0.75]), array([0.25]), array([1.]))
    """
    attribution = sum_bands(validate_maps(maps))
    inside = np.asarray(masks) != 0
    if inside.shape != attribution.shape:
        raise InputsError(
            "`masks` must have a mask for each map, on the same pixels.",
            received=f"shape {inside.shape}",
            allowed=f"shape {attribution.shape}",
        )
    if margin < 0:
        raise ModelError("`margin` must be >= 0.", received=margin)
    if margin:
        inside = binary_dilation(inside, np.ones((1, 3, 3), bool), iterations=margin)
    total, has_cause = attribution.sum(axis=(1, 2)), inside.any(axis=(1, 2))
    top = attribution == attribution.max(axis=(1, 2), keepdims=True)
    with np.errstate(invalid="ignore"):
        fraction = np.where(inside, attribution, 0.0).sum(axis=(1, 2)) / total
    results = (fraction, inside.mean(axis=(1, 2)), (top & inside).sum((1, 2)) / top.sum((1, 2)))
    return Pointing(*(np.where(has_cause & (total > 0), values, np.nan) for values in results))
