"""Where the last maps of a network see what speaks for the answer.

References
----------
Selvaraju et al. 2017, ICCV (arXiv:1610.02391), equations 1 and 2.
Zhou et al. 2016, CVPR (arXiv:1512.04150), equation 2 (class activation maps, the linear case).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, ops
from astrocnn.errors import ModelError
from astrocnn.explain._gradients import compiled, gradient
from astrocnn.explain._network import arrays_for, in_blocks
from astrocnn.explain.output import Explained
from astrocnn.models.layer_access import last_maps, layer_output

__all__ = ["grad_cam", "pixel_map"]


def grad_cam(
    model: keras.Model,
    images: Any,
    output: Explained,
    *,
    scalars: Any = None,
    layer: str | None = None,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Maps of a layer, each weighted by its mean gradient, added up; only what is positive.

    Parameters
    ----------
    model : keras.Model
        From images, and scalars where it takes them, with convolutions.
    images : array_like of shape (n, height, width, n_channels)
        Normalized.
    output : Output or Response
        The number to be explained; a `Response` must come after the layer.
    scalars : array_like of shape (n, n_scalars), optional
        Standardized.
    layer : str, optional
        Name of a layer with maps; the last one with more than one pixel by default.
    batch_size : int
        Objects at once; without influence on the outcome.

    Returns
    -------
    ndarray of shape (n, map_height, map_width)
        On the pixels of the layer, in units of the output per pixel of the map.

    Raises
    ------
    ModelError
        If the network has no convolution, no such layer, or the layer no maps.
    """
    arrays = arrays_for(model, images, scalars)
    name = last_maps(model) if layer is None else layer
    maps = layer_output(model, name)
    if len(maps.shape) != 4:
        raise ModelError(
            f"The layer '{name}' has no maps.",
            received=f"shape {tuple(maps.shape[1:])}",
            allowed="a layer of shape (height, width, filters)",
        )
    both = keras.Model(model.input, [maps, output.nodes(model)])

    def weighted(x: dict[str, Any]) -> Any:
        def scores(image: Any) -> tuple[Any, Any]:
            made, values = both({**x, "image": image}, training=False)
            return output.number(values), made

        _, made, slope = gradient(scores, x["image"])
        importance = ops.mean(ops.cast(slope, "float32"), axis=(1, 2), keepdims=True)
        return ops.relu(ops.sum(importance * ops.cast(made, "float32"), axis=-1))

    return in_blocks(compiled(weighted), arrays, batch_size)[0]


def pixel_map(
    model: keras.Model,
    images: Any,
    output: Explained,
    *,
    scalars: Any = None,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """The same, enlarged to the pixels of the image (bilinear), of shape (n, height, width)."""
    found = grad_cam(model, images, output, scalars=scalars, batch_size=batch_size)
    large = ops.image.resize(found[..., None], np.shape(images)[1:3], interpolation="bilinear")
    return np.asarray(ops.convert_to_numpy(large)[..., 0], np.float32)
