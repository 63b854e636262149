from __future__ import annotations

import copy
import itertools
import json

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.catalog import Catalog
from astrocnn.datasets import write_shards
from astrocnn.errors import ModelError
from astrocnn.estimators import ClassicalEstimator, Ensemble, KerasEstimator, load_estimator
from astrocnn.imaging import Inputs, NoImages
from astrocnn.targets import make

from .conftest import BANDS, SIZE, images_and_classes

TRAIN, VALIDATION = np.arange(90), np.arange(90, 120)
HOW = {"options": {"head_dropout": 0.3}, "precision": "float32"}
FIT = {"epochs": 2, "strategy": "one"}
LACKING = np.arange(70) % 9 == 4


@pytest.fixture(scope="module")
def bare():
    return Inputs(BANDS, SIZE, pixel_scale=0.5, unit="nJy", mask_channel=True)


@pytest.fixture(scope="module")
def fitted(task, bare, shards):
    ensemble = Ensemble.of(task, bare, "lenet", members=2, seed=5, **HOW)
    return ensemble.fit(shards, TRAIN, VALIDATION, **FIT)


@pytest.fixture(scope="module")
def images():
    return images_and_classes(70, seed=4)[0]


def _weights(estimator):
    return estimator.model_.get_weights()


def test_members_differ_by_their_seed_and_share_one_normalization(fitted, task, bare, shards):
    assert [member.seed for member in fitted.members] == [5, 6]
    assert fitted.inputs.normalization is not None
    assert all(member.inputs == fitted.inputs for member in fitted.members)
    # A member is what a network of that seed and these inputs would be alone.
    alone = KerasEstimator(task, fitted.inputs, "lenet", seed=6, **HOW)
    alone.fit(shards, TRAIN, VALIDATION, **FIT)
    for a, b in zip(_weights(alone), _weights(fitted.members[1]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len({member.fingerprint for member in fitted.members}) == 2


def test_samples_are_those_of_the_members_in_turn(fitted, images):
    for draws in (0, 2):
        found = fitted.sample(images, draws=draws, seed=9)
        assert found["morphology"].shape == (2 * max(draws, 1), 70, 2)
        for k, member in enumerate(fitted.members):
            own = member.sample(images, draws=draws, seed=9 + k)
            for name, values in own.items():
                np.testing.assert_array_equal(found[name][k::2], values)


def test_a_method_without_draws_predicts_the_same_in_each(fitted, shards, images, tmp_path):
    inputs = fitted.inputs
    svm = ClassicalEstimator(fitted.task, inputs, "logistic_regression", ["colors"])
    svm.fit(shards, TRAIN)
    mixed = Ensemble([fitted.members[0], svm])
    mixed.save(tmp_path / "mixed")
    for estimator in (mixed, load_estimator(tmp_path / "mixed")):
        assert "logistic_regression" in estimator.facts["Members"]
        found = estimator.sample(images, draws=3, seed=2)["morphology"]
        (once,) = svm.sample(images)["morphology"]
        np.testing.assert_array_equal(found[1::2], [once] * 3)
        own = fitted.members[0].sample(images, draws=3, seed=2)["morphology"]
        np.testing.assert_array_equal(found[::2], own)
    with pytest.raises(ModelError, match="no draws"):
        svm.sample(images, draws=3)


def test_an_object_that_a_method_cannot_predict_is_left_to_the_others(fitted, images, monkeypatch):
    method = copy.copy(fitted.members[1])
    mixed = Ensemble([fitted.members[0], method])
    complete = fitted.members[1].sample(images)

    def sample(*arrays, **options):
        return {name: np.where(LACKING[:, None], np.nan, x) for name, x in complete.items()}

    monkeypatch.setattr(method, "sample", sample)
    first = fitted.members[0].sample(images, draws=3)
    for name, found in mixed.sample(images, draws=3).items():
        expected = np.where(LACKING[:, None], first[name], complete[name])
        np.testing.assert_array_equal(found[1::2], expected)
        np.testing.assert_array_equal(found[::2], first[name])
    monkeypatch.setattr(mixed.members[0], "sample", sample)
    assert (
        np.isnan(mixed.sample(images)["morphology"]).all(axis=(0, 2)).tolist() == LACKING.tolist()
    )


def test_networks_begin_with_networks_whatever_stands_beside_them(fitted, task, bare, shards):
    method = ClassicalEstimator(task, bare, "logistic_regression", ["colors"])
    networks = [KerasEstimator(task, bare, "lenet", seed=k, **HOW) for k in range(2)]
    mixed = Ensemble([networks[0], method, networks[1]])
    mixed.fit(shards, TRAIN, VALIDATION, start=fitted, **FIT)
    for network, start in zip(networks, fitted.members, strict=True):
        assert network.origin_["model"] == start.fingerprint
    with pytest.raises(ModelError, match="received: 2 networks"):
        Ensemble([networks[0], method]).fit(shards, TRAIN, VALIDATION, start=mixed, **FIT)


def test_the_mutual_information_is_the_disagreement_of_members(fitted, images):
    columns = fitted.task.summarize(fitted.sample(images))
    assert columns["morphology_mutual_info"].max() > 1e-4
    alone = fitted.members[0].task.summarize(fitted.members[0].sample(images))
    assert alone["morphology_mutual_info"].max() == 0


def test_finished_members_are_not_trained_again(task, shards, tmp_path):
    """Interrupted after an epoch of the second member, as by a kill."""

    class Stop(Exception):
        pass

    seen = []

    def stop(history):
        seen.append(len(history))
        if seen[2:] == [1]:
            raise Stop

    def made():
        scalars = Inputs((), 0, scalars=("peak", "area"))
        return Ensemble.of(task, scalars, "ann", members=2, seed=5, precision="float32")

    files = {"backup": tmp_path, "history_file": tmp_path / "history.csv", **FIT}
    broken = made()
    with pytest.raises(Stop):
        broken.fit(shards, TRAIN, VALIDATION, callbacks=[stop], **files)
    seen.clear()
    count = [lambda history: seen.append(len(history))]
    again = made().fit(shards, TRAIN, VALIDATION, callbacks=count, **files)
    assert seen == [2]
    assert again.members[0].fingerprint == broken.members[0].fingerprint
    assert {path.name for path in tmp_path.iterdir()} == {
        *("member-0", "member-1", "history.csv", "history-1.csv"),
    }
    assert len((tmp_path / "history-1.csv").read_text().splitlines()) == 3


def test_features_are_those_of_the_first_member(fitted, images):
    first = fitted.members[0]
    features = fitted.features(images)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, first.features(images))
    # The heads are a matrix on top of them.
    (head,) = (layer for layer in first.model_.layers if layer.name == "bright")
    kernel, bias = head.get_weights()
    logit = features @ kernel + bias
    np.testing.assert_allclose(
        1 / (1 + np.exp(-logit)), first.sample(images)["bright"][0], atol=1e-5
    )


def test_samples_of_all_members_and_features_of_the_first_from_one_call(fitted, images):
    samples, features = fitted.sample_with_features(images, draws=2, seed=4)
    np.testing.assert_allclose(features, fitted.features(images), rtol=1e-5, atol=1e-6)
    for name, values in fitted.sample(images, draws=2, seed=4).items():
        np.testing.assert_allclose(samples[name], values, atol=1e-6)


@pytest.mark.parametrize("pieces", [[1, 69], [64, 6], [20, 30, 20]])
def test_features_have_the_same_bits_in_any_split_and_order(fitted, images, pieces):
    whole = fitted.features(images)
    edges = np.cumsum([0, *pieces])
    parts = [fitted.features(images[a:b]) for a, b in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    order = np.random.default_rng(0).permutation(70)
    np.testing.assert_array_equal(fitted.features(images[order]), whole[order])
    assert fitted.features(images[:0]).shape == (0, whole.shape[1])


def test_a_saved_ensemble_predicts_the_same(fitted, images, tmp_path):
    fitted.save(tmp_path / "model")
    again = load_estimator(tmp_path / "model")
    assert isinstance(again, Ensemble)
    assert again.fingerprint == fitted.fingerprint
    np.testing.assert_array_equal(again.features(images), fitted.features(images))
    about = tmp_path / "model" / "estimator.json"
    content = json.loads(about.read_text())
    content["members"] = ["member-0", "../model/member-7"]
    about.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"members\.1"):
        load_estimator(tmp_path / "model")
    about.write_text('{"kind": "ensemble"}')
    with pytest.raises(ModelError, match="members"):
        load_estimator(tmp_path / "model")


def test_the_precision_is_that_of_any_member_on_this_machine(fitted, monkeypatch):
    assert fitted.precision == "float32"
    monkeypatch.setattr(fitted.members[1], "requested_precision", "bfloat16")
    assert fitted.precision == "bfloat16"


def test_members_must_belong_together(fitted, task, bare):
    with pytest.raises(ModelError, match=r"(?s)several.*2 or more"):
        Ensemble.of(task, bare, members=1)
    other = KerasEstimator(task, bare, "lenet")
    with pytest.raises(ModelError, match="the same inputs"):
        Ensemble([fitted.members[0], other])
    with pytest.raises(ModelError, match="not been trained"):
        Ensemble.of(task, bare, members=2).features(np.zeros((1, SIZE, SIZE, 2)))


def test_members_can_be_a_network_and_a_classical_method(tmp_path):
    """Each is what it would be alone with these inputs, and they are saved together."""
    rng = np.random.default_rng(3)
    a = rng.normal(20.0, 1.0, 80)
    table = Table({"id": np.arange(80), "a": a, "z": 0.2 + 0.02 * (a - 20)})
    inputs = Inputs((), 0, scalars=("a",))
    shards = write_shards(tmp_path / "table", Catalog.from_table(table), NoImages(80), inputs)
    redshift = make("photoz", family="mixture")
    network = KerasEstimator(redshift, inputs, "ann", precision="float32")
    mixed = Ensemble([network, ClassicalEstimator(redshift, inputs, "svm")])
    mixed.fit(shards, np.arange(60), np.arange(60, 80), epochs=1, strategy="one")
    alone = ClassicalEstimator(redshift, network.inputs, "svm").fit(shards, np.arange(60))
    new = shards.scalars(("a",))[60:]
    found = mixed.sample(None, new)["z"]
    np.testing.assert_array_equal(found[0], network.sample(None, new)["z"][0])
    np.testing.assert_array_equal(found[1], alone.sample(None, new)["z"][0])
    mixed.save(tmp_path / "mixed")
    np.testing.assert_array_equal(load_estimator(tmp_path / "mixed").sample(None, new)["z"], found)
