"""A network ready to be asked: checked arrays, scores, blocks of one size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, ops
from astrocnn.errors import InputsError, ModelError
from astrocnn.explain.output import Explained

__all__ = ["arrays_for", "check_counts", "even_blocks", "image_shape", "in_blocks", "scorer"]

Arrays = dict[str, NDArray[np.float32]]


def image_shape(model: keras.Model) -> tuple[int, int, int]:
    """Height, width and channels of the image a network takes.

    Raises
    ------
    ModelError
        If it takes none.
    """
    inputs = model.input
    if not isinstance(inputs, dict) or "image" not in inputs:
        raise ModelError(
            f"The network '{model.name}' takes no image, so that there are no pixels to explain.",
            received=tuple(inputs) if isinstance(inputs, dict) else type(inputs).__name__,
            hint="take one with the input 'image'; as_strip makes such of a network of scalars",
        )
    _, height, width, channels = inputs["image"].shape
    return int(height), int(width), int(channels)


def arrays_for(model: keras.Model, images: Any, scalars: Any = None) -> Arrays:
    """The inputs of a network by name, in float32.

    Raises
    ------
    InputsError
        If images or scalars have not the shape the network takes, or are not finite.
    ModelError
        If it takes no image.
    """
    shape = image_shape(model)
    found = {"image": np.asarray(images, np.float32)}
    wanted: dict[str, tuple[int, ...]] = {"image": shape}
    if "scalars" in model.input:
        wanted["scalars"] = tuple(model.input["scalars"].shape[1:])
    if scalars is not None:
        found["scalars"] = np.asarray(scalars, np.float32)
    n = len(found["image"]) if found["image"].ndim else 0
    for name in {**wanted, **found}:
        given = found[name].shape if name in found else None
        allowed = (n, *wanted[name]) if name in wanted else None
        if given != allowed or not n:
            raise InputsError(
                f"The network takes other arrays as '{name}'.",
                received="none" if given is None else f"shape {given}",
                allowed="none" if allowed is None else f"shape (n, {str(wanted[name])[1:]}, n > 0",
            )
        if not np.isfinite(found[name]).all():
            raise InputsError(
                f"Some numbers of '{name}' are not finite.",
                hint="give normalized images; Normalization fills pixels without data",
            )
    return found


def check_counts(**counts: int) -> None:
    """Refuse numbers of draws, steps, pixels and objects below one.

    Raises
    ------
    ModelError
        If one is.
    """
    for name, count in counts.items():
        if count < 1:
            raise ModelError(f"There must be at least one: {name}.", received=count)


def scorer(model: keras.Model, output: Explained) -> Callable[[dict[str, Any]], Any]:
    """The function from inputs by name to the number explained, of shape (n,)."""
    cut = keras.Model(model.input, output.nodes(model))

    def score(x: dict[str, Any]) -> Any:
        return output.number(cut({k: x[k] for k in model.input}, training=False))

    return score


def even_blocks(n: int, batch_size: int) -> int:
    """The size of as few blocks as can be, so that the last one lacks as little as can be."""
    check_counts(batch_size=batch_size)
    return -(-n // -(-n // batch_size))


def in_blocks(
    step: Callable[[dict[str, Any]], Any], arrays: Arrays, batch_size: int
) -> tuple[NDArray[Any], ...]:
    """What `step` makes of all rows, a block at a time, so that memory is bounded.

    The last block is filled up with its last row: a compiled function sees one shape.
    """
    n = len(next(iter(arrays.values())))
    size = even_blocks(n, batch_size)
    parts = []
    for start in range(0, n, size):
        rows = np.arange(start, start + size)
        block = {name: a[np.minimum(rows, n - 1)] for name, a in arrays.items()}
        made = step(block)
        made = made if isinstance(made, (tuple, list)) else (made,)
        kept = min(n - start, len(rows))
        parts.append([ops.convert_to_numpy(m)[:kept] for m in made])
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
