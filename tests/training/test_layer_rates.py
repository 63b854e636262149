"""Layers that are frozen at first, and then learn at their own rates."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from astrocnn.errors import TrainingError
from astrocnn.training import Backup, LayerRates, Optimizer, fit
from astrocnn.training.layer_rates import LayerOptimizers
from astrocnn.training.optimizers import OPTIMIZERS

from .networks import LOSSES, batches, sample


def _network(seed=0, l2=0.0):
    """Two convolutions with normalization, a dropout, two heads; all layers have names."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 2), name="image")
    x = keras.layers.Conv2D(5, 3, use_bias=False, name="conv1")(image)
    x = keras.layers.BatchNormalization(momentum=0.5, name="norm1")(x)
    x = keras.layers.Activation("relu")(x)
    penalty = keras.regularizers.L2(l2) if l2 else None
    x = keras.layers.Conv2D(4, 3, activation="relu", kernel_regularizer=penalty, name="conv2")(x)
    x = keras.layers.Dropout(0.2)(keras.layers.Flatten()(x))
    heads = {
        "kind": keras.layers.Dense(3, name="kind")(x),
        "barred": keras.layers.Dense(1, name="barred")(x),
    }
    model = keras.Model({"image": image}, heads)
    rng = np.random.default_rng(seed)
    norm = model.get_layer("norm1")
    norm.moving_mean.assign(rng.normal(size=5))
    norm.moving_variance.assign(rng.uniform(0.5, 2, 5))
    return model


BODY = ("conv1", "norm1", "conv2")


def _by_layer(model):
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def _moved(before, after):
    return {
        name: max(
            float(np.abs(a - b).max()) for a, b in zip(before[name], after[name], strict=True)
        )
        for name in before
    }


def _fit(model, epochs=1, *, rates=None, frozen_epochs=0, **options):
    arguments = {"optimizer": Optimizer("adam", 0.01), "strategy": "one", **options}
    rates = LayerRates(rates or {}, frozen_epochs)
    return fit(model, batches(60), objective=LOSSES, epochs=epochs, layer_rates=rates, **arguments)


def _last(model, **options):
    """Weights and statistics after each epoch, whatever epoch is best."""
    seen = []
    _fit(model, callbacks=[lambda history: seen.append(_by_layer(model))], **options)
    return seen


def test_frozen_layers_do_not_move_by_a_bit_and_released_ones_do():
    model = _network()
    before = _by_layer(model)
    seen = _last(model, epochs=2, rates=dict.fromkeys(BODY, 0.1), frozen_epochs=1)
    moved = _moved(before, seen[0])
    assert all(moved[name] == 0 for name in BODY)
    assert moved["kind"] > 1e-3 and moved["barred"] > 1e-3
    assert all(_moved(before, seen[1])[name] > 1e-5 for name in BODY)
    assert all(layer.trainable for layer in model.layers)


def test_a_rate_of_zero_freezes_for_good():
    model = _network()
    before = _by_layer(model)
    (after,) = _last(model, rates={"conv1": 0, "norm1": 0.0, "conv2": 0.5})
    moved = _moved(before, after)
    assert moved["conv1"] == moved["norm1"] == 0
    assert moved["conv2"] > 1e-4


def test_normalization_of_frozen_layers_works_as_in_a_prediction():
    """With all but the heads frozen, training them is that of a network cut off before them."""
    model = _network()
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    x, y, w = sample(60)
    flat = next(x for x in model.layers if isinstance(x, keras.layers.Flatten))
    features = np.asarray(keras.Model(model.input, flat.output)(x, training=False))
    inputs = keras.Input(features.shape[1:], name="image")
    heads = {n: keras.layers.Dense(k, name=n) for n, k in (("kind", 3), ("barred", 1))}
    short = keras.Model({"image": inputs}, {n: h(inputs) for n, h in heads.items()})
    for name, head in heads.items():
        head.set_weights(model.get_layer(name).get_weights())
    data = tf.data.Dataset.from_tensor_slices(({"image": features}, y, w)).batch(20)
    how = {"optimizer": Optimizer("sgd", 0.05), "strategy": "one", "objective": LOSSES, "epochs": 2}
    fit(short, data, **how)
    whole = tf.data.Dataset.from_tensor_slices((x, y, w)).batch(20)
    fit(model, whole, layer_rates=LayerRates(dict.fromkeys(BODY, 1), 2), **how)
    for name, head in heads.items():
        for a, b in zip(head.get_weights(), model.get_layer(name).get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-6)


def test_a_step_of_gradient_descent_moves_each_layer_by_its_rate_times_the_gradient():
    x, y, w = sample(30)
    data = tf.data.Dataset.from_tensor_slices((x, y, w)).batch(30)
    how = {"objective": LOSSES, "epochs": 1, "strategy": "one", "optimizer": Optimizer("sgd", 0.1)}
    plain, scaled = _network(), _network()
    before = _by_layer(plain)
    fit(plain, data, **how)
    rates = {"conv1": 0.01, "conv2": 3.0}
    fit(scaled, data, layer_rates=LayerRates(rates), **how)
    for name, there in _by_layer(plain).items():
        factor = rates.get(name, 1)
        for old, a, b in zip(before[name], there, _by_layer(scaled)[name], strict=True):
            np.testing.assert_allclose(b - old, factor * (a - old), atol=2e-7 + 1e-5 * factor)
            assert name == "norm1" or np.abs(a - old).max() > 1e-4


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_released_layer_begins_as_one_that_begins_with_the_training(name):
    """Its momenta and their bias corrections count from the release; weight decay waits, too."""
    options = {"weight_decay": 0.1} if name == "adamw" else {}
    method = Optimizer(name, 0.01, options=options)

    def layers():
        x = keras.Input((1,))
        late = keras.layers.Dense(1, use_bias=False, name="late", kernel_initializer="ones")
        first = keras.layers.Dense(1, use_bias=False, name="first", kernel_initializer="ones")
        return keras.Model(x, first(late(x)))

    def step(rules, model, gradient):
        variables = model.trainable_variables
        rules.apply([tf.constant([[gradient]])] * len(variables), variables)

    model = layers()
    rules = LayerOptimizers(method, model, LayerRates({"late": 0.5}, 2))
    for epoch in range(4):
        rules.freeze(epoch)
        step(rules, model, 0.3 if epoch < 2 else 0.7)
    alone = layers()
    same = LayerOptimizers(method, alone, LayerRates({"late": 0.5}))
    for _ in range(2):
        step(same, alone, 0.7)
    found, expected = (float(m.get_layer("late").kernel[0, 0]) for m in (model, alone))
    assert found == expected < 1


def test_averages_are_of_weights_that_have_been_updated():
    model = _network()
    rules = LayerOptimizers(
        Optimizer("sgd", 0.1, average=0.9), model, LayerRates(dict.fromkeys(BODY, 0.5), 1)
    )
    walks = []
    for epoch in (0, 1, 2):
        rules.freeze(epoch)
        variables = model.trainable_variables
        rules.apply([tf.ones(v.shape) for v in variables], variables)
        averages = {v.path: average.numpy() for v, average in rules.get_averages()}
        walks.append({v.path: v.numpy() for v in variables})
        assert averages.keys() == walks[-1].keys()
        for path, average in averages.items():
            values = [walk[path] for walk in walks if path in walk]
            expected = values[0]
            for value in values[1:]:
                expected = 0.9 * expected + 0.1 * value
            np.testing.assert_allclose(average, expected, atol=1e-6)
    assert len(walks[0]) == 4 < len(walks[1])


def test_the_loss_does_not_jump_when_penalized_layers_are_released():
    still = Optimizer("sgd", 1e-12)
    both = [
        _fit(_network(l2=0.1), epochs=2, optimizer=still, rates=rates, frozen_epochs=1)
        for rates in ({}, dict.fromkeys(("conv2",), 1.0))
    ]
    np.testing.assert_allclose(both[1]["loss"], both[0]["loss"], rtol=1e-5)


def test_patience_counts_from_the_release():
    model = _network()
    still = {"optimizer": Optimizer("sgd", 1e-12), "early_stopping": 2, "epochs": 12}
    history = _fit(model, rates=dict.fromkeys(BODY, 1), frozen_epochs=5, **still)
    assert history.stopped_early and 7 <= len(history) <= 9


class _Crash(Exception):
    pass


@pytest.mark.parametrize(("after", "average"), [(1, 0.8), (2, None)])
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path, after, average):
    """Interrupted while layers are frozen, and at their release."""

    def run(backup=None, callbacks=(), origin="a", **changed):
        model = _network()
        options = {"rates": dict.fromkeys(BODY, 0.3), "frozen_epochs": 2, **changed}
        history = _fit(
            model,
            epochs=3,
            early_stopping=2,
            backup=None if backup is None else Backup(backup, {"origin": origin}),
            callbacks=callbacks,
            optimizer=Optimizer("adam", 0.02, schedule="cosine", average=average),
            **options,
        )
        return model.get_weights(), history

    def crash(history):
        if len(history) == after:
            raise _Crash

    expected, straight = run()
    with pytest.raises(_Crash):
        run(tmp_path, [crash])
    if after == 1:
        for changed in ({"rates": {"conv1": 0.3}}, {"frozen_epochs": 1}, {"origin": "b"}):
            with pytest.raises(TrainingError, match=f"{next(iter(changed))[:6]}.* changed since"):
                run(tmp_path, **changed)
    continued, history = run(tmp_path)
    np.testing.assert_array_equal(history["loss"], straight["loss"])
    for a, b in zip(expected, continued, strict=True):
        np.testing.assert_array_equal(a, b)


def test_bfloat16_freezes_and_releases_too():
    from astrocnn.training.precision import bfloat16_works

    if not bfloat16_works():
        pytest.skip("bfloat16 ends the process on this machine")
    model = _network()
    before = _by_layer(model)
    how = {"rates": {"conv1": 0, "norm1": 0, "conv2": 0.5}, "frozen_epochs": 1}
    _fit(model, epochs=2, precision="bfloat16", **how)
    moved = _moved(before, _by_layer(model))
    assert moved["conv1"] == moved["norm1"] == 0 < moved["kind"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rates": {"conv3": 0.1}}, r"layer 'conv3'(.|\n)*did you mean 'conv"),
        ({"rates": {"conv1": -1}}, r"'conv1' is out of range(.|\n)*freezes"),
        ({"rates": {"conv1": 1}, "frozen_epochs": -1}, "`frozen_epochs` is out of range"),
        ({"rates": dict.fromkeys((*BODY, "kind", "barred"), 0)}, "nothing to train"),
        (
            {"rates": dict.fromkeys((*BODY, "kind", "barred"), 1), "frozen_epochs": 1},
            "nothing to train",
        ),
    ],
)
def test_invalid_arguments_are_refused(options, words):
    with pytest.raises(TrainingError, match=words):
        _fit(_network(), **options)
