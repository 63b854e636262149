"""Grad-CAM: the last feature maps, weighted by their mean gradient.

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
from astrocnn.explain.methods import AttributionMethod
from astrocnn.explain.network import Evaluator
from astrocnn.explain.target import ExplainTarget
from astrocnn.models.layer_access import last_maps, layer_output

__all__ = ["METHOD", "grad_cam"]


def grad_cam(
    model: keras.Model,
    images: Any,
    target: ExplainTarget,
    *,
    scalars: Any = None,
    layer: str | None = None,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Maps of a layer, each weighted by its mean gradient, added up; only what is positive.

    Parameters
    ----------
    model, images, target, scalars, batch_size
        See `astrocnn.explain.methods`; a layer as target must come after `layer`.
    layer : str, optional
        Name of a layer with maps; the last one with more than one pixel by default.

    Returns
    -------
    ndarray of shape (n, map_height, map_width)
        On the pixels of the layer, in units of the target per pixel of the map.

    Raises
    ------
    ModelError
        If the network has no convolution, no such layer, or the layer no maps.
    """
    evaluator = Evaluator(model, images, target, scalars=scalars, batch_size=batch_size)
    name = last_maps(model) if layer is None else layer
    maps = layer_output(model, name)
    if len(maps.shape) != 4:
        raise ModelError(
            f"The layer '{name}' has no maps.",
            received=f"shape {tuple(maps.shape[1:])}",
            allowed="a layer of shape (height, width, filters)",
        )
    layer_gradient = evaluator.layer_gradient(maps)

    def weighted(x: dict[str, Any]) -> Any:
        activations, slope = layer_gradient(x)
        importance = ops.mean(ops.cast(slope, "float32"), axis=(1, 2), keepdims=True)
        return ops.relu(ops.sum(importance * ops.cast(activations, "float32"), axis=-1))

    return evaluator.map(weighted)


def _resize_to_image(
    model: keras.Model, images: Any, target: ExplainTarget, **options: Any
) -> NDArray[np.float32]:
    """Enlarged to the pixels of the image (bilinear), of shape (n, height, width)."""
    maps = grad_cam(model, images, target, **options)
    resized = ops.image.resize(maps[..., None], np.shape(images)[1:3], interpolation="bilinear")
    return np.asarray(ops.convert_to_numpy(resized)[..., 0], np.float32)


METHOD = AttributionMethod(
    _resize_to_image,
    title="Grad-CAM",
    meaning="The last feature maps, weighted by their gradient: coarse, positive contributions "
    "only. It may be zero everywhere.",
    unit="Activations of a layer times their mean gradients, resized to the image.",
    default=True,
)
