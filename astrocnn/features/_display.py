"""Images as an eye would want them: faint and bright parts at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrocnn.features._sky import sky_and_noise

__all__ = ["stretched"]

_SOFT = 3.0


def stretched(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """``asinh((image - sky) / (3 noise))`` of each band, then from 0 to 1; no data become the sky.

    Parameters
    ----------
    image : ndarray of shape (size, size, n_bands)

    Returns
    -------
    ndarray of shape (size, size, n_bands)
        A band without spread or without data is 0.

    References
    ----------
    Lupton et al. 2004, PASP 116, 133.
    """
    out = np.zeros(image.shape)
    for band in range(image.shape[-1]):
        one = image[..., band]
        known = np.isfinite(one)
        if not known.any():
            continue
        sky, noise = sky_and_noise(one)
        # Without noise at the border, a hundredth of the range stands in for it.
        soft = _SOFT * noise if noise > 0 else float(np.ptp(one[known])) / 100
        if soft > 0:
            z = np.arcsinh((np.where(known, one, sky) - sky) / soft)
            out[..., band] = (z - z.min()) / np.ptp(z)
    return out
