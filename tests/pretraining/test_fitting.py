"""Training on pairs of views: what every method gives, resuming, and the watch for a collapse."""

from __future__ import annotations

import numpy as np
import pytest

from astrocnn import plugins
from astrocnn.backend import ops
from astrocnn.datasets import D4, Crop, Noise
from astrocnn.errors import AstrocnnWarning, ConfigError, ModelError, TrainingError
from astrocnn.estimators import Encoder, KerasEstimator, load_estimator
from astrocnn.pretraining import find_collapse
from astrocnn.training import Backup
from tests.estimators.conftest import images_and_classes

TRAIN, VALIDATION = np.arange(90), np.arange(90, 120)
VIEWS = (D4(), Crop(0.2), Noise((0.0, 0.5), sky=(1.0, 1.0)))
QUICK = {"augmentation": VIEWS, "epochs": 2, "batch_size": 32, "projector": (24, 16)}


def encoder(task, inputs, **options) -> Encoder:
    return Encoder(task, inputs, "lenet", options={"width": 0.5}, **options)


@pytest.fixture(scope="module", params=plugins.names("pretraining"))
def fitted(request, task, inputs, shards):
    made = encoder(task, inputs)
    assert made.fit(shards, TRAIN, VALIDATION, method=request.param, **QUICK) is made
    return made


def test_every_method_learns_features(fitted, inputs):
    history = fitted.history_
    assert len(history) == 2 and np.isfinite(history["loss"]).all()
    assert history["loss"][1] < history["loss"][0]
    for name in ("projection_std", "effective_rank", "neighbor_accuracy"):
        assert np.isfinite(history[name]).all()
    assert (history["neighbor_accuracy"] >= 0).all() and (history["neighbor_accuracy"] <= 1).all()
    images, _ = images_and_classes(5)
    found = fitted.features(images)
    assert found.shape[0] == 5 and found.std() > 0
    for predict in (fitted.sample, fitted.sample_with_features, fitted.drawing):
        with pytest.raises(ModelError, match=r"predicts nothing(.|\n)*model.weights"):
            predict()


def test_it_is_saved_and_read(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    read = load_estimator(tmp_path / "model")
    assert isinstance(read, Encoder) and read.method == fitted.method
    assert read.fingerprint == fitted.fingerprint
    images, _ = images_and_classes(5)
    np.testing.assert_array_equal(read.features(images), fitted.features(images))
    assert read.facts["Trained without labels"] == fitted.method


def test_a_network_begins_with_its_features_and_a_new_head(fitted, task, inputs, shards):
    options = {"width": 0.5, "head_dropout": 0.3}
    # The features are compared: predictions in bfloat16 would round those of one of the two.
    network = KerasEstimator(task, inputs, "lenet", options=options, precision="float32")
    network.fit(shards, TRAIN, epochs=1, start=fitted, recipe="probe")
    origin = network.origin_
    assert set(origin["fresh"]) == set(task.names) and not origin["adapted"]
    for name in origin["taken"]:
        pairs = zip(
            fitted.model_.get_layer(name).get_weights(),
            network.model_.get_layer(name).get_weights(),
            strict=True,
        )
        assert all((a == b).all() for a, b in pairs)
    images, _ = images_and_classes(5)
    # The projector is gone, and nothing but the head was trained.
    np.testing.assert_allclose(network.features(images), fitted.features(images), atol=1e-5)


def test_an_interrupted_training_ends_with_the_same_weights(
    task,
    inputs,
    shards,
    tmp_path,
    monkeypatch,
):
    options = {**QUICK, "augmentation": VIEWS[1:]}
    whole = encoder(task, inputs).fit(shards, TRAIN, VALIDATION, **options)
    save = Backup.save

    def save_and_stop(self, *state):
        save(self, *state)
        raise KeyboardInterrupt

    files = {"backup": tmp_path / "backup", "history_file": tmp_path / "history.csv"}
    with monkeypatch.context() as patch:
        patch.setattr(Backup, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            encoder(task, inputs).fit(shards, TRAIN, VALIDATION, **options, **files)
    resumed = encoder(task, inputs).fit(shards, TRAIN, VALIDATION, **options, **files)
    assert resumed.fingerprint == whole.fingerprint
    for name in ("loss", "projection_std", "effective_rank", "neighbor_accuracy"):
        np.testing.assert_array_equal(resumed.history_[name], whole.history_[name])
    with pytest.raises(TrainingError, match="another training: method changed"):
        encoder(task, inputs).fit(shards, TRAIN, VALIDATION, method="vicreg", **options, **files)


def agree(first, second):
    """Nothing keeps different objects apart: the best projection is a constant direction."""
    a, b = (z / ops.norm(z, axis=1, keepdims=True) for z in (first, second))
    return -ops.sum(a * b, axis=1)


agree.WIDTHS = (24, 16)


def test_the_watch_tells_of_a_collapse(task, inputs, shards):
    options = {**QUICK, "epochs": 12, "batch_size": 8, "projector": (16,), "learning_rate": 0.01}
    words = r"have collapsed(.|\n)*Try the other method"
    with pytest.warns(AstrocnnWarning, match=words) as caught:
        made = encoder(task, inputs).fit(shards, TRAIN, method=agree, **options)
    assert len(caught) == 1
    assert made.history_["projection_std"][-1] < 0.1


def test_what_counts_as_a_collapse():
    assert find_collapse({"projection_std": 0.5, "effective_rank": 9.0}) is None
    assert "standard deviation is 0.01" in find_collapse(
        {"projection_std": 0.01, "effective_rank": 9.0}
    )
    assert "rank is 1.2" in find_collapse({"projection_std": 0.5, "effective_rank": 1.2})


def test_there_must_be_objects_and_different_views(task, inputs, shards):
    with pytest.raises(TrainingError, match="too few objects"):
        encoder(task, inputs).fit(shards, TRAIN[:3], **QUICK)
    with pytest.raises(ConfigError, match="the two views of an object are equal"):
        encoder(task, inputs).fit(shards, TRAIN, **{**QUICK, "augmentation": ()})
