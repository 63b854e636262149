"""Damaged files of weights: a result, or one sentence."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from astrocnn.models.weight_files import read_weight_file
from tests.fuzz.mutations import Reader, try_reader
from tests.models.torch_files import safetensors, state_dict

RNG = np.random.default_rng(0)
TENSORS = {
    "conv.weight": RNG.normal(size=(2, 2, 3, 5)).astype("f4").transpose(3, 2, 0, 1),
    "conv.bias": RNG.normal(size=5).astype("f4"),
    "norm.count": np.array(3, "i8"),
    "half": RNG.normal(size=7).astype("f2"),
}


def make_torch(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, options in {
            "archive": {}, "legacy": {"legacy": True}, "inside": {"inside": "state_dict"},
        }.items():  # fmt: skip
            (folder / f"{name}.pth").write_bytes(state_dict(patch, TENSORS, **options))


def make_safetensors(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(safetensors(TENSORS, format="pt"))
    timm = folder / "timm"
    timm.mkdir()
    (timm / "model.safetensors").write_bytes(safetensors(TENSORS))
    (timm / "config.json").write_text('{"pretrained_cfg": {"mean": [0.5], "std": [0.2]}}')


def make_keras(folder: Path) -> None:
    x = keras.Input((4, 4, 1))
    model = keras.Model(x, keras.layers.Dense(2)(keras.layers.Conv2D(2, 3)(x)))
    model.save_weights(folder / "w.weights.h5")
    model.save(folder / "w.keras")


def read(path: Path) -> None:
    file = read_weight_file(path.parent if path.parent.name == "timm" else path)
    for tensor in file.tensors.values():
        assert np.asarray(tensor).size == tensor.size


READERS = {
    "PyTorch weights": Reader(make_torch, read),
    "safetensors": Reader(make_safetensors, read),
    "Keras weights": Reader(make_keras, read),
}


@pytest.mark.parametrize("name", READERS)
def test_damaged_weights_are_results_or_sentences(name, tmp_path):
    assert try_reader(name, READERS[name], tmp_path, range(160)) == []
