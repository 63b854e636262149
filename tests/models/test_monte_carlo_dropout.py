"""Consistent Monte-Carlo dropout."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from astrocnn.errors import ModelError
from astrocnn.estimators.base import evaluate_in_blocks
from astrocnn.models.build import build_model
from astrocnn.models.monte_carlo_dropout import MonteCarloDropout, compute_masks
from astrocnn.models.options import Options

RNG = np.random.default_rng(5)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def numpy_of(samples):
    return {key: keras.ops.convert_to_numpy(value) for key, value in samples.items()}


@pytest.fixture(scope="module")
def network():
    """A convolutional network with a branch, a residual sum, two outputs and scalars."""
    keras.utils.set_random_seed(3)
    image = keras.Input((12, 12, 2), name="image")
    scalars = keras.Input((2,), name="scalars")
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="c1")(image)
    x = layers.BatchNormalization(name="bn1")(x)
    side = layers.GlobalAveragePooling2D(name="side")(x)
    y = layers.SpatialDropout2D(0.3, name="spatial")(x)
    y = layers.Conv2D(6, 3, padding="same", activation="relu", name="c2")(y)
    y = layers.BatchNormalization(name="bn2")(y)
    y = layers.Add(name="sum")([x, y])
    y = layers.Dropout(0.25, name="whole")(y)
    y = layers.Flatten(name="flat")(y)
    y = layers.Concatenate(name="cat")([y, side, scalars])
    y = layers.Dropout(0.5, name="last")(layers.Dense(8, name="d1")(y))
    outputs = {
        "a": layers.Dense(3, name="a")(y),
        "b": layers.Dense(1, name="b")(y),
        "sure": layers.Dense(2, name="sure")(side),
    }
    model = keras.Model({"image": image, "scalars": scalars}, outputs)
    for name in ("bn1", "bn2"):
        gamma, beta, mean, variance = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([gamma + 0.1, beta + 0.2, mean + 0.3, variance * 2])
    return model


@pytest.fixture(scope="module")
def batch():
    return {"image": normal(9, 12, 12, 2), "scalars": normal(9, 2)}


def repeat_everything(model, x, draws, seed):
    """The whole network anew for each draw, its masks in its own Dropout layers' place."""

    class Fixed(layers.Layer):
        def __init__(self, mask, keep, **kwargs):
            super().__init__(**kwargs)
            self.mask, self.keep = mask, keep

        def call(self, x):
            return keras.ops.where(self.mask, x / self.keep, 0.0)

    out = []
    for draw in range(draws):

        def replace(layer, draw=draw):
            if not isinstance(layer, layers.Dropout):
                return layer
            shape = tuple(layer.input.shape[1:])
            if isinstance(layer, layers.SpatialDropout2D):
                shape = (1, 1, shape[-1])
            mask = compute_masks(seed, layer.name, draw + 1, shape, layer.rate)[draw]
            return Fixed(mask[None], 1 - layer.rate, name=layer.name + "_fixed")

        out.append(numpy_of(keras.models.clone_model(model, clone_function=replace)(x)))
    return {key: np.stack([o[key] for o in out]) for key in out[0]}


def test_once_then_each_draw_equals_repeating_everything(network, batch):
    got = numpy_of(MonteCarloDropout(network, 6, seed=11)(batch))
    expected = repeat_everything(network, batch, 6, 11)
    assert set(got) == {"a", "b", "sure"}
    for key, value in expected.items():
        assert got[key].shape == value.shape
        np.testing.assert_allclose(got[key], value, rtol=2e-5, atol=2e-6)
    assert got["a"].std(axis=0).min() > 0
    assert np.ptp(got["sure"], axis=0).max() == 0


def test_the_part_before_the_first_dropout_runs_once(network, batch):
    sample = MonteCarloDropout(network, 6)
    before = {layer.name for layer in sample._split.prefix.layers}
    after = {layer.name for layer in sample._split.suffix.layers}
    assert {"c1", "bn1", "side", "sure"} <= before
    assert {"c2", "bn2", "d1", "a", "b"} <= after
    assert not {"c1", "bn1", "side", "sure"} & after
    assert not any(isinstance(one, layers.Dropout) for one in sample._split.suffix.layers)


def test_the_network_is_left_as_it_was(network, batch):
    before = [w.copy() for w in network.get_weights()]
    reference = numpy_of(network(batch))
    sample = MonteCarloDropout(network, 8)
    sample(batch)
    tf.function(lambda x: sample(x))(batch)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for key, value in numpy_of(network(batch)).items():
        np.testing.assert_array_equal(value, reference[key])


def test_weights_are_shared(network, batch):
    sample = MonteCarloDropout(network, 2)
    first = numpy_of(sample(batch))
    head = network.get_layer("a")
    old = head.get_weights()
    head.set_weights([old[0], old[1] + 1])
    try:
        np.testing.assert_allclose(
            numpy_of(sample(batch))["a"], first["a"] + 1, rtol=1e-5, atol=1e-5
        )
    finally:
        head.set_weights(old)


def test_draws_differ_and_repeat(network, batch):
    one = numpy_of(MonteCarloDropout(network, 5, seed=1)(batch))["a"]
    again = numpy_of(MonteCarloDropout(network, 5, seed=1)(batch))["a"]
    other = numpy_of(MonteCarloDropout(network, 5, seed=2)(batch))["a"]
    np.testing.assert_array_equal(one, again)
    assert not np.isclose(one, other).all(axis=-1).any()
    assert len(np.unique(one[:, 0, 0])) == 5


def test_compiled_equals_eager(network, batch):
    sample = MonteCarloDropout(network, 7, seed=4)
    compiled = numpy_of(tf.function(lambda x: sample(x))(batch))
    for key, value in numpy_of(sample(batch)).items():
        np.testing.assert_allclose(compiled[key], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["convolutional", "head"])
def test_bits_do_not_depend_on_batches_order_splits_or_number_of_draws(kind, network, task_of):
    if kind == "convolutional":
        model, arrays = network, {"image": normal(100, 12, 12, 2), "scalars": normal(100, 2)}
    else:
        options = Options(head_dropout=0.5)
        model = build_model("lenet", task_of(a=3), size=33, n_channels=1, options=options)
        arrays = {"image": normal(100, 33, 33, 1)}
    sample = MonteCarloDropout(model, 12, seed=9)
    function = tf.function(lambda x: sample(x), reduce_retracing=True)

    def ask(rows, function=function):
        return evaluate_in_blocks(function, {k: v[rows] for k, v in arrays.items()})["a"]

    everything = ask(np.arange(100))
    assert everything.shape == (12, 100, 3)
    for size in (1, 7, 32):
        few = np.arange(0, 100, size) if size > 1 else np.arange(3)
        for start in few:
            rows = np.arange(start, min(start + size, 100))
            np.testing.assert_array_equal(ask(rows), everything[:, rows])
    order = np.random.default_rng(0).permutation(100)
    np.testing.assert_array_equal(ask(order), everything[:, order])
    worker = np.arange(1, 100, 3)
    np.testing.assert_array_equal(ask(worker), everything[:, worker])
    for draws in (1, 5, 10, 23):
        fewer = MonteCarloDropout(model, draws, seed=9)
        got = ask(np.arange(100), tf.function(lambda x, s=fewer: s(x)))
        assert got.shape[0] == draws
        both = min(draws, 12)
        np.testing.assert_array_equal(got[:both], everything[:both])


def test_mean_and_variance_of_a_linear_network_are_those_of_theory():
    inputs = keras.Input((6,))
    y = layers.Dropout(0.4, name="drop")(inputs)
    model = keras.Model(inputs, layers.Dense(1, name="y")(y))
    draws, x = 2000, normal(3, 6)
    samples = numpy_of(MonteCarloDropout(model, draws, seed=2)(x))["y"][..., 0]
    weight, bias = (w.astype(float) for w in model.get_layer("y").get_weights())
    mean = x @ weight[:, 0] + bias
    variance = (0.4 / 0.6) * (x.astype(float) ** 2) @ (weight[:, 0] ** 2)
    np.testing.assert_allclose(samples.mean(0), mean, atol=4 * np.sqrt(variance.max() / draws))
    np.testing.assert_allclose(samples.var(0), variance, rtol=0.12)
    # Draws are joint over objects: the covariance is the same sum over shared units.
    covariance = (0.4 / 0.6) * np.sum(x[0] * x[1] * weight[:, 0].astype(float) ** 2)
    got = np.cov(samples[:, 0], samples[:, 1])[0, 1]
    assert got == pytest.approx(covariance, abs=0.1 * variance.max())


@pytest.mark.parametrize("deep", [False, True])
def test_agrees_with_a_numpy_network(deep):
    inputs = keras.Input((4, 4, 3))
    x = layers.Dense(5, activation="relu", name="d1")(inputs) if deep else inputs
    x = layers.Dropout(0.5, noise_shape=(None, 1, 1, x.shape[-1]), name="maps")(x)
    x = layers.Dense(4, activation="tanh", name="d2")(layers.Flatten()(x))
    x = layers.Dropout(0.2, name="units")(x)
    model = keras.Model(inputs, layers.Dense(2, name="y")(x))
    x = normal(8, 4, 4, 3)
    got = numpy_of(MonteCarloDropout(model, 4, seed=3)(x))["y"]
    weights = {layer.name: [w.astype(float) for w in layer.get_weights()] for layer in model.layers}
    start = x.astype(float)
    if deep:
        start = np.maximum(start @ weights["d1"][0] + weights["d1"][1], 0)
    maps = compute_masks(3, "maps", 4, (1, 1, start.shape[-1]), 0.5)
    units = compute_masks(3, "units", 4, (4,), 0.2)
    for draw in range(4):
        h = (start * maps[draw] / 0.5).reshape(8, -1)
        h = np.tanh(h @ weights["d2"][0] + weights["d2"][1]) * units[draw] / 0.8
        np.testing.assert_allclose(
            got[draw], h @ weights["y"][0] + weights["y"][1], rtol=1e-4, atol=1e-5
        )


def test_dropout_built_in_with_training_true_is_drawn_too():
    # Such a network is deterministic in `predict` on every backend, without a warning.
    inputs = keras.Input((8,))
    x = layers.Dropout(0.5, name="drop")(inputs, training=True)
    x = layers.BatchNormalization(name="bn")(x, training=True)
    model = keras.Model(inputs, layers.Dense(1, name="y")(x))
    x = normal(6, 8)
    assert np.ptp([model.predict(x, verbose=0) for _ in range(3)], axis=0).max() == 0
    before = [w.copy() for w in model.get_layer("bn").get_weights()]
    sample = MonteCarloDropout(model, 20)
    samples = numpy_of(tf.function(lambda x: sample(x))(x))["y"]
    assert samples.std(axis=0).min() > 0
    for old, new in zip(before, model.get_layer("bn").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_calling_with_training_true_is_no_substitute(network, batch):
    twin = keras.models.clone_model(network)
    twin.set_weights(network.get_weights())
    before = twin.get_layer("bn1").get_weights()[2]
    twin(batch, training=True)
    assert not np.array_equal(before, twin.get_layer("bn1").get_weights()[2])


def test_nested_and_sequential_networks():
    inner = keras.Sequential(
        [keras.Input((5,)), layers.Dense(6), layers.Dropout(0.5, name="inner")], name="nested"
    )
    inputs = keras.Input((5,))
    nested = keras.Model(inputs, layers.Dense(2, name="y")(inner(inputs)))
    flat = keras.Sequential([*inner.layers, nested.get_layer("y")])
    flat.build((None, 5))
    x = normal(4, 5)
    one = numpy_of(MonteCarloDropout(nested, 6)(x))["y"]
    two = next(iter(numpy_of(MonteCarloDropout(flat, 6)(x)).values()))
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    assert one.std(axis=0).min() > 0


def test_a_layer_used_twice_has_one_mask():
    inputs = keras.Input((5,))
    drop = layers.Dropout(0.5, name="drop")
    outputs = layers.Subtract(name="y")([drop(inputs), drop(inputs)])
    assert (
        np.ptp(numpy_of(MonteCarloDropout(keras.Model(inputs, outputs), 9)(normal(3, 5)))["y"]) == 0
    )


@pytest.mark.parametrize("rate", [None, 0.0])
def test_a_network_without_dropout_cannot_be_drawn_from(rate, task_of):
    model = build_model("euclid_quality", task_of(ok=1), size=40, n_channels=1)
    if rate is not None:
        inputs = keras.Input((4,))
        model = keras.Model(inputs, layers.Dropout(rate)(inputs))
    with pytest.raises(ModelError, match=r"needs a network with dropout[\s\S]*head_dropout"):
        MonteCarloDropout(model, 10)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.GaussianDropout(0.3, name="odd"),
        lambda: layers.AlphaDropout(0.3, name="odd"),
        lambda: layers.LSTM(4, dropout=0.2, name="odd"),
    ],
)
def test_randomness_without_a_mask_is_refused(layer):
    inputs = keras.Input((3, 4))
    x = layers.Dropout(0.5)(layer()(inputs))
    with pytest.raises(ModelError, match="'odd'"):
        MonteCarloDropout(keras.Model(inputs, x), 3)


def test_noise_layers_stay_off():
    inputs = keras.Input((4,))
    x = layers.Dropout(0.5, name="drop")(inputs)
    noisy = keras.Model(inputs, layers.GaussianNoise(1.0, name="y")(x))
    x = np.ones((2, 4), "float32")
    assert set(np.unique(numpy_of(MonteCarloDropout(noisy, 30)(x))["y"])) == {0.0, 2.0}


@pytest.mark.parametrize("draws", [0, -1])
def test_there_must_be_draws(draws, network):
    with pytest.raises(ModelError, match="`draws` must be at least 1"):
        MonteCarloDropout(network, draws)


def test_maps_of_no_fixed_size_are_refused():
    inputs = keras.Input((None, None, 1))
    with pytest.raises(ModelError, match="no fixed size"):
        MonteCarloDropout(keras.Model(inputs, layers.Dropout(0.5)(inputs)), 2)
