"""What each filter of a layer makes of an image.

References
----------
Zeiler & Fergus 2014, ECCV (arXiv:1311.2901), section 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.explain._gradients import compiled
from astrocnn.explain._network import arrays_for, in_blocks
from astrocnn.models.layer_access import layer_output

__all__ = ["feature_maps"]


def feature_maps(
    model: keras.Model, images: Any, layer: str, *, scalars: Any = None, batch_size: int = 64
) -> NDArray[np.float32]:
    """Output of a layer for images.

    Parameters
    ----------
    model : keras.Model
        From images, and scalars where it takes them.
    images : array_like of shape (n, height, width, n_channels)
        Normalized.
    layer : str
        Name of any layer; dense layers have vectors instead of maps.
    scalars : array_like of shape (n, n_scalars), optional
        Standardized.
    batch_size : int
        Objects at once; without influence on the outcome.

    Returns
    -------
    ndarray of shape (n, map_height, map_width, n_filters)
        Or whatever shape the layer has.

    Raises
    ------
    ModelError
        If there is no such layer; the message lists all with their shapes.
    """
    arrays = arrays_for(model, images, scalars)
    cut = keras.Model(model.input, layer_output(model, layer))
    step = compiled(lambda x: keras.ops.cast(cut(x, training=False), "float32"))
    return in_blocks(step, arrays, batch_size)[0]
