"""A network that begins with the weights of another: equal, kept, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from astrocnn.errors import ModelError
from astrocnn.models.build import build_model
from astrocnn.models.options import Options
from astrocnn.models.transfer import InputNames, get_body_layers, transfer_weights
from astrocnn.plugins import load_module, module_names


def _randomized(model, seed=0):
    """Weights of which none is at its initial value, statistics of normalization included."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [rng.uniform(0.2, 1, w.shape).astype("f4") - 0.4 for w in model.get_weights()]
    )
    for layer in model.layers:
        if hasattr(layer, "moving_variance"):
            layer.moving_variance.assign(rng.uniform(0.5, 1.5, layer.moving_variance.shape))
    return model


def _net(task, architecture="plain8", size=32, channels=3, scalars=0, **options):
    return build_model(
        architecture,
        task,
        size=size,
        n_channels=channels,
        n_scalars=scalars,
        options=Options(**{"width": 0.1, **options}),
    )


def _images(channels, n=4, size=32, seed=1):
    return np.random.default_rng(seed).normal(size=(n, size, size, channels)).astype("f4")


@pytest.mark.parametrize("architecture", ["plain8", "lenet"])
def test_with_an_equal_task_all_outputs_are_equal(architecture, two_targets):
    old = _randomized(_net(two_targets, architecture))
    new = _net(two_targets, architecture)
    done = transfer_weights(old, new, heads=("morphology", "merger"))
    x = {"image": _images(3)}
    for name, raw in old(x, training=False).items():
        np.testing.assert_array_equal(new(x, training=False)[name], raw)
    assert done.adapted == done.fresh == ()
    assert set(done.taken) == {*get_body_layers(new), "morphology", "merger"}
    for a, b in zip(old.get_weights(), new.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_heads_are_fresh_unless_they_are_named(two_targets, task_of):
    old = _randomized(_net(two_targets))
    new = _net(task_of(morphology=3, bar=1))
    first = [w.copy() for w in new.get_layer("morphology").get_weights()]
    done = transfer_weights(old, new)
    assert done.fresh == ("morphology", "bar") and set(done.taken) == set(get_body_layers(new))
    for a, b in zip(first, new.get_layer("morphology").get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    done = transfer_weights(old, new, heads=("morphology",))
    assert done.fresh == ("bar",) and "morphology" in done.taken
    np.testing.assert_array_equal(
        old.get_layer("morphology").kernel, new.get_layer("morphology").kernel
    )


@pytest.mark.parametrize(
    ("architecture", "before", "after"),
    [
        ("plain8", "gri", "grizy"),
        ("plain8", "gri", "r"),
        ("plain8", "gri", "JHK"),
        ("equivariant", "gri", "iz"),
    ],
)
def test_an_image_with_equal_bands_is_answered_as_before(architecture, before, after, task_of):
    task = task_of(kind=3)
    old = _randomized(_net(task, architecture, channels=len(before)))
    new = _net(task, architecture, channels=len(after))
    done = transfer_weights(
        old, new, old_inputs=InputNames(before), new_inputs=InputNames(after), heads=("kind",)
    )
    assert done.adapted == ("conv1",) and not done.fresh
    gray = _images(1)
    expected = old({"image": np.repeat(gray, len(before), -1)}, training=False)["kind"]
    found = new({"image": np.repeat(gray, len(after), -1)}, training=False)["kind"]
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(found, expected, atol=1e-5 * scale)


def test_bands_are_found_again_by_name(task_of):
    task = task_of(kind=2)
    old, new = _randomized(_net(task)), _net(task)
    transfer_weights(
        old, new, old_inputs=InputNames("gri"), new_inputs=InputNames("igr"), heads=("kind",)
    )
    x = _images(3)
    np.testing.assert_allclose(
        new({"image": x[..., [2, 0, 1]]})["kind"], old({"image": x})["kind"], rtol=1e-5
    )
    # The color that the kernels see in two bands stays, beside the one that is new.
    new = _net(task, channels=4)
    transfer_weights(old, new, old_inputs=InputNames("gri"), new_inputs=InputNames("griz"))
    there, here = (m.get_layer("conv1").kernel.numpy() for m in (old, new))
    np.testing.assert_allclose(here[..., 0, :] - here[..., 1, :],
                               0.75 * (there[..., 0, :] - there[..., 1, :]), atol=1e-6)  # fmt: skip
    np.testing.assert_allclose(here[..., 3, :], 0.75 * there.mean(axis=-2), atol=1e-6)


def test_kernels_of_masks_come_from_kernels_of_masks(task_of):
    task = task_of(kind=2)
    old, new = _randomized(_net(task, channels=4)), _net(task, channels=2)
    transfer_weights(
        old, new, old_inputs=InputNames("gr"), new_inputs=InputNames("i"), heads=("kind",)
    )
    gray, mask = _images(1), _images(1, seed=2)
    np.testing.assert_allclose(
        new({"image": np.concatenate([gray, mask], -1)})["kind"],
        old({"image": np.concatenate([gray, gray, mask, mask], -1)})["kind"],
        rtol=1e-4,
    )
    with pytest.raises(ModelError, match=r"conv1: shapes .*4, 3.* there, .*2, 3.* here"):
        transfer_weights(
            _net(task, channels=4), new, old_inputs=InputNames("i"), new_inputs=InputNames("i")
        )


@pytest.mark.parametrize("architecture", ["plain8", "lenet"])
def test_weights_of_new_scalars_are_zero_and_those_of_old_ones_kept(architecture, task_of):
    task = task_of(z=4)
    old = _randomized(_net(task, architecture, scalars=2))
    x, (a, b, c) = _images(3), np.random.default_rng(3).normal(size=(3, 4)).astype("f4")
    expected = old({"image": x, "scalars": np.stack([a, b], 1)})["z"]
    new = _net(task, architecture, scalars=3)
    sees = {
        "old_inputs": InputNames("gri", ("a", "b")),
        "new_inputs": InputNames("gri", ("b", "c", "a")),
    }
    done = transfer_weights(old, new, **sees, heads=("z",))
    assert len(done.adapted) == 1 and not done.fresh
    found = new({"image": x, "scalars": np.stack([b, c, a], 1)})["z"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    # None at all before, and one then: the network without scalars.
    old = _randomized(_net(task, architecture))
    new = _net(task, architecture, scalars=1)
    transfer_weights(
        old, new, old_inputs=InputNames("gri"), new_inputs=InputNames("gri", ("ebv",)), heads=("z",)
    )
    np.testing.assert_allclose(
        new({"image": x, "scalars": c[:, None]})["z"], old({"image": x})["z"], rtol=1e-5
    )


def test_dropout_initializer_and_penalty_may_differ(task_of):
    task = task_of(kind=2)
    old = _randomized(_net(task, dropout=0.0))
    new = _net(task, head_dropout=0.4, spatial_dropout=0.1, initializer="orthogonal", l2=1e-3)
    assert len(transfer_weights(old, new).taken) == len(get_body_layers(new))


@pytest.mark.parametrize(
    ("there", "here", "words"),
    [
        ({"architecture": "lenet"}, {}, r"those of a 'lenet', and this .* 'plain8'(.|\n)*'lenet'"),
        ({}, {"width": 0.2}, r"conv1: filters 3 there, 6 here(.|\n)*options(.|\n)*beginning"),
        ({}, {"activation": "elu"}, "act1: activation relu there, elu here"),
        ({"strides": 2}, {}, r"conv1: strides \(2, 2\) there, \(1, 1\) here"),
        ({}, {"dilation": 2}, r"conv1: dilation_rate \(1, 1\) there, \(2, 2\) here"),
        ({}, {"pooling": "average"}, r"pool1: MaxPooling2D there, AveragePooling2D here"),
        ({"normalization": "none"}, {}, r"conv1: use_bias True there, False here"),
        (
            {"architecture": "dominguez_sanchez18"},
            {"architecture": "dominguez_sanchez18", "size": 48},
            r"dense1: shapes .*there(.|\n)*stamp size",
        ),
    ],
)
def test_another_network_is_refused_and_left_alone(there, here, words, task_of):
    task = task_of(kind=2)
    old, new = _net(task, **there), _net(task, **here)
    before = [w.copy() for w in new.get_weights()]
    with pytest.raises(ModelError, match=words):
        transfer_weights(old, new)
    for a, b in zip(before, new.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_network_whose_width_follows_its_scalars_cannot_have_others(task_of):
    task = task_of(z=1)
    old, new = (
        build_model("ann", task, size=0, n_channels=0, n_scalars=n, options=Options())
        for n in (4, 5)
    )
    with pytest.raises(ModelError, match="dense1: units 8 there, 10 here"):
        transfer_weights(
            old, new, old_inputs=InputNames((), "abcd"), new_inputs=InputNames((), "abcde")
        )


@pytest.mark.parametrize("architecture", module_names("astrocnn.models.architectures"))
def test_every_architecture_can_begin_with_the_weights_of_its_like(architecture, task_of):
    module = load_module("astrocnn.models.architectures", architecture)
    if module.REFERENCE.parameters > 2e7:
        pytest.skip("the same layers as others, and many more weights")
    pixels = getattr(module, "IMAGE", True)
    task = task_of(kind=2)
    old, new = (
        build_model(
            architecture,
            task,
            size=64 if pixels else 0,
            n_channels=2 * pixels,
            n_scalars=0 if pixels else 40,
            options=Options(width=0.05, initializer=law),
        )
        for law in ("constant", "he")
    )
    done = transfer_weights(old, new, heads=("kind",))
    assert not done.fresh and not done.adapted and done.taken == (*get_body_layers(new), "kind")
    for a, b in zip(old.get_weights(), new.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
