"""SmoothGrad: the mean gradient over noisy copies of an image.

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
from astrocnn.explain.methods import AttributionMethod
from astrocnn.explain.network import Evaluator, validate_counts
from astrocnn.explain.target import ExplainTarget

__all__ = ["METHOD", "smooth_grad"]


def smooth_grad(
    model: keras.Model,
    images: Any,
    target: ExplainTarget,
    *,
    scalars: Any = None,
    draws: int = 25,
    noise: float = 0.02,
    seed: int = 0,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Mean gradient of the target over draws of Gaussian noise added to the image.

    Parameters
    ----------
    model, images, target, scalars, batch_size
        See `astrocnn.explain.methods`.
    draws : int
        Noisy copies of each image, the same noise for all images.
    noise : float
        Standard deviation in units of the range of each image (largest minus smallest value).
        Photographs take 0.1 to 0.2; the range of a sky image is that of its bright cores, and so
        much noise drowns what is faint.
    seed : int
        Seed of the noise.

    Returns
    -------
    ndarray of shape (n, height, width, n_channels)
        With its sign, per unit of the normalized image.

    Raises
    ------
    ModelError
        If there are no draws, or the noise is negative.
    """
    evaluator = Evaluator(model, images, target, scalars=scalars, batch_size=batch_size)
    validate_counts(draws=draws)
    if not (np.isfinite(noise) and noise >= 0):
        raise ModelError("`noise` must be >= 0.", received=noise)
    image = evaluator.images
    patterns = np.random.default_rng(seed).standard_normal((draws, *image.shape[1:]), np.float32)
    spread = np.float32(noise) * np.ptp(image, axis=(1, 2, 3), keepdims=True)
    return evaluator.gradients_of_variations(
        lambda x, pattern: x["image"] + x["spread"] * pattern,
        patterns,
        np.full(draws, 1.0 / draws, np.float32),
        {**evaluator.arrays, "spread": spread},
    )


METHOD = AttributionMethod(
    smooth_grad,
    title="SmoothGrad",
    meaning="The gradient, averaged over copies of the image with a little noise added.",
    scalars_meaning="The gradient per standard deviation of the input, averaged over copies of the "
    "inputs with a little noise added.",
    unit="Change of OUTPUT per unit of the normalized image, not of flux.",
    scalars_unit="change of OUTPUT per standard deviation of the input, smoothed",
    default=True,
    is_gradient=True,
    report_options={"draws": 16},
    report_options_scalars={"draws": 16},
)
