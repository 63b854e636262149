"""Which pixels, changed a little, change the answer most: the gradient.

References
----------
Simonyan, Vedaldi & Zisserman 2014, ICLR workshop (arXiv:1312.6034), section 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.explain._gradients import compiled, gradient
from astrocnn.explain._network import arrays_for, in_blocks, scorer
from astrocnn.explain.output import Explained

__all__ = ["pixel_map", "saliency"]


def saliency(
    model: keras.Model,
    images: Any,
    output: Explained,
    *,
    scalars: Any = None,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Gradient of the output with respect to each pixel and band.

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
    batch_size : int
        Objects at once; without influence on the outcome.

    Returns
    -------
    ndarray of shape (n, height, width, n_channels)
        With its sign, per unit of the normalized image; papers show the absolute value.
    """
    arrays = arrays_for(model, images, scalars)
    score = scorer(model, output)

    def slope(x: dict[str, Any]) -> Any:
        return gradient(lambda image: (score({**x, "image": image}), image), x["image"])[2]

    return in_blocks(compiled(slope), arrays, batch_size)[0]


pixel_map = saliency
