"""Learning rates of the layers of a network with initial weights, by hand."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from astrocnn.errors import TrainingError
from astrocnn.training.recipes import RECIPES, build_layer_rates


@pytest.fixture(scope="module")
def model():
    """Maps of 16, 8 and 4 pixels a side, a vector, and two heads."""
    image = layers.Input((16, 16, 2), name="image")
    x = layers.Conv2D(2, 3, padding="same", name="conv1")(image)
    x = layers.BatchNormalization(name="norm1")(x)
    x = layers.MaxPooling2D(2, name="pool1")(x)
    x = layers.Conv2D(2, 3, padding="same", name="conv2")(x)
    x = layers.MaxPooling2D(2, name="pool2")(x)
    x = layers.Conv2D(2, 3, padding="same", name="conv3")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(3, name="dense1")(x)
    heads = {name: layers.Dense(1, name=name)(x) for name in ("z", "usable")}
    return keras.Model({"image": image}, heads, name="small")


BODY = ("conv1", "norm1", "conv2", "conv3", "dense1")


def test_the_default_is_a_tenth_and_frozen_statistics(model):
    made = build_layer_rates(model)
    assert made.frozen_epochs == 5
    assert made.rates == {**dict.fromkeys(BODY, 0.1), "norm1": 0.0}


def test_rates_fall_by_a_factor_with_each_larger_map(model):
    made = build_layer_rates(model, body_rate=0.8, layer_decay=0.5, frozen_statistics=False)
    # The vector is 0 deep; maps of 4, 8 and 16 pixels follow.
    expected = {"dense1": 0.8, "conv3": 0.8, "conv2": 0.4, "conv1": 0.2, "norm1": 0.2}
    assert made.rates == pytest.approx(expected)


@pytest.mark.parametrize("rate", [0.0, 0.25, 3.0])
def test_without_decay_all_layers_have_the_rate_of_the_body(model, rate):
    made = build_layer_rates(model, body_rate=rate, frozen_statistics=False)
    assert made.rates == dict.fromkeys(BODY, rate)


def test_a_decay_of_zero_leaves_the_smallest_maps_alone(model):
    rates = build_layer_rates(model, layer_decay=0.0, frozen_statistics=False).rates
    assert {name for name, rate in rates.items() if rate} == {"conv3", "dense1"}


def test_a_probe_freezes_the_body_for_good(model):
    made = build_layer_rates(model, "probe", body_rate=7.0, layer_decay=0.3, frozen_epochs=9)
    assert made.rates == dict.fromkeys(BODY, 0.0)
    assert made.frozen_epochs == 0


def test_recipes_differ_in_when_the_body_is_released(model):
    made = {name: build_layer_rates(model, name, frozen_epochs=7) for name in RECIPES}
    assert [made[name].frozen_epochs for name in RECIPES] == [0, 0, 7]
    assert made["finetune"].rates == made["probe-then-finetune"].rates


@pytest.mark.parametrize("recipe", RECIPES)
def test_rates_by_name_go_before_all_others(model, recipe):
    given = {"norm1": 0.5, "conv2": 0.0, "z": 2.0}
    made = build_layer_rates(model, recipe, layer_rates=given)
    assert {name: made.rates[name] for name in given} == given
    assert made.rates["conv1"] == (0.0 if recipe == "probe" else 0.1)


def test_heads_learn_at_the_full_rate_unless_they_are_named(model):
    assert not {"z", "usable"} & set(build_layer_rates(model).rates)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"recipe": "probes"}, "did you mean 'probe'"),
        ({"body_rate": -0.1}, "`body_rate` is out of range"),
        ({"body_rate": float("nan")}, "`body_rate` is out of range"),
        ({"layer_decay": float("inf")}, "`layer_decay` is out of range"),
    ],
)
def test_numbers_out_of_range_are_refused(model, options, words):
    with pytest.raises(TrainingError, match=words):
        build_layer_rates(model, **options)
