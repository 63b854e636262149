"""Saliency: the gradient of the target with respect to each pixel and band.

References
----------
Simonyan, Vedaldi & Zisserman 2014, ICLR workshop (arXiv:1312.6034), section 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.explain.gradients import compiled
from astrocnn.explain.methods.base import AttributionMethod
from astrocnn.explain.network import (
    build_arrays,
    build_scorer,
    compute_image_gradient,
    in_blocks,
)
from astrocnn.explain.target import ExplainTarget

__all__ = ["METHOD", "saliency"]


def saliency(
    model: keras.Model,
    images: Any,
    target: ExplainTarget,
    *,
    scalars: Any = None,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Gradient of the target with respect to each pixel and band.

    Parameters
    ----------
    model, images, target, scalars, batch_size
        See `astrocnn.explain.methods`.

    Returns
    -------
    ndarray of shape (n, height, width, n_channels)
        With its sign, per unit of the normalized image; papers show the absolute value.
    """
    arrays = build_arrays(model, images, scalars, target)
    score = build_scorer(model, target)
    step = compiled(lambda x: compute_image_gradient(score, x))
    return in_blocks(step, arrays, batch_size)[0]


METHOD = AttributionMethod(
    saliency,
    meaning="The gradient: where more light would raise the number (red) or lower it (blue). "
    "Noisy, and blind to features that have saturated.",
    scalars_meaning="The gradient: by how much the number rises when the input rises, per standard "
    "deviation of the input in the training set.",
    unit="Change of OUTPUT per unit of the normalized image, not of flux.",
    scalars_unit="change of OUTPUT per standard deviation of the input",
    is_gradient=True,
)
