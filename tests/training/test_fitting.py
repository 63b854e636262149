from __future__ import annotations

import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from astrocnn.errors import TrainingError
from astrocnn.training import Objective, Optimizer, compute_class_weights, fit, predict
from tests import processes

from . import killable
from .networks import FAMILIES, LOSSES, batches, network, sample


def _softmax_regression(x, y, w, rate, epochs, batch, kernel, bias, clip=None, average=None):
    """Gradient descent written in numpy, in double precision."""
    kernel, bias = kernel.astype(float), bias.astype(float)
    mean = None
    for _ in range(epochs):
        for start in range(0, len(x), batch):
            s = slice(start, start + batch)
            raw = x[s] @ kernel + bias
            p = np.exp(raw - raw.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            error = w[s, None] * (p - y[s]) / w[s].sum()
            g_kernel, g_bias = x[s].T @ error, error.sum(0)
            norm = np.sqrt((g_kernel**2).sum() + (g_bias**2).sum())
            scale = 1.0 if clip is None else min(1.0, clip / norm)
            kernel -= rate * scale * g_kernel
            bias -= rate * scale * g_bias
            now = [kernel.copy(), bias.copy()]
            keep = average if average and mean is not None else 0.0
            mean = [keep * m + (1 - keep) * k for m, k in zip(mean or now, now, strict=True)]
    return (kernel, bias) if average is None else mean


@pytest.mark.parametrize(("clip", "average"), [(None, None), (0.05, None), (None, 0.7)])
def test_weights_follow_gradient_descent_written_in_numpy(clip, average):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(23, 4)).astype("f4")
    y = np.eye(3, dtype="f4")[rng.integers(0, 3, 23)]
    w = (rng.random(23) < 0.6).astype("f4")
    balance = compute_class_weights(y, w)
    y_with_nan = np.where(w[:, None] > 0, y, np.nan).astype("f4")
    inputs = keras.Input((4,), name="image")
    model = keras.Model({"image": inputs}, {"kind": keras.layers.Dense(3, name="kind")(inputs)})
    expected = _softmax_regression(
        x, y, w * (y @ balance), 0.1, 3, 5, *model.get_weights(), clip=clip, average=average
    )
    data = tf.data.Dataset.from_tensor_slices(({"image": x}, {"kind": y_with_nan}, {"kind": w}))
    fit(
        model,
        data.batch(5),
        objective=Objective({"kind": FAMILIES["kind"].loss}, class_weights={"kind": balance}),
        epochs=3,
        optimizer=Optimizer("sgd", 0.1, clip_norm=clip, average=average),
        strategy="one",
    )
    for got, want in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(got, want, atol=2e-6)


def test_the_history_holds_the_weighted_means():
    model = network(dropout=0.3)
    still = Optimizer("sgd", 1e-12)
    metrics = {"barred": {"accuracy": lambda y, raw: tf.reduce_mean(y * 0 + 0.25, 1)}}
    history = fit(
        model,
        batches(),
        batches(shuffle=False),
        objective=Objective(LOSSES, loss_weights={"barred": 0.5}, metrics=metrics),
        epochs=1,
        optimizer=still,
        strategy="one",
    )
    x, y, w = sample()
    raw = model(x)
    mean = {
        name: np.average(np.asarray(LOSSES[name](y[name], raw[name])), weights=w[name])
        for name in LOSSES
    }
    row = history.rows[0]
    for name, value in mean.items():
        assert row[f"val_{name}_loss"] == pytest.approx(value, rel=1e-5)
    total = mean["kind"] + 0.5 * mean["barred"] + float(sum(model.losses))
    assert row["val_loss"] == pytest.approx(total, rel=1e-5)
    assert row["val_barred_accuracy"] == pytest.approx(0.25)
    assert row["learning_rate"] == pytest.approx(1e-12)


def test_it_learns_and_keeps_the_best_epoch():
    model = network()
    seen = []
    history = fit(
        model,
        batches(300),
        batches(60, shuffle=False, seed=9),
        objective=LOSSES,
        epochs=60,
        optimizer=Optimizer("adam", 0.02),
        early_stopping=4,
        strategy="one",
        callbacks=[lambda h: seen.append(len(h))],
    )
    assert history.stopped_early
    assert len(history) == history.best_epoch + 4 < 60
    assert seen == list(range(1, len(history) + 1))
    assert history["val_loss"].argmin() + 1 == history.best_epoch
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    x, y, w = sample(60, 9)
    raw = model(x)
    now = sum(
        np.average(np.asarray(LOSSES[n](y[n], raw[n])), weights=w[n]) for n in LOSSES
    ) + float(sum(model.losses))
    assert now == pytest.approx(history["val_loss"].min(), rel=1e-5)


def test_the_seed_decides_dropout():
    weights = []
    for seed in (0, 0, 1):
        model = network(dropout=0.5)
        fit(model, batches(), objective=LOSSES, epochs=2, seed=seed, strategy="one")
        weights.append(model.get_weights()[0])
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 1e-5


def test_bfloat16_stays_near_float32_and_leaves_the_network_float32():
    kernels, losses = [], []
    for precision in ("float32", "bfloat16"):
        model = network()
        history = fit(
            model,
            batches(),
            objective=LOSSES,
            epochs=3,
            optimizer=Optimizer("sgd", 0.05),
            precision=precision,
            strategy="one",
        )
        assert history.precision == precision
        assert all(layer.compute_dtype == "float32" for layer in model.layers)
        kernels.append(model.get_weights()[0])
        losses.append(history["loss"])
    assert 0 < np.abs(kernels[0] - kernels[1]).max() < 0.02
    np.testing.assert_allclose(*losses, rtol=0.02)


def _with_nan(where: str) -> tf.data.Dataset:
    x, y, w = sample(60)
    if where == "image":
        x["image"][47, 0, 0, 0] = np.nan
    elif where == "label":
        y["barred"][47] = np.nan
    return tf.data.Dataset.from_tensor_slices((x, y, w)).batch(20)


@pytest.mark.parametrize(
    ("where", "rate", "words"),
    [
        ("image", 0.01, r"training.*epoch 1, batch 3: 1 input values(.|\n)*Normalization"),
        ("label", 0.01, r"epoch 1, batch 3: 1 label values(.|\n)*weight 0"),
        ("", 1e20, r"weights have diverged(.|\n)*lower learning rate \(it was 1e\+20\)"),
    ],
)
def test_a_loss_that_is_not_a_number_is_explained(where, rate, words):
    with pytest.raises(TrainingError, match=words):
        fit(
            network(),
            _with_nan(where),
            objective=LOSSES,
            epochs=3,
            optimizer=Optimizer("sgd", rate),
            strategy="one",
        )


def test_a_nan_in_the_second_epoch_leaves_the_weights_of_the_first():
    model, weights = network(), []

    def train(epoch: int) -> tf.data.Dataset:
        return _with_nan("image" if epoch == 1 else "")

    with pytest.raises(TrainingError, match="epoch 2, batch 3"):
        fit(
            model,
            train,
            objective=LOSSES,
            epochs=3,
            strategy="one",
            callbacks=[lambda h: weights.append(model.get_weights())],
        )
    assert len(weights) == 1
    for kept, now in zip(weights[0], model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)


def test_nothing_to_train_on_is_refused():
    x, y, w = sample(20)
    unlabelled = tf.data.Dataset.from_tensor_slices((x, y, {k: 0 * v for k, v in w.items()}))
    with pytest.raises(TrainingError, match="no object with a label"):
        fit(network(), unlabelled.batch(10), objective=LOSSES, epochs=1, strategy="one")
    with pytest.raises(TrainingError, match="no batch"):
        fit(network(), unlabelled.take(0).batch(10), objective=LOSSES, epochs=1, strategy="one")
    with pytest.raises(TrainingError, match="infinite"):
        fit(network(), batches().repeat(), objective=LOSSES, epochs=1, strategy="one")
    with pytest.raises(TrainingError, match="`epochs` must be at least 1; got 0"):
        fit(network(), batches(), objective=LOSSES, epochs=0, strategy="one")
    objective = Objective(LOSSES, class_weights={"bared": np.ones(2)})
    with pytest.raises(TrainingError, match=r"class weights(.|\n)*bared(.|\n)*barred"):
        fit(network(), batches(), objective=objective, epochs=1)


def test_a_schedule_needs_a_known_length():
    data = batches().filter(lambda *_: True)
    method = Optimizer("sgd", 0.1, schedule="cosine")
    with pytest.raises(TrainingError, match="assert_cardinality"):
        fit(network(), data, objective=LOSSES, epochs=1, optimizer=method, strategy="one")
    data = data.apply(tf.data.experimental.assert_cardinality(6))
    history = fit(network(), data, objective=LOSSES, epochs=2, optimizer=method, strategy="one")
    expected = [method.compute_rate(i, steps_per_epoch=6, epochs=2) for i in (5, 11)]
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-6)


class _Crash(Exception):
    pass


@pytest.mark.parametrize(
    ("per_epoch", "schedule", "average"), [(True, "plateau", None), (False, "one_cycle", 0.9)]
)
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path, per_epoch, schedule, average):
    def train(epoch: int) -> tf.data.Dataset:
        x, y, w = sample()
        return tf.data.Dataset.from_tensor_slices((x, y, w)).shuffle(103, seed=epoch).batch(20)

    def run(backup=None, callbacks=()):
        model = network(dropout=0.3, batch_norm=True)
        history = fit(
            model,
            train if per_epoch else batches(),
            batches(40, shuffle=False, seed=9),
            objective=LOSSES,
            epochs=6,
            optimizer=Optimizer("adam", 0.05, schedule=schedule, warmup=1, average=average),
            early_stopping=5,
            backup=backup,
            history_file=None if backup is None else backup / "history.csv",
            strategy="one",
            callbacks=callbacks,
        )
        return model.get_weights(), history

    expected, straight = run()
    for after in (1, 4):

        def crash(history, after=after):
            if len(history) == after:
                raise _Crash

        with pytest.raises(_Crash):
            run(tmp_path, [crash])
    continued, history = run(tmp_path)
    for name in set(history.columns) - {"seconds"}:
        np.testing.assert_array_equal(history[name], straight[name])
    assert history.best_epoch == straight.best_epoch
    for old, new in zip(expected, continued, strict=True):
        np.testing.assert_array_equal(old, new)
    written = (tmp_path / "history.csv").read_text()
    (tmp_path / "history.csv").unlink()
    again, repeated = run(tmp_path)
    assert repeated.rows == history.rows and (tmp_path / "history.csv").read_text() == written
    for old, new in zip(expected, again, strict=True):
        np.testing.assert_array_equal(old, new)


def test_kill_9_and_the_same_command_again_give_the_same_weights(tmp_path):
    killed, straight, log = tmp_path / "killed", tmp_path / "straight", tmp_path / "log"
    victim = processes.start(log, killable.main, 0.4, killed)
    marker = killed / "history.csv"
    limit = time.monotonic() + 90
    while not (marker.exists() and len(marker.read_text().splitlines()) >= 4):
        assert victim.is_alive() and time.monotonic() < limit, "no third epoch"
        time.sleep(0.02)
    victim.kill()
    victim.join()
    assert victim.exitcode == -signal.SIGKILL
    assert not (killed / "weights.npz").exists()
    # In this process: where a training is continued makes no difference.
    killable.main(0, killed, straight)
    with (
        np.load(tmp_path / "straight" / "weights.npz") as straight,
        np.load(tmp_path / "killed" / "weights.npz") as killed,
    ):
        assert straight["epochs"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
        assert killed["epochs"][0] > 3
        for name in set(straight.files) - {"epochs"}:
            np.testing.assert_array_equal(straight[name], killed[name])


def test_another_network_does_not_take_up_the_backup(tmp_path):
    fit(network(), batches(), objective=LOSSES, epochs=1, backup=tmp_path, strategy="one")
    with pytest.raises(TrainingError, match="network changed"):
        fit(
            network(batch_norm=True), batches(), objective=LOSSES, epochs=1, backup=tmp_path,
            strategy="one",
        )  # fmt: skip


def test_predict_is_the_network_in_the_order_of_the_data():
    model = network(dropout=0.5)
    x, _, _ = sample()
    raw = model(x)
    got = predict(model, batches(shuffle=False), "one")
    for name in raw:
        np.testing.assert_allclose(got[name], np.asarray(raw[name]), atol=1e-6)
