"""Arrays as a model takes them, and rows that have all it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import InputsError
from astrocnn.imaging import Inputs

if TYPE_CHECKING:
    from astrocnn.datasets import Shards

__all__ = ["check_arrays", "with_scalars"]


def with_scalars(
    shards: Shards, inputs: Inputs, rows: NDArray[np.integer]
) -> tuple[NDArray[np.int64], Inputs]:
    """Those of the rows that lack no scalar, and the inputs with scalars fitted on them.

    Inputs that carry location and scale of their scalars already keep them.
    """
    rows = np.asarray(rows, np.int64)
    if not inputs.scalars:
        return rows, inputs
    scalars = shards.scalars(inputs.scalars)[rows]
    known = np.isfinite(scalars).all(axis=1)
    if not inputs.scalar_location:
        inputs = inputs.with_scalar_statistics(scalars[known] if known.any() else scalars)
    return rows[known], inputs


def check_arrays(
    inputs: Inputs, images: Any, scalars: Any
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Images and scalars as native float32 of the shapes a model takes.

    A model without bands looks at no image: whatever is given, None included, becomes an array of
    shape (n, 0, 0, 0).

    Raises
    ------
    InputsError
        If the shapes are others, or scalars are missing or not wanted.
    """
    if not inputs.bands:
        n = len(images if images is not None else scalars if scalars is not None else ())
        images = np.zeros((n, 0, 0, 0), np.float32)
    images = np.asarray(images)
    expected = (inputs.size, inputs.size, inputs.n_bands)
    if images.ndim != 4 or images.shape[1:] != expected:
        raise InputsError(
            "The images are not of the kind this model was trained on.",
            received=f"shape {images.shape}",
            allowed=f"shape (n, {inputs.size}, {inputs.size}, {inputs.n_bands}) with the bands "
            + ", ".join(inputs.bands),
        )
    images = np.ascontiguousarray(images, dtype=np.float32)
    if not inputs.scalars:
        if scalars is not None:
            raise InputsError("This model takes no scalars.", received="scalars")
        return images, None
    wanted = (len(images), len(inputs.scalars))
    given = None if scalars is None else np.ascontiguousarray(scalars, dtype=np.float32)
    if given is None or given.shape != wanted:
        raise InputsError(
            "This model needs scalars" + (" beside the images." if inputs.bands else "."),
            received="none" if given is None else f"shape {given.shape}",
            allowed=f"shape {wanted}: {', '.join(inputs.scalars)}",
        )
    return images, given
