"""Histograms of oriented gradients: where edges run in which direction [dimensionless].

Nine orientations from 0 to 180 degrees in about 6 x 6 cells (of at least 4 pixels), normalized in
blocks of 2 x 2 cells (L2-Hys), on the stretched image; of the bands, that with the largest gradient
counts in each pixel.  Pixels without data take the level of the sky.  The features turn with the
image: they are not invariant under rotations.

References
----------
Dalal & Triggs 2005, CVPR, 886, section 6.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.feature import hog

from astrocnn.errors import ConfigError
from astrocnn.features.base import stretch_image

__all__ = ["measure", "names"]

_ORIENTATIONS = 9
_BLOCK = 2


def names(size: int, n_bands: int) -> tuple[str, ...]:
    """``hog_<row>_<column>_<row in block>_<column in block>_<orientation>``.

    Raises
    ------
    ConfigError
        If the image is smaller than 8 pixels.
    """
    blocks = size // _cell(size) - _BLOCK + 1
    if blocks < 1:
        raise ConfigError(
            "Images are too small for histograms of gradients.",
            received=f"{size} pixels",
            allowed=f"at least {_BLOCK * _cell(size)} pixels",
        )
    shape = (blocks, blocks, _BLOCK, _BLOCK, _ORIENTATIONS)
    return tuple("hog_" + "_".join(map(str, place)) for place in np.ndindex(*shape))


def measure(image: NDArray[np.float64], pixel_scale: float | None = None) -> NDArray[np.float64]:
    """Measure the features of one image of shape (size, size, n_bands)."""
    cell = _cell(len(image))
    return np.asarray(
        hog(
            stretch_image(image),
            orientations=_ORIENTATIONS,
            pixels_per_cell=(cell, cell),
            cells_per_block=(_BLOCK, _BLOCK),
            block_norm="L2-Hys",
            channel_axis=-1,
        )
    )


def _cell(size: int) -> int:
    return max(4, size // 6)
