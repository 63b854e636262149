"""How much bfloat16 changes what a network says."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.estimators._forward import Forward
from astrocnn.imaging import Inputs
from astrocnn.models import with_precision
from astrocnn.targets import ClassFamily, QuantityFamily, Task

__all__ = ["largest_change"]

_DRAWS = 10


def largest_change(
    model: keras.Model,
    task: Task,
    inputs: Inputs,
    images: NDArray[Any],
    scalars: NDArray[Any] | None,
) -> float:
    """Largest difference between predictions in bfloat16 and in float32.

    Compared are the deterministic pass and, if the network has dropout, the mean over ten draws.

    Parameters
    ----------
    model : keras.Model
        In float32.
    task : Task
    inputs : Inputs
    images : ndarray of shape (n, size, size, n_bands)
        Linear fluxes.
    scalars : ndarray of shape (n, n_scalars), optional

    Returns
    -------
    float
        Of a probability, cumulative for families over a number; for others in units of the range
        of each parameter over the objects.
    """
    short = with_precision(model, "bfloat16")
    layers = model._flatten_layers(include_self=False)
    draws = _DRAWS if any("dropout" in type(layer).__name__.lower() for layer in layers) else 0
    largest = 0.0
    for n in sorted({0, draws}):
        exact, rounded = (
            Forward(network, task, inputs, n, 0, "one")(images, scalars)
            for network in (model, short)
        )
        for target in task.targets:
            told = [_told(target.family, s[target.name]) for s in (exact, rounded)]
            largest = max(largest, float(np.nanmax(np.abs(told[0] - told[1]), initial=0.0)))
    return largest


def _told(family: Any, samples: NDArray[Any]) -> NDArray[Any]:
    """What a prediction says, in numbers between 0 and 1 where the family has such."""
    if isinstance(family, QuantityFamily):
        return family.masses(samples).mean(axis=0).cumsum(axis=-1)
    said = samples.mean(axis=0)
    return said if isinstance(family, ClassFamily) else said / (1e-12 + np.ptp(said, axis=0))
