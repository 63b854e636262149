"""Networks without heads: features learned without labels, or those of published weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.backend import keras
from astrocnn.datasets import Shards, build_dataset, read_labels
from astrocnn.errors import AstrocnnError, ConfigError, ModelError
from astrocnn.estimators.base import select_with_scalars
from astrocnn.estimators.keras_estimator import KerasEstimator
from astrocnn.models import Pretrained
from astrocnn.models.build import build_model
from astrocnn.pretraining.collapse import CollapseWatch
from astrocnn.pretraining.fitting import PROJECTION, add_projector, bind_loss, fit_views
from astrocnn.targets import ClassFamily
from astrocnn.training import History

__all__ = ["ESTIMATOR", "Encoder"]

_WATCHED = 768
_QUERIES = 256
_WATCHED_BYTES = 1 << 26
"""Limit of the memory for the images that are measured after each epoch."""


class Encoder(KerasEstimator):
    """A network of any architecture that learns features without labels, or has published ones.

    `KerasEstimator.fit` starts from it, `features` and `astrocnn.embed` give its features, and
    `sample` raises: it has no heads.  It is built without dropout.

    Parameters
    ----------
    task : Task
        What the features are for: augmentation that destroys its labels is refused, and neighbors
        are compared by its first target with classes.  Its labels are not used otherwise.
    inputs, architecture, options, precision, seed
        As for `KerasEstimator`.
    """

    KIND = "encoder"

    @property
    def _heads(self) -> tuple[str, ...]:
        return (PROJECTION,)

    @property
    def facts(self) -> dict[str, str]:
        """Architecture, size and arithmetic; the method."""
        facts = {**super().facts, "Trained without labels": self.method or "not at all"}
        facts["Arithmetic of features"] = facts.pop("Arithmetic of predictions")
        return facts

    def fit(  # type: ignore[override]
        self,
        shards: Shards,
        train: NDArray[np.integer],
        validation: NDArray[np.integer] | None = None,
        *,
        method: str | Callable[..., Any] = "simclr",
        method_options: Mapping[str, Any] | None = None,
        projector: Sequence[int] | None = None,
        augmentation: Any = None,
        start: KerasEstimator | Pretrained | None = None,
        epochs: int = 100,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        callbacks: Sequence[Any] = (),
        precision: str = "float32",
        backup: str | os.PathLike[str] | None = None,
        history_file: str | os.PathLike[str] | None = None,
    ) -> Encoder:
        """Train on pairs of views; see `astrocnn.pretraining.fit_views`.

        Parameters
        ----------
        shards : Shards
        train : ndarray of int
            Objects, with or without labels.
        validation : ndarray of int, optional
            Labelled objects whose nearest neighbors among those of `train` are compared in class
            after each epoch; nothing is chosen by them.
        method, method_options, projector
            Name of a method or its function, keyword arguments of its loss, and the units of the
            layers of the projector, by default those of the method.
        start : KerasEstimator or Pretrained, optional
            Initializes the weights, of which all are trained: see `KerasEstimator.fit`.
        epochs : int
            With 0 the weights of `start` are kept: their features, for images of these inputs.
        augmentation, batch_size, learning_rate, callbacks, precision, backup, history_file
            See `astrocnn.pretraining.fit_views`.

        Raises
        ------
        ConfigError, TrainingError
            As for `astrocnn.pretraining.fit_views`, or if there is nothing to keep or learn.
        ModelError
            If the weights of `start` do not fit.
        """
        if not epochs and start is None:
            raise ConfigError(
                "Without epochs the weights are those of `start`; there is none.",
                hint="read_pretrained(...), a trained network, or more epochs",
            )
        _, widths = bind_loss(method, method_options)
        widths = tuple(projector or widths)
        self.method = (
            plugins.short_name("pretraining", plugins.load("pretraining", method, trusted=True))
            if epochs
            else None
        )
        train, self.inputs = select_with_scalars(shards, self.inputs, train)
        self._units = widths[0]
        model = self._begin(shards, train, start)
        self.bfloat16_change_ = np.inf
        self.history_ = History()
        if not epochs:
            self._adopt(model)
            return self
        self.history_ = fit_views(
            add_projector(model, widths),
            shards,
            train,
            self.inputs,
            method=method,
            options=method_options,
            augmentation=augmentation,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            watch=self._build_watch(shards, train, validation),
            callbacks=callbacks,
            precision=precision,
            backup=self._open_backup(backup),
            history_file=history_file,
            seed=self.seed,
        )
        self._adopt(model)
        return self

    def _untrained(self) -> keras.Model:
        if self._initial is not None:
            return super()._untrained()
        keras.utils.set_random_seed(self.seed)
        # Dropped features would differ between the views beside what augmentation changes.
        return build_model(
            self._leaf,
            {PROJECTION: getattr(self, "_units", 1)},
            size=self.inputs.size,
            n_channels=self.inputs.n_channels,
            n_scalars=len(self.inputs.scalars),
            options=replace(self.options, dropout=0.0),
        )

    def _build_watch(
        self, shards: Shards, train: NDArray[np.int64], validation: NDArray[np.integer] | None
    ) -> CollapseWatch:
        size = 4 * int(np.prod(self.inputs.shape, initial=1))
        fraction = min(1.0, _WATCHED_BYTES / (size * (_WATCHED + _QUERIES)))
        n, n_queries = int(fraction * _WATCHED), int(fraction * _QUERIES)
        rng = np.random.default_rng(self.seed)
        classes = self._read_classes(shards)
        if classes is None or validation is None:
            rows = np.sort(rng.permutation(train)[: max(n, 2)])
            return CollapseWatch(self._read_inputs(shards, rows), PROJECTION)
        # Half of the objects are labelled ones where there are as many, for the neighbors.
        shuffled = rng.permutation(train)
        first = np.concatenate([shuffled[classes[shuffled] >= 0][: n // 2], shuffled])
        rows = np.sort(first[np.sort(np.unique(first, return_index=True)[1])][: max(n, 2)])
        queries = np.asarray(validation, np.int64)
        queries = np.sort(rng.permutation(queries[classes[queries] >= 0])[:n_queries])
        if not len(queries) or not (classes[rows] >= 0).any():
            return CollapseWatch(self._read_inputs(shards, rows), PROJECTION)
        return CollapseWatch(
            self._read_inputs(shards, rows),
            PROJECTION,
            classes[rows],
            self._read_inputs(shards, queries),
            classes[queries],
        )

    def _read_classes(self, shards: Shards) -> NDArray[np.int64] | None:
        """Class of each row by the first target with classes, -1 without; None without labels."""
        target = next((t for t in self.task.targets if isinstance(t.family, ClassFamily)), None)
        if target is None:
            return None
        try:
            encoded, weights = read_labels(shards, self.task)
        except AstrocnnError:  # a catalogue without labels
            return None
        values = encoded[target.name]
        # A single unit is the probability of "yes".
        classes = values.argmax(axis=1) if values.shape[1] > 1 else (values[:, 0] > 0.5)
        known = weights[target.name] > 0
        return np.where(known, classes, -1).astype(np.int64) if known.any() else None

    def _read_inputs(self, shards: Shards, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        batches = list(build_dataset(shards, rows, None, self.inputs, batch_size=256))
        return {name: np.concatenate([b[name].numpy() for b in batches]) for name in batches[0]}

    def sample(self, *args: Any, **options: Any) -> NoReturn:
        """Raise `ModelError`: there is nothing to predict."""
        raise ModelError(
            "This network was trained without labels: it has features and predicts nothing.",
            hint="train from it: model.weights = its run directory, or 'astrocnn train RUN.toml "
            "--from DIR'; 'astrocnn embed DIR' writes its features",
        )

    def sample_with_features(self, *args: Any, **options: Any) -> NoReturn:
        """Raise `ModelError`, as `sample`."""
        self.sample()

    def drawing(self, draws: int = 20, seed: int = 0) -> NoReturn:
        """Raise `ModelError`, as `sample`."""
        self.sample()


ESTIMATOR = Encoder
