"""Heads in the middle of a network: parameters as published, and gone after the training."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from astrocnn.errors import ConfigError
from astrocnn.models.build import (
    ARCHITECTURES,
    add_auxiliary_heads,
    build_model,
    count_parameters,
    smallest_size,
)
from astrocnn.models.options import Options
from astrocnn.plugins import load_module, module_names
from astrocnn.training import Objective, Optimizer, fit

HAVE = [
    n for n in module_names(ARCHITECTURES) if hasattr(load_module(ARCHITECTURES, n), "AUXILIARY")
]
TINY = Options(width=0.0625, auxiliary=0.3)


def test_parameters_of_googlenet_are_those_of_the_paper(task_of):
    # Szegedy et al. 2015, section 5: from 14 x 14 pixels of 512 and 528 maps, averaged to 4 x 4;
    # 128 filters of 1 x 1, 1024 units, and the classes.
    task = task_of(target=1000)
    model = build_model("googlenet", task, size=224, n_channels=3)
    options = Options(auxiliary=0.3)
    trained, auxiliary = add_auxiliary_heads(model, task, options)
    extra = sum(
        (maps * 128 + 128) + (4 * 4 * 128 * 1024 + 1024) + (1024 * 1000 + 1000)
        for maps in (512, 528)
    )
    assert count_parameters(trained) == count_parameters(model) + extra
    assert len(auxiliary) == 2


@pytest.mark.parametrize("name", HAVE)
def test_heads_for_each_target_at_the_smallest_size(name, two_targets):
    size = smallest_size(name)
    model = build_model(name, two_targets, size=size, n_channels=1, options=TINY)
    trained, auxiliary = add_auxiliary_heads(model, two_targets, TINY)
    places = len(load_module(ARCHITECTURES, name).AUXILIARY)
    wanted = {t.name: t.family.units for t in two_targets.targets}
    assert sorted(auxiliary.values()) == sorted([*wanted] * places)
    x = np.zeros((2, size, size, 1), "float32")
    for output, value in trained({"image": x}).items():
        assert value.shape == (2, wanted[auxiliary.get(output, output)])
    assert set(model.output) == set(wanted)


def test_heads_in_the_middle_train_what_comes_before_them_and_nothing_else(two_targets):
    model = build_model("googlenet", two_targets, size=16, n_channels=1, options=TINY)
    trained, auxiliary = add_auxiliary_heads(model, two_targets, TINY)
    before = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    rng = np.random.default_rng(0)
    n = 8
    y = {t.name: np.eye(t.family.units, dtype="float32")[np.arange(n) % t.family.units]
         for t in two_targets.targets}  # fmt: skip
    x = {"image": rng.normal(size=(n, 16, 16, 1)).astype("float32")}
    weights = {t.name: np.ones(n, "float32") for t in two_targets.targets}
    fit(
        trained,
        tf.data.Dataset.from_tensor_slices((x, y, weights)).batch(n),
        objective=Objective(
            {t.name: _square for t in two_targets.targets},
            loss_weights={t.name: 0.0 for t in two_targets.targets},
            auxiliary=auxiliary,
        ),
        epochs=2,
        optimizer=Optimizer("sgd", 0.1),
    )
    after = {name: model.get_layer(name).get_weights() for name in before}
    moved = [name for name in before if not all(map(np.array_equal, before[name], after[name]))]
    place = [layer.name for layer in model.layers].index("concat6")
    early = {layer.name for layer in model.layers[:place] if layer.weights}
    assert set(moved) <= early and "conv1" in moved and len(moved) > 0.8 * len(early)


def test_only_networks_of_papers_with_such_heads_take_the_option(two_targets):
    with pytest.raises(ConfigError, match="no auxiliary heads") as caught:
        build_model("plain8", two_targets, size=32, n_channels=1, options=Options(auxiliary=0.3))
    assert "googlenet" in str(caught.value)


def _square(encoded, raw):
    return keras.ops.mean(keras.ops.square(raw - encoded), axis=-1)
