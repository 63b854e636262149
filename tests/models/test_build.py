"""Heads, names and refusals of `build_model`."""

from __future__ import annotations

import numpy as np
import pytest

from astrocnn.errors import ConfigError, ModelError
from astrocnn.models.build import build_model
from astrocnn.models.options import Options


def test_heads_are_named_after_their_targets(two_targets):
    model = build_model("lenet", two_targets, size=32, n_channels=1)
    assert model.get_layer("morphology").units == 3
    assert model.get_layer("merger").units == 1
    assert model.name == "lenet"


def test_a_target_may_have_the_name_of_a_layer(task_of, tmp_path):
    task = task_of(dense1=2, image=3, dense1_head=4)
    model = build_model("lenet", task, size=32, n_channels=1)
    y = model({"image": np.zeros((5, 32, 32, 1), "float32")})
    assert {k: tuple(v.shape) for k, v in y.items()} == {
        "dense1": (5, 2),
        "image": (5, 3),
        "dense1_head": (5, 4),
    }
    model.save(tmp_path / "model.keras")


def test_unknown_architecture_names_the_nearest(two_targets):
    with pytest.raises(ConfigError, match="did you mean 'resnet18'"):
        build_model("resnet_18", two_targets, size=64, n_channels=1)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"size": 0}, "size = 0"),
        ({"n_channels": -1}, "n_channels = -1"),
        ({"n_channels": 0, "n_scalars": 3}, r"(?s)'lenet' needs an image.*'ann'"),
        ({"n_scalars": -1}, "n_scalars = -1"),
    ],
)
def test_impossible_numbers_are_refused(change, match, two_targets):
    with pytest.raises(ModelError, match=match):
        build_model("lenet", two_targets, **{"size": 32, "n_channels": 1, **change})


def test_a_task_needs_targets_with_distinct_usable_names(task_of):
    with pytest.raises(ModelError, match="no targets"):
        build_model("lenet", task_of(), size=32, n_channels=1)
    with pytest.raises(ModelError, match="cannot be the name"):
        build_model("lenet", task_of(**{"a/b": 1}), size=32, n_channels=1)
    twice = type(task_of())(task_of(a=1).targets * 2)
    with pytest.raises(ModelError, match="one name"):
        build_model("lenet", twice, size=32, n_channels=1)


def test_head_dropout_is_the_architectures_or_the_options(task_of):
    def rates(name, **options):
        model = build_model(name, task_of(t=1), size=70, n_channels=1, options=Options(**options))
        return [layer.rate for layer in model.layers if hasattr(layer, "rate")]

    assert rates("euclid_quality") == []
    assert rates("euclid_quality", head_dropout=0.4) == [0.4]
    assert rates("dominguez_sanchez18") == [0.5, 0.25, 0.25, 0.25, 0.5]
    assert rates("dominguez_sanchez18", head_dropout=0.0) == [0.5, 0.25, 0.25, 0.25]
    assert rates("dominguez_sanchez18", dropout=0.5) == [0.25, 0.125, 0.125, 0.125, 0.25]
    assert rates("dominguez_sanchez18", dropout=0.0) == []
    assert rates("plain8", dropout=(0.1,)) == [0.1]
    assert rates("dominguez_sanchez18", dropout=(0.1, 0, 0.2, 0.3, 0.4)) == [0.1, 0.2, 0.3, 0.4]


def test_rates_must_fit_the_layers(task_of):
    def make(**options):
        build_model("plain8", task_of(t=1), size=32, n_channels=1, options=Options(**options))

    with pytest.raises(ModelError, match="gives 2 rates, and the network has 1"):
        make(dropout=(0.1, 0.2))
    with pytest.raises(ModelError, match="more dropout layers"):
        make(dropout=())
    with pytest.raises(ModelError, match="1 or more"):
        make(dropout=2.0)
