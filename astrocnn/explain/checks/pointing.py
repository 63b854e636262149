"""Does the attribution fall where the cause is known to be?

References
----------
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
from astrocnn.explain.checks._maps import checked, on_pixels

__all__ = ["Pointing", "pointing"]


class Pointing(NamedTuple):
    """What `pointing` found; NaN for a map of nothing but zeros, or a mask without a pixel."""

    inside: NDArray[np.float64]
    """Share of the absolute attribution in the true region, of shape (n,)."""
    expected: NDArray[np.float64]
    """The same for a map that knows nothing: the share of the area, of shape (n,)."""
    hit: NDArray[np.float64]
    """1 where the maximum falls in the true region, else 0, of shape (n,).

    Where several pixels share the maximum, the part of them that does.
    """

    def scores(self, *, n_resamples: int = 1000, seed: int = 0) -> dict[str, metrics.Score]:
        """Means over the objects, and their ratio, with bootstrap intervals.

        Parameters
        ----------
        n_resamples : int
            Resamples of the objects.
        seed : int
            Of the resamples.

        Returns
        -------
        dict of str to Score
            ``inside``, ``expected``, ``gain``, the first over the second, and ``hit``, which for
            a map that knows nothing is the expected share as well.
        """
        used = np.isfinite(self.inside)
        inside, expected, hit = (values[used] for values in self)
        found = metrics.bootstrap(
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
        left = int((~used).sum())
        reason = "no attribution or no mask" if left else ""
        return {name: replace(s, n_excluded=left, reason=reason) for name, s in found.items()}


def pointing(maps: Any, masks: Any, *, margin: int = 0) -> Pointing:
    """Compare maps with the pixels that are known to be the cause.

    Parameters
    ----------
    maps : array_like of shape (n, height, width) or (n, height, width, n_channels)
        Of any method; absolute values count, over all bands.
    masks : array_like of shape (n, height, width)
        True, or not zero, on the pixels of the cause.
    margin : int
        Pixels by which the masks are made wider on all sides, for methods that see coarsely; the
        expected share grows with them.

    Returns
    -------
    Pointing

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
    >>> found = pointing(maps, masks)
    >>> found.inside, found.expected, found.hit
    (array([0.75]), array([0.25]), array([1.]))
    """
    found = on_pixels(checked(maps))
    inside = np.asarray(masks) != 0
    if inside.shape != found.shape:
        raise InputsError(
            "There must be a mask for each map, on the same pixels.",
            received=f"shape {inside.shape}",
            allowed=f"shape {found.shape}",
        )
    if margin < 0:
        raise ModelError("A margin cannot be negative.", received=margin)
    if margin:
        inside = binary_dilation(inside, np.ones((1, 3, 3), bool), iterations=margin)
    total, known = found.sum(axis=(1, 2)), inside.any(axis=(1, 2))
    top = found == found.max(axis=(1, 2), keepdims=True)
    with np.errstate(invalid="ignore"):
        share = np.where(inside, found, 0.0).sum(axis=(1, 2)) / total
    answers = (share, inside.mean(axis=(1, 2)), (top & inside).sum((1, 2)) / top.sum((1, 2)))
    return Pointing(*(np.where(known & (total > 0), answer, np.nan) for answer in answers))
