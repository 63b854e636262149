"""What each filter of a layer makes of one image."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn.errors import PredictionError
from astrocnn.explain.figures.maps import bar, bare, colored, is_signed, limit, short, tiles
from astrocnn.report.gallery import make_rgb
from astrocnn.report.style import styled

__all__ = ["feature_montage"]


@styled
def feature_montage(
    image: Any, maps: Any, *, layer: str, shared_scale: bool = True, most: int = 48
) -> Figure:
    """The image, and beside it the maps of a layer with the number of their filter.

    Parameters
    ----------
    image : array_like of shape (height, width, n_bands)
        NaN where there is no data.
    maps : array_like of shape (map_height, map_width, n_filters)
        Output of the layer.
    layer : str
        Its name.
    shared_scale : bool
        One scale for all maps; else each has its own, and its number says what full color means.
    most : int
        Maps drawn; of more, those that vary most over the image.

    Raises
    ------
    PredictionError
        If these are not an image and maps.
    """
    image, maps = np.asarray(image, np.float64), np.asarray(maps, np.float64)
    if image.ndim != 3 or maps.ndim != 3 or not maps.size:
        raise PredictionError(
            "A montage needs an image and maps of a layer.",
            received=f"an image of shape {image.shape}, maps of shape {maps.shape}",
            allowed="(height, width, n_bands) and (height, width, n_filters)",
            hint="dense layers have no maps",
        )
    count = maps.shape[-1]
    varying = np.nan_to_num(maps).std(axis=(0, 1))
    shown = np.sort(np.argsort(-varying, kind="stable")[:most])
    signed = is_signed(maps)
    tops = [limit(maps if shared_scale else maps[..., f]) for f in shown]
    columns = min(8, len(shown))
    rows = -(-len(shown) // columns)
    side = 0.66 if columns > 2 else 1.6
    figure = Figure(
        figsize=(side * columns + 2.2 + 0.4 * shared_scale, max(side * rows, 1.6) + 0.3),
        layout="constrained",
    )
    left, right = figure.subplots(1, 2, width_ratios=(1.6, side * columns))
    left.imshow(make_rgb(image[None])[0], origin="lower", interpolation="nearest")
    left.set_anchor("N")
    bare(left)
    left.set_title("image", fontsize=8.5, pad=3)
    pictures = [colored(maps[..., f], top, signed) for f, top in zip(shown, tops, strict=True)]
    whole, corners = tiles(pictures, columns, side=96, gap=4)
    right.imshow(whole, origin="lower", interpolation="nearest")
    right.set_anchor("N")
    bare(right)
    right.spines[:].set_visible(False)
    for (x, y), f, top in zip(corners, shown, tops, strict=True):
        said = str(f) if shared_scale else f"{f}: {short(top)}"
        box = {"boxstyle": "square,pad=0.15", "fc": (0, 0, 0, 0.6), "lw": 0}
        right.text(x + 3, y - 4, said, fontsize=7, va="top", color="white", bbox=box)
    part = f"{len(shown)} of {count} maps" if len(shown) < count else f"{count} maps"
    size = f"{maps.shape[0]} \u00d7 {maps.shape[1]} pixels"
    right.set_title(f"{layer}: {part}, {size}", fontsize=8.5, pad=3)
    if shared_scale:
        wide = side * columns
        bar(right, tops[0], signed, pad=0.06 / wide, thick=0.09 / wide)
    return figure
