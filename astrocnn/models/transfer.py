"""Begin with the weights of a trained network.

Layers are found again by their names, so both networks are of one architecture with the same
options.  They may differ in their inputs and targets: bands, scalars, targets.
Options without a part in what the weights mean (dropout, initializer, penalty) may differ too.

References
----------
Yosinski et al. 2014, NeurIPS (arXiv:1411.1792): how well features of each depth transfer.
Dominguez Sanchez et al. 2019, MNRAS 484, 93 (arXiv:1807.00807): galaxies from survey to survey.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.errors import ModelError

__all__ = [
    "InputNames",
    "TransferSummary",
    "find_first_layers",
    "get_body_layers",
    "transfer_weights",
]

# Layers that carry nothing over: they may be there in one network only.
_WEIGHTLESS = (
    keras.layers.InputLayer,
    keras.layers.Concatenate,
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)
# Entries of a layer's description without a part in what its weights mean.
_FREE = ("name", "dtype", "trainable", "initial")
_FREE_ENDS = ("_initializer", "_regularizer", "_constraint")
# Differences in a message: later ones mostly follow from the first.
_SHOWN = 6


class InputNames(NamedTuple):
    """Names of the inputs of a network."""

    bands: Sequence[str] = ()
    """Of the image, in the order of its channels; the channels of their masks follow, if any."""
    scalars: Sequence[str] = ()


class TransferSummary(NamedTuple):
    """Layers of a network by where their weights come from."""

    taken: tuple[str, ...]
    """Exactly as in the trained network."""
    adapted: tuple[str, ...]
    """From the trained network, for other bands or scalars."""
    fresh: tuple[str, ...]
    """Not from it: heads of other targets."""


def transfer_weights(
    old: keras.Model,
    new: keras.Model,
    *,
    old_inputs: InputNames | None = None,
    new_inputs: InputNames | None = None,
    heads: Collection[str] = (),
) -> TransferSummary:
    """Give a network the weights of a trained one.

    The kernels of a band that both have are those of the old network, those of any other band are
    the mean over the old bands; all are then scaled by the ratio of the numbers of bands, and
    shifted by an equal amount, so that the output for an image with equal bands is unchanged.
    Weights of a scalar that only the new network has are 0 where their layer is not a fresh head.

    Parameters
    ----------
    old : keras.Model
        Trained, from `build_model`.
    new : keras.Model
        Of the same architecture; it is changed, or, when this raises, left as it was.

    Other Parameters
    ----------------
    old_inputs, new_inputs : InputNames, optional
        Inputs of the two networks; by default the same.
    heads : collection of str
        Targets that mean the same to both, whose heads are taken too.

    Returns
    -------
    TransferSummary

    Raises
    ------
    ModelError
        If the networks are of different architectures or options, or of stamps of another size
        where weights depend on it: every difference is named.
    """
    if old.name != new.name:
        raise ModelError(
            f"The trained weights are those of a '{old.name}', and this network is a '{new.name}'.",
            hint=f"take the architecture '{old.name}', or train from the beginning",
        )
    old_heads, new_heads = _heads(old), _heads(new)
    before, after = _parts(old, old_heads), _parts(new, new_heads)
    errors = list(_differences(before, after))
    pairs = [(before[name], layer) for name, layer in after.items() if name in before]
    fresh = [layer.name for target, layer in new_heads.items() if target not in heads]
    pairs += [
        (old_heads[target], layer)
        for target, layer in new_heads.items()
        if target in heads and target in old_heads
    ]
    inputs = (old_inputs or InputNames(), new_inputs or InputNames())
    readers = {name: find_first_layers(new, name) for name in ("image", "scalars")}
    # Nothing is assigned before everything fits: a refusal leaves the network unchanged.
    planned = []
    for source, layer in pairs:
        weights = source.get_weights()
        if layer.name in readers["image"] and tuple(inputs[0].bands) != tuple(inputs[1].bands):
            weights[0] = _for_bands(weights[0], inputs[0].bands, inputs[1].bands)
        if layer.name in readers["scalars"] and tuple(inputs[0].scalars) != tuple(
            inputs[1].scalars
        ):
            weights = _for_scalars(layer, weights, inputs[0].scalars, inputs[1].scalars)
        shapes = [tuple(w.shape) for w in weights], [tuple(w.shape) for w in layer.weights]
        if shapes[0] != shapes[1]:
            errors.append(f"{layer.name}: shapes {shapes[0]} there, {shapes[1]} here")
        planned.append((source, layer, weights))
    if errors:
        more = f"; and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        raise ModelError(
            "The trained weights do not fit this network, which is built differently.",
            received="; ".join(errors[:_SHOWN]) + more,
            hint="give this network the options and the stamp size of the trained one, or train "
            "from the beginning",
        )
    taken: list[str] = []
    adapted: list[str] = []
    for source, layer, weights in planned:
        if weights:
            # For other bands even a kernel of the same shape may have changed.
            same = all(map(np.array_equal, weights, source.get_weights()))
            (taken if same else adapted).append(layer.name)
            layer.set_weights(weights)
    return TransferSummary(tuple(taken), tuple(adapted), tuple(fresh))


def get_body_layers(model: keras.Model) -> tuple[str, ...]:
    """Names of the layers with weights before the heads, in the order of computation."""
    parts = _parts(model, _heads(model))
    return tuple(name for name, layer in parts.items() if layer.weights)


def _heads(model: Any) -> dict[str, Any]:
    """The layer that makes each output."""
    return {name: x._keras_history.operation for name, x in model.output.items()}


def _parts(model: Any, heads: dict[str, Any]) -> dict[str, Any]:
    """Layers that make the features, by name."""
    left_out = {layer.name for layer in heads.values()}
    return {
        layer.name: layer
        for layer in model.layers
        if layer.name not in left_out and not isinstance(layer, _WEIGHTLESS)
    }


def _differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for name in [*before, *(name for name in after if name not in before)]:
        if name not in after or name not in before:
            yield f"{name}: only {'there' if name in before else 'here'}"
            continue
        there, here = before[name], after[name]
        if type(there) is not type(here):
            yield f"{name}: {type(there).__name__} there, {type(here).__name__} here"
            continue
        old, new = _describe(there), _describe(here)
        for key, value in new.items():
            if old.get(key) != value:
                yield f"{name}: {key} {old.get(key)} there, {value} here"


def _describe(layer: Any) -> dict[str, Any]:
    return {
        # A stored network has lists where a new one has tuples.
        key: tuple(value) if isinstance(value, list) else value
        for key, value in layer.get_config().items()
        if key not in _FREE and not key.endswith(_FREE_ENDS)
    }


def find_first_layers(model: Any, name: str) -> set[str]:
    """Names of layers with weights that an input reaches through none with weights."""
    start = next((x for x in model.layers if x.name == name), None)
    if start is None:
        return set()
    found: set[str] = set()
    visited, waiting = {start.name}, [start]
    while waiting:
        for node in waiting.pop()._outbound_nodes:
            layer = node.operation
            if layer.name in visited:
                continue
            visited.add(layer.name)
            if layer.weights:
                found.add(layer.name)
            else:
                waiting.append(layer)
    return found


def _for_bands(
    kernel: NDArray[np.floating], old: Sequence[str], new: Sequence[str]
) -> NDArray[np.floating]:
    """Kernels of shape (..., channels, filters) for other bands, those of the masks apart."""
    # Dense layers, and channels that are no multiple of the bands, do not read the bands.
    if kernel.ndim < 3 or kernel.shape[-2] % len(old):
        return kernel
    masked = kernel.shape[-2] // len(old)
    parts = np.split(np.asarray(kernel, np.float64), masked, axis=-2)
    joined = np.concatenate([_of_bands(part, list(old), new) for part in parts], axis=-2)
    return joined.astype(kernel.dtype)


def _of_bands(
    kernel: NDArray[np.float64], old: list[str], new: Sequence[str]
) -> NDArray[np.float64]:
    # A band that was never seen looks most like the average of those that were.
    mean = kernel.mean(axis=-2)
    chosen = [kernel[..., old.index(b), :] if b in old else mean for b in new]
    adapted = np.stack(chosen, axis=-2)
    if set(old) == set(new):
        return adapted
    # The sum over the bands keeps its size, and with it the activations of the next layer.
    adapted *= len(old) / len(new)
    return adapted + (mean * len(old) - adapted.sum(axis=-2))[..., None, :] / len(new)


def _for_scalars(
    layer: Any, weights: list[NDArray[np.floating]], old: Sequence[str], new: Sequence[str]
) -> list[NDArray[np.floating]]:
    """Weights of a dense layer whose last inputs are scalars, for other scalars."""
    if not isinstance(layer, keras.layers.Dense):
        return weights
    # Scalars are joined behind the features: see `Block.flatten`.
    kernel, *rest = weights
    features = len(kernel) - len(old)
    rows = [
        kernel[features + list(old).index(name)] if name in old else np.zeros_like(kernel[0])
        for name in new
    ]
    return [np.concatenate([kernel[:features], *(row[None] for row in rows)]), *rest]
