"""One batch in which each object is asked about another answer: its own.

A network is traced once for the number that is explained.  With ten classes, to explain to each
object the class predicted for it would take ten networks; here the class is an input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, ops
from astrocnn.explain._gradients import compiled
from astrocnn.explain._network import arrays_for, in_blocks, scorer
from astrocnn.explain.output import Explained, Output

__all__ = ["Asked", "OwnAnswer", "numbers", "own_answers"]


class Asked(NamedTuple):
    """Objects that can be explained together."""

    rows: NDArray[np.intp]
    """Which of the objects, of shape (m,)."""
    model: keras.Model
    """The network to be asked; it shares the weights of the one that was given."""
    scalars: NDArray[np.float32] | None
    """What it takes as scalars, of shape (m, k)."""
    output: Explained
    """The number."""


@dataclass(frozen=True)
class OwnAnswer:
    """The raw output of the class that each object was asked about.

    Parameters
    ----------
    target : Target
        Its name is that of the network's only output, of shape (n, 1).
    """

    target: Any

    @property
    def label(self) -> str:
        """What it is, for the axis of a figure."""
        return f"logit of the predicted class of {self.target.name}"

    def nodes(self, model: keras.Model) -> Any:
        """The output of the network."""
        return model.output[self.target.name]

    def number(self, values: Any) -> Any:
        """The number from values of shape (n, 1)."""
        return ops.cast(values[..., 0], "float32")


def own_answers(
    model: keras.Model, target: Any, wanted: Sequence[str | None], scalars: Any = None
) -> list[Asked]:
    """Networks that answer for each object about the class asked for.

    Parameters
    ----------
    model : keras.Model
        From images, and scalars where it takes them, to raw outputs by target.
    target : Target
        What is predicted.
    wanted : sequence of (str or None) of length n
        Class for each object; None for a quantity, of which the mean is meant.
    scalars : array_like of shape (n, n_scalars), optional
        Standardized.

    Returns
    -------
    list of Asked
        One for all objects where the network takes no scalars, or all ask about the same; else
        one for each class.
    """
    kinds = list(dict.fromkeys(wanted))
    given = None if scalars is None else np.asarray(scalars, np.float32)
    if len(kinds) == 1 or "scalars" in model.input:
        found = []
        for kind in kinds:
            rows = np.flatnonzero([one == kind for one in wanted])
            own = None if given is None else given[rows]
            found.append(Asked(rows, model, own, Output(target, kind)))
        return found
    for kind in kinds:
        Output(target, kind)  # refuses what the family does not have
    place = np.array([target.family.classes.index(one) for one in wanted])
    if target.family.units == 1:
        choice = np.where(place == 1, 1.0, -1.0)[:, None].astype(np.float32)
    else:
        choice = np.eye(target.family.units, dtype=np.float32)[place]
    node = keras.Input((choice.shape[1],), name="scalars")
    raw = ops.cast(model.output[target.name], "float32")
    asked = keras.Model(
        {"image": model.input["image"], "scalars": node},
        {target.name: ops.sum(raw * node, axis=-1, keepdims=True)},
        name=model.name,
    )
    return [Asked(np.arange(len(place)), asked, choice, OwnAnswer(target))]


def numbers(
    model: keras.Model, images: Any, output: Explained, *, scalars: Any = None, batch_size: int = 64
) -> NDArray[np.float32]:
    """The number that is explained, itself.

    Parameters
    ----------
    model : keras.Model
        From images, and scalars where it takes them.
    images : array_like of shape (n, height, width, n_channels)
        Normalized.
    output : Output or Response
        The number.
    scalars : array_like of shape (n, n_scalars), optional
        Standardized.
    batch_size : int
        Objects at once; without influence on the outcome.

    Returns
    -------
    ndarray of shape (n,)
    """
    arrays = arrays_for(model, images, scalars)
    found: NDArray[np.float32] = in_blocks(compiled(scorer(model, output)), arrays, batch_size)[0]
    return found
