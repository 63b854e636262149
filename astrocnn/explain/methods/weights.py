"""Kernels of a convolution: the patterns for which a network looks first.

References
----------
Krizhevsky, Sutskever & Hinton 2012, NeurIPS, figure 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.errors import ModelError
from astrocnn.models.layer_access import convolutions, find_layer

__all__ = ["weights"]


def weights(model: keras.Model, layer: str | None = None) -> NDArray[np.float32]:
    """Kernels of a convolution, a picture for each filter and band.

    Parameters
    ----------
    model : keras.Model
        Any network with a two-dimensional convolution.
    layer : str, optional
        Its name; the first convolution by default, of which the channels are bands.

    Returns
    -------
    ndarray of shape (n_channels, n_filters, kernel_height, kernel_width)
        As Keras applies them: in cross-correlation, not flipped.

    Raises
    ------
    ModelError
        If there is no such layer, or it has no kernels over pixels.
    """
    known = convolutions(model)
    found = known[0] if layer is None else find_layer(model, layer)
    if not any(found is one for one in known):
        raise ModelError(
            f"The layer '{layer}' has no kernels over pixels.",
            received=type(found).__name__,
            allowed=[one.name for one in known],
        )
    kernel = np.asarray(keras.ops.convert_to_numpy(found.kernel), np.float32)
    return np.ascontiguousarray(kernel.transpose(2, 3, 0, 1))
