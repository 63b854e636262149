from __future__ import annotations

import json
import logging

import keras
import numpy as np
import pytest

from astrocnn.atomic import replacing_folder
from astrocnn.errors import AstrocnnError, InputsError, ModelError
from astrocnn.estimators import KerasEstimator, _network, keras_estimator, load_estimator
from astrocnn.estimators._network import compute_rounding_change
from astrocnn.estimators.base import sample_with_features
from astrocnn.imaging import Inputs
from astrocnn.models.architectures import lenet
from astrocnn.targets import make
from astrocnn.training.precision import bfloat16_works

from .conftest import BANDS, SIZE, images_and_classes

TRAIN, VALIDATION = np.arange(90), np.arange(90, 120)
EARLY = {"spatial_dropout": 0.3, "head_dropout": 0.3}


def _fit(task, inputs, shards, precision="float32", **options):
    how = {"options": {"head_dropout": 0.3}, "precision": precision, "seed": 3}
    estimator = KerasEstimator(task, inputs, "lenet", **how)
    arguments = {"epochs": 3, "strategy": "one", **options}
    return estimator.fit(shards, TRAIN, VALIDATION, **arguments)


@pytest.fixture(scope="module")
def fitted(task, inputs, shards):
    return _fit(task, inputs, shards, precision="auto")


def test_it_is_the_network_on_normalized_images(fitted, inputs):
    images, _ = images_and_classes(20, seed=5)
    raw = fitted.model_({"image": inputs.normalization.apply(images)}, training=False)
    exact = KerasEstimator.sample(fitted, images)
    tolerance = 0.01 if fitted.precision == "bfloat16" else 1e-6
    np.testing.assert_allclose(
        exact["morphology"][0], keras.ops.softmax(raw["morphology"]), atol=tolerance
    )
    np.testing.assert_allclose(exact["bright"][0], keras.ops.sigmoid(raw["bright"]), atol=tolerance)


def test_the_sampler_network_gives_the_draws_of_sample(fitted, inputs, task):
    images, _ = images_and_classes(5, seed=5)
    raw = fitted.drawing(draws=6, seed=2)({"image": inputs.normalization.apply(images)})
    drawn = KerasEstimator.sample(fitted, images, draws=6, seed=2)
    tolerance = 0.01 if fitted.precision == "bfloat16" else 1e-6
    for one in task.targets:
        np.testing.assert_allclose(
            np.moveaxis(one.family.activate(raw[one.name]), 1, 0), drawn[one.name], atol=tolerance
        )
    with pytest.raises(ModelError, match="not been trained"):
        KerasEstimator(task, inputs, "lenet").drawing()


@pytest.mark.parametrize("draws", [0, 6])
def test_samples_and_features_from_one_pass_are_those_of_two(fitted, draws):
    images, _ = images_and_classes(70, seed=5)
    options = {"draws": draws, "seed": 2}
    samples, features = fitted.sample_with_features(images, **options)
    expected = fitted.sample(images, **options)
    assert samples.keys() == expected.keys()
    for name, values in samples.items():
        np.testing.assert_allclose(values, expected[name], atol=1e-6)
    np.testing.assert_allclose(features, fitted.features(images), rtol=1e-5, atol=1e-6)
    apart = [fitted.sample_with_features(part, **options) for part in (images[:7], images[7:])]
    np.testing.assert_array_equal(np.concatenate([part[1] for part in apart]), features)
    averaged, same = sample_with_features(fitted, images[:5], views="d4", **options)
    np.testing.assert_allclose(same, features[:5], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(
        averaged["bright"], fitted.sample(images[:5], views="d4", **options)["bright"]
    )
    assert len(sample_with_features(fitted, images[:0], **options)[1]) == 0


def test_features_behind_dropout_are_those_without_dropout(task, inputs):
    network = KerasEstimator(task, inputs, "lenet", options=EARLY, precision="float32")
    network._adopt(network.network)
    images, _ = images_and_classes(5, seed=5)
    samples, features = network.sample_with_features(images, draws=3)
    np.testing.assert_allclose(features, network.features(images), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        samples["morphology"], network.sample(images, draws=3)["morphology"], atol=1e-6
    )
    assert np.ptp(samples["morphology"], axis=0).max() > 1e-4


def test_the_layers_before_the_features_run_once(fitted, monkeypatch):
    """The network is given to the sampler with its features, and to nothing else."""
    passes = []
    sampler = _network.MonteCarloDropout
    monkeypatch.setattr(
        _network, "MonteCarloDropout", lambda *a: passes.append("draws") or sampler(*a)
    )
    cut = _network.cut_after

    def count(*arguments):
        body = cut(*arguments)
        called = body.call
        body.call = lambda *a, **k: passes.append("features") or called(*a, **k)
        return body

    monkeypatch.setattr(_network, "cut_after", count)
    fitted._forwards.clear()
    fitted.sample_with_features(images_and_classes(3, seed=5)[0], draws=3)
    fitted._forwards.clear()
    assert passes == ["draws"]


def test_prediction_does_not_move_the_network(fitted):
    images, _ = images_and_classes(70, seed=5)
    before = [w.copy() for w in fitted.model_.get_weights()]
    fitted.sample(images, draws=5)
    for old, new in zip(before, fitted.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_sampling_in_many_ways_causes_no_warning(fitted, caplog):
    """Every number of draws is another graph; none of them is traced twice."""
    images, _ = images_and_classes(3, seed=5)
    with caplog.at_level("WARNING", logger="tensorflow"):
        logging.getLogger("tensorflow").addHandler(caplog.handler)
        for draws in range(8):
            fitted.sample(images, draws=draws)
        logging.getLogger("tensorflow").removeHandler(caplog.handler)
    assert "retracing" not in caplog.text


def test_the_seed_decides_everything(fitted, task, inputs, shards):
    again = _fit(task, inputs, shards)
    for old, new in zip(fitted.model_.get_weights(), again.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    losses = again.history_["val_loss"]
    assert set(again.history_.columns) >= {"morphology_accuracy", "val_bright_accuracy"}
    assert losses[-1] < losses[0]
    # Bfloat16 is tried where nobody has decided.
    assert again.bfloat16_change_ == np.inf
    assert not bfloat16_works() or 0 < fitted.bfloat16_change_ < 0.1


def test_an_interrupted_fit_ends_with_the_same_weights(fitted, task, inputs, shards, tmp_path):
    class Stop(Exception):
        pass

    def stop(history):
        if len(history) == 2:
            raise Stop

    with pytest.raises(Stop):
        _fit(task, inputs, shards, backup=tmp_path, callbacks=[stop])
    again = _fit(task, inputs, shards, backup=tmp_path)
    for old, new in zip(fitted.model_.get_weights(), again.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_augmentation_and_balance_change_the_training(fitted, task, inputs, shards):
    for options in ({"balance": True}, {"augmentation": {"d4": True}}):
        other = _fit(task, inputs, shards, **options)
        change = np.abs(other.model_.get_weights()[0] - fitted.model_.get_weights()[0]).max()
        assert change > 1e-5


def test_a_normalization_is_measured_when_there_is_none(task, shards):
    bare = Inputs(BANDS, SIZE, pixel_scale=0.5, unit="nJy", mask_channel=True)
    estimator = KerasEstimator(task, bare, "lenet", precision="float32").fit(
        shards, TRAIN, epochs=1, strategy="one"
    )
    assert estimator.inputs.normalization.mask_channel
    values = estimator.inputs.normalization.apply(shards.images(TRAIN))[..., :2]
    assert abs(values.mean()) < 0.05


def test_draws_without_dropout_are_an_error(task, inputs, shards):
    estimator = KerasEstimator(task, inputs, "lenet", precision="float32").fit(
        shards, TRAIN, epochs=1, strategy="one"
    )
    with pytest.raises(ModelError, match=r"[Dd]ropout"):
        estimator.sample(images_and_classes(3)[0], draws=2)
    assert np.isfinite(estimator.sample(images_and_classes(3)[0])["bright"]).all()


def test_shards_of_other_bands_are_refused(task, inputs, shards):
    other = Inputs(("u", "r"), SIZE, normalization=inputs.normalization)
    with pytest.raises(InputsError, match="missing u"):
        KerasEstimator(task, other, "lenet").fit(shards, TRAIN, epochs=1, strategy="one")


def test_scalars_reach_the_network(task, inputs, shards):
    with_ebv = Inputs(
        BANDS, SIZE, pixel_scale=0.5, scalars=("ebv",), normalization=inputs.normalization
    )
    estimator = KerasEstimator(task, with_ebv, "lenet", precision="float32").fit(
        shards, TRAIN, epochs=1, strategy="one"
    )
    images = images_and_classes(5)[0]
    low = estimator.sample(images, np.zeros((5, 1)))["morphology"]
    high = estimator.sample(images, np.full((5, 1), 20.0))["morphology"]
    assert np.abs(low - high).max() > 1e-3
    with pytest.raises(InputsError, match=r"(?s)scalars.*\(5, 1\): ebv"):
        estimator.sample(images)


def test_reflections_are_left_out_when_they_change_a_label(inputs, shards, task):
    winding = make("morphology", classes=("galaxy", "star"), column="kind", symmetric=False)
    estimator = KerasEstimator(winding, inputs, "lenet", precision="float32").fit(
        shards, TRAIN, epochs=1, strategy="one"
    )
    images = images_and_classes(8)[0]
    averaged = estimator.sample(images, views="d4")["morphology"]
    turns = [estimator.sample(np.rot90(images, k, axes=(1, 2)))["morphology"] for k in range(4)]
    np.testing.assert_allclose(averaged, np.mean(turns, axis=0), atol=1e-6)


def test_auto_takes_bfloat16_only_where_it_is_fast_and_near(fitted, monkeypatch, tmp_path):
    images = images_and_classes(40, seed=5)[0]
    for fast, change, expected in (
        (True, 0.004, "bfloat16"),
        (True, 0.006, "float32"),
        (False, 0.004, "float32"),
    ):
        trial = lambda model, fingerprint, fast=fast: fast  # noqa: E731
        monkeypatch.setattr(keras_estimator, "predicts_faster_in_bfloat16", trial)
        monkeypatch.setattr(fitted, "_faster", None)
        monkeypatch.setattr(fitted, "bfloat16_change_", change)
        assert fitted.precision == expected
        found = fitted.sample(images)["morphology"]
        monkeypatch.setattr(fitted, "requested_precision", expected)
        np.testing.assert_array_equal(found, fitted.sample(images)["morphology"])
        fitted.save(tmp_path / "model")
        assert load_estimator(tmp_path / "model").precision == expected
        monkeypatch.setattr(fitted, "requested_precision", "auto")


def test_the_change_by_bfloat16_is_that_of_the_predictions(fitted, task, inputs):
    images = images_and_classes(40, seed=5)[0]
    change = compute_rounding_change(fitted.model_, task, inputs, images, None)
    found = []
    for draws in (0, 10):
        both = []
        for precision in ("float32", "bfloat16"):
            estimator = KerasEstimator(task, inputs, "lenet", precision=precision)
            estimator._adopt(fitted.model_)
            both.append(estimator.sample(images, draws=draws))
        found += [np.abs(both[0][k].mean(0) - both[1][k].mean(0)).max() for k in both[0]]
    assert change == pytest.approx(max(found), rel=1e-6)
    assert 0 < change < 0.1


def test_a_damaged_file_is_named(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    assert {p.name for p in (tmp_path / "model").iterdir()} == {
        "model.keras",
        "inputs.json",
        "estimator.json",
    }
    about = tmp_path / "model" / "estimator.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"kind": "oracle"}))
    with pytest.raises(AstrocnnError, match=r"(?s)oracle.*keras_estimator"):
        load_estimator(tmp_path / "model")
    fitted.save(tmp_path / "model")
    network = tmp_path / "model" / "model.keras"
    network.write_bytes(network.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"network in .* cannot be read"):
        load_estimator(tmp_path / "model")
    (tmp_path / "model" / "inputs.json").unlink()
    with pytest.raises(ModelError, match=r"inputs\.json"):
        load_estimator(tmp_path / "model")


def test_a_failed_save_leaves_what_was_there(fitted, tmp_path, monkeypatch):
    fitted.save(tmp_path / "model")
    before = (tmp_path / "model" / "model.keras").read_bytes()
    with pytest.raises(RuntimeError), replacing_folder(tmp_path / "model") as folder:
        (folder / "model.keras").write_bytes(b"half")
        raise RuntimeError
    assert (tmp_path / "model" / "model.keras").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_auxiliary_heads_are_trained_and_removed(task, shards, inputs, tmp_path, monkeypatch):
    # That of a paper is slow to trace; places and heads are declared in the same way.
    monkeypatch.setattr(lenet, "AUXILIARY", ("pool1", "pool2"), raising=False)
    monkeypatch.setattr(lenet, "auxiliary", lambda x, block: block.flatten(x), raising=False)
    estimator = KerasEstimator(task, inputs, "lenet", options={"auxiliary": 0.3})
    rows = np.arange(len(shards))
    estimator.fit(shards, rows[:-8], rows[-8:], epochs=2)
    assert set(estimator.model_.output) == {t.name for t in task.targets}
    assert not [x.name for x in estimator.model_.layers if "auxiliary" in x.name]
    row = estimator.history_.rows[-1]
    shares = {f"{t.name}_auxiliary{n}": 0.3 for t in task.targets for n in (1, 2)}
    shares |= {t.name: 1.0 for t in task.targets}
    total = sum(share * row[f"{name}_loss"] for name, share in shares.items())
    assert row["loss"] == pytest.approx(total, rel=1e-5)
    assert [key for key in row if key.startswith("val_") and "auxiliary" in key] == []
    estimator.save(tmp_path / "estimator")
    again = KerasEstimator.load(tmp_path / "estimator")
    assert again.fingerprint == estimator.fingerprint


def test_chunks_of_any_size_share_one_sampler_and_one_graph(fitted, monkeypatch):
    made = []
    initialize = _network.Forward.__init__

    def count(self, *arguments, **options):
        made.append(self)
        initialize(self, *arguments, **options)

    monkeypatch.setattr(_network.Forward, "__init__", count)
    images = images_and_classes(90, seed=8)[0]
    for rows in (slice(0, 90), slice(0, 64), slice(5, 8)):
        fitted.sample(images[rows], draws=4, seed=12345)
    assert len(made) == 1
    assert made[0]._step.experimental_get_tracing_count() == 1
