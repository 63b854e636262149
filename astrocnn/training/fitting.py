"""Training a network: epochs with early stopping, backups and Keras callbacks."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from astrocnn.backend import keras, tf
from astrocnn.errors import TrainingError
from astrocnn.models import with_precision
from astrocnn.progress import Meter
from astrocnn.training.backup import Arrays, Backup
from astrocnn.training.history import BestEpoch, EarlyStopping, History, format_epoch, format_values
from astrocnn.training.layer_rates import LayerOptimizers, LayerRates
from astrocnn.training.objective import (
    EpochSums,
    Objective,
    PerObject,
    build_non_finite_error,
)
from astrocnn.training.optimizers import Optimizer, count_plateaus
from astrocnn.training.precision import resolve_precision
from astrocnn.training.steps import build_evaluation_step, build_training_step
from astrocnn.training.strategies import (
    average_statistics,
    check_agreement,
    copy_first_replica,
    distribute_batches,
    get_strategy,
    is_chief,
    seed_dropout,
)

__all__ = ["Data", "fit"]

Data: TypeAlias = "tf.data.Dataset | Callable[[int], tf.data.Dataset]"
"""Training data: the same for all epochs, or made for each epoch (counted from 0)."""

# Results are fetched this often, so that the device is not waited for after each batch.
_FETCH_EVERY = 32


def fit(
    model: keras.Model,
    train: Data,
    validation: tf.data.Dataset | None = None,
    *,
    objective: Objective | Mapping[str, PerObject],
    epochs: int,
    optimizer: Optimizer | str = "adam",
    layer_rates: LayerRates | None = None,
    early_stopping: EarlyStopping | int | None = None,
    callbacks: Sequence[keras.callbacks.Callback | Callable[[History], None]] = (),
    backup: str | os.PathLike[str] | Backup | None = None,
    history_file: str | os.PathLike[str] | None = None,
    strategy: str | tf.distribute.Strategy = "auto",
    precision: str = "float32",
    seed: int = 0,
    watch: Callable[[keras.Model], dict[str, float]] | None = None,
) -> History:
    """Train a network; afterwards it has the weights of its best epoch.

    Parameters
    ----------
    model : keras.Model
        A functional model with a dict of outputs: target name to raw parameters (n, units).
    train : tf.data.Dataset, or function of the epoch (from 0) that returns one
        Batches ``(x, y, weights)``: dicts of inputs, of encoded labels per target, and of object
        weights per target.  A function is called once for each epoch that is trained, in order,
        so that its batches depend on the epoch alone; with a data set that shuffles, a continued
        training first begins as many iterations as there were epochs.
    validation : tf.data.Dataset, optional
        The same, without shuffling.
    objective : Objective, or mapping of target to function
        What is minimized.  A mapping holds the losses per object of (encoded, raw), as
        ``family.loss``.
    epochs : int
        Maximum number of passes over the training data.
    optimizer : Optimizer or str
        Method, learning rate and schedule.  A schedule needs data of known length; see
        `tf.data.experimental.assert_cardinality`.
    early_stopping : EarlyStopping or int, optional
        An integer is the patience: the number of epochs without improvement before it stops.
    callbacks : sequence of keras.callbacks.Callback or function
        Keras callbacks.  They see the epochs that this call trains, with the columns of the
        history as logs, after the backup of the epoch is written; ``model.stop_training = True``
        ends the training, and ``model.history`` is the `History`.  Learning rates are set by
        `optimizer` before each update, so a callback that sets one has no effect.  A function is
        called with the history after each epoch.
    backup : path or Backup, optional
        Folder for the state after each epoch.  The same call again continues there: an
        interruption at any moment, kill -9 included, leaves the final weights unchanged.  After
        the last epoch the same call returns at once; delete the folder to train anew.
    history_file : path, optional
        CSV, replaced after each epoch.

    Other Parameters
    ----------------
    layer_rates : LayerRates, optional
        Layers with a learning rate of their own, or frozen ones.
    strategy : str or tf.distribute.Strategy
        See `get_strategy`.  The batch size is that of the whole batch, whatever the devices.
    precision : {"float32", "bfloat16", "auto"}
        Arithmetic during training.  The model keeps its own precision, and its weights are
        float32 always.  "auto" takes bfloat16 where the hardware has it.
    seed : int
        Seed of dropout.
    watch : function, optional
        Called with the network after each epoch; what it returns are columns of the history.

    Returns
    -------
    History

    Raises
    ------
    TrainingError
        If the loss is not finite, there is nothing to train on, the backup belongs to another
        training, or an argument is invalid.
    """
    if epochs < 1:
        raise TrainingError(f"`epochs` must be at least 1; got {epochs}.")
    resolved = get_strategy(strategy) if isinstance(strategy, str) else strategy
    precision = resolve_precision(precision)
    method = Optimizer(optimizer) if isinstance(optimizer, str) else optimizer
    if not isinstance(objective, Objective):
        objective = Objective(objective)
    objective.check(model.output if isinstance(model.output, dict) else ())
    if not isinstance(early_stopping, EarlyStopping):
        early_stopping = EarlyStopping(patience=early_stopping)
    best = BestEpoch(early_stopping, "loss" if validation is None else "val_loss")

    # A strategy needs variables made in its scope, and another precision needs other layers.
    copied = resolved is not tf.distribute.get_strategy() or precision != "float32"
    with resolved.scope():
        trained = with_precision(model, precision) if copied else model
        optimizers = LayerOptimizers(method, trained, layer_rates or LayerRates())
    # Before `resume`, which replaces these states by those of the backup.
    seed_dropout(trained, seed)
    copy_first_replica(trained, resolved)

    history = History(precision=precision, replicas=resolved.num_replicas_in_sync)
    records = _Records(backup, history_file, is_chief(resolved))
    training = _Training(
        trained, optimizers, method, objective, resolved, best, epochs, history, records, watch
    )
    training.resume({"optimizer": repr(method), "seed": seed, "precision": precision})
    check_agreement(resolved, len(training.history))
    try:
        training.run(train, validation, callbacks)
    finally:
        # Also after an error: the caller's network must not stay frozen.
        optimizers.release()
    training.use_best_weights()
    # The caller holds `model`, whatever was trained in its place.
    if copied:
        model.set_weights(trained.get_weights())
    return training.history


@dataclass
class _Training:
    """A training in progress, whose state can be saved and restored."""

    model: keras.Model
    optimizers: LayerOptimizers
    method: Optimizer
    objective: Objective
    strategy: tf.distribute.Strategy
    best: BestEpoch
    epochs: int
    history: History
    records: _Records
    watch: Callable[[keras.Model], dict[str, float]] | None = None
    n_batches: int | None = None
    stopped: bool = False
    batches: Any = None
    validation_batches: Any = None

    @property
    def finished(self) -> bool:
        """Whether there is no further epoch to train."""
        return self.history.stopped_early or len(self.history) >= self.epochs

    @property
    def _exhausted(self) -> bool:
        frozen = len(self.history) <= self.optimizers.frozen_epochs
        # Patience cannot run out while only the heads are trained.
        return self.stopped or (self.best.exhausted and not frozen)

    def run(
        self,
        train: Data,
        validation: tf.data.Dataset | None,
        callbacks: Sequence[keras.callbacks.Callback | Callable[[History], None]],
    ) -> None:
        """Train all epochs that are left.

        Raises
        ------
        TrainingError
            If the schedule needs the number of batches and it is unknown, or the backup is from a
            training with another number of batches.
        """
        # Nothing is opened, so that repeating a finished training costs nothing.
        if self.finished:
            return
        self._open(train, validation)
        self.hooks = _Hooks(callbacks, self)
        try:
            self._run_epochs(train)
        finally:
            self.hooks.close()

    def _run_epochs(self, train: Data) -> None:
        self.hooks("on_train_begin")
        logs: dict[str, float] = {}
        with Meter("training, epochs", self.epochs) as meter:
            first = len(self.history)
            meter.advance(first)
            while not self.finished:
                number = len(self.history)
                row = self._run_epoch(train, number)
                # Saved before the callbacks run, so that one that raises loses no epoch.
                self.records.save(self)
                width = shutil.get_terminal_size().columns
                line, heading = format_epoch(row, self.epochs, self.best.waited == 0, width)
                if number == first:
                    meter.write(heading)
                meter.write(line)
                meter.advance(1, note=format_values(row))
                logs = {name: value for name, value in row.items() if name != "epoch"}
                self.hooks("on_epoch_end", number, logs)
                if self.model.stop_training:
                    self.stopped = self.history.stopped_early = True
                    self.records.save(self)
        self.hooks("on_train_end", logs)

    def _open(self, train: Data, validation: tf.data.Dataset | None) -> None:
        """Connect the data and build the graphs; `resume` comes before."""
        start = len(self.history)
        data = train(start) if callable(train) else train
        counted = self._count(data)
        if start and self.n_batches != counted:
            raise TrainingError(
                "The backup belongs to a training with other data or another batch size.",
                received=f"{counted} batches per epoch",
                allowed=f"{self.n_batches}",
                hint="train into another folder, or delete the backup to train from the beginning",
            )
        self.n_batches = counted
        self.batches = distribute_batches(data, self.strategy)
        if not callable(train):
            # Shuffling draws its seed when an iteration begins, so begin as many as there were.
            for _ in range(start):
                next(iter(self.batches), None)
        self._build_update(start)
        if validation is not None:
            self.validation_batches = distribute_batches(validation, self.strategy)
            spec = self.validation_batches.element_spec
            objective = self.objective.without_auxiliary
            self.evaluate = build_evaluation_step(self.model, objective, self.strategy, spec)
        self.opened_at = start

    def _build_update(self, epoch: int) -> None:
        """Build the graph of an update with the layers that are trained from this epoch on."""
        if epoch == self.optimizers.frozen_epochs:
            # Epochs in which only the heads could improve do not count as patience.
            self.best.waited = 0
        self.optimizers.freeze(epoch)
        spec = self.batches.element_spec
        self.update = build_training_step(
            self.model, self.optimizers, self.objective, self.strategy, spec, self.method.clip_norm
        )

    def _count(self, data: tf.data.Dataset) -> int | None:
        count = int(data.cardinality())
        if count == tf.data.INFINITE_CARDINALITY:
            raise TrainingError(
                "The training data are infinite.", hint="leave out repeat(): `epochs` repeats them"
            )
        # Negative values stand for an unknown length.
        if count >= 0:
            return count
        if self.method.schedule != "constant" or self.method.warmup > 0:
            raise TrainingError(
                "The learning-rate schedule needs the number of batches per epoch, which the "
                "training data do not declare.",
                hint="data.apply(tf.data.experimental.assert_cardinality(n_batches))",
            )
        return None

    def _run_epoch(self, train: Data, number: int) -> dict[str, float]:
        """Train and validate one epoch; returns its row of the history."""
        started = time.perf_counter()
        # The first epoch was connected by `_open`, to know the signature of a batch.
        if number > self.opened_at:
            if callable(train):
                self.batches = distribute_batches(train(number), self.strategy)
            if number == self.optimizers.frozen_epochs:
                self._build_update(number)
        self.hooks("on_epoch_begin", number)
        row: dict[str, float] = {"epoch": number + 1}
        row |= self._train_epoch(number).compute_means()
        average_statistics(self.model, self.strategy)
        current = self._take_averaged_weights()
        if self.validation_batches is not None:
            row |= self._validate(number)
        if self.watch is not None:
            row |= self.watch(self.model)
        row["learning_rate"] = self.optimizers.learning_rate
        row["seconds"] = time.perf_counter() - started
        self.best.update(row, self.model)
        # The averages are validated and kept as best weights; training continues without them.
        for variable, value in current:
            variable.assign(value)
        self.history.rows.append(row)
        self.history.best_epoch = self.best.epoch
        self.history.stopped_early = self._exhausted
        return row

    def _train_epoch(self, number: int) -> EpochSums:
        sums = EpochSums(self.objective)
        before = self.optimizers.updates
        for step, batch in enumerate(self.batches):
            self._set_learning_rate(before + step)
            self.hooks("on_train_batch_begin", step)
            # Results stay on the device, which computes the next batch meanwhile.
            vector = self.update(batch)
            sums.add(vector)
            if len(sums.pending) >= _FETCH_EVERY:
                self._fetch(sums, number, "training")
            if self.hooks.batch_logs:
                logs = EpochSums(self.objective, vector).compute_means()
                self.hooks("on_train_batch_end", step, logs)
        self._fetch(sums, number, "training")
        # Without labels the loss is 0, which would look like a perfect fit.
        if sums.labelled == 0:
            raise TrainingError(
                "There is nothing to train on.",
                received="no batch" if sums.steps == 0 else "no object with a label",
            )
        return sums

    def _validate(self, number: int) -> dict[str, float]:
        self.hooks("on_test_begin")
        sums = EpochSums(self.objective.without_auxiliary)
        for batch in self.validation_batches:
            sums.add(self.evaluate(batch))
            if len(sums.pending) >= _FETCH_EVERY:
                self._fetch(sums, number, "validation")
        self._fetch(sums, number, "validation")
        self.hooks("on_test_end", sums.compute_means())
        return sums.compute_means("val_")

    def _take_averaged_weights(self) -> list[tuple[Any, Any]]:
        """Give the network its averaged weights; returns those with which training continues."""
        if self.method.average is None:
            return []
        current = []
        for variable, average in self.optimizers.get_averages():
            current.append((variable, tf.identity(variable.value)))
            variable.assign(average.value)
        return current

    def _set_learning_rate(self, updates: int) -> None:
        # A function of the update alone, not of the optimizer's state, so that it resumes exactly.
        if self.n_batches is not None:
            monitored = self.history[self.best.monitor] if self.history.rows else ()
            self.optimizers.learning_rate = self.method.compute_rate(
                updates,
                steps_per_epoch=self.n_batches,
                epochs=self.epochs,
                drops=count_plateaus(monitored),
            )

    def _fetch(self, sums: EpochSums, epoch: int, stage: str) -> None:
        bad = sums.fetch()
        if bad is not None:
            batch, vector = bad
            # The best weights so far are of more use to the caller than diverged ones.
            self.use_best_weights()
            rate, precision = self.optimizers.learning_rate, self.history.precision
            raise build_non_finite_error(vector, stage, epoch + 1, batch + 1, rate, precision)

    def use_best_weights(self) -> None:
        """Give the network the weights of its best epoch, if there is one."""
        if self.best.weights:
            self.model.set_weights(self.best.weights)

    def resume(self, fingerprint: dict[str, Any]) -> None:
        """Continue from the backup, if there is one of this very training."""
        backup = self.records.backup
        if backup is None:
            return
        shapes = [[v.path.rpartition("/")[2], list(v.shape)] for v in self.model.weights]
        fingerprint |= {"network": shapes, "targets": list(self.objective.targets)}
        self.records.backup = backup.extend(fingerprint | self.optimizers.layer_rates.describe())
        state = self.records.backup.load()
        if state is not None:
            self.restore(*state)
            # An interruption may have come between the backup of an epoch and its line here.
            self.records.write_history(self.history)

    def get_state(self) -> tuple[Arrays, dict[str, Any]]:
        """Everything that determines the rest of the training: variables, and notes for JSON."""
        arrays = {
            # `variables` holds the random states of dropout too, which `weights` does not.
            "model": [v.numpy() for v in self.model.variables],
            "optimizer": [v.numpy() for v in self.optimizers.variables],
            "best": self.best.weights,
        }
        notes = {
            "history": self.history.to_json(),
            "best": self.best.get_state(),
            # The schedule counts in batches: with other data it would go on elsewhere.
            "batches per epoch": self.n_batches,
            "stopped": self.stopped,
        }
        return arrays, notes

    def restore(self, arrays: Arrays, notes: dict[str, Any]) -> None:
        """The inverse of `get_state`."""
        for name, variables in (
            ("model", self.model.variables),
            ("optimizer", self.optimizers.variables),
        ):
            for variable, value in zip(variables, arrays[name], strict=True):
                variable.assign(value)
        self.best.restore(notes["best"], arrays.get("best", []))
        self.history = History.from_json(notes["history"])
        self.n_batches = notes["batches per epoch"]
        self.stopped = notes["stopped"]
        # A training that ran out of patience continues when it is given more.
        self.history.stopped_early = self._exhausted


@dataclass
class _Records:
    """The files of a training; only the chief of several workers writes them."""

    backup: Any
    history_file: str | os.PathLike[str] | None
    chief: bool

    def __post_init__(self) -> None:
        if self.backup is not None and not isinstance(self.backup, Backup):
            self.backup = Backup(self.backup)

    def save(self, training: _Training) -> None:
        if self.chief and self.backup is not None:
            self.backup.save(*training.get_state())
        self.write_history(training.history)

    def write_history(self, history: History) -> None:
        if self.chief and self.history_file is not None:
            history.write_csv(self.history_file)


class _Hooks:
    """Calls the hooks of Keras callbacks, and functions after each epoch."""

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback | Callable[[History], None]],
        training: _Training,
    ) -> None:
        base = keras.callbacks.Callback
        self.callbacks = [c if isinstance(c, base) else _call_with_history(c) for c in callbacks]
        self.model = training.model
        # A network that was stopped before would end after one epoch.
        self.model.stop_training = False
        if self.callbacks:
            self.model.history = training.history
            # TensorBoard and others read the learning rate and the number of updates here.
            self.model.optimizer = training.optimizers.groups[0].optimizer
        for callback in self.callbacks:
            callback.set_params({"epochs": training.epochs, "steps": training.n_batches})
            callback.set_model(self.model)
        # Logs of a batch wait for the device: they are computed only for callbacks that use them.
        self.batch_logs = any(
            getattr(type(callback), name) is not getattr(base, name)
            for callback in self.callbacks
            for name in ("on_train_batch_end", "on_batch_end")
        )

    def __call__(self, hook: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(*arguments)

    def close(self) -> None:
        """Leave the network as it was: a saved one would carry the optimizer along."""
        if self.callbacks:
            del self.model.history, self.model.optimizer


def _call_with_history(function: Callable[[History], None]) -> keras.callbacks.Callback:
    callback = keras.callbacks.LambdaCallback()
    callback.on_epoch_end = lambda epoch, logs: function(callback.model.history)
    return callback
