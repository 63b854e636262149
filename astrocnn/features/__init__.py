"""Hand-made features of images, for classical methods and as a table.

A family of features is a module here that exposes ``names(size, n_bands)``, a tuple of str, and
``measure(image, pixel_scale)``, from one image of shape (size, size, n_bands) of linear fluxes to
as many numbers.  Each object is measured by itself.  A pixel that is not finite has no data: every
family states how it treats it.  A feature that is not defined for an object is NaN.

A family with parameters that are fitted to training images also exposes ``fit(images, seed)``, from
a sequence of such images to a dict of arrays, which its ``measure(image, pixel_scale, state)``
takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.errors import ConfigError

__all__ = ["FEATURES", "Fitted", "compute", "fit"]

FEATURES = "astrocnn.features"
"""Package whose modules are the families of features."""

Fitted = Mapping[str, Mapping[str, NDArray[np.floating]]]
"""Fitted parameters: arrays by family and name."""


def fit(
    families: str | Sequence[str], images: NDArray[np.floating], *, seed: int = 0
) -> dict[str, dict[str, NDArray[np.floating]]]:
    """Fit the families that have parameters to images.

    Give training images only: test images would leak into the features.

    Parameters
    ----------
    families, images
        As for `compute`; a thousand images or so are enough.
    seed : int
        Seed of the random parts of the fit.

    Returns
    -------
    dict of str to dict of str to ndarray
        Arrays by family and name, for `compute`; families without parameters are left out.

    Raises
    ------
    ConfigError
        If there is no such family, the images are not square stacks of bands, or none of them
        has data to fit to.
    """
    images, modules = _square(images), _modules(families)
    fitting = {name: module for name, module in modules.items() if hasattr(module, "fit")}
    if not fitting:
        return {}
    for module in fitting.values():
        module.names(*images.shape[2:])
    usable = [np.asarray(image, np.float64) for image in images if np.isfinite(image).any()]
    if not usable:
        raise ConfigError(
            "Features cannot be fitted: no image has data.",
            received=f"{len(images)} images",
            hint=f"{', '.join(fitting)} need training images",
        )
    return {name: module.fit(usable, seed) for name, module in fitting.items()}


def compute(
    families: str | Sequence[str],
    images: NDArray[np.floating],
    pixel_scale: float | None = None,
    *,
    fitted: Fitted | None = None,
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Compute features of images, families side by side.

    Parameters
    ----------
    families : str or sequence of str
        Names of modules of this package: "hog", "colors", "texture", "cas", "gini_m20";
        "descriptors" and "pixels", which are fitted first.
    images : ndarray of shape (n, size, size, n_bands)
        Linear fluxes, NaN where there are no data.
    pixel_scale : float, optional
        [arcsec/pixel]; without it radii are in pixels.
    fitted : mapping, optional
        From `fit`, for families with parameters.

    Returns
    -------
    values : ndarray of shape (n, k)
        float32, NaN where a feature is not defined.
    names : tuple of str
        Of the k features.

    Raises
    ------
    ConfigError
        If there is no such family, the images are not square stacks of bands, or a family has
        not been fitted.

    Examples
    --------
    >>> y, x = np.mgrid[-16:17, -16:17]
    >>> galaxy = np.exp(-np.hypot(x, y) / 3)[None, :, :, None]
    >>> values, names = compute(["cas", "gini_m20"], galaxy)
    >>> f"{names[0]} {values[0, 0]:.1f}"
    'concentration 2.7'
    """
    images, modules = _square(images), _modules(families)
    states = {name: _state(name, module, fitted or {}) for name, module in modules.items()}
    size, n_bands = images.shape[2:]
    family_names = [module.names(size, n_bands) for module in modules.values()]
    names = tuple(name for part in family_names for name in part)
    values = np.full((len(images), len(names)), np.nan, np.float32)
    for row, image in zip(values, images, strict=True):
        exact = np.asarray(image, np.float64)
        if np.isfinite(exact).any():
            parts = [m.measure(exact, pixel_scale, *states[name]) for name, m in modules.items()]
            row[:] = np.concatenate([np.empty(0), *parts])
    values[~np.isfinite(values)] = np.nan
    return values, names


def _modules(families: str | Sequence[str]) -> dict[str, ModuleType]:
    names = [families] if isinstance(families, str) else families
    return {name: plugins.load_module(FEATURES, name) for name in names}


def _square(images: NDArray[np.floating]) -> NDArray[np.floating]:
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] != images.shape[2]:
        raise ConfigError(
            "Features are measured on square images.",
            received=f"shape {images.shape}",
            allowed="shape (n, size, size, n_bands)",
        )
    return images


def _state(
    name: str, module: ModuleType, fitted: Fitted
) -> tuple[()] | tuple[Mapping[str, NDArray[np.floating]]]:
    """Further arguments of `measure`."""
    if not hasattr(module, "fit"):
        return ()
    if name not in fitted:
        raise ConfigError(
            f"The features '{name}' are not fitted.",
            received="nothing fitted" if not fitted else f"fitted: {', '.join(fitted)}",
            hint=f"compute(..., fitted=features.fit('{name}', training_images))",
        )
    return (fitted[name],)
