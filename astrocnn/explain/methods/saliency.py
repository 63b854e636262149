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
from astrocnn.explain.methods import AttributionMethod
from astrocnn.explain.network import Evaluator
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
    evaluator = Evaluator(model, images, target, scalars=scalars, batch_size=batch_size)
    return evaluator.map(evaluator.gradient)


METHOD = AttributionMethod(
    saliency,
    meaning="The gradient: where more light would raise the output (red) or lower it (blue). "
    "Noisy, and insensitive to saturated features.",
    scalars_meaning="The gradient: change of the output per standard deviation of the input in the "
    "training set.",
    unit="Change of OUTPUT per unit of the normalized image, not of flux.",
    scalars_unit="change of OUTPUT per standard deviation of the input",
    is_gradient=True,
)
