"""Kernels of the first convolution: the patterns to which its filters respond.

References
----------
Krizhevsky, Sutskever & Hinton 2012, NeurIPS, figure 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.errors import ModelError
from astrocnn.explain.attribution import Explanation
from astrocnn.explain.explained_network import Inspection
from astrocnn.explain.figures import plot_kernels
from astrocnn.explain.hdus import NO_UNIT, band_cards, find_hdus, image_hdu
from astrocnn.explain.methods import InspectionMethod
from astrocnn.models.layer_access import convolutions, find_layer
from astrocnn.report.page import Picture

__all__ = ["METHOD", "weights"]


def weights(model: keras.Model, layer: str | None = None) -> NDArray[np.float32]:
    """Kernels of a convolution, an image for each filter and band.

    Parameters
    ----------
    model : keras.Model
        Any network with a two-dimensional convolution.
    layer : str, optional
        Name of the layer; by default the first convolution, whose channels are bands.

    Returns
    -------
    ndarray of shape (n_channels, n_filters, kernel_height, kernel_width)
        As Keras applies them: in cross-correlation, not flipped.

    Raises
    ------
    ModelError
        If there is no such layer, or it has no kernels over pixels.
    """
    candidates = convolutions(model)
    convolution = candidates[0] if layer is None else find_layer(model, layer)
    if not any(convolution is one for one in candidates):
        raise ModelError(
            f"The layer '{layer}' has no kernels over pixels.",
            received=type(convolution).__name__,
            allowed=[one.name for one in candidates],
        )
    kernel = np.asarray(keras.ops.convert_to_numpy(convolution.kernel), np.float32)
    return np.ascontiguousarray(kernel.transpose(2, 3, 0, 1))


def _inspect(inspection: Inspection) -> list[Any]:
    values = weights(inspection.model).transpose(1, 0, 2, 3)
    cards = [NO_UNIT, *band_cards(inspection.network.channels)]
    comments = ["Kernels of the first convolution: filter, channel, y, x."]
    return [image_hdu("KERNELS", values, cards, comments=comments)]


def _plot(hdus: Sequence[Any], explanation: Explanation) -> list[Picture]:
    kernels = find_hdus(hdus, "KERNELS")[1].transpose(2, 3, 1, 0)
    names = explanation.objects.channel_names(kernels.shape[2])
    caption = (
        "Kernels of the first convolution: the patterns to which its filters respond, a column "
        "for each filter, a row for each band, all in one scale."
    )
    return [Picture(plot_kernels(kernels, band_names=names), caption, raster=True)]


METHOD = InspectionMethod(_inspect, _plot)
