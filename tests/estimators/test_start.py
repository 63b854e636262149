"""Estimators that begin with the weights of a trained one."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.catalog import Catalog
from astrocnn.datasets import write_shards
from astrocnn.errors import ModelError, TrainingError
from astrocnn.estimators import Ensemble, KerasEstimator, load_estimator
from astrocnn.imaging import ArraySource, Inputs
from astrocnn.targets import make
from astrocnn.training import Optimizer

from .conftest import SIZE, images_and_classes

TRAIN, VALIDATION = np.arange(40), np.arange(40, 60)
HOW = {"options": {"width": 0.1, "normalization": "batch"}, "precision": "float32"}
FIT = {"epochs": 1, "strategy": "one", "batch_size": 20}
STILL = {**FIT, "optimizer": Optimizer("sgd", 1e-12)}


@pytest.fixture(scope="module")
def trained(task, shards):
    inputs = Inputs(("g", "r"), SIZE, pixel_scale=0.5, unit="nJy", mask_channel=True)
    return KerasEstimator(task, inputs, "lenet", seed=3, **HOW).fit(shards, TRAIN, **FIT)


@pytest.fixture(scope="module")
def other_survey(tmp_path_factory):
    """Three bands, of which one is in the old survey, and a scalar; other classes."""
    images, wide = images_and_classes(60, seed=8)
    images = np.nan_to_num(np.concatenate([images, images[..., :1]], axis=-1))
    table = Table({"id": np.arange(60), "form": np.where(wide, "round", "long")})
    table["bright"] = (images[..., 0].max(axis=(1, 2)) > 9).astype(np.int16)
    table["ebv"] = np.linspace(0, 1, 60)
    source = ArraySource(images, ("r", "i", "z"), pixel_scale=0.5, unit="nJy")
    return write_shards(tmp_path_factory.mktemp("other") / "s", Catalog.from_table(table), source)


@pytest.fixture(scope="module")
def other_task():
    return make(
        "morphology", classes=("round", "long"), column="form", questions={"bright": "bright"}
    )


def _other(other_task, seed=0, **how):
    inputs = Inputs(
        ("r", "i", "z"), SIZE, pixel_scale=0.5, unit="nJy", mask_channel=True, scalars=("ebv",)
    )
    return KerasEstimator(other_task, inputs, "lenet", seed=seed, **{**HOW, **how})


def test_a_start_of_the_same_task_predicts_the_same(trained, task, shards):
    again = KerasEstimator(task, trained.inputs, "lenet", seed=7, **HOW)
    again.fit(shards, TRAIN, VALIDATION, start=trained, body_rate=0, frozen_epochs=0, **STILL)
    images, _ = images_and_classes(10, seed=5)
    for name, values in trained.sample(images).items():
        np.testing.assert_allclose(again.sample(images)[name], values, atol=1e-6)
    assert again.origin_["model"] == trained.fingerprint
    assert again.origin_["fresh"] == again.origin_["adapted"] == []


def test_other_bands_scalars_and_classes(trained, other_task, other_survey, tmp_path):
    estimator = _other(other_task).fit(other_survey, TRAIN, start=trained, **STILL)
    assert estimator.origin_["adapted"] == ["conv1", "dense1"]
    assert estimator.origin_["fresh"] == ["morphology"]
    # The normalization is that of the new survey, and the body that of the old network.
    assert estimator.inputs.normalization.n_bands == 3
    for name in ("conv2", "norm2", "bright"):
        there, here = (e.model_.get_layer(name).get_weights() for e in (trained, estimator))
        for a, b in zip(there, here, strict=True):
            np.testing.assert_array_equal(a, b)
    kernel = estimator.model_.get_layer("dense1").kernel.numpy()
    np.testing.assert_allclose(kernel[:-1], trained.model_.get_layer("dense1").kernel, atol=1e-6)
    assert np.abs(kernel[-1]).max() < 1e-6
    estimator.save(tmp_path / "model")
    loaded = load_estimator(tmp_path / "model")
    assert loaded.origin_ == estimator.origin_
    assert loaded.facts["Started from"] == f"model SHA-256 {trained.fingerprint}"
    assert "conv1, dense1; fresh: morphology" in loaded.facts["Weights"]
    assert "Started from" not in trained.facts
    assert all(layer.trainable for layer in loaded.model_.layers)


def test_heads_learn_first_and_the_body_more_slowly(trained, other_task, other_survey):
    seen = []

    def note(history):
        seen.append(len(history))

    estimator = _other(other_task)
    fit = {**FIT, "epochs": 2, "optimizer": Optimizer("adam", 0.01), "callbacks": [note]}
    estimator.fit(
        other_survey, TRAIN, start=trained, frozen_epochs=1, layer_rates={"conv2": 0}, **fit
    )
    assert seen == [1, 2]
    kernels = [
        {n: e.model_.get_layer(n).kernel.numpy() for n in ("conv1", "conv2", "conv3")}
        for e in (trained, estimator)
    ]
    np.testing.assert_array_equal(kernels[0]["conv2"], kernels[1]["conv2"])
    # Two updates of Adam, each of at most about the rate.
    moved = np.abs(kernels[0]["conv3"] - kernels[1]["conv3"]).max()
    assert estimator.history_.best_epoch == 1 or 1e-4 < moved < 0.1 * 2.5 * 0.01


def test_a_backup_of_another_start_is_refused(trained, task, other_task, other_survey, tmp_path):
    _other(other_task).fit(other_survey, TRAIN, start=trained, backup=tmp_path, **FIT)
    again = _other(other_task).fit(other_survey, TRAIN, start=trained, backup=tmp_path, **FIT)
    assert len(again.history_) == 1
    with pytest.raises(TrainingError, match="origin, rates, frozen epochs changed since"):
        _other(other_task).fit(other_survey, TRAIN, backup=tmp_path, **FIT)


def test_members_start_from_one_network_or_each_from_its_own(trained, task, shards, monkeypatch):
    def ensemble(n):
        return Ensemble.of(task, trained.inputs, "lenet", members=n, **HOW)

    seen = []
    monkeypatch.setattr(KerasEstimator, "fit", lambda self, *_, start: seen.append(start))
    ensemble(2).fit(shards, TRAIN, start=trained)
    assert seen == [trained, trained]
    three = ensemble(3)
    ensemble(3).fit(shards, TRAIN, start=three)
    assert seen[2:] == list(three.members)
    with pytest.raises(ModelError, match=r"3 networks(.|\n)*1 or 2"):
        ensemble(2).fit(shards, TRAIN, start=three)
    monkeypatch.undo()
    with pytest.raises(ModelError, match=r"one trained network(.|\n)*one of its members"):
        three.members[0].fit(shards, TRAIN, start=three)


def test_unsuitable_starts_are_refused(trained, task, shards):
    fresh = KerasEstimator(task, trained.inputs, "lenet", **HOW)
    with pytest.raises(ModelError, match="one trained network"):
        fresh.fit(shards, TRAIN, start=KerasEstimator(task, trained.inputs, "lenet", **HOW))
    other = KerasEstimator(task, trained.inputs, "plain8", options={"width": 0.1})
    with pytest.raises(ModelError, match=r"those of a 'lenet', and this network is a 'plain8'"):
        other.fit(shards, TRAIN, start=trained)
