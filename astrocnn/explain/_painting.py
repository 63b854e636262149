"""What painting an image by its slope needs: which channels, and how sharp."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import ModelError

__all__ = ["Blur", "painted"]


def painted(bands: int | None, channels: int) -> NDArray[np.float64]:
    """1 for each of the first `bands` channels and 0 for the others, of shape (channels,).

    Raises
    ------
    ModelError
        If there are not as many.
    """
    if bands is not None and not 1 <= bands <= channels:
        raise ModelError(
            "The network has not as many channels.", received=bands, allowed=f"1 to {channels}"
        )
    return (np.arange(channels) < (channels if bands is None else bands)).astype(np.float64)


class Blur:
    """What is seen through the atmosphere, and the slope of a score by what is behind it.

    Parameters
    ----------
    height, width : int
        Of the images.
    sigma : float
        Standard deviation of the seeing [pixel]; 0 for none.

    Raises
    ------
    ModelError
        If it is negative.
    """

    def __init__(self, height: int, width: int, sigma: float) -> None:
        if not (np.isfinite(sigma) and sigma >= 0):
            raise ModelError("The seeing cannot be negative.", received=sigma, allowed="0 or more")
        self._y, self._x = (_matrix(length, sigma) for length in (height, width))
        self._none = sigma == 0

    def __call__(self, light: NDArray[np.floating]) -> NDArray[np.float64]:
        """Blur light of shape (..., height, width, channels)."""
        return self._apply(self._y, light, self._x)

    def back(self, slope: NDArray[np.floating]) -> NDArray[np.float64]:
        """The slope by the light, from that by the blurred image: the transpose."""
        return self._apply(self._y.T, slope, self._x.T)

    def _apply(
        self, y: NDArray[np.float64], light: NDArray[np.floating], x: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        if self._none:
            return np.asarray(light, np.float64)
        found: NDArray[np.float64] = np.einsum("ij,...jkc,lk->...ilc", y, light, x, optimize=True)
        return found


def _matrix(length: int, sigma: float) -> NDArray[np.float64]:
    """Weight of each pixel of a line in each blurred one; rows add up to 1, to the very ends."""
    if sigma == 0:
        return np.eye(length)
    place = np.arange(length)
    weights = np.exp(-0.5 * ((place[:, None] - place) / sigma) ** 2)
    found: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return found
