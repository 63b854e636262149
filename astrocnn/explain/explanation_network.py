"""What a network has learned, as HDUs and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.io import fits

from astrocnn.explain.explained import Learned, TopFilters
from astrocnn.explain.explanation_hdus import (
    NO_UNIT,
    Card,
    Values,
    image_hdu,
    in_native_order,
    table_hdu,
)

__all__ = ["embedding_hdu", "learned_from", "network_hdus"]


def network_hdus(
    learned: Learned,
    bands: Sequence[str],
    channels: Sequence[str],
    unit: str | None,
    about: Sequence[Card] = (),
) -> list[Any]:
    """HDUs of ``network.fits``.

    Parameters
    ----------
    learned : Learned
        What is to be written.
    bands : sequence of str
        Names of the bands.
    channels : sequence of str
        What the channels of the first layer's kernels are.
    unit : str, optional
        Of the images.
    about : sequence of Card
        On the object of which there are feature maps.
    """
    names: list[Card] = [(f"BAND{b}", name, "") for b, name in enumerate(bands, start=1)]
    inputs: list[Card] = [(f"BAND{b}", name, "") for b, name in enumerate(channels, start=1)]
    flux: list[Card] = [*([("BUNIT", unit, "unit of the pixels")] if unit else []), *names]
    found: list[Any] = []
    if learned.kernels is not None:
        values = np.transpose(learned.kernels, (3, 2, 0, 1))
        said = ["Kernels of the first convolution: filter, channel, y, x."]
        found.append(image_hdu("KERNELS", values, [NO_UNIT, *inputs], comments=said))
    if learned.image is not None:
        cards = [*flux, *about]
        found.append(image_hdu("OBJECT", np.moveaxis(learned.image, -1, 0), cards))
    for number, (layer, maps) in enumerate(learned.maps.items(), start=1):
        cards = [NO_UNIT, ("LAYER", layer, "name of the layer")]
        said = ["What each filter of the layer makes of OBJECT: filter, y, x."]
        values = np.moveaxis(maps, -1, 0)
        found.append(image_hdu("FEATURES", values, cards, number=number, comments=said))
    for number, top in enumerate(learned.top, start=1):
        found += _top_hdus(top, number, flux)
    if learned.class_images:
        labels: list[Card] = [
            (f"CLASS{k}", name, "") for k, name in enumerate(learned.class_images, start=1)
        ]
        values = np.stack([np.moveaxis(v, -1, 0) for v in learned.class_images.values()])
        said = ["The image that each class likes most: class, band, y, x."]
        found.append(image_hdu("CLASS_IMAGES", values, [*flux, *labels], comments=said))
    if learned.dreams is not None:
        values = np.moveaxis(np.stack([np.asarray(d) for d in learned.dreams]), -1, 2)
        said = ["Images before and after: which, object, band, y, x."]
        found.append(image_hdu("DREAMS", values, flux, comments=said))
    return found


def embedding_hdu(learned: Learned, ids: Any, rows: Any) -> Any:
    """The table EMBEDDING: where each object lies, and what it may be colored by."""
    points = np.asarray(learned.points, np.float64)
    columns: dict[str, Values] = {
        "id": (np.asarray(ids), "", "identifier"),
        "row": (np.asarray(rows, np.int64), "", "row of the catalogue, from 0"),
        "x": (points[:, 0], "", "first coordinate"),
        "y": (points[:, 1], "", "second coordinate"),
    }
    for number, (words, values) in enumerate(learned.colors.items(), start=1):
        columns[f"color{number}"] = (np.asarray(values), "", words)
    cards: list[Card] = [("METHOD", learned.method, "how it was brought to two dimensions")]
    return table_hdu("EMBEDDING", columns, cards)


def learned_from(hdus: fits.HDUList, thumbnails: Any = None) -> Learned:
    """The inverse of `network_hdus`.

    Parameters
    ----------
    hdus : HDUList
        An open ``network.fits``.
    thumbnails : callable, optional
        From rows of the catalogue to images, for the embedding.
    """
    made: dict[str, Any] = {"maps": {}, "top": []}
    for hdu in hdus[1:]:
        name, header = hdu.header["EXTNAME"], hdu.header
        if name == "KERNELS":
            made["kernels"] = _native(hdu).transpose(2, 3, 1, 0)
        elif name == "OBJECT":
            made["image"] = np.moveaxis(_native(hdu), 0, -1)
        elif name == "FEATURES":
            made["maps"][header["LAYER"]] = np.moveaxis(_native(hdu), 0, -1)
        elif name == "PATCHES":
            made["top"].append(_top_from(hdus, hdu))
        elif name == "CLASS_IMAGES":
            made["class_images"] = {
                header[f"CLASS{k}"]: np.moveaxis(image, 0, -1)
                for k, image in enumerate(_native(hdu), start=1)
            }
        elif name == "DREAMS":
            made["dreams"] = tuple(np.moveaxis(_native(hdu), 2, -1))
        elif name == "EMBEDDING":
            made |= _embedding_from(hdu, thumbnails)
    return Learned(**made)


def _top_hdus(top: TopFilters, number: int, flux: list[Card]) -> list[Any]:
    cards: list[Card] = [*flux, ("LAYER", top.layer, "name of the layer")]
    cards += [(f"FILTER{k}", int(c), "") for k, c in enumerate(top.channels, start=1)]
    said = ["Where filters answer most: filter, rank, band, y, x; NaN outside of the image."]
    found = [
        image_hdu("PATCHES", _stacked(top.patches), cards, number=number, comments=said),
        image_hdu(
            "ANSWERS", np.asarray(top.values), [NO_UNIT], number=number, comments=["Filter, rank."]
        ),
    ]
    if top.reconstructions is not None:
        said = ["What a deconvolutional network puts into the pixels of PATCHES."]
        values = _stacked(top.reconstructions)
        found.append(image_hdu("RECONSTRUCTIONS", values, [NO_UNIT], number=number, comments=said))
    return found


def _stacked(patches: Any) -> Any:
    return np.stack([np.stack([np.moveaxis(p, -1, 0) for p in row]) for row in patches])


def _top_from(hdus: fits.HDUList, hdu: Any) -> TopFilters:
    number = hdu.header.get("EXTVER", 1)
    patches = np.moveaxis(_native(hdu), 2, -1)
    made = None
    if ("RECONSTRUCTIONS", number) in hdus:
        made = list(np.moveaxis(_native(hdus["RECONSTRUCTIONS", number]), 2, -1))
    channels = [hdu.header[f"FILTER{k}"] for k in range(1, len(patches) + 1)]
    values = _native(hdus["ANSWERS", number])
    return TopFilters(hdu.header["LAYER"], channels, list(patches), made, values)


def _embedding_from(hdu: Any, thumbnails: Any) -> dict[str, Any]:
    table, header = hdu.data, hdu.header
    colors = {}
    for k, column in enumerate(hdu.columns.names, start=1):
        if column.startswith("color"):
            values = np.asarray(table[column])
            colors[header[f"TCOMM{k}"]] = (
                values if values.dtype.kind == "U" else in_native_order(values)
            )
    rows = in_native_order(table["row"])
    return {
        "points": np.stack([in_native_order(table[c]) for c in "xy"], axis=1),
        "method": header["METHOD"],
        "colors": colors,
        "thumbnails": None if thumbnails is None else thumbnails(rows),
    }


def _native(hdu: Any) -> Any:
    return in_native_order(hdu.data)
