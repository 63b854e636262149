"""Epochs, with a state that can be saved and taken up again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from astrocnn.backend import tf
from astrocnn.errors import TrainingError
from astrocnn.training.backup import State
from astrocnn.training.best import Best
from astrocnn.training.history import History
from astrocnn.training.layer_rates import LayerOptimizers
from astrocnn.training.objective import EpochSums, Objective, build_non_finite_error
from astrocnn.training.optimizers import Optimizer, count_plateaus
from astrocnn.training.step import evaluation_step, training_step
from astrocnn.training.strategies import average_statistics, distribute_batches

__all__ = ["Data", "Loop"]

Data = tf.data.Dataset | Callable[[int], tf.data.Dataset]
"""Training data: the same for all epochs, or made for each epoch (counted from 0)."""

# Results are fetched this often, so that the device is not waited for after each batch.
_FETCH_EVERY = 32


class Loop:
    """A training in progress.

    Parameters
    ----------
    model : keras.Model
        With its variables where the strategy wants them.
    rules : Rules
        What updates the weights.
    method : Optimizer
        Its description.
    objective : Objective
        What is minimized.
    where : tf.distribute.Strategy
        The devices.
    best : Best
        Early stopping.
    epochs : int
        At most.
    """

    def __init__(
        self,
        model: Any,
        rules: LayerOptimizers,
        method: Optimizer,
        objective: Objective,
        where: tf.distribute.Strategy,
        best: Best,
        epochs: int,
    ) -> None:
        self.model = model
        self.rules = rules
        self.method = method
        self.objective = objective
        self.where = where
        self.best = best
        self.epochs = epochs
        self.history = History()
        self.steps: int | None = None
        self.fed: Any = None
        self.fed_validation: Any = None

    def open(self, train: Data, validation: tf.data.Dataset | None, steps: int | None) -> None:
        """Connect the data and make the graphs, after a `restore` if there is one.

        Raises
        ------
        TrainingError
            If the schedule needs the number of batches and it is unknown, or the backup is from a
            training with another number of batches.
        """
        start = len(self.history)
        self.train = train
        first = train(start) if callable(train) else train
        counted = steps or self._count(first)
        if start and self.steps != counted:
            raise TrainingError(
                "The backup belongs to a training with other data or another batch size.",
                received=f"{counted} batches per epoch",
                allowed=f"{self.steps}",
                hint="train into another folder, or delete the backup to train from the beginning",
            )
        self.steps = counted
        self.fed = distribute_batches(first, self.where)
        if not callable(train):
            # Shuffling draws its seed when an iteration begins, so begin as many as there were.
            for _ in range(start):
                next(iter(self.fed), None)
        self._enter(start)
        if validation is not None:
            self.fed_validation = distribute_batches(validation, self.where)
            spec = self.fed_validation.element_spec
            self.evaluate = evaluation_step(self.model, self.objective.judged, self.where, spec)
        self.opened_at = start

    def _enter(self, number: int) -> None:
        """Make the graph of an update with the layers that are trained from this epoch on."""
        if number == self.rules.frozen_epochs:
            # Heads that have learned all they could must not stop what has not begun.
            self.best.waited = 0
        self.rules.freeze(number)
        spec = self.fed.element_spec
        self.update = training_step(
            self.model, self.rules, self.objective, self.where, spec, self.method.clip_norm
        )

    def _count(self, data: tf.data.Dataset) -> int | None:
        count = int(data.cardinality())
        if count == tf.data.INFINITE_CARDINALITY:
            raise TrainingError(
                "The training data never end.", hint="repeat() is not needed: epochs do it"
            )
        if count >= 0:
            return count
        if self.method.schedule != "constant" or self.method.warmup > 0:
            raise TrainingError(
                "The learning-rate schedule needs the number of batches per epoch, "
                "which the training data do not tell.",
                hint="pass steps_per_epoch",
            )
        return None

    @property
    def _exhausted(self) -> bool:
        return self.best.exhausted and len(self.history) > self.rules.frozen_epochs

    @property
    def finished(self) -> bool:
        """Whether there is no further epoch to train."""
        return self.history.stopped_early or len(self.history) >= self.epochs

    def epoch(self) -> dict[str, float]:
        """Train and validate one epoch; its row of the history."""
        started = time.perf_counter()
        number = len(self.history)
        if callable(self.train) and number > self.opened_at:
            self.fed = distribute_batches(self.train(number), self.where)
        if number == self.rules.frozen_epochs and number > self.opened_at:
            self._enter(number)
        row: dict[str, float] = {"epoch": number + 1}
        row |= self._trained(number).means()
        average_statistics(self.model, self.where)
        walking = self._take_averaged_weights()
        if self.fed_validation is not None:
            sums = EpochSums(self.objective.judged)
            for batch in self.fed_validation:
                sums.add(self.evaluate(batch))
                if len(sums.pending) >= _FETCH_EVERY:
                    self._check(sums, number, "validation")
            self._check(sums, number, "validation")
            row |= sums.means("val_")
        row["learning_rate"] = self.rules.learning_rate
        row["seconds"] = time.perf_counter() - started
        self.best.update(row, self.model)
        for variable, value in walking:
            variable.assign(value)
        self.history.rows.append(row)
        self.history.best_epoch = self.best.epoch
        self.history.stopped_early = self._exhausted
        return row

    def _trained(self, number: int) -> EpochSums:
        sums = EpochSums(self.objective)
        made = self.rules.updates
        for step, batch in enumerate(self.fed):
            self._set_rate(made + step)
            sums.add(self.update(batch))
            if len(sums.pending) >= _FETCH_EVERY:
                self._check(sums, number, "training")
        self._check(sums, number, "training")
        if sums.labelled == 0:
            raise TrainingError(
                "There is nothing to train on.",
                received="no batch" if sums.steps == 0 else "no object with a label",
            )
        return sums

    def _take_averaged_weights(self) -> list[tuple[Any, Any]]:
        """Give the network its averaged weights; returns those it walks on with."""
        if self.method.average is None:
            return []
        walking = []
        for variable, average in self.rules.averages():
            walking.append((variable, tf.identity(variable.value)))
            variable.assign(average.value)
        return walking

    def _set_rate(self, updates: int) -> None:
        if self.steps is not None:
            self.rules.learning_rate = self.method.rate(
                updates,
                steps_per_epoch=self.steps,
                epochs=self.epochs,
                drops=count_plateaus(self.history[self.best.monitor]) if self.history.rows else 0,
            )

    def _check(self, sums: EpochSums, epoch: int, stage: str) -> None:
        trouble = sums.fetch()
        if trouble is not None:
            batch, vector = trouble
            self.use_best_weights()
            rate, precision = self.rules.learning_rate, self.history.precision
            raise build_non_finite_error(vector, stage, epoch + 1, batch + 1, rate, precision)

    def use_best_weights(self) -> None:
        """Give the network the weights of its best epoch, if there is one."""
        if self.best.weights:
            self.model.set_weights(self.best.weights)

    def fingerprint(self) -> dict[str, Any]:
        """What must be the same for another process to continue this training."""
        shapes = [[v.path.rpartition("/")[2], list(v.shape)] for v in self.model.weights]
        return {"network": shapes, "targets": list(self.objective.targets)}

    def state(self) -> State:
        """Everything that determines the rest of the training."""
        arrays = {
            "model": [v.numpy() for v in self.model.variables],
            "optimizer": [v.numpy() for v in self.rules.variables],
            "best": self.best.weights,
        }
        notes = {
            "history": self.history.to_json(),
            "best": self.best.state(),
            "batches per epoch": self.steps,
        }
        return State(arrays, notes)

    def restore(self, state: State) -> None:
        """Take up a `state`."""
        owners = (("model", self.model.variables), ("optimizer", self.rules.variables))
        for owner, variables in owners:
            for variable, value in zip(variables, state.arrays[owner], strict=True):
                variable.assign(value)
        self.best.restore(state.notes["best"], state.arrays.get("best", []))
        self.history = History.from_json(state.notes["history"])
        self.steps = state.notes["batches per epoch"]
        # A stopped training goes on when it is given more patience.
        self.history.stopped_early = self._exhausted
