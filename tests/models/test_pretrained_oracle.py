"""Features of published networks against PyTorch, timm and efficientnet-lite-pytorch."""

from __future__ import annotations

import numpy as np
import pytest

from astrocnn.models import Options, load_pretrained, read_pretrained
from astrocnn.models.build import build_model
from astrocnn.models.layer_access import cut_after
from astrocnn.models.weight_files import read_weight_file

from .test_pretrained import needs_package

torch = pytest.importorskip("torch", reason="torch is not installed (group oracle)")
SIZES = (64, 75)
KINDS = ("safetensors", "pth", "legacy")


def save(model, path, kind):
    state = model.state_dict()
    if kind == "safetensors":
        pytest.importorskip("safetensors.torch").save_file(state, path)
    elif kind == "pth":
        torch.save(state, path)
    else:
        # As old checkpoints are: nested, renamed, and with channels last in memory.
        last = {
            f"module.{k}": v.to(memory_format=torch.channels_last) if v.ndim == 4 else v
            for k, v in state.items()
        }
        checkpoint = {"state_dict": last, "epoch": 3}
        torch.save(checkpoint, path, _use_new_zipfile_serialization=False)


def randomize(model):
    """Weights of the size that training gives them."""
    torch.manual_seed(0)
    for name, value in model.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif name.endswith("gamma"):
            value.uniform_(0.1, 0.5)
        elif value.ndim == 1:
            value.add_(0.1 * torch.randn_like(value))
    return model.eval()


def assert_same_features(there, path, name, size, task):
    x = np.random.default_rng(size).normal(size=(2, size, size, 3)).astype("f4")
    with torch.no_grad():
        expected = there(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
    how = {"size": size, "n_channels": 3, "options": Options(stem="large")}
    model = build_model(name, task, **how)
    load_pretrained(model, read_pretrained(path, name), n_bands=3)
    found = np.asarray(cut_after(model)({"image": x[..., ::-1]}))
    assert np.abs(found - expected).max() < 1e-4 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "convnext_pico", "convnext_tiny"])
def test_features_are_those_of_timm(name, task_of, tmp_path):
    timm = load_timm()
    there = randomize(timm.create_model(name))

    def features(x):
        return there.forward_head(there.forward_features(x), pre_logits=True)

    for size, kind in zip((64, 75, 64), KINDS, strict=True):
        save(there, tmp_path / kind, kind)
        assert_same_features(features, tmp_path / kind, name, size, task_of(t=2))


def load_timm():
    try:
        import timm
    except Exception as error:  # an optional package of its own may not fit
        pytest.skip(f"timm cannot be imported: {type(error).__name__}")
    return timm


@needs_package
@pytest.mark.parametrize("size", SIZES)
def test_published_features_of_lite0_are_those_of_pytorch(size, task_of):
    lite = pytest.importorskip("efficientnet_lite_pytorch")
    there = lite.EfficientNet.from_name("efficientnet-lite0", image_size=size).eval()
    path = read_pretrained("imagenet", "efficientnet_lite0").file.path
    there.load_state_dict(torch.load(path, weights_only=True))

    def features(x):
        return there.extract_features(x).mean((2, 3))

    assert_same_features(features, "imagenet", "efficientnet_lite0", size, task_of(t=2))


@needs_package
def test_the_published_file_is_read_as_pytorch_reads_it():
    file = read_pretrained("imagenet", "efficientnet_lite0").file
    expected = torch.load(file.path, weights_only=True)
    assert list(file.tensors) == list(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(file.tensors[name], tensor.numpy())


@pytest.mark.parametrize("kind", ["pth", "legacy"])
def test_types_and_views_are_read_as_pytorch_reads_them(kind, tmp_path):
    base = torch.arange(24.0)
    tensors = {
        "view": base[2:14].reshape(3, 4).t(),
        "same storage": base[::2],
        "parameter": torch.nn.Parameter(torch.randn(3)),
        "brain": torch.randn(5).bfloat16(),
        "half": torch.randn(5).half(),
        "double": torch.randn(2, 2).double(),
        "count": torch.tensor(3),
        "truth": torch.tensor([True, False]),
        "bytes": torch.tensor([1, 255], dtype=torch.uint8),
    }
    torch.save(tensors, tmp_path / "w", _use_new_zipfile_serialization=kind == "pth")
    found = read_weight_file(tmp_path / "w").tensors
    for name, tensor in tensors.items():
        values = tensor.detach()
        values = values.float() if name == "brain" else values
        np.testing.assert_array_equal(found[name], values.numpy())
