"""The kernels of a convolution, band above band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn.errors import PredictionError
from astrocnn.explain.figures.maps import bar, bare, colored, limit, tiles
from astrocnn.report.style import styled

__all__ = ["kernel_mosaic"]

_IN_A_ROW = 16


@styled
def kernel_mosaic(kernels: Any, *, band_names: Sequence[str], most: int = 64) -> Figure:
    """One column a filter, one row a band, all in one scale about zero.

    Parameters
    ----------
    kernels : array_like of shape (kernel_height, kernel_width, n_bands, n_filters)
        As Keras keeps them.
    band_names : sequence of str
        One for each band, or channel.
    most : int
        Filters drawn; of more, those with the largest norm.

    Raises
    ------
    PredictionError
        If these are not kernels over as many bands as there are names.
    """
    kernels = np.asarray(kernels, np.float64)
    if kernels.ndim != 4 or not kernels.size or kernels.shape[2] != len(band_names):
        raise PredictionError(
            "A mosaic of kernels needs kernels over pixels, with one name for each band.",
            received=f"shape {kernels.shape}, {len(band_names)} names",
            allowed=f"(height, width, {len(band_names)}, n_filters)",
        )
    count = kernels.shape[-1]
    norm = np.sqrt((kernels**2).sum(axis=(0, 1, 2)))
    shown = np.sort(np.argsort(-norm, kind="stable")[:most])
    top = limit(kernels[..., shown])
    blocks = np.array_split(shown, -(-len(shown) // _IN_A_ROW))
    columns = len(blocks[0])
    cell = min(0.42, 6.3 / columns, 8.0 / (len(blocks) * len(band_names)))
    figure = Figure(
        figsize=(
            max(cell * columns, 1.6) + 0.95,
            len(blocks) * (cell * len(band_names) + 0.24) + 0.3,
        ),
        layout="compressed",
    )
    axes = figure.subplots(len(blocks), 1, squeeze=False)[:, 0]
    for panel, block in zip(axes, blocks, strict=True):
        pictures = [
            colored(kernels[:, :, b, f], top, True) for b in range(len(band_names)) for f in block
        ]
        # A short last row keeps the width of the others.
        empty = np.ones_like(pictures[0])
        padded = []
        for b in range(len(band_names)):
            row = pictures[b * len(block) : (b + 1) * len(block)]
            padded += [*row, *[empty] * (columns - len(block))]
        whole, corners = tiles(padded, columns, side=36, gap=5)
        panel.imshow(whole, origin="lower", interpolation="nearest")
        bare(panel)
        panel.spines[:].set_visible(False)
        step = corners[1, 0] - corners[0, 0] if columns > 1 else whole.shape[1]
        rise = corners[0, 1] - corners[columns, 1] if len(band_names) > 1 else whole.shape[0]
        panel.set_xticks(corners[: len(block), 0] + step / 2, [str(f) for f in block])
        panel.set_yticks(corners[::columns, 1] - rise / 2, band_names)
        panel.tick_params(length=0, pad=2, labelsize=7.5, labelbottom=False, labeltop=True)
    wide = cell * columns
    bar(axes[0], top, True, pad=0.06 / wide, thick=0.09 / wide)
    words = f"filter; {len(shown)} of {count} by norm" if len(shown) < count else "filter"
    axes[0].set_title(words, fontsize=8.5)
    return figure
