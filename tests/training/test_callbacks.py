"""Keras callbacks in a training: hooks, logs, stopping, TensorBoard, and what they leave behind."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from astrocnn.training import Optimizer, fit

from .networks import LOSSES, batches, network


class _Recorder(keras.callbacks.Callback):
    """Notes every hook, and the logs of epochs and batches."""

    def __init__(self):
        super().__init__()
        self.hooks, self.epochs, self.batch_losses, self.rates = [], [], [], []

    def on_train_begin(self, logs=None):
        self.hooks.append("train")

    def on_epoch_begin(self, epoch, logs=None):
        self.hooks.append(f"epoch {epoch}")
        self.batch_losses.append([])

    def on_train_batch_end(self, batch, logs=None):
        self.batch_losses[-1].append(logs["loss"])

    def on_test_begin(self, logs=None):
        self.hooks.append("test")

    def on_test_end(self, logs=None):
        self.hooks.append("tested")

    def on_epoch_end(self, epoch, logs=None):
        self.hooks.append(f"end {epoch}")
        self.epochs.append(dict(logs))
        self.rates.append(float(self.model.optimizer.learning_rate.numpy()))

    def on_train_end(self, logs=None):
        self.hooks.append("trained")


def _fit(callbacks, epochs=2, validation=None, model=None, **options):
    model = model or network()
    arguments = {"objective": LOSSES, "strategy": "one", "epochs": epochs, **options}
    return fit(model, batches(), validation, callbacks=callbacks, **arguments)


def test_hooks_come_in_the_order_of_keras_with_the_columns_of_the_history_as_logs():
    recorder = _Recorder()
    history = _fit([recorder], validation=batches(41, shuffle=False))
    epoch = "epoch {0}", "test", "tested", "end {0}"
    expected = ["train", *(name.format(k) for k in (0, 1) for name in epoch), "trained"]
    assert recorder.hooks == expected
    for row, logs in zip(history.rows, recorder.epochs, strict=True):
        assert {"epoch": row["epoch"], **logs} == row
    assert recorder.params == {"epochs": 2, "steps": 6}


def test_logs_of_batches_average_to_the_loss_of_the_epoch():
    model = network()
    for layer in model.layers:
        layer.kernel_regularizer = None
    x, y, _ = next(iter(batches(100, 100, shuffle=False)))
    ones = {name: tf.ones(100) for name in y}
    data = tf.data.Dataset.from_tensor_slices((x, y, ones)).batch(20)
    recorder = _Recorder()
    history = fit(
        model, data, objective=LOSSES, epochs=1, strategy="one", callbacks=[recorder],
        optimizer=Optimizer("sgd", 1e-12),
    )  # fmt: skip
    assert len(recorder.batch_losses[0]) == 5
    assert np.mean(recorder.batch_losses[0]) == pytest.approx(history["loss"][0], rel=1e-6)


def test_the_learning_rate_of_the_schedule_is_that_of_the_model_s_optimizer():
    recorder = _Recorder()
    method = Optimizer("adam", 0.01, schedule="cosine")
    history = _fit([recorder], epochs=3, optimizer=method)
    np.testing.assert_allclose(recorder.rates, history["learning_rate"], rtol=1e-6)
    assert len(set(recorder.rates)) == 3


class _StopAfter(keras.callbacks.Callback):
    def __init__(self, epochs):
        super().__init__()
        self.last, self.calls = epochs - 1, 0

    def on_epoch_end(self, epoch, logs=None):
        self.calls += 1
        assert len(self.model.history) == epoch + 1
        if epoch == self.last:
            self.model.stop_training = True


def test_stop_training_ends_it_for_good(tmp_path):
    model = network()
    history = _fit([_StopAfter(2)], epochs=5, backup=tmp_path, model=model)
    assert len(history) == 2 and history.stopped_early
    again, other = _StopAfter(2), network(seed=4)
    repeated = _fit([again], epochs=5, backup=tmp_path, model=other)
    assert again.calls == 0 and repeated.rows == history.rows
    for old, new in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_callbacks_do_not_change_the_training_and_leave_nothing_behind(tmp_path):
    plain, watched = network(dropout=0.3), network(dropout=0.3)
    attributes = set(vars(plain))
    _fit([], model=plain)
    _fit([_Recorder(), keras.callbacks.TerminateOnNaN()], model=watched)
    for old, new in zip(plain.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not {"optimizer", "history"} & (set(vars(watched)) - attributes)
    watched.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert len(loaded.variables) == len(watched.variables)


def test_tensorboard_gets_the_losses_of_every_epoch(tmp_path):
    pytest.importorskip("tensorboard")
    history = _fit(
        [keras.callbacks.TensorBoard(str(tmp_path), write_graph=True, histogram_freq=1)],
        epochs=3,
        validation=batches(41, shuffle=False),
    )
    for folder, prefix in (("train", ""), ("validation", "val_")):
        (events,) = (tmp_path / folder).glob("events.*")
        found: dict[str, list[float]] = {}
        for record in tf.data.TFRecordDataset(str(events)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.tag.startswith("epoch_") and value.tensor.dtype:
                    found.setdefault(value.tag, []).append(float(tf.make_ndarray(value.tensor)))
        np.testing.assert_allclose(found["epoch_loss"], history[f"{prefix}loss"], rtol=1e-6)
    np.testing.assert_allclose(found["epoch_barred_loss"], history["val_barred_loss"], rtol=1e-6)


def test_a_csv_logger_and_a_checkpoint_of_keras_work(tmp_path):
    model = network()
    path = tmp_path / "weights.weights.h5"
    callbacks = [
        keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
        keras.callbacks.ModelCheckpoint(
            str(path), monitor="loss", save_best_only=True, save_weights_only=True
        ),
    ]
    history = _fit(callbacks, epochs=3, model=model)
    lines = (tmp_path / "log.csv").read_text().splitlines()
    header = lines[0].split(",")
    logged = [float(line.split(",")[header.index("loss")]) for line in lines[1:]]
    np.testing.assert_allclose(logged, history["loss"])
    other = network(seed=9)
    other.load_weights(path)
    assert history.best_epoch == 3
    for saved, final in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(saved, final)
