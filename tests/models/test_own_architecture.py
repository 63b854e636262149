"""The contract of architectures, for one from a user's file and for a plain function."""

from __future__ import annotations

import textwrap

import keras
import numpy as np
import pytest

from astrocnn import plugins
from astrocnn.errors import ConfigError, ModelError
from astrocnn.models import (
    MonteCarloDropout,
    Options,
    build_model,
    count_parameters,
    smallest_size,
)

FILE = '''
    """Two convolutions and a dropout."""

    HEAD_DROPOUT = 0.25


    def features(image, scalars, block):
        x = block.conv(image, 4, 3)
        x = block.pool(x)
        x = block.conv(x, 8, 3, padding="valid")
        return block.dropout(block.global_pool(x, scalars), 0.5)
'''


def pyramid(image, scalars, block):
    """The same network as a function of a notebook."""
    x = block.pool(block.conv(image, 4, 3))
    x = block.conv(x, 8, 3, padding="valid")
    return block.dropout(block.global_pool(x, scalars), 0.5)


@pytest.fixture(params=["file", "function"])
def architecture(request, tmp_path):
    if request.param == "function":
        return pyramid
    path = tmp_path / "two_convolutions.py"
    path.write_text(textwrap.dedent(FILE))
    return plugins.load("architectures", f"{path}:features", trusted=True)


def _build(architecture, task, size=12, channels=2, scalars=0, **options):
    return build_model(
        architecture, task, size=size, n_channels=channels, n_scalars=scalars,
        options=Options(**options),
    )  # fmt: skip


def test_parameters_are_counted_as_in_closed_form(architecture, two_targets):
    model = _build(architecture, two_targets, scalars=1)
    convolutions = (9 * 2 + 1) * 4 + (9 * 4 + 1) * 8
    heads = (8 + 1 + 1) * (3 + 1)
    assert count_parameters(model) == convolutions + heads
    x = {"image": np.ones((3, 12, 12, 2), "f4"), "scalars": np.ones((3, 1), "f4")}
    y = model(x)
    assert {name: tuple(value.shape) for name, value in y.items()} == {
        "morphology": (3, 3),
        "merger": (3, 1),
    }
    assert [layer.name for layer in model.layers if layer.weights][:2] == ["conv1", "conv2"]


def test_the_smallest_image_is_found_by_trying(architecture):
    # Half of 6 pixels are the 3 that the second, unpadded window needs.
    assert smallest_size(architecture) == 6
    assert smallest_size(architecture, options=Options(padding="same")) == 2


def test_a_small_image_is_refused_with_the_smallest_size(architecture, two_targets):
    with pytest.raises(ModelError, match=r"5 pixels a side is too small(.|\n)*6 pixels"):
        _build(architecture, two_targets, size=5)


def test_options_reach_its_layers(architecture, two_targets):
    wide = _build(architecture, two_targets, width=2.0, activation="elu", normalization="batch")
    assert wide.get_layer("conv1").filters == 8 and wide.get_layer("conv2").filters == 16
    kinds = [type(layer).__name__ for layer in wide.layers]
    assert kinds.count("BatchNormalization") == 2 and kinds.count("Activation") == 2
    without = _build(architecture, two_targets, dropout=0.0)
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in without.layers)
    with pytest.raises(ConfigError, match="no auxiliary heads"):
        _build(architecture, two_targets, auxiliary=0.3)


def test_draws_do_not_depend_on_the_batch(architecture, two_targets):
    model = _build(architecture, two_targets)
    sampler = MonteCarloDropout(model, draws=6, seed=3)
    x = np.random.default_rng(0).normal(size=(5, 12, 12, 2)).astype("f4")
    whole = np.asarray(sampler({"image": x})["morphology"])
    parts = [np.asarray(sampler({"image": x[i : i + 1]})["morphology"]) for i in range(5)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-5, atol=1e-6)
    assert (whole.std(axis=0) > 0).any()


def test_what_the_file_declares_counts(tmp_path, two_targets):
    path = tmp_path / "two_convolutions.py"
    path.write_text(textwrap.dedent(FILE))
    leaf = plugins.load("architectures", f"{path}:features", trusted=True)
    rates = [
        layer.rate
        for layer in _build(leaf, two_targets).layers
        if isinstance(layer, keras.layers.Dropout)
    ]
    assert rates == [0.5, 0.25]
    assert _build(leaf, two_targets).name == "two_convolutions"


def test_a_function_made_by_another_is_named_by_its_own_name():
    def features(image, scalars, block):
        return block.global_pool(image, scalars)

    assert plugins.short_name("architectures", features) == "features"
    assert plugins.short_name("architectures", lambda image, scalars, block: image) == "lambda"
