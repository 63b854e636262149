"""The chapters of a report on the inside of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from astrocnn.explain import figures
from astrocnn.explain.explained import (
    Explanations,
    Learned,
    Looked,
    TopFilters,
    method_name,
)
from astrocnn.explain.explained_checks import chapter_on_checks
from astrocnn.explain.explained_scalars import chapter_on_scalars
from astrocnn.explain.explained_shares import share_pictures
from astrocnn.report.page import Chapter, Picture, Table

__all__ = ["Explanations", "Learned", "Looked", "TopFilters", "chapters"]

_ON_A_SHEET, _SHEETS, _BY_BAND, _LAYERS, _FILTERS = 6, 4, 2, 3, 16
_LITTLE = 0.1
"""Part of the differences between objects below which pixels hardly count."""
_OF_BANDS = " Integrated gradients count what a band adds, gradients how steep the number is in it."

_MEANINGS = {
    "saliency": "The gradient: where more light would raise the number (red) or lower it (blue). "
    "Noisy, and blind to what the network takes for granted.",
    "smooth_grad": "The gradient, averaged over copies of the image with a little noise added.",
    "grad_cam": "The last maps of the network, weighted by their gradient: coarse, and only what "
    "speaks for the number. It may be nothing at all.",
    "integrated_gradients": "What each pixel adds, compared with empty sky. All pixels together "
    "make up the difference of the two numbers.",
    "occlusion": "What the number loses when a square around the pixel is filled with sky noise.",
    "deconvnet": "The filter of the last maps that speaks most for the number, sent back from its "
    "strongest place to the pixels: light (red) and darkness (blue) that it answers to, in "
    "proportion to its answer, not in units of the number.",
}


def chapters(found: Explanations) -> list[Chapter]:
    """What the network looks at, whether that can be believed, and what it has learned.

    Parameters
    ----------
    found : Explanations
        Whatever of it is there is told.

    Returns
    -------
    list of Chapter
        Those of the three that have something to say.
    """
    looked = None
    if found.looked:
        alone = found.scalars is not None
        looked = chapter_on_scalars(found, found.scalars) if alone else _looked(found)
    believed = chapter_on_checks(found)
    learned = _learned(found, found.learned) if found.learned is not None else None
    return [chapter for chapter in (looked, believed, learned) if chapter is not None]


def _looked(found: Explanations) -> Chapter:
    text = [
        "Maps of the pixels that spoke for a number of the answer. Red spoke for more of it, blue "
        "for less; what a method says of each band is added up. The number below a map is what its "
        "full color means: maps with small numbers say little. The gray line on it is the outline "
        "of the object, five times the noise above the sky; the line on the second image holds "
        "half of the map of one method.",
        "Methods answer different questions, and a map that pleases the eye may still be wrong: "
        "read it with the checks that follow.",
    ]
    text += [words for one in found.looked if (words := _weight(one))]
    methods = dict.fromkeys(name for one in found.looked for name in one.maps)
    rows = [[method_name(name), _MEANINGS[name]] for name in methods if name in _MEANINGS]
    tables = [Table(["Method", "What its map says"], rows)] if rows else []
    pictures = []
    for one in found.looked:
        pictures += _sheets(found, one)
        pictures += _by_band(found, one)
        if one.shares:
            names = _names(found, np.shape(next(iter(one.shares.values())))[-1])
            pictures += share_pictures(one, names, "in each band", _OF_BANDS)
    return Chapter("What the network looks at", text, pictures, tables)


def _weight(one: Looked) -> str:
    """How much of the number is in the pixels at all, where it was found out."""
    if not one.curves:
        return ""
    curve = np.asarray(next(iter(one.curves.values())).deletion, float)
    whole, empty = curve[:, 0], curve[:, -1]
    change, spread = float(np.median(np.abs(whole - empty))), float(np.std(whole))
    said = (
        f"The pixels together: filled with sky noise they change the {one.output} by {change:.2g} "
        f"in the median of these objects; of the images it is {np.median(whole):.3g}, of empty sky "
        f"{np.median(empty):.3g}."
    )
    if change < _LITTLE * spread:
        said += (
            f" That is little beside the differences between the objects (standard deviation "
            f"{spread:.2g}): the network decides by other things than pixels, such as its scalars, "
            "and these maps show the little that is left."
        )
    return said


def _sheets(found: Explanations, one: Looked) -> list[Picture]:
    pictures = []
    maps = {name: np.asarray(values) for name, values in one.maps.items()}
    count = min(len(one.labels), _ON_A_SHEET * _SHEETS)
    if not maps:
        return []
    for start in range(0, count, _ON_A_SHEET):
        part = slice(start, min(start + _ON_A_SHEET, count))
        figure = figures.attribution_sheet(
            np.asarray(one.images)[part],
            {method_name(name): values[part] for name, values in maps.items()},
            labels=one.labels[part],
            band_names=found.bands,
            pixel_scale=found.pixel_scale,
            contour=method_name(_outlined(maps)),
            foot="; ".join(words for words in (one.output, found.orientation) if words),
        )
        caption = f"{one.output}: where each method sees it."
        seen = "; ".join(label.replace("\n", ", ") for label in one.labels[part])
        pictures.append(Picture(figure, caption, f"{caption} {seen}", raster=True))
    return pictures


def _by_band(found: Explanations, one: Looked) -> list[Picture]:
    maps = {name: np.asarray(v) for name, v in one.maps.items() if np.ndim(v) == 4}
    maps = {name: v for name, v in maps.items() if v.shape[-1] > 1}
    pictures = []
    for i in range(min(len(one.labels), _BY_BAND) if maps else 0):
        label = one.labels[i].replace("\n", ", ")
        figure = figures.attribution_by_band(
            np.asarray(one.images)[i],
            {method_name(name): values[i] for name, values in maps.items()},
            band_names=found.bands,
            channel_names=_names(found, next(iter(maps.values())).shape[-1]),
            pixel_scale=found.pixel_scale,
            title=f"{label}\n{one.output}",
        )
        caption = f"{one.output}, band by band; the bands of a method share one scale."
        pictures.append(Picture(figure, caption, f"{label}: {caption}", True))
    return pictures


def _learned(found: Explanations, one: Learned) -> Chapter | None:
    pictures: list[Picture] = []
    if one.kernels is not None:
        names = _names(found, np.shape(one.kernels)[2])
        figure = figures.kernel_mosaic(one.kernels, band_names=names)
        caption = (
            "Kernels of the first convolution: the patterns it looks for, a column for each "
            "filter, a row for each band, all in one scale."
        )
        pictures.append(Picture(figure, caption, raster=True))
    if one.image is not None:
        for layer, maps in list(one.maps.items())[:_LAYERS]:
            figure = figures.feature_montage(
                one.image, maps, layer=layer, shared_scale=False, most=_FILTERS
            )
            part = ", those that vary most," if np.shape(maps)[-1] > _FILTERS else ""
            caption = (
                f"What the filters of {layer}{part} make of the first object: the number of each, "
                "counted from 0, and what full color means."
            )
            pictures.append(Picture(figure, caption, raster=True))
    for top in one.top[:_LAYERS]:
        figure = figures.top_plate(
            top.patches, top.reconstructions, top.values, layer=top.layer, channels=top.channels
        )
        beside = (
            " Beside them, what of those pixels the filter answered to: gray is nothing, bright is "
            "light that raises the answer."
        )
        beside = "" if top.reconstructions is None else beside
        caption = f"Where the filters of {top.layer} answer most, and how strongly.{beside}"
        pictures.append(Picture(figure, caption, raster=True))
    pictures += _made(found, one) + _map_of_objects(one)
    text = ["What the network as a whole answers to, whatever the single object."]
    return Chapter("What the network has learned", text, pictures) if pictures else None


def _made(found: Explanations, one: Learned) -> list[Picture]:
    """Images that the network made or changed."""
    pictures = []
    if one.class_images:
        bands = np.shape(next(iter(one.class_images.values())))[-1]
        figure = figures.class_images(
            one.class_images,
            band_names=_names(found, bands),
            pixel_scale=found.pixel_scale,
            unit=found.unit,
        )
        caption = (
            "The image that each class likes most. It is no typical member: it is what an image "
            "would have to add up to for the network to be surest."
            if len(one.class_images) > 1
            else "The image of which the network says the largest value. It is no typical object, "
            "nor need there be one like it."
        )
        pictures.append(Picture(figure, caption, raster=True))
    if one.dreams is not None:
        figure = figures.dream(*one.dreams, pixel_scale=found.pixel_scale, unit=found.unit)
        caption = (
            "Images before and after they were changed so that a layer answers more; the "
            "difference is the mean over bands."
        )
        pictures.append(Picture(figure, caption, raster=True))
    return pictures


def _map_of_objects(one: Learned) -> list[Picture]:
    if one.points is None:
        return []
    pictures = []
    colors: Mapping[str, Any] = one.colors or {"": None}
    for i, (label, values) in enumerate(colors.items()):
        figure = figures.embedding_figure(
            one.points,
            colors=values,
            color_label=label,
            names=("first component", "second component") if "PCA" in one.method else ("", ""),
            # Once is enough to see which objects lie where.
            thumbnails=one.thumbnails if i == 0 else None,
        )
        by = f", colored by {label}" if label else ""
        how = f" ({one.method})" if one.method else ""
        caption = (
            f"Objects as the last layer before the answer sees them, in two dimensions{how}{by}. "
            "What lies close is alike to the network."
        )
        pictures.append(Picture(figure, caption, raster=True))
    return pictures


def _outlined(maps: Mapping[str, Any]) -> str:
    """The method whose outline is drawn: that whose map adds up to something."""
    return "integrated_gradients" if "integrated_gradients" in maps else next(iter(maps))


def _names(found: Explanations, count: int) -> Sequence[str]:
    """Names of bands or channels, or their numbers if there are others than known."""
    for names in (found.channels, found.bands):
        if len(names) == count:
            return names
    return [str(i) for i in range(count)]
