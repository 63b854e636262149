"""Each block option against a closed form, and errors reported together."""

from __future__ import annotations

import importlib

import keras
import numpy as np
import pytest
from keras import ops

from astrocnn.errors import ConfigError, ModelError
from astrocnn.models.blocks import Block
from astrocnn.models.build import build_model
from astrocnn.models.monte_carlo_dropout import MonteCarloDropout
from astrocnn.models.options import ALLOWED, Options

RNG = np.random.default_rng(2)


def apply(x, make, **options):
    """What a block makes of an array, as an array."""
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, make(Block(Options(**options)), inputs))
    return ops.convert_to_numpy(model(x)), model


def windows(x, window, step, padding):
    """Values under each window of an image, zeros outside: (n, h, w, window, window, c)."""
    if padding == "same":
        sides = [-(-n // step) for n in x.shape[1:3]]
        missing = [
            max((m - 1) * step + window - n, 0) for m, n in zip(sides, x.shape[1:3], strict=True)
        ]
        pad = [(0, 0), *[(m // 2, m - m // 2) for m in missing], (0, 0)]
        x = np.pad(x, pad)
    seen = np.lib.stride_tricks.sliding_window_view(x, (window, window), axis=(1, 2))
    return np.moveaxis(seen[:, ::step, ::step], 3, -1)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("size", "window", "step"), [(8, 2, 2), (9, 3, 2), (7, 2, 1), (6, 3, 3)])
def test_sum_and_l2_pooling(size, window, step, padding):
    x = RNG.normal(size=(2, size, size, 3)).astype("float32")
    seen = windows(x, window, step, padding)
    for kind, expected in {
        "sum": seen.sum((3, 4)),
        "l2": np.sqrt((seen**2).sum((3, 4))),
    }.items():
        got, _ = apply(
            x,
            lambda block, t, k=kind: block.pool(t, window, strides=step, padding=padding, kind=k),
        )
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ALLOWED["pooling"])
def test_pooling_of_spectra_and_of_orientations(kind):
    reduce = {"max": np.max, "average": np.mean, "sum": np.sum}.get(
        kind, lambda a, axis: np.sqrt((a**2).sum(axis))
    )
    line = RNG.normal(size=(2, 10, 3)).astype("float32")
    got, _ = apply(line, lambda block, t: block.pool(t, 2), pooling=kind)
    np.testing.assert_allclose(got, reduce(line.reshape(2, 5, 2, 3), axis=2), rtol=1e-5)
    maps = RNG.normal(size=(2, 4, 6, 8, 3)).astype("float32")
    got, _ = apply(maps, lambda block, t: block.pool(t, 2), pooling=kind)
    expected = reduce(maps.reshape(2, 2, 2, 3, 2, 8, 3), axis=(2, 4))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_l2_pooling_of_zeros_has_a_derivative():
    import tensorflow as tf

    x = tf.zeros((1, 4, 4, 1))
    layer = Block().pool(keras.Input((4, 4, 1)), 2, kind="l2")._keras_history.operation
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(layer(x))
    assert float(y) == 0
    np.testing.assert_array_equal(tape.gradient(y, x), 0)


def test_maxout_keeps_the_larger_of_two_lines():
    x = RNG.normal(size=(5, 4)).astype("float32")
    got, model = apply(x, lambda block, t: block.dense(t, 6), activation="maxout")
    weights, bias = model.get_layer("dense1").get_weights()
    linear = x @ weights + bias
    np.testing.assert_allclose(got, np.maximum(linear[:, ::2], linear[:, 1::2]), rtol=1e-5)


def test_prelu_learns_one_slope_for_each_map():
    x = RNG.normal(size=(2, 6, 6, 3)).astype("float32")
    got, model = apply(x, lambda block, t: block.activate(t, "prelu"))
    np.testing.assert_array_equal(got, np.maximum(x, 0))
    slope = np.array([0.1, 0.2, -0.3], "float32")
    model.get_layer("act1").set_weights([slope.reshape(1, 1, 3)])
    np.testing.assert_allclose(model(x), np.where(x > 0, x, slope * x), rtol=1e-6)


def test_instance_normalization_is_for_each_object_and_map():
    x = RNG.normal(3, 2, size=(4, 6, 6, 2)).astype("float32")
    got, _ = apply(x, lambda block, t: block.normalize(t, "instance"))
    mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    np.testing.assert_allclose(got, (x - mean) / np.sqrt(variance + 1e-3), rtol=1e-4, atol=1e-5)
    with pytest.raises(ModelError, match="one pixel"):
        Block().normalize(keras.Input((1, 1, 4)), "instance")


def test_groups_are_those_asked_for():
    x = RNG.normal(3, 2, size=(4, 5, 5, 6)).astype("float32")
    got, _ = apply(x, lambda block, t: block.normalize(t), normalization="group", groups=3)
    parts = x.reshape(4, 25, 3, 2)
    mean, variance = parts.mean((1, 3), keepdims=True), parts.var((1, 3), keepdims=True)
    expected = ((parts - mean) / np.sqrt(variance + 1e-3)).reshape(x.shape)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "variance"),
    [("he", 2 / 75), ("lecun", 1 / 75), ("glorot", 2 / (75 + 25 * 4000))],
)
def test_initializers_have_the_variance_of_their_papers(name, variance):
    _, model = apply(
        np.zeros((1, 5, 5, 3), "float32"),
        lambda block, t: block.conv(t, 4000, 5),
        initializer=name,
    )
    got = np.var(model.get_layer("conv1").get_weights()[0])
    assert got == pytest.approx(variance, rel=0.02)


def test_a_constant_start_never_breaks_the_symmetry(two_targets):
    from astrocnn.models import FamilyLoss

    def units_after_training(initializer):
        keras.utils.set_random_seed(0)
        model = build_model(
            "lenet", two_targets, size=32, n_channels=1, options=Options(initializer=initializer)
        )
        loss = {t.name: FamilyLoss(t.family) for t in two_targets.targets}
        model.compile(keras.optimizers.SGD(0.1), loss=loss, run_eagerly=True)
        y = {
            "morphology": np.eye(3, dtype="float32")[np.arange(6) % 3],
            "merger": (np.arange(6) % 2).astype("float32")[:, None],
        }
        x = RNG.normal(size=(6, 32, 32, 1)).astype("float32")
        model.fit({"image": x}, y, epochs=2, batch_size=6, verbose=0)
        return model.get_layer("conv1").get_weights()[0].reshape(25, 6)

    alike, different = units_after_training("constant"), units_after_training("glorot")
    assert abs(alike - 0.01).max() > 1e-4  # trained, and yet
    assert np.ptp(alike, axis=1).max() < 1e-6
    assert np.ptp(different, axis=1).min() > 1e-3


def test_dilation_spreads_the_kernel_and_strides_step_the_first_convolution():
    x = np.zeros((1, 9, 9, 1), "float32")
    x[0, 4, 4, 0] = 1

    def twice(block, t):
        return block.conv(block.conv(t, 1, 3, activation=None), 1, 1, activation=None)

    got, _ = apply(x, twice, dilation=2, initializer="constant")
    rows, columns = np.nonzero(got[0, :, :, 0])
    assert set(rows) == set(columns) == {2, 4, 6}
    got, model = apply(x, twice, strides=2)
    assert got.shape == (1, 5, 5, 1)
    assert model.get_layer("conv2").strides == (1, 1)
    assert Block(Options(dilation=2, padding="valid")).conv(keras.Input((9, 9, 1)), 1, 3).shape[
        1:3
    ] == (5, 5)


def test_spatial_dropout_drops_whole_maps_and_can_be_drawn_from(task_of):
    options = Options(spatial_dropout=0.4)
    model = build_model("plain8", task_of(a=2), size=16, n_channels=1, options=options)
    rates = [x.rate for x in model.layers if isinstance(x, keras.layers.SpatialDropout2D)]
    assert rates == [0.4] * 8
    sample = MonteCarloDropout(model, 3, seed=1)
    sites = {site.layer: site.shape for site in sample._split.sites}
    assert sites["dropout1"] == (1, 1, 32)
    assert sites["dropout8"] == (1, 1, 256)
    x = RNG.normal(size=(2, 16, 16, 1)).astype("float32")
    assert np.ptp(sample({"image": x})["a"], axis=0).min() > 0


def test_invalid_options_are_reported_together(task_of):
    with pytest.raises(ConfigError) as caught:
        Options(activation="rellu", pooling="l3", l2=-1, strides=0, groups=4, dilation=1.5)
    message = str(caught.value)
    assert "6 options" in message
    for part in ("'relu'", "'l2'", "out of range", "'strides'", "'dilation'", "group normal"):
        assert part in message
    with pytest.raises(ConfigError) as caught:
        Options.from_dict({"pool": "max", "activate": "relu"})
    assert "'pool'" in str(caught.value) and "'activate'" in str(caught.value)


def test_unsupported_options_are_reported_together(task_of):
    options = Options(activation="maxout", normalization="group", groups=4, width=0.4)
    with pytest.raises(ConfigError) as caught:
        build_model("plain8", task_of(a=2), size=32, n_channels=1, options=options)
    message = str(caught.value)
    assert "groups = 4 does not divide" in message and "(13)" in message  # 0.4 x 32 filters
    assert "pairs" in message
    with pytest.raises(ConfigError, match="shortcut"):
        build_model(
            "resnet18",
            task_of(a=2),
            size=16,
            n_channels=1,
            options=Options(activation="maxout", width=0.125),
        )


def together():
    """Every name of every option at least once, in as few networks as that takes."""
    names = {n: ALLOWED[n] for n in ("activation", "initializer", "normalization", "pooling")}
    numbers = ({}, {"strides": 2}, {"dilation": 2}, {"spatial_dropout": 0.2}, {"l2": 1e-4})
    for i in range(max(map(len, names.values()))):
        yield {**{n: v[i % len(v)] for n, v in names.items()}, **numbers[i % len(numbers)]}


@pytest.mark.parametrize("values", list(together()), ids=lambda v: "-".join(map(str, v.values())))
def test_a_network_with_any_option_is_saved_and_loaded_in_safe_mode(values, two_targets, tmp_path):
    options = Options(**values, width=0.25)
    model = build_model("dominguez_sanchez18", two_targets, size=24, n_channels=2, options=options)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    x = {"image": RNG.normal(size=(3, 24, 24, 2)).astype("float32")}
    for key, expected in model(x).items():
        assert np.isfinite(expected).all()
        np.testing.assert_array_equal(expected, again(x)[key])


@pytest.mark.parametrize("name", ["D4Conv", "L2Pooling", "LayerScale", "Maxout", "SumPooling"])
def test_who_can_build_can_load(name):
    """Safe mode finds layers by their registered name, if their module has been imported."""
    layer = keras.saving.get_registered_object(f"astrocnn>{name}")
    assert layer.__module__.startswith("astrocnn.models.")
    module = importlib.import_module("astrocnn.models.build").Block.conv.__globals__
    imported = {v.__module__ for v in module.values() if hasattr(v, "__module__")}
    assert layer.__module__ in imported


@pytest.mark.parametrize("kind", ALLOWED["readout"])
@pytest.mark.parametrize("paper", ["flatten", "global_pool"])
@pytest.mark.parametrize("shape", [(2, 7, 3), (2, 7, 5, 3)])
def test_readout(kind, paper, shape):
    x = RNG.normal(size=shape).astype("float32")
    pixels = tuple(range(1, x.ndim - 1))
    expected = {
        "flatten": x.reshape(len(x), -1),
        "average": x.mean(axis=pixels),
        "max": x.max(axis=pixels),
    }[kind]
    got, _ = apply(x, lambda block, t: getattr(block, paper)(t), readout=kind)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_orientations_are_not_read_out_apart(task_of):
    with pytest.raises(ConfigError, match="flatten keeps the orientations apart"):
        build_model(
            "equivariant",
            task_of(a=2),
            size=16,
            n_channels=1,
            options=Options(readout="flatten", width=0.125),
        )
