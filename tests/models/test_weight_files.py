"""Readers of weights that others wrote: exact numbers, and nothing executed."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile

import h5py
import keras
import numpy as np
import pytest

from astrocnn.errors import ModelError
from astrocnn.models.weight_files import read_weight_file
from astrocnn.models.weight_files.base import Damaged, as_float32, view_tensor

from .torch_files import archive_of, safetensors, state_dict

RNG = np.random.default_rng(0)
TENSORS = {
    "conv.weight": RNG.normal(size=(5, 3, 2, 2)).astype("f4"),
    # Channels last, as PyTorch keeps many published kernels.
    "strided.weight": RNG.normal(size=(2, 2, 3, 5)).astype("f4").transpose(3, 2, 0, 1),
    "half": RNG.normal(size=7).astype("f2"),
    "double": RNG.normal(size=(2, 1)),
    "count": np.array(3, "i8"),
    "empty": np.zeros((0, 4), "f4"),
}
KINDS = ["safetensors", "archive", "legacy"]


def write(path, kind, monkeypatch, tensors=TENSORS, **more):
    data = (
        safetensors(tensors, format="pt")
        if kind == "safetensors"
        else state_dict(monkeypatch, tensors, legacy=kind == "legacy", **more)
    )
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_are_read_exactly(kind, tmp_path, monkeypatch):
    # The name of the file says nothing.
    file = read_weight_file(write(tmp_path / "weights", kind, monkeypatch))
    assert file.kind == "pytorch" and set(file.tensors) == set(TENSORS)
    for name, expected in TENSORS.items():
        assert file.tensors[name].dtype == expected.dtype
        np.testing.assert_array_equal(file.tensors[name], expected)


@pytest.mark.parametrize("kind", ["archive", "legacy"])
def test_dictionaries_inside_of_others_are_searched(kind, tmp_path, monkeypatch):
    path = write(tmp_path / "w.pth", kind, monkeypatch, inside="state_dict")
    assert set(read_weight_file(path).tensors) == {f"state_dict.{name}" for name in TENSORS}


def test_strides_are_followed():
    storage = np.arange(24)
    np.testing.assert_array_equal(view_tensor(storage, 2, (2, 3), (1, 4)), [[2, 6, 10], [3, 7, 11]])
    for offset, shape, strides in [
        (0, (5, 5), (5, 1)), (20, (5,), (1,)), (0, (30,), (0,)), (0, (2,), (-1,)),
        (0, (2,), (1, 1)), (0, (2**40, 2**40), (0, 0)), (True, (1,), (1,)), (0, (2.0,), (1,)),
    ]:  # fmt: skip
        with pytest.raises(Damaged):
            view_tensor(storage, offset, shape, strides)


def test_bfloat16_is_the_upper_half_of_float32():
    numbers = np.array([1.0, -2.5, 3.140625, 0.0, 1e30], "f4")
    bits = (numbers.view(np.uint32) >> 16).astype(np.uint16)
    np.testing.assert_allclose(as_float32(bits), numbers, rtol=2**-7)
    assert as_float32(bits)[:3].tolist() == [1.0, -2.5, 3.140625]


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/astrocnn-weights-were-here",)


class Stateful:
    def __init__(self):
        self.a = 1


HOSTILE = {
    "system": pickle.dumps(Evil(), protocol=2),
    "system, protocol 4": pickle.dumps({"a": Evil()}, protocol=4),
    "eval": b"\x80\x02c__builtin__\neval\nX\x04\x00\x00\x00exit\x85R.",
    "getattr": b"\x80\x02cbuiltins\ngetattr\nccollections\nOrderedDict\nX\x03\x00\x00\x00pop\x86R.",
    "an object": pickle.dumps(Stateful(), protocol=2),
    "an instance by its class": b"(c__main__\nStateful\no.",
    "an extension": b"\x80\x02\x82\x01.",
    "a key that hashes for ever": b"\x80\x02}" + b")" + b"q\x00h\x00\x86" * 64 + b"K\x01s.",
    "nothing on the stack": b"\x80\x02\x85.",
    "a mark": b"\x80\x02(.",
    "no tensor": pickle.dumps({"a": 1}, protocol=2),
    "itself": b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_sentences(name, tmp_path):
    path = tmp_path / "w.pth"
    legacy = b"".join(
        pickle.dumps(x, protocol=2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    )
    for data in (archive_of(HOSTILE[name]), legacy + HOSTILE[name]):
        path.write_bytes(data)
        with pytest.raises(ModelError, match="cannot be read") as error:
            read_weight_file(path)
        if name.startswith(("system", "eval", "getattr")):
            assert "asks for a call of" in str(error.value) and "not made" in str(error.value)
    assert not os.path.exists("/tmp/astrocnn-weights-were-here")


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_files_are_sentences(kind, tmp_path, monkeypatch):
    path = write(tmp_path / "w", kind, monkeypatch)
    data = path.read_bytes()
    for length in [*range(0, 64, 7), *range(64, len(data) - 1, 41), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(ModelError):
            read_weight_file(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": [2**40]}, "from byte"),
        ({"data_offsets": [0, 10**9]}, "from byte"),
        ({"dtype": "F8_E4M3"}, "type F8_E4M3"),
        ({"shape": [-1]}, "damaged header"),
        ({"more": 1}, "damaged header"),
    ],
)
def test_headers_that_lie_are_sentences(change, words, tmp_path):
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **change}
    text = json.dumps({"a": entry}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
    with pytest.raises(ModelError, match=words):
        read_weight_file(path)


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors({"a": np.array([1, np.nan], "f4")}))
    with pytest.raises(ModelError, match="not finite"):
        read_weight_file(path)


def test_unknown_files_are_sentences(tmp_path):
    path = tmp_path / "w"
    path.write_bytes(b"hello, world")
    with pytest.raises(ModelError, match="unknown kind"):
        read_weight_file(path)
    with pytest.raises(ModelError, match="no file of weights"):
        read_weight_file(tmp_path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_weight_file(tmp_path / "missing")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**6))
    with pytest.raises(ModelError, match="compressed"):
        read_weight_file(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"")
        archive.writestr("a/constants.pkl", b"")
    with pytest.raises(ModelError, match="TorchScript"):
        read_weight_file(path)


def test_a_folder_of_timm_states_its_preprocessing(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(safetensors(TENSORS))
    config = {"architecture": "x", "pretrained_cfg": {"mean": [0.5], "std": [0.25], "url": ""}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    file = read_weight_file(tmp_path)
    assert (file.mean, file.std) == ((0.5,), (0.25,)) and file.path.name == "model.safetensors"
    for bad in (
        {"mean": [0.5], "std": [0]},
        {"mean": [0.5, 1], "std": [1]},
        {"mean": "a", "std": 1},
    ):
        (tmp_path / "config.json").write_text(json.dumps(bad))
        with pytest.raises(ModelError):
            read_weight_file(tmp_path)


@pytest.fixture(scope="module")
def keras_model():
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(4, 3, name="first")(x)
    y = keras.layers.BatchNormalization(name="norm")(y)
    return keras.Model(x, keras.layers.Dense(2, name="out")(y))


@pytest.mark.parametrize("name", ["w.weights.h5", "w.keras", "old.h5"])
def test_weights_of_keras_are_read_exactly(name, keras_model, tmp_path):
    path = tmp_path / name
    if name == "w.weights.h5":
        keras_model.save_weights(path)
    elif name == "w.keras":
        keras_model.save(path)
    else:
        write_legacy(path, keras_model)
    file = read_weight_file(path)
    assert file.kind == "keras"
    for layer in keras_model.layers:
        for k, expected in enumerate(layer.get_weights()):
            np.testing.assert_array_equal(file.tensors[f"{layer.name}/{k}"], expected)


def write_legacy(path, model):
    """The layout of Keras 2, in which the weights of keras.applications are published."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/w{k}:0".encode() for k in range(len(layer.weights))]
            group.attrs["weight_names"] = names
            for label, weight in zip(names, layer.get_weights(), strict=True):
                group[label.decode()] = weight


def test_links_to_other_files_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["0"] = np.ones(3)
    for name, link in (
        ("external", h5py.ExternalLink("secret.h5", "0")),
        ("soft", h5py.SoftLink("/elsewhere")),
    ):
        with h5py.File(tmp_path / "w.h5", "w") as file:
            group = file.create_group("layers/dense/vars")
            group.attrs["name"] = "dense"
            group["0"] = link
        with pytest.raises(ModelError, match="is a link to elsewhere"):
            read_weight_file(tmp_path / "w.h5")
        assert name
    with h5py.File(tmp_path / "w.h5", "w") as file:
        group = file.create_group("layers/dense/vars")
        outside = [(str(tmp_path / "secret.h5"), 0, 24)]
        group.create_dataset("0", (3,), "f8", external=outside)
    with pytest.raises(ModelError, match="stand in other files"):
        read_weight_file(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", data=np.zeros(10**6), compression="gzip")
    with pytest.raises(ModelError, match="compressed weights"):
        read_weight_file(tmp_path / "w.h5")
