"""A Keras network as an estimator."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np

from astrocnn.atomic import replacing, write_text
from astrocnn.datasets import Shards, d4_views, dataset, fit_normalization, symmetry
from astrocnn.errors import InputsError, ModelError
from astrocnn.imaging import Inputs
from astrocnn.models import Options, Stochastic, in_blocks, with_precision
from astrocnn.models.build import build
from astrocnn.tasks import Task, storage
from astrocnn.training import History, Optimizer, class_weights, fit, has_fast_bfloat16

__all__ = ["BFLOAT16_TOLERANCE", "ESTIMATOR", "KerasEstimator"]

BFLOAT16_TOLERANCE = 0.005
"""Largest change of a probability on validation rows that bfloat16 may make under "auto"."""

_VALIDATION_ROWS = 256
_VIEWS = ("one", "d4")


class KerasEstimator:
    """A network of a named architecture with the heads of a task.

    Parameters
    ----------
    task : Task
        What it predicts.
    inputs : Inputs
        What it sees. Without a normalization, `fit` fits one with an asinh stretch.
    architecture : str
        A module of `astrocnn.models.architectures`.

    Other Parameters
    ----------------
    options : Options or mapping, optional
        Variations on the architecture.
    precision : {"auto", "float32", "bfloat16"}
        Arithmetic of predictions. "auto" becomes bfloat16 when the machine is fast in it and no
        probability of the validation rows changes by more than 0.005.
    seed : int
        Of the initial weights, the order of training and the augmentation.

    Attributes
    ----------
    model_ : keras.Model
        The network; outputs are raw parameters by target.
    history_ : History
        Of the last `fit`.

    Raises
    ------
    ModelError
        If the architecture does not exist or cannot take images of this size.
    """

    def __init__(
        self,
        task: Task,
        inputs: Inputs,
        architecture: str = "plain8",
        *,
        options: Options | Mapping[str, Any] | None = None,
        precision: str = "auto",
        seed: int = 0,
    ) -> None:
        if precision not in ("auto", "float32", "bfloat16"):
            raise ModelError(
                "A prediction cannot be made in this precision.",
                received=precision,
                allowed=["auto", "float32", "bfloat16"],
            )
        self.task = task
        self.inputs = inputs
        self.architecture = architecture
        self.options = options if isinstance(options, Options) else Options(**(options or {}))
        self.precision = precision
        self.seed = seed
        self._compiled: dict[Any, Callable[[dict[str, Any]], dict[str, Any]]] = {}

    def fit(
        self,
        shards: Shards,
        train: np.ndarray,
        validation: np.ndarray | None = None,
        *,
        epochs: int = 40,
        batch_size: int = 64,
        optimizer: Optimizer | str = "adam",
        patience: int | None = None,
        augmentation: Any = None,
        balance: bool = False,
        strategy: str = "auto",
        precision: str = "float32",
        backup: str | PathLike[str] | None = None,
        history_file: str | PathLike[str] | None = None,
    ) -> Self:
        """Train the network; afterwards it has the weights of its best epoch.

        Parameters
        ----------
        shards : Shards
            Cutouts and labels.
        train, validation : ndarray of int, shape (n,)
            Rows to learn from, and rows to choose the best epoch by.
        epochs, batch_size : int
            Passes over the rows, and objects per step over all devices.
        optimizer : Optimizer or str
            Method, learning rate, schedule.
        patience : int, optional
            Stop after so many epochs without improvement.
        augmentation : optional
            See `astrocnn.datasets.dataset`.
        balance : bool
            Whether rare classes weigh as much as common ones.

        Other Parameters
        ----------------
        strategy, precision, backup, history_file
            See `astrocnn.training.fit`.
        """
        train = np.asarray(train, np.int64)
        if self.inputs.normalization is None:
            fitted = fit_normalization(
                shards, train, seed=self.seed, mask_channel=self.inputs.mask_channel
            )
            self.inputs = self.inputs.with_normalization(fitted)
        keras.utils.set_random_seed(self.seed)
        self.model_ = self._build()

        def feed(epoch: int) -> Any:
            return dataset(
                shards,
                train,
                self.task,
                self.inputs,
                batch_size=batch_size,
                augmentation=augmentation,
                shuffle=True,
                seed=self.seed,
                first_epoch=epoch,
            )

        watched = None
        if validation is not None and len(validation):
            watched = dataset(shards, validation, self.task, self.inputs, batch_size=256)
        self.history_: History = fit(
            self.model_,
            feed,
            watched,
            losses={t.name: t.family.loss for t in self.task.targets},
            loss_weights={t.name: t.weight for t in self.task.targets},
            metrics={t.name: _metrics(t.family) for t in self.task.targets},
            class_weights=self._class_weights(shards, train) if balance else None,
            epochs=epochs,
            optimizer=optimizer,
            patience=patience,
            strategy=strategy,
            precision=precision,
            seed=self.seed,
            backup=backup,
            history_file=history_file,
        )
        self._compiled.clear()
        self._choose_precision(shards, train if validation is None else validation)
        return self

    def sample(
        self,
        images: np.ndarray,
        scalars: np.ndarray | None = None,
        *,
        draws: int = 0,
        seed: int = 0,
        views: str = "one",
    ) -> dict[str, np.ndarray]:
        """Samples of the predictive distribution; see `Estimator.sample`.

        The same bits come out whatever the number or order of objects in one call.

        Raises
        ------
        ModelError
            If the network is not trained, or draws are asked of a network without dropout.
        InputsError
            If the images or scalars have another shape than the network takes.
        """
        arrays = self._arrays(images, scalars)
        if views not in _VIEWS:
            raise ModelError("There is no such set of views.", received=views, allowed=_VIEWS)
        function = self._function(draws, seed)
        if views == "one":
            return in_blocks(function, arrays)

        def averaged(block: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            total: dict[str, np.ndarray] = {}
            for image in d4_views(block["image"]):
                found = function({**block, "image": np.ascontiguousarray(image)})
                for name, value in found.items():
                    total[name] = total.get(name, np.float32(0)) + np.asarray(value)
            return {name: value / np.float32(symmetry.ELEMENTS) for name, value in total.items()}

        return in_blocks(averaged, arrays)

    def save(self, directory: str | PathLike[str]) -> None:
        """Write ``model.keras``, ``inputs.json`` and, last, ``estimator.json``.

        Raises
        ------
        ModelError
            If the network is not trained.
        """
        folder = Path(directory)
        self._require_model()
        with replacing(folder / "model.keras") as temporary:
            self.model_.save(temporary)
        write_text(folder / "inputs.json", self.inputs.to_json() + "\n")
        about = {
            "kind": "keras_estimator",
            "architecture": self.architecture,
            "options": asdict(self.options),
            "precision": self.precision,
            "seed": self.seed,
            "task": storage.to_dict(self.task),
        }
        write_text(folder / "estimator.json", json.dumps(about, indent=2) + "\n")

    @classmethod
    def load(cls, directory: str | PathLike[str]) -> Self:
        """What `save` wrote; the network is loaded in safe mode.

        Raises
        ------
        ModelError
            If a file is missing or cannot be read.
        """
        folder = Path(directory)
        try:
            about = json.loads((folder / "estimator.json").read_text(encoding="utf-8"))
            inputs = Inputs.from_json((folder / "inputs.json").read_text(encoding="utf-8"))
            model = keras.saving.load_model(folder / "model.keras", compile=False, safe_mode=True)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                f"The estimator in '{folder}' cannot be loaded.", received=str(error)
            ) from error
        estimator = cls(
            storage.from_dict(about["task"]),
            inputs,
            about["architecture"],
            options=about["options"],
            precision=about["precision"],
            seed=about["seed"],
        )
        estimator.model_ = model
        return estimator

    def _build(self) -> keras.Model:
        return build(
            self.architecture,
            self.task,
            size=self.inputs.size,
            n_channels=self.inputs.n_channels,
            n_scalars=len(self.inputs.scalars),
            options=self.options,
        )

    def _require_model(self) -> None:
        if not hasattr(self, "model_"):
            raise ModelError("This estimator has not been trained.", hint="call fit, or load one")

    def _arrays(self, images: np.ndarray, scalars: np.ndarray | None) -> dict[str, np.ndarray]:
        self._require_model()
        size, n_bands = self.inputs.size, self.inputs.n_bands
        images = np.asarray(images, np.float32)
        if images.ndim != 4 or images.shape[1:] != (size, size, n_bands):
            raise InputsError(
                "The images have another shape than the network takes.",
                received=images.shape,
                allowed=f"(n, {size}, {size}, {n_bands}) in {', '.join(self.inputs.bands)}",
            )
        assert self.inputs.normalization is not None
        arrays = {"image": self.inputs.normalization.apply(images)}
        wanted = (len(images), len(self.inputs.scalars))
        if wanted[1]:
            found = np.empty((0, 0)) if scalars is None else np.asarray(scalars, np.float32)
            if found.shape != wanted:
                raise InputsError(
                    f"The network takes the scalars {', '.join(self.inputs.scalars)}.",
                    received="none" if scalars is None else found.shape,
                    allowed=wanted,
                )
            arrays["scalars"] = found
        return arrays

    def _function(self, draws: int, seed: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """The compiled pass from normalized arrays to activated samples."""
        key = (draws, seed, self.precision)
        if key not in self._compiled:
            shortened = self.precision == "bfloat16"
            model = with_precision(self.model_, "bfloat16") if shortened else self.model_
            families = {t.name: t.family for t in self.task.targets}
            sampler = Stochastic(model, draws, seed) if draws else None

            def run(x: dict[str, Any]) -> dict[str, Any]:
                if sampler is not None:
                    raw = sampler(x)
                else:
                    raw = {k: v[None] for k, v in model(x, training=False).items()}
                return {name: families[name].activate(value) for name, value in raw.items()}

            self._compiled = {key: _compiled(run)}
        return self._compiled[key]

    def _choose_precision(self, shards: Shards, rows: np.ndarray) -> None:
        """Settle "auto" by what bfloat16 changes on some rows."""
        if self.precision != "auto":
            return
        self.precision = "float32"
        if not has_fast_bfloat16():
            return
        rows = np.asarray(rows)[:_VALIDATION_ROWS]
        images = shards.images(rows)
        scalars = shards.scalars(self.inputs.scalars)[rows] if self.inputs.scalars else None
        exact = self.sample(images, scalars)
        self.precision = "bfloat16"
        short = self.sample(images, scalars)
        change = max(float(np.max(np.abs(exact[name] - short[name]))) for name in exact)
        if not change < BFLOAT16_TOLERANCE:
            self.precision = "float32"

    def _class_weights(self, shards: Shards, rows: np.ndarray) -> dict[str, np.ndarray]:
        columns = {name: shards.column(name) for name in self.task.label_columns}
        chosen = {name: (v[rows], missing[rows]) for name, (v, missing) in columns.items()}
        encoded, weights = self.task.encode(chosen)
        return {name: class_weights(encoded[name], weights[name]) for name in encoded}


def _metrics(family: Any) -> Mapping[str, Callable[[Any, Any], Any]]:
    return getattr(family, "metrics", dict)()


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a graph of the backend, where compiling pays (not XLA on a CPU)."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, autograph=False)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return function


ESTIMATOR = KerasEstimator
