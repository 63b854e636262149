"""Colors of images that are to be compared: one stretch for all, and light below zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["shared_rgb", "signed_rgb"]


def shared_rgb(
    images: Sequence[Any], reference: Sequence[Any] | None = None, *, dark: float = 0.25
) -> list[NDArray[np.float64]]:
    """Color pictures of images of any size, all with the same black, white and asinh stretch.

    Parameters
    ----------
    images : sequence of ndarray of shape (height, width, n_bands)
        NaN stays NaN.
    reference : sequence of ndarray, optional
        Images on which black and white are measured, band by band; those drawn by default.
    dark : float
        Part of the pixels that are black: a half for images that are mostly sky.

    Returns
    -------
    list of ndarray of shape (height, width, 3)
        Between 0 and 1; gray below three bands.  A hue is a ratio of bands.
    """
    measured = images if reference is None else reference
    n_bands = np.shape(images[0])[-1]
    pixels = np.concatenate([np.asarray(x, np.float64).reshape(-1, n_bands) for x in measured])
    bands = [n_bands - 1, n_bands // 2, 0] if n_bands >= 3 else [0]
    black, white, noise = np.zeros(len(bands)), np.ones(len(bands)), np.zeros(len(bands))
    for i, b in enumerate(bands):
        values = pixels[np.isfinite(pixels[:, b]), b]
        if values.size:
            black[i], middle, white[i] = np.quantile(values, [dark, 0.5, 0.998])
            noise[i] = 1.4826 * np.median(np.abs(values - middle))
    white = np.where(white > black, white - black, 1.0)
    # Faint images are drawn nearly linear, lest their noise shine.
    soft = float(np.clip(4 * np.mean(noise / white), 0.01, 1.0))
    out = []
    for image in images:
        x = np.maximum((np.asarray(image, np.float64)[..., bands] - black) / white, 0.0)
        light = x.mean(axis=-1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.arcsinh(light / soft) / np.arcsinh(1 / soft) / light
        color = x * np.where(light == 0, 0.0, factor)
        color /= np.maximum(color.max(axis=-1, keepdims=True), 1.0)
        out.append(np.broadcast_to(color, (*color.shape[:2], 3)).copy())
    return out


def signed_rgb(values: Any, top: float) -> NDArray[np.float64]:
    """Color pictures in which zero is gray, and more light in a band is more of its color.

    Parameters
    ----------
    values : array_like of shape (..., n_bands)
        NaN stays NaN.
    top : float
        Absolute value that gets full black or white.

    Returns
    -------
    ndarray of shape (..., 3)
        Between 0 and 1; gray below three bands.
    """
    values = np.asarray(values, np.float64)
    n_bands = values.shape[-1]
    bands = [n_bands - 1, n_bands // 2, 0] if n_bands >= 3 else [0, 0, 0]
    return np.clip(0.5 + 0.5 * values[..., bands] / top, 0.0, 1.0)
