"""The explained output agrees with the families, their tables, and finite differences."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn.errors import InputsError, ModelError
from astrocnn.explain import (
    ExplainTarget,
    compute_scores,
    grad_cam,
    integrated_gradients,
    occlusion,
    saliency,
)
from astrocnn.explain.checks import randomization
from astrocnn.models.monte_carlo_dropout import build_sampler
from astrocnn.plugins import load_module, module_names
from astrocnn.targets import (
    Bernoulli,
    Binned,
    Categorical,
    DirichletMultinomial,
    Gaussian,
    Mixture,
)

from .networks import CLASSES, SPIRAL, make_images, target

PLACE = "astrocnn.targets.families"
FAMILIES = [f for n in module_names(PLACE) for f in load_module(PLACE, n).examples()]
CLASS_FAMILIES = [f for f in FAMILIES if hasattr(f, "classes")]
QUANTITIES = [f for f in FAMILIES if not hasattr(f, "classes")]


def raw_for(family):
    return np.random.default_rng(1).normal(size=(20, family.units)).astype(np.float32) * 2


def active(family, raw):
    return keras.ops.convert_to_numpy(family.activate(raw))[None]


def numbers(output, raw):
    return keras.ops.convert_to_numpy(output.value(raw))


def test_families_of_both_kinds_are_tested():
    assert {type(f) for f in CLASS_FAMILIES} == {Bernoulli, Categorical, DirichletMultinomial}
    assert {type(f) for f in QUANTITIES} == {Binned, Gaussian, Mixture}


@pytest.mark.parametrize("family", CLASS_FAMILIES, ids=str)
def test_probability_agrees_with_the_family(family):
    raw = raw_for(family)
    expected = family.to_probabilities(active(family, raw))[0]
    for k, name in enumerate(family.classes):
        found = numbers(ExplainTarget(target("t", family), name, "probability"), raw)
        np.testing.assert_allclose(found, expected[:, k], atol=2e-7)


@pytest.mark.parametrize("family", QUANTITIES, ids=str)
def test_mean_agrees_with_the_table(family):
    raw = raw_for(family)
    expected = family.summarize(active(family, raw))["mean"]
    found = numbers(ExplainTarget(target("t", family)), raw)
    np.testing.assert_allclose(found, expected, atol=1e-6 * (family.high - family.low))


@pytest.mark.parametrize("family", QUANTITIES, ids=str)
@pytest.mark.parametrize("part", [(0.0, 0.3), (0.2, 0.55), (0.7, 1.0), (-1.0, 2.0)])
def test_probability_in_an_interval_is_the_difference_of_the_family_s_cdf(family, part):
    raw = raw_for(family)
    low, high = (family.low + p * (family.high - family.low) for p in part)
    params = active(family, raw)
    ends = [family.cumulative(params, np.full(20, end))[0] for end in (low, high)]
    below = 0.0 if low <= family.low else ends[0]
    found = numbers(ExplainTarget(target("t", family), (low, high)), raw)
    np.testing.assert_allclose(found, ends[1] - below, atol=2e-6)


def test_logits_are_raw_outputs():
    raw = raw_for(Categorical(CLASSES))
    np.testing.assert_array_equal(numbers(SPIRAL, raw), raw[:, 1])
    quality = target("usable", Bernoulli())
    raw = raw_for(Bernoulli())
    np.testing.assert_array_equal(numbers(ExplainTarget(quality), raw), raw[:, 0])
    np.testing.assert_array_equal(numbers(ExplainTarget(quality, "no"), raw), -raw[:, 0])


def test_labels():
    assert ExplainTarget(TARGETS["shape"], uncertainty=True).label == (
        "mutual information of shape [nat]"
    )
    label = ExplainTarget(TARGETS["z"], uncertainty=True).label
    assert label == "variance over draws of the mean of z"
    z = target("z", Binned())
    assert SPIRAL.label == "logit of shape = spiral"
    assert ExplainTarget(z).label == "mean of z"
    assert ExplainTarget(z, (0.1, 0.2)).label == "probability of 0.1 < z < 0.2"
    assert ExplainTarget(layer="conv", channel=3).label == "mean activation of conv, channel 3"


@pytest.mark.parametrize(
    ("family", "arguments", "words"),
    [
        (Categorical(CLASSES), (), "no such class to explain"),
        (Categorical(CLASSES), ("spirals",), "did you mean 'spiral'"),
        (Categorical(CLASSES), ("spiral", "odds"), "Unknown `scale`"),
        (Binned(), ("spiral",), "no such part to explain"),
        (Binned(), ((0.3, 0.1),), "no such part to explain"),
        (Gaussian(0.0, 1.0), ((1.0, 2.0),), "outside the range"),
    ],
)
def test_invalid_outputs_are_refused(family, arguments, words):
    with pytest.raises(ModelError, match=words):
        ExplainTarget(target("t", family), *arguments)


def test_a_target_the_network_lacks_is_refused(linear):
    model, _ = linear
    with pytest.raises(ModelError, match="does not predict 'shapes'") as caught:
        ExplainTarget(target("shapes", Categorical(CLASSES)), "spiral").tensor(model)
    assert "did you mean 'shape'" in str(caught.value)
    with pytest.raises(ModelError, match="does not fit its family"):
        ExplainTarget(target("shape", Binned())).tensor(model)


def test_activation_is_a_mean_over_the_layer():
    values = np.arange(24.0, dtype=np.float32).reshape(2, 2, 2, 3)
    assert numbers(ExplainTarget(layer="conv"), values).tolist() == [5.5, 17.5]
    assert numbers(ExplainTarget(layer="conv", channel=0), values).tolist() == [4.5, 16.5]


def test_a_channel_the_layer_lacks_is_refused(linear):
    with pytest.raises(ModelError, match="no such channel") as caught:
        ExplainTarget(layer="shape", channel=3).tensor(linear[0])
    assert "0 to 2" in str(caught.value)


DRAWS = 6


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(2)
    image = layers.Input((9, 9, 2), name="image")
    x = layers.Conv2D(4, 3, activation="softplus", name="conv")(image)
    x = layers.Dropout(0.4, name="drop")(layers.Flatten()(x))
    outputs = {
        "shape": layers.Dense(3, name="shape")(x),
        "z": layers.Dense(8, name="z")(x),
        "usable": layers.Dense(1, name="usable")(x),
    }
    return build_sampler(keras.Model({"image": image}, outputs), DRAWS)


TARGETS = {
    "shape": target("shape", Categorical(CLASSES)),
    "z": target("z", Binned(0.0, 0.4, 8)),
    "usable": target("usable", Bernoulli()),
}


def uncertainty(family, raw):
    return keras.ops.convert_to_numpy(
        ExplainTarget(target("t", family), uncertainty=True).value(raw)
    )


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_uncertainty_agrees_with_the_table(family):
    raw = np.random.default_rng(1).normal(size=(7, 20, family.units)).astype(np.float32) * 2
    samples = keras.ops.convert_to_numpy(family.activate(raw)).swapaxes(0, 1)
    table = family.summarize(samples)
    expected = table.get("mutual_info")
    expected = table["std_epistemic"] ** 2 if expected is None else expected
    np.testing.assert_allclose(uncertainty(family, raw), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_equal_draws_have_no_uncertainty(family):
    one = np.random.default_rng(1).normal(size=(7, 1, family.units)).astype(np.float32)
    np.testing.assert_allclose(uncertainty(family, np.repeat(one, 30, axis=1)), 0, atol=1e-7)


@pytest.mark.parametrize("k", [2, 3])
def test_draws_certain_of_different_classes_have_the_largest_uncertainty(k):
    family = Categorical(tuple("abc"[:k]))
    np.testing.assert_allclose(uncertainty(family, 200 * np.eye(k)[None]), np.log(k), rtol=1e-6)


def test_two_opposite_certain_draws_are_one_bit():
    raw = np.array([[[80.0], [-80.0]], [[80.0], [80.0]]], np.float32)
    np.testing.assert_allclose(uncertainty(Bernoulli(), raw), [np.log(2), 0], atol=1e-7)


def test_uncertainty_of_a_quantity_is_a_variance():
    family = Binned(0.0, 1.0, 2)  # means of 1/4 and 3/4 when certain
    raw = 100.0 * np.array([[[1.0, 0.0], [0.0, 1.0]]])
    np.testing.assert_allclose(uncertainty(family, raw), 0.25**2, rtol=1e-6)


@pytest.mark.parametrize("name", TARGETS)
def test_gradient_of_an_uncertainty_by_finite_differences(model, name):
    images, output = make_images(2), ExplainTarget(TARGETS[name], uncertainty=True)
    slope = saliency(model, images, output)
    scale = np.abs(slope).max()
    assert scale > 0
    step = 1e-2
    for y, x, band in [(4, 4, 0), (2, 6, 1), (0, 0, 0)]:
        ends = []
        for sign in (1, -1):
            moved = images.copy()
            moved[:, y, x, band] += sign * step
            ends.append(keras.ops.convert_to_numpy(output.value(model({"image": moved})[name])))
        found = (ends[0].astype(float) - ends[1]) / (2 * step)
        np.testing.assert_allclose(slope[:, y, x, band], found, atol=0.01 * scale)


@pytest.mark.parametrize("name", TARGETS)
def test_uncertainty_with_integrated_gradients_and_occlusion(model, name):
    images, output = make_images(3), ExplainTarget(TARGETS[name], uncertainty=True)
    expected = keras.ops.convert_to_numpy(output.value(model({"image": images})[name]))
    assert expected.min() > 0
    parts = integrated_gradients(model, images, output, baseline="zero", steps=32)
    np.testing.assert_allclose(parts.score, expected, rtol=1e-5)
    np.testing.assert_allclose(parts.residual, 0, atol=2e-3 * expected.max())
    hidden = occlusion(model, images, output, size=9, stride=9, fill="zero")
    np.testing.assert_allclose(hidden.drop[:, 0, 0], expected - parts.baseline_score, atol=1e-6)


def test_output_of_draws_is_their_mean(model):
    images, output = make_images(2), ExplainTarget(TARGETS["shape"], "spiral", "probability")
    drawn = keras.ops.convert_to_numpy(keras.ops.softmax(model({"image": images})["shape"]))
    found = integrated_gradients(model, images, output, baseline="zero", steps=1).score
    np.testing.assert_allclose(found, drawn[..., 1].mean(axis=1), rtol=1e-5)


def test_grad_cam_sees_the_layers_before_dropout(model):
    found = grad_cam(model, make_images(2), ExplainTarget(TARGETS["shape"], uncertainty=True))
    assert found.shape == (2, 7, 7)


def test_the_network_behind_the_draws_is_randomized():
    keras.utils.set_random_seed(2)
    image = layers.Input((9, 9, 2), name="image")
    x = layers.Conv2D(4, 3, activation="softplus", name="conv")(image)
    x = layers.Dropout(0.4, name="drop")(layers.Flatten()(x))
    network = keras.Model({"image": image}, {"shape": layers.Dense(3, name="shape")(x)})
    images, output = make_images(2), ExplainTarget(TARGETS["shape"], uncertainty=True)

    def of_draws(model, given, _, **how):
        return saliency(build_sampler(model, DRAWS), given, output, **how)

    found = randomization(of_draws, network, images, output.one_draw)
    assert found.stages == ("shape", "conv")
    assert np.abs(found.correlation).max() < 4 / np.sqrt(161)
    with pytest.raises(ModelError, match="cannot be cloned"):
        randomization(saliency, build_sampler(network, DRAWS), images, output)


def test_uncertainty_needs_draws(linear, model, images):
    with pytest.raises(ModelError, match="needs a network that returns draws") as caught:
        saliency(linear[0], images, ExplainTarget(TARGETS["shape"], uncertainty=True))
    assert "received: shape (n, 3,)" in str(caught.value)
    with pytest.raises(ModelError, match="does not predict 'form'"):
        saliency(
            model, images, ExplainTarget(target("form", Categorical(CLASSES)), uncertainty=True)
        )


def own_network(units: int, scalars: int = 0) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = {"image": keras.Input((8, 8, 2), name="image")}
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs["image"])
    x = keras.layers.GlobalAveragePooling2D()(x)
    if scalars:
        inputs["scalars"] = keras.Input((scalars,), name="scalars")
        x = keras.layers.Concatenate()([x, inputs["scalars"]])
    return keras.Model(inputs, {"kind": keras.layers.Dense(units, name="kind")(x)})


@pytest.mark.parametrize("scalars", [0, 2])
@pytest.mark.parametrize("family", [Categorical(CLASSES), Bernoulli()])
def test_one_class_per_object_equals_class_by_class(family, scalars):
    images = make_images(5, 8)
    kind = target("kind", family)
    model = own_network(family.units, scalars)
    more = np.random.default_rng(1).normal(size=(5, scalars)).astype("f4") if scalars else None
    wanted = [family.classes[i % len(family.classes)] for i in (0, 1, 2, 1, 0)]
    own = ExplainTarget(kind, classes=wanted)
    inputs = {"image": images, **({} if more is None else {"scalars": more})}
    raw = keras.ops.convert_to_numpy(model(inputs)["kind"])
    scores = compute_scores(model, images, own, scalars=more, batch_size=2)
    found = saliency(model, images, own, scalars=more, batch_size=3)
    for row, name in enumerate(wanted):
        place = family.classes.index(name)
        logit = raw[row, place] if family.units > 1 else raw[row, 0] * (2 * place - 1)
        np.testing.assert_allclose(scores[row], logit, rtol=1e-5)
        one = None if more is None else more[[row]]
        alone = saliency(model, images[[row]], ExplainTarget(kind, name), scalars=one)
        np.testing.assert_allclose(found[row], alone[0], rtol=1e-5, atol=1e-8)
    assert own.label == "logit of the predicted class of kind"
    assert own.labels(5)[1] == f"logit of kind = {wanted[1]}"
    assert own.take([1, 1]).label == f"logit of kind = {wanted[1]}"


def test_checks_take_one_class_per_object():
    own = ExplainTarget(target("kind", Categorical(CLASSES)), classes=[*CLASSES, *CLASSES[:2]])
    found = randomization(saliency, own_network(3), make_images(5, 8), own, stages=1)
    assert found.correlation.shape == (5, 1) and np.abs(found.correlation).max() < 0.99


def test_classes_must_exist_and_fit_the_objects():
    kind = target("kind", Categorical(CLASSES))
    with pytest.raises(ModelError, match="no such class"):
        ExplainTarget(kind, classes=["spiral", "spirall"])
    with pytest.raises(InputsError, match="`choice`"):
        saliency(own_network(3), make_images(5, 8), ExplainTarget(kind, classes=["spiral"]))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("spiral", "logit of shape = spiral"),
        ("layer:conv", "mean activation of conv"),
        ("layer:conv#3", "mean activation of conv, channel 3"),
    ],
)
def test_targets_by_text(text, label):
    assert ExplainTarget.parse(text, TARGETS["shape"]).label == label


def test_intervals_by_text():
    found = ExplainTarget.parse("0.1,0.3", TARGETS["z"])
    assert found.output == (0.1, 0.3) and found.label == "probability of 0.1 < z < 0.3"
    with pytest.raises(ModelError, match="did you mean 'spiral'"):
        ExplainTarget.parse("spirl", TARGETS["shape"])
    with pytest.raises(ModelError, match="a target or a layer"):
        ExplainTarget()
