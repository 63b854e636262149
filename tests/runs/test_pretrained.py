"""Runs that begin with published weights, through the command line."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from astrocnn import explain
from astrocnn.datasets import Shards
from astrocnn.errors import ModelError
from astrocnn.estimators import load_estimator
from astrocnn.explain.methods import get_method
from astrocnn.runs.config import load_run
from astrocnn.runs.run import Run
from tests import processes
from tests.models.test_pretrained import needs_package
from tests.models.torch_files import archive_of, safetensors

from . import interrupted, two_devices
from .command import astrocnn

LITE0 = (
    "--set", "model.architecture='efficientnet_lite0'", "--set", "model.options={}",
    "--set", "model.weights='imagenet'", "--set", "training.epochs=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def probed(home, tmp_path_factory):
    """Published weights below a new head, the words of the check and of the training."""
    if needs_package.args[0]:
        pytest.skip(needs_package.kwargs["reason"])
    out = tmp_path_factory.mktemp("probed") / "run"
    run = (home / "run.toml", *LITE0, "--set", "training.recipe='probe'")
    checked = " ".join(astrocnn("check", *run).replace("│", "").split())
    return out, checked, " ".join(astrocnn("train", *run, "--out", out).split())


def test_a_run_begins_with_published_weights(probed):
    out, checked, trained = probed
    assert "layers taken" in checked and "fresh: morphology" in checked
    assert "left out of the file: _fc.weight, _fc.bias" in checked
    assert "began with imagenet: " in trained
    estimator = load_estimator(out / "model")
    about = json.loads((out / "model" / "estimator.json").read_text())
    assert about["origin"]["weights"] == "imagenet" and about["origin"]["left_out"]
    assert "'imagenet', file SHA-256 5793442" in estimator.facts["Started from"]
    # The pixels that the weights expect are part of the inputs, and what a probe leaves is exact.
    normalization = estimator.inputs.normalization
    np.testing.assert_allclose(normalization.limits, [(-127 / 128, 1)] * len(normalization.scale))
    images = np.asarray(estimator.inputs.normalization.invert(np.array(normalization.limits).T))
    assert np.all(images[0] < images[1])
    (summary,) = {layer.name for layer in estimator.model_.layers if "dropout" in layer.name}
    samples = estimator.sample(np.zeros((2, *estimator.inputs.shape), "f4"), draws=3)
    assert summary == "dropout1" and np.ptp(samples["morphology"], axis=0).max() > 0
    body = estimator.model_.get_layer("conv2").get_weights()[0]
    file = np.asarray(_tensor("_blocks.0._depthwise_conv.weight")).transpose(2, 3, 0, 1)
    np.testing.assert_array_equal(body, file)


def _tensor(name):
    from astrocnn.models import read_pretrained

    return read_pretrained("imagenet", "efficientnet_lite0").file.tensors[name]


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("imagnet", "did you mean 'imagenet'"),
        ("gone.safetensors", "There are no weights"),
        ("hostile.pth", "asks for a call of posix.system, which was not made"),
        ("torn.safetensors", "it is truncated"),
        ("package:no-such-package", "which is not installed"),
    ],
)
def test_weights_that_are_not_what_they_should_be(weights, words, home):
    (home / "torn.safetensors").write_bytes(safetensors({"a.weight": np.ones((2, 2), "f4")})[:30])
    evil = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R."
    (home / "hostile.pth").write_bytes(archive_of(evil))
    config = load_run(home / "run.toml", [*LITE0[1::2], f"model.weights='{weights}'"])
    with pytest.raises(ModelError) as caught:
        _ = Run(config).start
    assert words in str(caught.value)


def test_a_check_tells_of_weights_that_are_not_those_of_the_network(home):
    (home / "other.safetensors").write_bytes(safetensors({"a.weight": np.ones((2, 2), "f4")}))
    run = (home / "run.toml", *LITE0, "--set", "model.weights='other.safetensors'")
    said = " ".join(astrocnn("check", *run, code=1).replace("│", "").split())
    assert "Nothing in the weights" in said


def test_pixels_that_are_scaled_otherwise_are_refused(home, tmp_path):
    if not needs_package.args[0]:
        run = (home / "run.toml", *LITE0, "--set", "inputs.whiten=true")
        said = astrocnn("train", *run, "--out", tmp_path / "x", code=2)
        assert "scaled to these, and in no other way" in " ".join(said.split())


@pytest.fixture(scope="module")
def finetuned(home, tmp_path_factory):
    """Weights of a run: the head learns in the first epoch, all layers in the second."""
    out = tmp_path_factory.mktemp("finetuned") / "run"
    run = (
        home / "run.toml", "--from", home / "run", "--set", "training.epochs=2",
        "--set", "training.frozen_epochs=1", "--set", "training.optimizer='sgd'",
        # Each device draws its own dropout.
        "--set", "model.options.head_dropout=0.0", "--set", "prediction.draws=0",
    )  # fmt: skip
    astrocnn("train", *run, "--out", out)
    return run, out


def _weights(run):
    return load_estimator(run / "model").model_.get_weights()


@pytest.mark.slow
def test_an_interrupted_finetuning_ends_as_if_it_had_not_been(finetuned, tmp_path):
    run, whole = finetuned
    out, log = tmp_path / "run", tmp_path / "log"
    # The shards are the same, and need not be cut again.
    shutil.copytree(whole / "shards", out / "shards")
    process = processes.start(log, interrupted.main, "train", *run, "--out", out)
    process.join(400)
    assert process.exitcode == 130, log.read_text()[-2000:]
    astrocnn("train", *run, "--out", out)
    for a, b in zip(_weights(out), _weights(whole), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_two_devices_finetune_to_the_weights_of_one(home, finetuned, tmp_path):
    run, whole = finetuned
    out, log = tmp_path / "run", tmp_path / "log"
    shutil.copytree(whole / "shards", out / "shards")
    words = ("train", *run, "--out", out, "--set", "training.strategy='mirrored'")
    processes.finish(log, processes.start(log, two_devices.main, *words))
    said = log.read_text()
    assert "2 devices" in said and "WARNING" not in said
    for a, b in zip(_weights(out), _weights(whole), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)
    # What differs is rounding, far less than what was learned.
    begin, one, two = (
        load_estimator(run / "model").model_.get_layer("conv2").get_weights()[0]
        for run in (home / "run", whole, out)
    )
    assert np.linalg.norm(two - one) < 0.05 * np.linalg.norm(one - begin)


@pytest.mark.slow
def test_features_of_published_weights_need_no_training(home, probed, tmp_path):
    out, run = tmp_path / "run", (home / "run.toml", *LITE0)
    none = ("--set", "pretraining.epochs=0")
    assert "the weights of imagenet are kept" in " ".join(astrocnn("check", *run, *none).split())
    said = " ".join(astrocnn("pretrain", *run, *none, "--out", out).split())
    assert "nothing was trained" in said and "layers taken" in said
    first, second = (load_estimator(f / "model") for f in (out, probed[0]))
    images = Run.open(probed[0]).shards.images(np.arange(6))
    # A probe learns its head alone.
    assert first.inputs == second.inputs and first.origin_["model"] == second.origin_["model"]
    np.testing.assert_array_equal(first.features(images), second.features(images))
    said = astrocnn("pretrain", home / "run.toml", *none, "--out", tmp_path / "no", code=2)
    assert "model.weights" in said and not (tmp_path / "no").exists()


@pytest.mark.slow
def test_the_learning_rate_of_a_finetuned_network_is_found(home):
    weights = ("--set", f"model.weights='{home / 'run'}'", "--set", "training.recipe='finetune'")
    assert "learning_rate" in astrocnn("find-lr", home / "run.toml", *weights)


@pytest.mark.slow
def test_a_network_of_published_weights_is_explained(probed):
    estimator = load_estimator(probed[0] / "model")
    shards = Shards.open(probed[0] / "shards")
    images = shards.images(np.flatnonzero(shards.flags == 0)[:2])
    pixels = estimator.inputs.normalization.apply(images)
    target = explain.ExplainTarget(estimator.task.target("morphology"), "spiral")
    for name in ("integrated_gradients", "grad_cam"):
        maps = get_method(name)(estimator.model_, pixels, target)
        assert np.isfinite(maps).all() and maps.shape[:3] == pixels.shape[:3]
        # Grad-CAM keeps evidence for the class only, of which there may be none.
        assert name == "grad_cam" or np.ptp(maps, axis=(1, 2, 3)).min() > 0
