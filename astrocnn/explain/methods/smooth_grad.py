"""Saliency without its speckle: the mean gradient over noisy copies of an image.

References
----------
Smilkov et al. 2017, arXiv:1706.03825, section 2 and figure 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.errors import ModelError
from astrocnn.explain._network import arrays_for, check_counts, scorer
from astrocnn.explain._variations import gradients_of_variations
from astrocnn.explain.output import Explained

__all__ = ["pixel_map", "smooth_grad"]


def smooth_grad(
    model: keras.Model,
    images: Any,
    output: Explained,
    *,
    scalars: Any = None,
    draws: int = 25,
    noise: float = 0.02,
    seed: int = 0,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Mean gradient of the output over draws of Gaussian noise added to the image.

    Parameters
    ----------
    model : keras.Model
        From images, and scalars where it takes them.
    images : array_like of shape (n, height, width, n_channels)
        Normalized.
    output : Output or Response
        The number to be explained.
    scalars : array_like of shape (n, n_scalars), optional
        Standardized.
    draws : int
        Noisy copies of each image, the same noise for all images.
    noise : float
        Standard deviation in units of the range of each image (largest minus smallest value).
        Photographs take 0.1 to 0.2; the range of a sky image is that of its bright cores, and so
        much noise drowns what is faint.
    seed : int
        Of the noise.
    batch_size : int
        Noisy images at once; without influence on the outcome.

    Returns
    -------
    ndarray of shape (n, height, width, n_channels)
        With its sign, per unit of the normalized image.

    Raises
    ------
    ModelError
        If there are no draws, or the noise is negative.
    """
    arrays = arrays_for(model, images, scalars)
    check_counts(draws=draws)
    if not (np.isfinite(noise) and noise >= 0):
        raise ModelError("Noise cannot be negative.", received=noise, allowed="0 or more")
    image = arrays["image"]
    patterns = np.random.default_rng(seed).standard_normal((draws, *image.shape[1:]), np.float32)
    spread = np.float32(noise) * np.ptp(image, axis=(1, 2, 3), keepdims=True)
    return gradients_of_variations(
        scorer(model, output),
        lambda x, pattern: x["image"] + x["spread"] * pattern,
        {**arrays, "spread": spread},
        patterns,
        np.full(draws, 1.0 / draws, np.float32),
        batch_size,
    )


pixel_map = smooth_grad
