"""Training a network on two views of each image."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.backend import Tensor, keras, layers, ops, tf
from astrocnn.datasets import Shards, build_dataset
from astrocnn.errors import ConfigError, TrainingError
from astrocnn.imaging import Inputs
from astrocnn.pretraining.collapse import CollapseWatch
from astrocnn.training import Backup, History, Objective, Optimizer, fit

__all__ = ["PROJECTION", "add_projector", "bind_loss", "fit_views"]

PROJECTION = "projection"
"""Output of the network, and its first layer behind the features."""

_LEAST_OBJECTS = 4
_WARMUP = 0.1

Loss = Callable[[Any, Any], Any]


def bind_loss(
    method: str | Callable[..., Any], options: Mapping[str, Any] | None = None
) -> tuple[Loss, tuple[int, ...]]:
    """The loss of a method with its options, and the widths of its projector.

    Raises
    ------
    ConfigError
        If there is no such method, it does not take an option, or a value is out of range.
    """
    leaf = plugins.load("pretraining", method, trusted=True)
    widths = plugins.declared(leaf, "WIDTHS")
    if not widths:
        raise ConfigError(
            f"The method '{plugins.short_name('pretraining', leaf)}' does not declare the widths "
            "of its projector.",
            hint="WIDTHS = (256, 128)",
        )
    chosen = dict(options or {})
    known = [
        p.name for p in inspect.signature(leaf).parameters.values() if p.kind is p.KEYWORD_ONLY
    ]
    for name in chosen:
        if name not in known:
            raise ConfigError(
                f"The method '{plugins.short_name('pretraining', leaf)}' has no option '{name}'.",
                allowed=known or "none",
                hint=plugins.nearest(name, known),
            )

    def loss(first: Any, second: Any) -> Any:
        return leaf(first, second, **chosen)

    # Values out of range are found before the images are cut.
    trial = ops.convert_to_tensor(np.eye(_LEAST_OBJECTS, 3, dtype=np.float32))
    if tuple(loss(trial, trial).shape) != (_LEAST_OBJECTS,):
        raise ConfigError(
            f"The loss of '{plugins.short_name('pretraining', leaf)}' has not one value for each "
            "object.",
            received=f"shape {tuple(loss(trial, trial).shape)} for projections of shape (4, 3)",
        )
    return loss, tuple(map(int, widths))


def add_projector(model: keras.Model, widths: Sequence[int]) -> keras.Model:
    """A network with a projector behind its features, for training.

    Parameters
    ----------
    model : keras.Model
        From `build_model` with the one output `PROJECTION` of ``widths[0]`` units, the first layer
        of the projector; its layers are shared.
    widths : sequence of int
        Units of the layers of the projector; between two of them, batch normalization and ReLU.
    """
    x = model.output[PROJECTION]
    for number, width in enumerate(widths[1:], 2):
        # As in the architectures: small samples have few updates.
        x = layers.BatchNormalization(momentum=0.9, name=f"{PROJECTION}{number}_norm")(x)
        x = layers.ReLU(name=f"{PROJECTION}{number}_relu")(x)
        x = layers.Dense(width, dtype="float32", name=f"{PROJECTION}{number}")(x)
    return keras.Model(model.input, {PROJECTION: x}, name=model.name)


def fit_views(
    model: keras.Model,
    shards: Shards,
    rows: NDArray[np.integer],
    inputs: Inputs,
    *,
    method: str | Callable[..., Any] = "simclr",
    options: Mapping[str, Any] | None = None,
    augmentation: Any = None,
    epochs: int = 100,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    watch: CollapseWatch | None = None,
    callbacks: Sequence[Any] = (),
    precision: str = "float32",
    backup: str | os.PathLike[str] | Backup | None = None,
    history_file: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> History:
    """Train a network with a projector on two views of each object, without labels.

    AdamW with a linear increase of the learning rate over the first tenth of the epochs and a
    cosine decrease to the end.  Objects of an incomplete last batch are left out of that epoch.

    Parameters
    ----------
    model : keras.Model
        From `add_projector`.
    shards, rows, inputs
        Images, the objects to train on, and inputs with a normalization.
    method : str or callable
        Name of a file in ``methods/``, ``path/to/file.py:loss``, or the function.
    options : mapping, optional
        Keyword arguments of its loss.
    augmentation : Augmentation, steps or mapping
        Makes the views: see `astrocnn.datasets.build_dataset`.
    epochs, batch_size, learning_rate
        `batch_size` counts objects, of which each has two views.
    watch : CollapseWatch, optional
    callbacks, precision, backup, history_file, seed
        See `astrocnn.training.fit`: a training that was interrupted continues.

    Returns
    -------
    History

    Raises
    ------
    ConfigError
        If there is no such method or option, or nothing makes the views differ.
    TrainingError
        If there are too few objects, or as for `astrocnn.training.fit`.
    """
    rows = np.asarray(rows, np.int64)
    if len(rows) < _LEAST_OBJECTS:
        raise TrainingError(
            "There are too few objects to learn from without labels.",
            received=len(rows),
            allowed=f"{_LEAST_OBJECTS} or more",
        )
    loss, _ = bind_loss(method, options)
    batch_size = min(batch_size, len(rows))
    if batch_size < _LEAST_OBJECTS:
        raise TrainingError(
            f"`batch_size` must be at least {_LEAST_OBJECTS}; got {batch_size}.",
            hint="objects of a batch are compared with each other: take 128 or more",
        )
    if not augmentation or not getattr(augmentation, "steps", augmentation):
        raise ConfigError(
            "Without augmentation the two views of an object are equal: there is nothing to learn.",
            hint="d4 = true, crop, shift, blur or noise in [pretraining.augmentation]",
        )
    n_batches = len(rows) // batch_size
    data: list[Any] = []

    def open_epoch(epoch: int) -> Any:
        # One pipeline for all epochs, which counts its iterations.
        if not data:
            views = build_dataset(
                shards,
                rows,
                None,
                inputs,
                batch_size=batch_size,
                augmentation=augmentation,
                shuffle=True,
                seed=seed,
                first_epoch=epoch,
                views=2,
            )
            complete = views.take(n_batches).map(_label_nothing)
            data.append(complete.apply(tf.data.experimental.assert_cardinality(n_batches)))
        return data[0]

    def compute_loss(_: Tensor, raw: Tensor) -> Tensor:
        pairs = ops.reshape(raw, (-1, 2, raw.shape[-1]))
        return ops.repeat(loss(pairs[:, 0], pairs[:, 1]), 2)

    about = {
        "method": plugins.reference("pretraining", plugins.load("pretraining", method)),
        "options": dict(options or {}),
        "augmentation": repr(augmentation),
    }
    return fit(
        model,
        open_epoch,
        objective=Objective({PROJECTION: compute_loss}),
        epochs=epochs,
        optimizer=Optimizer("adamw", learning_rate, schedule="cosine", warmup=_WARMUP * epochs),
        callbacks=callbacks,
        strategy="one",
        precision=precision,
        backup=None
        if backup is None
        else (backup if isinstance(backup, Backup) else Backup(backup)).extend(about),
        history_file=history_file,
        seed=seed,
        watch=watch,
    )


def _label_nothing(x: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A batch as training takes it: every view counts equally."""
    n = tf.shape(next(iter(x.values())))[0]
    return x, {PROJECTION: tf.zeros((n, 1))}, {PROJECTION: tf.ones((n,))}
