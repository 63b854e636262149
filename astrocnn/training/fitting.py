"""Training a network: the loop over epochs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from astrocnn.backend import keras, tf
from astrocnn.errors import TrainingError
from astrocnn.models import with_precision
from astrocnn.training.backup import Backup
from astrocnn.training.best import Best
from astrocnn.training.history import History
from astrocnn.training.layer_rates import LayerOptimizers
from astrocnn.training.loop import Data, Loop
from astrocnn.training.objective import Objective, PerObject
from astrocnn.training.optimizers import Optimizer
from astrocnn.training.precision import resolve_precision
from astrocnn.training.progress import report
from astrocnn.training.strategies import (
    check_agreement,
    is_chief,
    seed_dropout,
    take_values_of_first_replica,
)
from astrocnn.training.strategies import get_strategy as strategy_of

__all__ = ["fit"]


def fit(
    model: keras.Model,
    train: Data,
    validation: tf.data.Dataset | None = None,
    *,
    losses: Mapping[str, PerObject],
    epochs: int,
    optimizer: Optimizer | str = "adam",
    patience: int | None = None,
    backup: str | os.PathLike[str] | None = None,
    history_file: str | os.PathLike[str] | None = None,
    class_weights: Mapping[str, np.ndarray] | None = None,
    loss_weights: Mapping[str, float] | None = None,
    metrics: Mapping[str, Mapping[str, PerObject]] | None = None,
    auxiliary: Mapping[str, str] | None = None,
    monitor: str | None = None,
    min_delta: float = 0.0,
    strategy: str | tf.distribute.Strategy = "auto",
    precision: str = "float32",
    seed: int = 0,
    steps_per_epoch: int | None = None,
    rates: Mapping[str, float] | None = None,
    frozen_epochs: int = 0,
    origin: str | None = None,
    callbacks: Sequence[Callable[[History], None]] = (),
) -> History:
    """Train a network; afterwards it has the weights of its best epoch.

    Parameters
    ----------
    model : keras.Model
        A functional model with a dict of outputs: target name to raw parameters (n, units).
    train : tf.data.Dataset, or function of the epoch (from 0) that gives one
        Batches ``(x, y, weights)``: dicts of inputs, of encoded labels per target, and of object
        weights per target.  A function is called once for each epoch that is trained, in order,
        and makes its batches a matter of the epoch alone; with a data set that shuffles, a
        continued training first begins as many iterations as there were epochs.
    validation : tf.data.Dataset, optional
        The same, without shuffling.
    losses : mapping of target to function
        Loss per object of (encoded, raw): ``family.loss``.
    epochs : int
        Number of passes over the training data, at most.
    optimizer : Optimizer or str
        Method, learning rate and schedule.
    patience : int, optional
        Stop after so many epochs without improvement.
    backup : path, optional
        Folder for the state after each epoch.  The same call again continues there: an
        interruption at any moment, kill -9 included, leaves the final weights as they would have
        been.  After the last epoch the same call returns at once; delete the folder to train anew.
    history_file : path, optional
        CSV, replaced after each epoch.

    Other Parameters
    ----------------
    class_weights : mapping of target to ndarray, optional
        See `class_weights`.
    loss_weights : mapping of target to float, optional
        Importance of each target and auxiliary output, 1 unless named.
    metrics : mapping of target to mapping of name to function, optional
        Further values per object of (encoded, raw), averaged into the history.
    auxiliary : mapping of output to target, optional
        Outputs that learn from the labels of a target beside its own, and are not validated: see
        `astrocnn.models.build.add_auxiliary_heads`.
    monitor : str, optional
        Column to be made small: "val_loss", or "loss" without validation.
    min_delta : float
        Smallest change that counts as an improvement.
    strategy : str or tf.distribute.Strategy
        See `strategy`.  The batch size is that of the whole batch, whatever the devices.
    precision : {"float32", "bfloat16", "auto"}
        Arithmetic during training.  The model keeps its own precision, and its weights are
        float32 always.  "auto" takes bfloat16 where the hardware has it.
    seed : int
        Of dropout.
    steps_per_epoch : int, optional
        Only needed by schedules when the length of `train` is unknown.
    rates : mapping of str to float, optional
        Factor on the learning rate of layers, by name; 0 freezes a layer: its weights and the
        statistics of its normalization stay as they are.
    frozen_epochs : int
        Epochs during which all layers named in `rates` are frozen.  The patience counts from
        their release.
    origin : str, optional
        What the network began with, where that is not decided by its seed: a backup of a training
        that began with something else is refused.
    callbacks : sequence of function
        Called after each epoch with the history so far.

    Returns
    -------
    History

    Raises
    ------
    TrainingError
        If the loss stops being a number, there is nothing to train on, the backup belongs to
        another training, or an argument makes no sense.
    """
    if epochs < 1:
        raise TrainingError("Nothing to train.", received=f"epochs = {epochs}", allowed="1 or more")
    where = strategy if isinstance(strategy, tf.distribute.Strategy) else strategy_of(strategy)
    precision = resolve_precision(precision)
    method = Optimizer(optimizer) if isinstance(optimizer, str) else optimizer
    objective = Objective(
        losses, loss_weights or {}, class_weights or {}, metrics or {}, auxiliary or {}
    )
    objective.check(model.output if isinstance(model.output, dict) else ())
    watched = monitor or ("val_loss" if validation is not None else "loss")
    best = Best(watched, patience, min_delta)

    elsewhere = where is not tf.distribute.get_strategy() or precision != "float32"
    with where.scope():
        trained = with_precision(model, precision) if elsewhere else model
        rules = LayerOptimizers(method, trained, rates or {}, frozen_epochs)
    seed_dropout(trained, seed)
    take_values_of_first_replica(trained, where)

    loop = Loop(trained, rules, method, objective, where, best, epochs)
    loop.history = History(precision=precision, replicas=where.num_replicas_in_sync)
    keeper = None
    if backup is not None:
        fixed = {"optimizer": repr(method), "seed": seed, "precision": precision}
        if rates:
            fixed |= {"rates": dict(rates), "frozen epochs": frozen_epochs}
        if origin is not None:
            fixed["origin"] = origin
        keeper = Backup(backup, fixed | loop.fingerprint())
        state = keeper.load()
        if state is not None:
            loop.restore(state)
            # An interruption may have come between the backup of an epoch and its line here.
            if history_file is not None and is_chief(where):
                loop.history.write_csv(history_file)
    check_agreement(where, len(loop.history))
    chief = is_chief(where)
    try:
        if not loop.finished:
            loop.open(train, validation, steps_per_epoch)
        while not loop.finished:
            row = loop.epoch()
            if keeper is not None and chief:
                keeper.save(loop.state())
            if history_file is not None and chief:
                loop.history.write_csv(history_file)
            if chief:
                report(row, epochs, improved=best.waited == 0)
            for callback in callbacks:
                callback(loop.history)
    finally:
        rules.release()
    loop.use_best_weights()
    if elsewhere:
        model.set_weights(trained.get_weights())
    return loop.history
