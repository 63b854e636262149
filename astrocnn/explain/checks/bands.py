"""How much of the attribution falls on each band.

References
----------
Lundberg et al. 2020, Nature Machine Intelligence 2, 56 (arXiv:1905.04610): the mean absolute
attribution as the importance of an input.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import InputsError
from astrocnn.explain.checks._maps import checked

__all__ = ["band_share"]


def band_share(maps: Any) -> NDArray[np.float64]:
    """Share of each band in the absolute attribution.

    Shares of gradients (saliency, SmoothGrad) are per unit of the normalized bands; those of
    integrated gradients count what each band adds, whatever its unit.

    Parameters
    ----------
    maps : array_like of shape (n, height, width, n_channels)
        Of a method that tells bands apart.

    Returns
    -------
    ndarray of shape (n, n_channels)
        Rows add up to 1; NaN for a map of nothing but zeros.

    Raises
    ------
    InputsError
        If the maps do not tell bands apart.

    Examples
    --------
    >>> maps = np.zeros((1, 2, 2, 2))
    >>> maps[0, 0, 0], maps[0, 1, 1] = (3, 0), (-3, 2)
    >>> band_share(maps)
    array([[0.75, 0.25]])
    """
    found = checked(maps)
    if found.ndim == 3:
        raise InputsError(
            "These maps do not tell bands apart.",
            received=f"shape {found.shape}",
            allowed="(n, height, width, n_channels)",
            hint="saliency, smooth_grad and integrated_gradients do",
        )
    total = np.abs(found).sum(axis=(1, 2))
    whole = total.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(whole > 0, total / whole, np.nan)
