"""Convolutional networks as estimators."""

from __future__ import annotations

import copy
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.atomic import replacing_folder
from astrocnn.backend import keras
from astrocnn.datasets import Shards, build_dataset, fit_normalization, read_labels
from astrocnn.display import Displayed
from astrocnn.errors import ModelError
from astrocnn.estimators._network import (
    FeatureExtractor,
    Forward,
    compute_rounding_change,
    describe_origin,
    find_limits,
    read_network,
    start_from,
    write_network,
)
from astrocnn.estimators.base import (
    ABOUT,
    FEATURES,
    TRY,
    select_with_scalars,
    validate_arrays,
    validate_draws,
    write_json,
)
from astrocnn.imaging import Inputs
from astrocnn.models import Options, Pretrained, with_precision
from astrocnn.models.build import add_auxiliary_heads, build_model
from astrocnn.models.monte_carlo_dropout import build_sampler
from astrocnn.stored_files import Stored, compute_array_digest, read_json
from astrocnn.targets import ClassFamily, Task, storage
from astrocnn.training import (
    Backup,
    History,
    LayerRates,
    Objective,
    Optimizer,
    build_layer_rates,
    compute_class_weights,
    fit,
    get_strategy,
)
from astrocnn.training.precision import (
    bfloat16_works,
    predicts_faster_in_bfloat16,
    resolve_precision,
)

__all__ = ["ESTIMATOR", "BFLOAT16_TOLERANCE", "KerasEstimator", "example"]

BFLOAT16_TOLERANCE = 0.005
"""Largest change of a probability by bfloat16 that ``precision="auto"`` accepts."""

_VALIDATION_ROWS = 256


class _Origin(Stored):
    model: str
    taken: tuple[str, ...]
    adapted: tuple[str, ...]
    fresh: tuple[str, ...]
    weights: str | None = None
    left_out: tuple[str, ...] = ()


class _About(Stored):
    kind: Literal["keras_estimator", "encoder"]
    architecture: str
    options: Options
    precision: Literal["auto", "float32", "bfloat16"]
    bfloat16_change: float | None
    seed: int
    origin: _Origin | None
    task: dict[str, Any]
    method: str | None = None


class KerasEstimator(Displayed):
    """A network built from an architecture and a task.

    Parameters
    ----------
    task : Task
    inputs : Inputs
        Without a normalization, `fit` measures one (asinh) on the training rows, and
        likewise location and scale of the scalars.
    architecture : str or callable
        Name of a module in ``astrocnn/models/architectures``, ``path/to/file.py:features``, or a
        function: see `astrocnn.models.build_model`.

    Other Parameters
    ----------------
    options : Options or mapping, optional
        Variations on the architecture.
    precision : {"auto", "float32", "bfloat16"}
        Arithmetic of predictions.  "auto" takes bfloat16 where a short trial finds this network
        faster in it (see `astrocnn.training.predicts_faster_in_bfloat16`), if at the end of
        `fit` it changed every probability of the validation objects by less than
        `BFLOAT16_TOLERANCE`.
    seed : int
        Of the initial weights, the order of the training data, augmentation and dropout.

    Attributes
    ----------
    model_ : keras.Model
        The network, whose outputs are raw parameters by target.
    history_ : History
        Of the last `fit`.
    bfloat16_change_ : float
        Largest change of a probability by bfloat16, measured at the end of `fit`; infinite where
        bfloat16 does not work, or `precision` is not "auto".

    Raises
    ------
    TrainingError
        If there is no such precision.
    ConfigError
        If there is no such architecture or option.
    """

    KIND = "keras_estimator"
    """Name of the module that reads what `save` writes."""

    def __init__(
        self,
        task: Task,
        inputs: Inputs,
        architecture: str | Callable[..., Any] = "plain8",
        *,
        options: Options | Mapping[str, Any] | None = None,
        precision: str = "auto",
        seed: int = 0,
    ) -> None:
        resolve_precision(precision)
        self._leaf = plugins.load("architectures", architecture, trusted=True)
        self.task, self.inputs, self.seed = task, inputs, seed
        self.architecture = plugins.reference("architectures", self._leaf)
        self.options = options if isinstance(options, Options) else Options.from_dict(options or {})
        self.requested_precision = precision
        self.origin_: dict[str, Any] | None = None
        self.method: str | None = None
        self._initial: tuple[keras.Model, Any] | None = None
        self._faster: bool | None = None
        self._forwards: dict[tuple[Any, ...], Forward] = {}
        self._features: dict[tuple[str, str | None], FeatureExtractor] = {}

    def _facts(self) -> dict[str, object]:
        model = getattr(self, "model_", None)
        return {
            "predicts": self.task.names,
            "architecture": self.architecture,
            "bands": self.inputs.bands,
            "scalars": self.inputs.scalars,
            "parameters": "not trained" if model is None else model.count_params(),
        }

    @property
    def precision(self) -> str:
        """Arithmetic of predictions on this machine: ``"float32"`` or ``"bfloat16"``."""
        if self.requested_precision != "auto":
            return self.requested_precision
        if self._faster is None:
            good = getattr(self, "bfloat16_change_", np.inf) < BFLOAT16_TOLERANCE
            self._faster = good and predicts_faster_in_bfloat16(self.model_, self.fingerprint)
        return "bfloat16" if self._faster else "float32"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the weights, the architecture and the inputs, hexadecimal."""
        self._require_trained()
        about = (self.architecture, self.options.chosen, self.inputs, storage.to_dict(self.task))
        return compute_array_digest(self.model_.get_weights(), repr(about))

    @property
    def facts(self) -> dict[str, str]:
        """Architecture, size and arithmetic."""
        self._require_trained()
        return {
            "Architecture": self.architecture,
            "Parameters": f"{self.model_.count_params():,}",
            "Arithmetic of predictions": self.precision,
            **(describe_origin(self.origin_) if self.origin_ else {}),
        }

    def fit(
        self,
        shards: Shards,
        train: NDArray[np.integer],
        validation: NDArray[np.integer] | None = None,
        *,
        epochs: int = 40,
        batch_size: int = 64,
        optimizer: Optimizer | str = "adam",
        patience: int | None = None,
        augmentation: Any = None,
        balance: bool = False,
        labels: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None,
        start: KerasEstimator | Pretrained | None = None,
        recipe: str = "probe-then-finetune",
        frozen_epochs: int = 5,
        body_rate: float = 0.1,
        layer_decay: float = 1.0,
        frozen_statistics: bool = True,
        layer_rates: Mapping[str, float] | None = None,
        strategy: Any = "auto",
        precision: str = "float32",
        backup: str | os.PathLike[str] | None = None,
        history_file: str | os.PathLike[str] | None = None,
        callbacks: Sequence[Any] = (),
    ) -> KerasEstimator:
        """Build the network and train it; the weights of the best epoch are kept.

        Parameters
        ----------
        shards, train, validation
            As for every estimator; rows that lack a scalar are not used.  Without validation rows
            the training loss decides which epoch is best.
        epochs, optimizer, patience, strategy, precision, backup, history_file
            See `astrocnn.training.fit`; `precision` here is that of the training.
        batch_size : int
            Objects per update.
        augmentation : optional
            See `astrocnn.datasets.build_dataset`.
        balance : bool
            Whether rare classes count as much as common ones.
        labels : pair of mappings, optional
            Encoded labels and their weights of all rows of the shards, for the training rows in
            place of those of the shards.
        start : KerasEstimator or Pretrained, optional
            A trained one of the same architecture that initializes the weights: see
            `astrocnn.models.transfer_weights`; or published weights: see
            `astrocnn.models.read_pretrained`.  Heads of other targets, and of targets with other
            classes, begin at random.  Of the rest nothing is carried over: the normalization is
            measured anew unless the inputs have one, within the limits that published weights
            expect, and so is a calibration.
        recipe, frozen_epochs, body_rate, layer_decay, frozen_statistics, layer_rates
            What learns when after a start: see `astrocnn.training.build_layer_rates`.
        callbacks : sequence of keras.callbacks.Callback or function
            See `astrocnn.training.fit`.
        """
        # Workers can only join before TensorFlow is used.
        distribution = get_strategy(strategy) if isinstance(strategy, str) else strategy
        train, self.inputs = select_with_scalars(shards, self.inputs, train)
        if validation is not None:
            validation, _ = select_with_scalars(shards, self.inputs, validation)
        model = self._begin(shards, train, start)
        rates = LayerRates(layer_rates or {})
        if start is not None:
            rates = build_layer_rates(
                model,
                recipe,
                frozen_epochs=frozen_epochs,
                body_rate=body_rate,
                layer_decay=layer_decay,
                frozen_statistics=frozen_statistics,
                layer_rates=layer_rates,
            )
        common = {"shards": shards, "task": self.task, "inputs": self.inputs}
        validation_data = None
        if validation is not None and len(validation):
            validation_data = build_dataset(rows=validation, batch_size=256, **common)
        targets = self.task.targets
        trained, auxiliary = add_auxiliary_heads(model, self.task, self.options, self._leaf)
        importance = {t.name: t.weight for t in targets}
        for output, target in auxiliary.items():
            importance[output] = self.options.auxiliary * importance[target]
        classes = [t.name for t in targets if isinstance(t.family, ClassFamily)]
        class_weights = {}
        if balance:
            encoded, weights = labels or read_labels(shards, self.task)
            encoded, weights = (
                {k: x[train] for k, x in part.items()} for part in (encoded, weights)
            )
            class_weights = {
                name: compute_class_weights(encoded[name], weights[name]) for name in classes
            }
        history = fit(
            trained,
            _Epochs(
                rows=train,
                batch_size=batch_size,
                augmentation=augmentation,
                shuffle=True,
                seed=self.seed,
                labels=labels,
                **common,
            ),
            validation_data,
            objective=Objective(
                {t.name: t.family.loss for t in targets},
                loss_weights=importance,
                class_weights=class_weights,
                metrics={name: {"accuracy": _accuracy} for name in classes},
                auxiliary=auxiliary,
            ),
            epochs=epochs,
            optimizer=optimizer,
            early_stopping=patience,
            callbacks=callbacks,
            strategy=distribution,
            precision=precision,
            backup=self._open_backup(backup),
            history_file=history_file,
            seed=self.seed,
            layer_rates=rates,
        )
        self._adopt(model)
        self.history_: History = history
        self.bfloat16_change_ = np.inf
        if self.requested_precision == "auto" and bfloat16_works():
            rows = (train if validation_data is None else np.asarray(validation))[:_VALIDATION_ROWS]
            scalars = shards.scalars(self.inputs.scalars)[rows] if self.inputs.scalars else None
            images = shards.images(rows) if self.inputs.bands else np.empty((len(rows), 0, 0, 0))
            self.bfloat16_change_ = compute_rounding_change(
                model, self.task, self.inputs, images, scalars
            )
        return self

    def _begin(
        self, shards: Shards, train: NDArray[np.integer], start: KerasEstimator | Pretrained | None
    ) -> keras.Model:
        """The network before its training, with a normalization of its inputs."""
        if self.inputs.bands and self.inputs.normalization is None:
            measured = fit_normalization(
                shards,
                train,
                seed=self.seed,
                mask_channel=self.inputs.mask_channel,
                limits=None if start is None else find_limits(start, self.inputs.n_bands),
            )
            self.inputs = self.inputs.with_normalization(measured)
        model = self._untrained()
        self.origin_ = None if start is None else start_from(model, self.task, self.inputs, start)
        return model

    def _open_backup(self, folder: str | os.PathLike[str] | None) -> Backup | None:
        """The backup of a training that began with these weights."""
        if folder is None:
            return None
        return Backup(folder, {} if self.origin_ is None else {"origin": self.origin_["model"]})

    def describe_start(self, start: KerasEstimator | Pretrained) -> dict[str, str]:
        """Describe which weights a `fit` with this start would transfer; nothing is trained."""
        return describe_origin(start_from(self._untrained(), self.task, self.inputs, start))

    def _untrained(self) -> keras.Model:
        """A network with initial weights: that of `network`, if it is unused."""
        if self._initial is not None:
            (model, state), self._initial = self._initial, None
            # Later initializers continue the random sequence of the network.
            random.setstate(state)
            return model
        keras.utils.set_random_seed(self.seed)
        return build_model(
            self._leaf,
            self.task,
            size=self.inputs.size,
            n_channels=self.inputs.n_channels,
            n_scalars=len(self.inputs.scalars),
            options=self.options,
        )

    @property
    def _heads(self) -> tuple[str, ...]:
        """Names of the outputs of the network."""
        return self.task.names

    @property
    def network(self) -> keras.Model:
        """The network: trained, or with its initial weights before `fit`."""
        if hasattr(self, "model_"):
            return self.model_
        if self._initial is None:
            self._initial = (self._untrained(), random.getstate())
        return self._initial[0]

    def _adopt(self, model: keras.Model) -> None:
        self.model_ = model
        self._faster = None
        self._forwards.clear()
        self._features.clear()

    def _require_trained(self) -> None:
        if not hasattr(self, "model_"):
            raise ModelError("This estimator has not been trained.", hint="call fit, or load one")

    def sample(
        self,
        images: NDArray[np.floating],
        scalars: NDArray[np.floating] | None = None,
        *,
        draws: int = 0,
        seed: int = 0,
        views: str = "one",
    ) -> dict[str, NDArray[np.float32]]:
        """Predict objects; see `astrocnn.estimators.Estimator.sample`."""
        self._require_trained()
        validate_draws(draws, views)
        images, scalars = validate_arrays(self.inputs, images, scalars)
        forward = self._forward(int(draws), int(seed), views)
        if len(images):
            return forward(images, scalars)
        shapes = {t.name: (max(draws, 1), 0, t.family.units) for t in self.task.targets}
        return {name: np.empty(shape, np.float32) for name, shape in shapes.items()}

    def sample_with_features(
        self,
        images: NDArray[np.floating],
        scalars: NDArray[np.floating] | None = None,
        *,
        draws: int = 0,
        seed: int = 0,
        views: str = "one",
    ) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
        """Samples and features of one object or more, in one pass of the network.

        With dropout before the last layers, the features take a pass of their own, as cheap as
        one draw.
        """
        self._require_trained()
        if views != "one":
            raise ModelError("Features are those of one view.", received=f"views = {views!r}")
        validate_draws(draws, views)
        images, scalars = validate_arrays(self.inputs, images, scalars)
        samples = self._forward(int(draws), int(seed), views, features=True)(images, scalars)
        return samples, samples.pop(FEATURES)[0]

    def features(
        self,
        images: NDArray[np.floating],
        scalars: NDArray[np.floating] | None = None,
        *,
        layer: str | None = None,
    ) -> NDArray[np.float32]:
        """Features: outputs of an intermediate layer, of shape (n, d).

        Without dropout, and in the precision of predictions; no row depends on another.

        Parameters
        ----------
        images, scalars
            As for `sample`.
        layer : str, optional
            Name of any layer, whose maps are averaged over their pixels; by default what the heads
            turn into parameters.

        Raises
        ------
        ModelError
            If there is no such layer; the message lists all.
        """
        self._require_trained()
        images, scalars = validate_arrays(self.inputs, images, scalars)
        key = (self.precision, layer)
        if key not in self._features:
            self._features[key] = FeatureExtractor(
                self._rounded_model, self.task, self.inputs, layer
            )
        return self._features[key].compute(images, scalars)

    def drawing(self, draws: int = 20, seed: int = 0) -> keras.Model:
        """The network as a Monte-Carlo dropout sampler, for attribution methods.

        Returns
        -------
        keras.Model
            From normalized images and standardized scalars to raw parameters of shape
            (n, draws, units) by target, in float32, sharing the weights of `model_`.  What a
            gradient through it costs: see `astrocnn.models.monte_carlo_dropout.build_sampler`.

        Raises
        ------
        ModelError
            If it has not been trained, or has no dropout.
        """
        self._require_trained()
        return build_sampler(self.model_, draws, seed)

    def in_float32(self) -> KerasEstimator:
        """The same trained network, its weights shared, which predicts in float32."""
        self._require_trained()
        twin = copy.copy(self)
        twin.requested_precision = "float32"
        twin._forwards, twin._features = {}, {}
        return twin

    def _forward(self, draws: int, seed: int, views: str, *, features: bool = False) -> Forward:
        key = (draws, seed if draws else 0, views, self.precision, features)
        if key not in self._forwards:
            # One at a time: the masks of many draws take memory.
            self._forwards.clear()
            self._forwards[key] = Forward(
                self._rounded_model, self.task, self.inputs, draws, seed, views, features=features
            )
        return self._forwards[key]

    @property
    def _rounded_model(self) -> keras.Model:
        """The network in the precision of predictions."""
        exact = self.precision == "float32"
        return self.model_ if exact else with_precision(self.model_, self.precision)

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write a folder with ``model.keras``, ``inputs.json`` and ``estimator.json``."""
        self._require_trained()
        change = self.bfloat16_change_
        about = {
            "kind": self.KIND,
            "architecture": self.architecture,
            "options": asdict(self.options),
            "precision": self.requested_precision,
            "bfloat16_change": change if np.isfinite(change) else None,
            "seed": self.seed,
            "origin": self.origin_,
            "task": storage.to_dict(self.task),
            "method": self.method,
        }
        with replacing_folder(directory) as folder:
            write_network(folder, self.model_)
            plugins.copy_files(folder, [self._leaf, *(type(t.family) for t in self.task.targets)])
            (folder / "inputs.json").write_text(self.inputs.to_json() + "\n", encoding="utf-8")
            write_json(folder / ABOUT, about)

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> KerasEstimator:
        """Read what `save` wrote; code in the folder is executed only if it is trusted.

        Raises
        ------
        ModelError
            If a file is missing or damaged.
        ConfigError
            If it needs an architecture or family that is not trusted.
        """
        folder = Path(directory)
        about = read_json(folder / ABOUT, _About, hint=TRY)
        estimator = cls(
            storage.from_dict(about.task, folder),
            read_json(folder / "inputs.json", Inputs, hint=TRY),
            plugins.load("architectures", about.architecture, folder),
            options=about.options,
            precision=about.precision,
            seed=about.seed,
        )
        change = about.bfloat16_change
        estimator.bfloat16_change_ = np.inf if change is None else change
        if about.origin is not None:
            estimator.origin_ = about.origin.model_dump(mode="json", exclude_defaults=True)
        estimator.method = about.method
        estimator._adopt(read_network(folder, estimator._heads, estimator.inputs))
        return estimator


def _accuracy(encoded: Any, raw: Any) -> Any:
    """1 for each object whose most probable class is the label."""
    ops = keras.ops
    if raw.shape[-1] == 1:
        hit = ops.equal(raw[:, 0] > 0, encoded[:, 0] > 0.5)
    else:
        hit = ops.equal(ops.argmax(raw, axis=-1), ops.argmax(encoded, axis=-1))
    return ops.cast(hit, "float32")


class _Epochs:
    """The training data of each epoch: one pipeline, which counts its iterations."""

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments
        self.data: Any = None

    def __call__(self, epoch: int) -> Any:
        # Made when it is known with which epoch training begins or continues; later epochs
        # iterate the same pipeline again, which is faster than making a new one.
        if self.data is None:
            self.data = build_dataset(first_epoch=epoch, **self.arguments)
        return self.data


ESTIMATOR = KerasEstimator


def example(task: Task, inputs: Inputs) -> KerasEstimator:
    """A small instance for the contract tests."""
    return KerasEstimator(task, inputs, "lenet", options={"head_dropout": 0.3})
