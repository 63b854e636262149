"""The number explained agrees with what the families themselves say."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from astrocnn.errors import ModelError
from astrocnn.explain import Output, Response
from astrocnn.plugins import load_module, module_names
from astrocnn.targets import (
    Bernoulli,
    Binned,
    Categorical,
    DirichletMultinomial,
    Gaussian,
    Mixture,
)

from .networks import CLASSES, SPIRAL, target

PLACE = "astrocnn.targets.families"
FAMILIES = [f for n in module_names(PLACE) for f in load_module(PLACE, n).examples()]
CLASS_FAMILIES = [f for f in FAMILIES if hasattr(f, "classes")]
QUANTITIES = [f for f in FAMILIES if not hasattr(f, "classes")]


def raw_for(family):
    return np.random.default_rng(1).normal(size=(20, family.units)).astype(np.float32) * 2


def active(family, raw):
    return keras.ops.convert_to_numpy(family.activate(raw))[None]


def numbers(output, raw):
    return keras.ops.convert_to_numpy(output.number(raw))


def test_families_of_both_kinds_are_tested():
    assert {type(f) for f in CLASS_FAMILIES} == {Bernoulli, Categorical, DirichletMultinomial}
    assert {type(f) for f in QUANTITIES} == {Binned, Gaussian, Mixture}


@pytest.mark.parametrize("family", CLASS_FAMILIES, ids=str)
def test_probability_is_that_of_the_family(family):
    raw = raw_for(family)
    said = family.to_probabilities(active(family, raw))[0]
    for k, name in enumerate(family.classes):
        found = numbers(Output(target("t", family), name, "probability"), raw)
        np.testing.assert_allclose(found, said[:, k], atol=2e-7)


@pytest.mark.parametrize("family", QUANTITIES, ids=str)
def test_mean_is_that_of_the_table(family):
    raw = raw_for(family)
    said = family.summarize(active(family, raw))["mean"]
    found = numbers(Output(target("t", family)), raw)
    np.testing.assert_allclose(found, said, atol=1e-6 * (family.high - family.low))


@pytest.mark.parametrize("family", QUANTITIES, ids=str)
@pytest.mark.parametrize("part", [(0.0, 0.3), (0.2, 0.55), (0.7, 1.0), (-1.0, 2.0)])
def test_probability_in_an_interval_is_the_difference_of_the_family_s_cdf(family, part):
    raw = raw_for(family)
    low, high = (family.low + p * (family.high - family.low) for p in part)
    params = active(family, raw)
    ends = [family.cumulative(params, np.full(20, end))[0] for end in (low, high)]
    below = 0.0 if low <= family.low else ends[0]
    found = numbers(Output(target("t", family), (low, high)), raw)
    np.testing.assert_allclose(found, ends[1] - below, atol=2e-6)


def test_logits_are_raw_outputs():
    raw = raw_for(Categorical(CLASSES))
    np.testing.assert_array_equal(numbers(SPIRAL, raw), raw[:, 1])
    quality = target("usable", Bernoulli())
    raw = raw_for(Bernoulli())
    np.testing.assert_array_equal(numbers(Output(quality), raw), raw[:, 0])
    np.testing.assert_array_equal(numbers(Output(quality, "no"), raw), -raw[:, 0])


def test_labels_say_what_is_explained():
    z = target("z", Binned())
    assert SPIRAL.label == "logit of shape = spiral"
    assert Output(z).label == "mean of z"
    assert Output(z, (0.1, 0.2)).label == "probability of 0.1 < z < 0.2"
    assert Response("conv", 3).label == "mean response of conv, channel 3"


@pytest.mark.parametrize(
    ("family", "arguments", "words"),
    [
        (Categorical(CLASSES), (), "no such class, or none was named"),
        (Categorical(CLASSES), ("spirals",), "did you mean 'spiral'"),
        (Categorical(CLASSES), ("spiral", "odds"), "no such scale"),
        (Binned(), ("spiral",), "no such part"),
        (Binned(), ((0.3, 0.1),), "no such part"),
        (Gaussian(0.0, 1.0), ((1.0, 2.0),), "outside the range"),
        (object(), (), "cannot be explained"),
    ],
)
def test_what_a_family_cannot_say_is_refused(family, arguments, words):
    with pytest.raises(ModelError, match=words):
        Output(target("t", family), *arguments)


def test_a_target_the_network_lacks_is_refused(linear):
    model, _ = linear
    with pytest.raises(ModelError, match="does not predict 'shapes'") as caught:
        Output(target("shapes", Categorical(CLASSES)), "spiral").nodes(model)
    assert "did you mean 'shape'" in str(caught.value)
    with pytest.raises(ModelError, match="not of this family"):
        Output(target("shape", Binned())).nodes(model)


def test_response_is_a_mean_over_the_layer():
    values = np.arange(24.0, dtype=np.float32).reshape(2, 2, 2, 3)
    assert numbers(Response("conv"), values).tolist() == [5.5, 17.5]
    assert numbers(Response("conv", 0), values).tolist() == [4.5, 16.5]


def test_a_channel_the_layer_lacks_is_refused(linear):
    with pytest.raises(ModelError, match="no such channel") as caught:
        Response("shape", 3).nodes(linear[0])
    assert "0 to 2" in str(caught.value)
