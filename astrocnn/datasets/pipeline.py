"""From shards to shuffled, augmented, normalized batches: a `tf.data.Dataset`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from astrocnn.backend import tf
from astrocnn.datasets.augmentation import Augmentation, Step, augmentation_from, compose
from astrocnn.datasets.gathering import loader, normalizer
from astrocnn.datasets.geometry import D4
from astrocnn.datasets.labelled_rows import labels
from astrocnn.datasets.shards import Shards
from astrocnn.errors import ConfigError, InputsError
from astrocnn.imaging import Inputs
from astrocnn.targets import Task

__all__ = ["dataset"]


def dataset(
    shards: Shards,
    rows: np.ndarray,
    task: Task | None,
    inputs: Inputs,
    *,
    batch_size: int = 64,
    augmentation: Augmentation | Iterable[Step] | Mapping[str, Any] | None = None,
    shuffle: bool = False,
    seed: int = 0,
    first_epoch: int = 0,
    weights: Mapping[str, np.ndarray] | None = None,
) -> tf.data.Dataset:
    """Batches of some rows.

    Each batch is gathered from the memory-mapped shards in one call, then augmented as linear
    fluxes, then normalized; pixels without data are filled last.  The order of rows and every
    random number depend on the seed and on how often the data set was iterated, and on
    nothing else.

    Parameters
    ----------
    shards : Shards
    rows : ndarray of int, shape (n,)
        See `astrocnn.datasets.usable` for those that can be used.
    task : Task or None
        What is predicted; None gives the images alone.
    inputs : Inputs
        With a normalization.
    batch_size : int
        The last batch may be smaller.
    augmentation : Augmentation, steps or mapping, optional
        See `astrocnn.datasets.augmentation_from` for mappings.
    shuffle : bool
        Another order in every epoch.
    seed : int
        Seed of the order and the augmentation.
    first_epoch : int
        Number of the epoch with which the first iteration begins, to continue a training.
    weights : mapping of str to ndarray of shape (n,), optional
        Factors on the weights of the labels, by target.

    Returns
    -------
    tf.data.Dataset
        Of ``(x, y, w)``, or of ``x`` without a task: x is ``{"image": (b, size, size, channels)}``
        if the inputs have bands, with ``"scalars": (b, n_scalars)``, standardized, if they have
        any; y and w have the encoded labels (b, k) and their weights (b,) by target.

    Raises
    ------
    InputsError
        If inputs with bands carry no normalization, or the shards are of another kind.
    ConfigError
        If the augmentation destroys what the labels are about, or there are no images.
    CatalogError
        If a label or a scalar is not among the columns of the shards.
    """
    inputs.check(shards)
    if inputs.bands and inputs.normalization is None:
        raise InputsError(
            "These inputs carry no normalization.",
            hint="inputs.with_normalization(fit_normalization(shards, rows)), or "
            "Normalization.identity(n_bands) to leave the pixels as they are",
        )
    rows = np.asarray(rows, np.int64)
    if rows.ndim != 1 or not len(rows):
        raise ConfigError("A data set needs at least one row.", received=f"shape {rows.shape}")
    if batch_size < 1:
        raise ConfigError("A batch holds at least one object.", received=batch_size)
    plan = _plan(augmentation, task, inputs)
    extras = _extras(shards, rows, task, inputs, weights or {})
    indices = _batches_of_indices(len(rows), batch_size, shuffle, seed, first_epoch)
    if not inputs.bands:
        if plan.steps:
            raise ConfigError(
                "There are no images to augment.",
                received=[type(step).__name__ for step in plan.steps],
                hint="leave the augmentation out, or give the inputs bands",
            )
        return indices.map(_from_table(extras, task)).prefetch(tf.data.AUTOTUNE)
    names = list(extras)
    # The symmetries of the square cost least while the pixels are copied out of the shards.
    turn = plan.steps[0] if plan.steps and isinstance(plan.steps[0], D4) else None
    at_once = len(plan.steps) == (0 if turn is None else 1)
    load = loader(shards, rows, inputs, [extras[name] for name in names], normalize=at_once)
    finish = normalizer(inputs)

    def batch(chosen: tf.Tensor, seed: tf.Tensor) -> Any:
        elements = tf.zeros((0,), tf.int32)
        if turn is not None:
            elements = turn.elements(tf.shape(chosen)[0], plan.seed_of(0, seed))
        kinds = [tf.float32] * (1 + len(names))
        images, *others = tf.numpy_function(load, [chosen, elements], kinds)
        if not at_once:
            images = tf.ensure_shape(images, (None, inputs.size, inputs.size, inputs.n_bands))
            images = plan(images, seed, first=0 if turn is None else 1)
            images = tf.numpy_function(finish, [images], tf.float32)
        images = tf.ensure_shape(images, (None, *inputs.shape))
        fields = {
            name: tf.ensure_shape(value, (None, *extras[name].shape[1:]))
            for name, value in zip(names, others, strict=True)
        }
        return _structure(images, fields, task)

    data = indices.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return data.prefetch(tf.data.AUTOTUNE)


def _batches_of_indices(
    n: int, batch_size: int, shuffle: bool, seed: int, first_epoch: int
) -> tf.data.Dataset:
    """Indices into the rows and a seed, batch by batch, new in every iteration."""
    n_batches = -(-n // batch_size)
    epochs = iter(range(first_epoch, 2**31 - 1))

    def next_epoch() -> np.ndarray:
        return np.array(next(epochs), np.int32)

    def one_epoch(_: tf.Tensor) -> tf.data.Dataset:
        epoch = tf.ensure_shape(tf.numpy_function(next_epoch, [], tf.int32), ())
        base = tf.constant([seed % 2**31, seed >> 31 & 0x7FFFFFFF], tf.int32)
        epoch_seed = tf.random.experimental.stateless_fold_in(base, epoch)
        order = tf.range(n, dtype=tf.int64)
        if shuffle:
            order = tf.random.experimental.stateless_shuffle(order, epoch_seed)

        def pick(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            chosen = order[number * batch_size : (number + 1) * batch_size]
            return chosen, tf.random.experimental.stateless_fold_in(epoch_seed, number)

        return tf.data.Dataset.range(n_batches).map(pick)

    data = tf.data.Dataset.range(1).flat_map(one_epoch)
    return data.apply(tf.data.experimental.assert_cardinality(n_batches))


def _plan(
    augmentation: Augmentation | Iterable[Step] | Mapping[str, Any] | None,
    task: Task | None,
    inputs: Inputs,
) -> Augmentation:
    if augmentation is None:
        return Augmentation(())
    if isinstance(augmentation, Mapping):
        augmentation = augmentation_from(augmentation)
    elif isinstance(augmentation, Augmentation):
        augmentation = augmentation.steps
    return compose(augmentation, task, inputs)


def _extras(
    shards: Shards,
    rows: np.ndarray,
    task: Task | None,
    inputs: Inputs,
    factors: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """What goes along with the images: scalars, encoded labels and weights, row for row."""
    extras: dict[str, np.ndarray] = {}
    if inputs.scalars:
        extras["scalars"] = inputs.standardize(shards.scalars(inputs.scalars)[rows])
    if task is None:
        return extras
    encoded, weights = labels(shards, task, rows)
    if unknown := set(factors) - set(weights):
        raise ConfigError(
            "Weights for a target the task does not have.",
            received=sorted(unknown),
            allowed=task.names,
        )
    for name in task.names:
        extras[f"y/{name}"] = np.asarray(encoded[name], np.float32)
        weight = np.asarray(weights[name], np.float32)
        extras[f"w/{name}"] = weight * np.asarray(factors.get(name, 1.0), np.float32)
    return extras


def _from_table(extras: dict[str, np.ndarray], task: Task | None) -> Callable[..., Any]:
    """Batches of a model that looks at no image."""
    columns = {name: tf.constant(values) for name, values in extras.items()}

    def batch(chosen: tf.Tensor, _: tf.Tensor) -> Any:
        fields = {name: tf.gather(values, chosen) for name, values in columns.items()}
        return _structure(None, fields, task)

    return batch


def _structure(images: tf.Tensor | None, fields: dict[str, tf.Tensor], task: Task | None) -> Any:
    x = {} if images is None else {"image": images}
    if "scalars" in fields:
        x["scalars"] = fields["scalars"]
    if task is None:
        return x
    y = {name: fields[f"y/{name}"] for name in task.names}
    return x, y, {name: fields[f"w/{name}"] for name in task.names}
