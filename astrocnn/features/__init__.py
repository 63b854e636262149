"""Hand-made features of images: what classical methods learn from, and a table of its own.

A family of features is a module here that exposes ``names(size, n_bands)``, a tuple of str, and
``measure(image, pixel_scale)``, from one image of shape (size, size, n_bands) of linear fluxes to
as many numbers.  Each object is measured by itself.  A pixel that is not finite is no data: every
family says what it does with it.  A feature that is not defined for an object is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.errors import ConfigError

__all__ = ["FEATURES", "compute"]

FEATURES = "astrocnn.features"
"""Package whose modules are the families of features."""


def compute(
    families: str | Sequence[str], images: NDArray[np.floating], pixel_scale: float | None = None
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Features of images, families side by side.

    Parameters
    ----------
    families : str or sequence of str
        Names of modules of this package: "hog", "colors", "texture", "cas", "gini_m20".
    images : ndarray of shape (n, size, size, n_bands)
        Linear fluxes, NaN where there are no data.
    pixel_scale : float, optional
        [arcsec/pixel]; without it radii are in pixels.

    Returns
    -------
    values : ndarray of shape (n, k)
        float32, NaN where a feature is not defined.
    names : tuple of str
        Of the k features.

    Raises
    ------
    ConfigError
        If there is no such family, or the images are not square stacks of bands.

    Examples
    --------
    >>> y, x = np.mgrid[-16:17, -16:17]
    >>> galaxy = np.exp(-np.hypot(x, y) / 3)[None, :, :, None]
    >>> values, names = compute(["cas", "gini_m20"], galaxy)
    >>> f"{names[0]} {values[0, 0]:.1f}"
    'concentration 2.7'
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] != images.shape[2]:
        raise ConfigError(
            "Features are measured on square images.",
            received=f"shape {images.shape}",
            allowed="shape (n, size, size, n_bands)",
        )
    wanted = [families] if isinstance(families, str) else list(families)
    modules = [plugins.load(FEATURES, name) for name in wanted]
    size, n_bands = images.shape[2:]
    named = [module.names(size, n_bands) for module in modules]
    names = tuple(name for part in named for name in part)
    values = np.full((len(images), len(names)), np.nan, np.float32)
    for row, image in zip(values, images, strict=True):
        exact = np.asarray(image, np.float64)
        if np.isfinite(exact).any():
            parts = [module.measure(exact, pixel_scale) for module in modules]
            row[:] = np.concatenate([np.empty(0), *parts])
    values[~np.isfinite(values)] = np.nan
    return values, names
