"""From shards to shuffled, augmented, normalized batches: a `tf.data.Dataset`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from astrocnn.backend import tf
from astrocnn.datasets.augmentation import Augmentation, build_steps, compose
from astrocnn.datasets.augmentations.base import Step
from astrocnn.datasets.augmentations.d4 import D4
from astrocnn.datasets.labels import read_labels
from astrocnn.datasets.shards import Shards
from astrocnn.errors import ConfigError, InputsError
from astrocnn.imaging import Inputs, Normalization, NormalizationFitter
from astrocnn.imaging.normalization_fitter import WARM_UP_IMAGES
from astrocnn.progress import track
from astrocnn.targets import Task

__all__ = [
    "build_dataset",
    "fit_normalization",
]

CHUNK_BYTES = 32 << 20


def fit_normalization(
    shards: Shards, rows: np.ndarray, stretch: str = "asinh", *, seed: int = 0, **options: Any
) -> Normalization:
    """Fit a normalization on some rows, each read once.

    A random choice of rows comes first, so that the sky noise which sets the softening
    is that of the whole split and not of its first tile; then the rest in the order on disk.

    Parameters
    ----------
    shards : Shards
    rows : ndarray of int
        The training split, and nothing else.
    stretch : {"none", "linear", "asinh", "log"}
    seed : int
        Seed of that random choice and of the sample of pixels.
    **options
        ``robust``, ``whiten``, ``mask_channel``, ``softening`` of
        `astrocnn.imaging.NormalizationFitter`.

    Returns
    -------
    Normalization
    """
    rows = np.unique(np.asarray(rows, np.int64))
    first = np.zeros(len(shards), bool)
    # Shards are in the order of tiles, so the first rows alone would be one part of the sky.
    shuffled = np.random.default_rng(seed).permutation(rows)
    first[shuffled[:WARM_UP_IMAGES]] = True
    chosen = np.zeros(len(shards), bool)
    chosen[rows] = True
    # The rest in the order on disk: each page of the memory map is read once.
    order = shards.order()
    order = order[chosen[order]]
    order = np.concatenate([order[first[order]], order[~first[order]]])
    fitter = NormalizationFitter(stretch, bands=shards.bands, seed=seed, **options)
    step = max(1, CHUNK_BYTES // (4 * shards.size**2 * len(shards.bands)))
    for start in track(range(0, len(order), step), "measuring"):
        fitter.update(shards.images(order[start : start + step]))
    return fitter.finish()


ALIGNMENT = 64
BLOCK_BYTES = 1 << 23


def _build_loader(
    shards: Shards, rows: np.ndarray, inputs: Inputs, extras: list[np.ndarray], normalize: bool
) -> Callable[[np.ndarray, np.ndarray], list[np.ndarray]]:
    """Build the function that loads images, labels and weights of some rows, block by block."""
    # A block fits the cache of a core, so that each pixel is loaded from memory once.
    block = _block(inputs)
    # Known from the table: complete images need no search for NaN.
    holes = np.asarray(shards.objects["no_data"]).max(axis=1) > 0
    raw_shape = (inputs.size, inputs.size, inputs.n_bands)

    def load(chosen: np.ndarray, elements: np.ndarray) -> list[np.ndarray]:
        symmetries = elements if len(elements) else None
        catalog_rows = rows[chosen]
        out = _aligned((len(chosen), *(inputs.shape if normalize else raw_shape)))
        if not normalize:
            shards.images(catalog_rows, out, symmetries)
        for start in range(0, len(chosen) if normalize else 0, block):
            part = slice(start, start + block)
            target = out[part]
            # With mask channels the output has another shape than the raw pixels: no shared buffer.
            raw = np.empty((len(target), *raw_shape), np.float32) if inputs.mask_channel else target
            shards.images(catalog_rows[part], raw, None if symmetries is None else symmetries[part])
            _normalize(inputs, raw, target, complete=not holes[catalog_rows[part]].any())
        return [out, *(extra[chosen] for extra in extras)]

    return load


def _build_normalizer(inputs: Inputs) -> Callable[[np.ndarray], np.ndarray]:
    """Normalization in numpy, block by block.

    It gives what `Normalization.apply` gives in the graph; blocks that stay in the cache, and an
    asinh that uses vector instructions, make it several times faster on a CPU.
    """
    block = _block(inputs)

    def finish(images: np.ndarray) -> np.ndarray:
        out = _aligned((len(images), *inputs.shape))
        for start in range(0, len(images), block):
            part = slice(start, start + block)
            _normalize(inputs, images[part], out[part])
        return out

    return finish


def _normalize(inputs: Inputs, raw: np.ndarray, target: np.ndarray, complete: bool = False) -> None:
    assert inputs.normalization is not None
    result = inputs.normalization.apply(raw, complete=complete)
    # Without mask channels the normalization works in place, and there is nothing to copy.
    if not np.may_share_memory(result, target):
        target[...] = result


def _block(inputs: Inputs) -> int:
    return max(1, BLOCK_BYTES // (4 * inputs.size**2 * inputs.n_bands))


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    """An empty float32 array that TensorFlow takes over without a copy."""
    count = int(np.prod(shape))
    buffer = np.empty(4 * count + ALIGNMENT, np.uint8)
    # TensorFlow copies arrays that are not aligned to 64 bytes.
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + 4 * count].view(np.float32).reshape(shape)


def build_dataset(
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
    labels: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]] | None = None,
    views: int = 1,
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
        See `astrocnn.datasets.find_usable_rows` for those that can be used.
    task : Task or None
        What is predicted; None gives the images alone.
    inputs : Inputs
        With a normalization.
    batch_size : int
        The last batch may be smaller.
    augmentation : Augmentation, steps or mapping, optional
        See `astrocnn.datasets.build_steps` for mappings.
    shuffle : bool
        Another order in every epoch.
    seed : int
        Seed of the order and the augmentation.
    first_epoch : int
        Number of the epoch with which the first iteration begins, to continue a training.
    weights : mapping of str to ndarray of shape (n,), optional
        Factors on the weights of the labels, by target.
    labels : pair of mappings, optional
        Encoded labels and their weights of all rows of the shards, in place of those of
        `read_labels`.
    views : int
        How often each row stands in its batch, one time after another, each time augmented by
        itself: two for learning without labels.

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
        If the augmentation destroys what the labels depend on, or there are no images.
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
        raise ConfigError(f"`batch_size` must be at least 1; got {batch_size}.")
    plan = _plan(augmentation, task, inputs)
    extras = _extras(shards, rows, task, inputs, weights or {}, labels)
    indices = _batches_of_indices(len(rows), batch_size, shuffle, seed, first_epoch)
    if views > 1:
        indices = indices.map(_as_it_is(lambda chosen, seed: (tf.repeat(chosen, views), seed)))
    if not inputs.bands:
        if plan.steps:
            raise ConfigError(
                "Augmentation needs images.",
                received=[type(step).__name__ for step in plan.steps],
                hint="leave the augmentation out, or give the inputs bands",
            )
        return indices.map(_as_it_is(_from_table(extras, task))).prefetch(tf.data.AUTOTUNE)
    # One numpy call a batch gathers everything: a call costs more than copying a small image.
    names = list(extras)
    # The symmetries of the square cost least while the pixels are copied out of the shards.
    turn = plan.steps[0] if plan.steps and isinstance(plan.steps[0], D4) else None
    at_once = len(plan.steps) == (0 if turn is None else 1)
    load = _build_loader(shards, rows, inputs, [extras[name] for name in names], normalize=at_once)
    finish = _build_normalizer(inputs)

    def batch(chosen: tf.Tensor, seed: tf.Tensor) -> Any:
        elements = tf.zeros((0,), tf.int32)
        if turn is not None:
            elements = turn.elements(tf.shape(chosen)[0], plan.fold_seed(0, seed))
        # Labels and weights are float32 like the images, so that one signature covers all of them.
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

    if all(type(step).__module__.startswith("astrocnn.") for step in plan.steps):
        batch = _as_it_is(batch)
    # Batches are gathered in parallel but delivered in order: the order is part of the seed.
    data = indices.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return data.prefetch(tf.data.AUTOTUNE)


def _as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keep AutoGraph from rewriting a function without loops over tensors: that takes a second.

    Augmentation of the user may have such loops, and is rewritten.
    """
    return tf.autograph.experimental.do_not_convert(function)


def _batches_of_indices(
    n: int, batch_size: int, shuffle: bool, seed: int, first_epoch: int
) -> tf.data.Dataset:
    """Indices into the rows and a seed, batch by batch, new in every iteration."""
    n_batches = -(-n // batch_size)
    # Counted in Python: tf.data does not expose how often a pipeline has been iterated.
    epochs = iter(range(first_epoch, 2**31 - 1))

    def next_epoch() -> np.ndarray:
        return np.array(next(epochs), np.int32)

    def one_epoch(_: tf.Tensor) -> tf.data.Dataset:
        epoch = tf.ensure_shape(tf.numpy_function(next_epoch, [], tf.int32), ())
        # All bits of a large seed count; a stateless seed holds two int32.
        base = tf.constant([seed % 2**31, seed >> 31 & 0x7FFFFFFF], tf.int32)
        epoch_seed = tf.random.experimental.stateless_fold_in(base, epoch)
        order = tf.range(n, dtype=tf.int64)
        if shuffle:
            order = tf.random.experimental.stateless_shuffle(order, epoch_seed)

        def pick(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            chosen = order[number * batch_size : (number + 1) * batch_size]
            # A seed for each batch, so augmentation does not depend on which batch is made first.
            return chosen, tf.random.experimental.stateless_fold_in(epoch_seed, number)

        return tf.data.Dataset.range(n_batches).map(_as_it_is(pick))

    data = tf.data.Dataset.range(1).flat_map(_as_it_is(one_epoch))
    # Schedules and progress bars need the length, which flat_map hides.
    return data.apply(tf.data.experimental.assert_cardinality(n_batches))


def _plan(
    augmentation: Augmentation | Iterable[Step] | Mapping[str, Any] | None,
    task: Task | None,
    inputs: Inputs,
) -> Augmentation:
    if augmentation is None:
        return Augmentation(())
    if isinstance(augmentation, Mapping):
        augmentation = build_steps(augmentation)
    elif isinstance(augmentation, Augmentation):
        augmentation = augmentation.steps
    return compose(augmentation, task, inputs)


def _extras(
    shards: Shards,
    rows: np.ndarray,
    task: Task | None,
    inputs: Inputs,
    factors: Mapping[str, np.ndarray],
    labels: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]] | None,
) -> dict[str, np.ndarray]:
    """Scalars, encoded labels and weights that accompany the images, row for row."""
    extras: dict[str, np.ndarray] = {}
    if inputs.scalars:
        extras["scalars"] = inputs.standardize(shards.scalars(inputs.scalars)[rows])
    if task is None:
        return extras
    if labels is None:
        encoded, weights = read_labels(shards, task, rows)
    else:
        encoded, weights = ({name: x[rows] for name, x in part.items()} for part in labels)
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
    """Batches of a model without images."""
    # A table fits in memory, and gathering inside the graph needs no call into Python.
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
