"""Feature maps: the output of each filter of a layer for an image.

References
----------
Zeiler & Fergus 2014, ECCV (arXiv:1311.2901), section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.explain.attribution import Explanation
from astrocnn.explain.explained_network import Inspection
from astrocnn.explain.figures import plot_feature_maps
from astrocnn.explain.hdus import NO_UNIT, find_hdus, image_hdu
from astrocnn.explain.methods import InspectionMethod
from astrocnn.explain.network import Evaluator, select_layers
from astrocnn.models.layer_access import layer_output
from astrocnn.report.page import Picture

__all__ = ["METHOD", "feature_maps"]

_FILTERS, _LAYERS = 16, 3


def feature_maps(
    model: keras.Model, images: Any, layer: str, *, scalars: Any = None, batch_size: int = 64
) -> NDArray[np.float32]:
    """Output of a layer for images.

    Parameters
    ----------
    model, images, scalars, batch_size
        See `astrocnn.explain.methods`.
    layer : str
        Name of any layer; dense layers have vectors instead of maps.

    Returns
    -------
    ndarray of shape (n, map_height, map_width, n_filters)
        Or the shape of the output of the layer.

    Raises
    ------
    ModelError
        If there is no such layer; the message lists all with their shapes.
    """
    evaluator = Evaluator(model, images, scalars=scalars, batch_size=batch_size)
    cut = keras.Model(model.input, layer_output(model, layer))
    return evaluator.map(lambda x: keras.ops.cast(cut(x, training=False), "float32"))


def _inspect(inspection: Inspection) -> list[Any]:
    images, scalars = inspection.network.arrays([inspection.example])
    layers = select_layers(inspection.model, 0.0, 1.0)
    flux = np.moveaxis(inspection.network.shards.images([inspection.example])[0], -1, 0)
    hdus = [image_hdu("OBJECT", flux, [*inspection.flux_cards, inspection.example_card])]
    comments = ["Output of each filter of the layer for OBJECT: filter, y, x."]
    for number, layer in enumerate(layers, start=1):
        maps = feature_maps(inspection.model, images, layer, scalars=scalars)[0]
        cards = [NO_UNIT, ("LAYER", layer, "name of the layer")]
        values = np.moveaxis(maps, -1, 0)
        hdus.append(image_hdu("FEATURES", values, cards, number=number, comments=comments))
    return hdus


def _plot(hdus: Sequence[Any], explanation: Explanation) -> list[Picture]:
    image = np.moveaxis(find_hdus(hdus, "OBJECT")[1], 0, -1)
    layers = {hdu.ver: hdu.header["LAYER"] for hdu in hdus if hdu.name == "FEATURES"}
    pictures = []
    for number, values in list(find_hdus(hdus, "FEATURES").items())[:_LAYERS]:
        maps, layer = np.moveaxis(values, 0, -1), layers[number]
        figure = plot_feature_maps(image, maps, layer=layer, shared_scale=False, most=_FILTERS)
        part = ", those that vary most," if maps.shape[-1] > _FILTERS else ""
        caption = (
            f"Feature maps of {layer}{part} for the first object: the number of each filter, "
            "counted from 0, and the value of full color."
        )
        pictures.append(Picture(figure, caption, raster=True))
    return pictures


METHOD = InspectionMethod(_inspect, _plot)
