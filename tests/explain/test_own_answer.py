"""Each object asked about its own class: the same as asking class by class."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from astrocnn.errors import ModelError
from astrocnn.explain import Output, saliency
from astrocnn.explain.checks import randomization
from astrocnn.explain.own_answer import numbers, own_answers
from astrocnn.targets import Bernoulli, Categorical, Gaussian

CLASSES = ("spiral", "edge_on", "star")


def network(units: int, scalars: int = 0) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = {"image": keras.Input((8, 8, 2), name="image")}
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs["image"])
    x = keras.layers.GlobalAveragePooling2D()(x)
    if scalars:
        inputs["scalars"] = keras.Input((scalars,), name="scalars")
        x = keras.layers.Concatenate()([x, inputs["scalars"]])
    return keras.Model(inputs, {"kind": keras.layers.Dense(units, name="kind")(x)})


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(5, 8, 8, 2)).astype(np.float32)


@pytest.mark.parametrize("scalars", [0, 2])
@pytest.mark.parametrize("family", [Categorical(CLASSES), Bernoulli()])
def test_as_class_by_class(images, family, scalars):
    target = SimpleNamespace(name="kind", family=family)
    model = network(family.units, scalars)
    more = np.random.default_rng(1).normal(size=(5, scalars)).astype("f4") if scalars else None
    wanted = [family.classes[i % len(family.classes)] for i in (0, 1, 2, 1, 0)]
    asked = own_answers(model, target, wanted, more)
    assert len(asked) == (len(set(wanted)) if scalars else 1)
    assert sorted(np.concatenate([one.rows for one in asked])) == list(range(5))
    raw = keras.ops.convert_to_numpy(
        model({"image": images, **({} if more is None else {"scalars": more})})["kind"]
    )
    for one in asked:
        scores = numbers(one.model, images[one.rows], one.output, scalars=one.scalars)
        for score, row in zip(scores, one.rows, strict=True):
            place = family.classes.index(wanted[row])
            logit = raw[row, place] if family.units > 1 else raw[row, 0] * (2 * place - 1)
            np.testing.assert_allclose(score, logit, rtol=1e-5)
        made = saliency(one.model, images[one.rows], one.output, scalars=one.scalars)
        for k, row in enumerate(one.rows):
            own = None if more is None else more[[row]]
            alone = saliency(model, images[[row]], Output(target, wanted[row]), scalars=own)
            np.testing.assert_allclose(made[k], alone[0], rtol=1e-5, atol=1e-8)


def test_a_quantity_is_asked_as_it_is(images):
    target = SimpleNamespace(name="kind", family=Gaussian(0.0, 1.0))
    model = network(2)
    (asked,) = own_answers(model, target, [None] * 5)
    assert asked.model is model and asked.output == Output(target)


def test_checks_take_it_for_a_network(images):
    target = SimpleNamespace(name="kind", family=Categorical(CLASSES))
    (asked,) = own_answers(network(3), target, [*CLASSES, *CLASSES[:2]])
    assert "logit of the predicted class of kind" in asked.output.label
    found = randomization(
        saliency, asked.model, images, asked.output, scalars=asked.scalars, stages=1
    )
    assert found.correlation.shape == (5, 1) and np.abs(found.correlation).max() < 0.99


def test_a_class_that_does_not_exist_is_refused():
    target = SimpleNamespace(name="kind", family=Categorical(CLASSES))
    with pytest.raises(ModelError, match="no such class"):
        own_answers(network(3), target, ["spiral", "spirall"])
