"""What makes the filters of a layer answer most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn.errors import PredictionError
from astrocnn.explain.figures.maps import bare, limit, short, tiles
from astrocnn.explain.figures.shades import shared_rgb, signed_rgb
from astrocnn.report.style import styled

__all__ = ["top_plate"]

_IN_A_ROW = 3


@styled
def top_plate(
    patches: Sequence[Sequence[Any]],
    reconstructions: Sequence[Sequence[Any]] | None,
    values: Any,
    *,
    layer: str,
    channels: Sequence[int] | None = None,
) -> Figure:
    """For each filter its nine highest answers: patches, and beside them reconstructions.

    The highest answer is at the upper left.  The patches of a filter share one stretch, and its
    reconstructions one scale, in which gray is zero and bright means that more light raises
    the answer.  Stripes are outside of the image.

    Parameters
    ----------
    patches : sequence of sequence of ndarray of shape (height, width, n_bands)
        For each filter, the highest answer first; NaN outside the image.
    reconstructions : sequence of sequence of ndarray of shape (height, width, n_bands) or None
        In the same pixels.
    values : array_like of shape (n_filters, count)
        The answers.
    layer : str
        Its name.
    channels : sequence of int, optional
        Number of each filter; counted from zero by default.

    Raises
    ------
    PredictionError
        If there are no patches, or not as many reconstructions or answers.

    References
    ----------
    Zeiler & Fergus 2014, ECCV (arXiv:1311.2901), figure 2.
    """
    values = np.asarray(values, np.float64)
    counts = [len(row) for row in patches]
    sides = patches if reconstructions is None else reconstructions
    if not counts or 0 in counts or [len(r) for r in sides] != counts or len(values) != len(counts):
        raise PredictionError(
            "A plate needs patches for each filter, as many reconstructions, and their answers.",
            received=f"{counts} patches, {[len(r) for r in sides]} reconstructions, "
            f"answers of {len(values)} filters",
        )
    numbers = range(len(counts)) if channels is None else channels
    columns = min(_IN_A_ROW, len(counts))
    rows = -(-len(counts) // columns)
    pair = 1 if reconstructions is None else 2
    side = min(1.15, (7.1 / columns - 0.14) / pair)
    wide, high = (side + 0.04) * pair + 0.1, side + 0.22
    size = wide * columns, high * rows + 0.22
    figure = Figure(figsize=size)
    figure.text(0.5, 1 - 0.03 / size[1], f"{len(counts)} filters of {layer}", va="top", ha="center")
    for i, row in enumerate(patches):
        across = int(np.ceil(counts[i] ** 0.5))
        parts = [shared_rgb(row)]
        if reconstructions is not None:
            found = [np.asarray(r, np.float64) for r in reconstructions[i]]
            top = limit(np.concatenate([r.ravel() for r in found]))
            parts.append([signed_rgb(r, top) for r in found])
        # Places in inches: a layout engine would take seconds for what is a plain grid.
        left = wide * (i % columns) + 0.05
        bottom = size[1] - 0.22 - high * (i // columns + 1) + 0.02
        for j, pictures in enumerate(parts):
            place = left + j * (side + 0.04), bottom, side, side
            axes = figure.add_axes(np.divide(place, [*size, *size]).tolist())
            whole, _ = tiles(_alike(pictures), across, side=72, gap=3)
            axes.imshow(whole, origin="lower", interpolation="nearest")
            bare(axes)
            axes.spines[:].set_visible(False)
        known = values[i][np.isfinite(values[i])]
        said = f"{short(known.max())} to {short(known.min())}" if known.size else "no answer"
        middle = (left + 0.5 * (wide - 0.1)) / size[0], (bottom + side + 0.03) / size[1]
        figure.text(*middle, f"filter {numbers[i]}: {said}", fontsize=8, ha="center")
    return figure


def _alike(pictures: Sequence[Any]) -> list[Any]:
    """All of the size of the largest, filled up with what is outside of the image."""
    height, width = (max(p.shape[k] for p in pictures) for k in (0, 1))
    out = []
    for picture in pictures:
        y, x = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
        whole = np.full((height, width, 3), np.nan)
        whole[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
        out.append(whole)
    return out
