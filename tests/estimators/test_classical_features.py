"""Classical methods on features of images, alone, with scalars, and with those of a network."""

from __future__ import annotations

import json

import numpy as np
import pytest

from astrocnn.datasets import get_d4_views
from astrocnn.errors import ConfigError, InputsError, ModelError
from astrocnn.estimators import ClassicalEstimator, KerasEstimator, load_estimator
from astrocnn.explain import layer_vectors
from astrocnn.features import compute
from astrocnn.features import fit as fit_features
from astrocnn.imaging import Inputs
from astrocnn.models.layer_access import last_maps

from .conftest import BANDS, SIZE, images_and_classes

TRAIN = np.arange(90)


@pytest.fixture(scope="module")
def bare() -> Inputs:
    return Inputs(BANDS, SIZE, pixel_scale=0.5, unit="nJy")


@pytest.fixture(scope="module")
def fitted(task, bare, shards) -> ClassicalEstimator:
    features = ("hog", "colors", "cas")
    estimator = ClassicalEstimator(task, bare, "logistic_regression", features)
    return estimator.fit(shards, TRAIN)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return images_and_classes(60, seed=4)[0]


def test_training_images_are_mostly_correct(fitted, images):
    wide = images_and_classes(60, seed=4)[1]
    p = fitted.sample(images)["morphology"][0]
    assert ((p[:, 0] > 0.5) == wide).mean() > 0.9
    assert fitted.facts["Features"] == "hog, colors, cas"


def test_features_are_standardized(fitted, shards, images):
    seen = fitted.features(shards.images(TRAIN))
    known = np.isfinite(seen).all(axis=1)
    assert known.sum() > 80
    np.testing.assert_allclose(seen[known].mean(axis=0), 0, atol=1e-4)
    spread = seen[known].std(axis=0)
    assert np.all((np.abs(spread - 1) < 1e-3) | (spread < 1e-3))
    raw, names = compute(("hog", "colors", "cas"), images, 0.5)
    column = names.index("petrosian_radius")
    expected = (raw[:, column] - fitted._features.location[column]) / fitted._features.scale[column]
    np.testing.assert_allclose(fitted.features(images)[:, column], expected, rtol=1e-5)


def test_a_prediction_does_not_depend_on_other_rows(fitted, images):
    whole = fitted.sample(images)["morphology"]
    np.testing.assert_array_equal(fitted.sample(images[::-1])["morphology"][:, ::-1], whole)
    np.testing.assert_array_equal(fitted.sample(images[[7]])["morphology"], whole[:, [7]])
    assert fitted.sample(images[:0])["morphology"].shape == (1, 0, 2)


def test_views_are_averaged(fitted, images):
    some = images[:6]
    found = fitted.sample(some, views="d4")["morphology"]
    each = [fitted.sample(np.ascontiguousarray(v))["morphology"] for v in get_d4_views(some)]
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-6)
    assert np.abs(found - each[0]).max() > 1e-5


def test_a_saved_estimator_predicts_the_same(fitted, images, tmp_path):
    fitted.save(tmp_path / "model")
    again = load_estimator(tmp_path / "model")
    assert again.fingerprint == fitted.fingerprint
    np.testing.assert_array_equal(
        again.sample(images)["morphology"], fitted.sample(images)["morphology"]
    )
    about = json.loads((tmp_path / "model" / "features.json").read_text())
    (tmp_path / "model" / "features.json").write_text(json.dumps({**about, "parts": ["hogs"]}))
    with pytest.raises(ConfigError, match="did you mean 'hog'"):
        load_estimator(tmp_path / "model")


def test_an_image_without_data_is_not_predicted(fitted, images):
    blank = np.concatenate([images[:2], np.full((1, SIZE, SIZE, 2), np.nan)])
    p = fitted.sample(blank)["morphology"][0]
    assert np.isfinite(p[:2]).all() and np.isnan(p[2]).all()


def test_scalars_stand_beside_features(task, bare, shards, images):
    both = Inputs(BANDS, SIZE, pixel_scale=0.5, unit="nJy", scalars=("ebv",))
    estimator = ClassicalEstimator(task, both, "knn", ("gini_m20",)).fit(shards, TRAIN)
    ebv = np.array([[0.02], [np.nan]], np.float32)
    p = estimator.sample(images[:2], ebv)["morphology"][0]
    assert np.isfinite(p[0]).all() and np.isnan(p[1]).all()
    assert estimator.features(images[:2], ebv).shape == (2, 3)
    with pytest.raises(InputsError, match="scalars"):
        estimator.sample(images[:2])


def test_features_of_a_network_join_the_others(task, inputs, shards, images, tmp_path):
    how = {"options": {"width": 0.25}, "precision": "float32"}
    network = KerasEstimator(task, inputs, "plain8", seed=1, **how)
    with pytest.raises(ModelError, match="not been trained"):
        ClassicalEstimator(task, inputs, "knn", (network,)).fit(shards, TRAIN)
    network.fit(shards, TRAIN, np.arange(90, 120), epochs=1)
    both = Inputs(BANDS, SIZE, pixel_scale=0.5, unit="nJy", scalars=("ebv",))
    hybrid = ClassicalEstimator(task, both, "boosted_trees", (network, "gini_m20"))
    hybrid.fit(shards, TRAIN)
    some, ebv = images[:9], np.full((9, 1), 0.05, np.float32)
    width = network.features(some).shape[1]
    seen = hybrid.features(some, ebv)
    assert seen.shape == (9, 1 + width + 2)
    location, scale = hybrid._features.location[:width], hybrid._features.scale[:width]
    expected = (network.features(some) - location) / scale
    np.testing.assert_allclose(seen[:, 1 : 1 + width], expected, rtol=1e-5, atol=1e-5)
    hybrid.save(tmp_path / "model")
    again = load_estimator(tmp_path / "model")
    assert again.fingerprint == hybrid.fingerprint
    np.testing.assert_array_equal(
        again.sample(some, ebv)["morphology"], hybrid.sample(some, ebv)["morphology"]
    )


def test_features_of_any_layer_of_a_network(task, inputs, shards, images, tmp_path):
    network = KerasEstimator(task, inputs, "lenet", seed=1)
    network.fit(shards, TRAIN, np.arange(90, 120), epochs=1)
    layer = last_maps(network.model_)
    normalized = network.inputs.normalization.apply(images)
    expected = layer_vectors(network.model_, normalized, layer)
    np.testing.assert_allclose(network.features(images, layer=layer), expected, atol=1e-5)
    before_heads = network.features(images)
    assert before_heads.shape[1] != expected.shape[1]

    bare = Inputs(BANDS, SIZE, pixel_scale=0.5, unit="nJy")
    hybrid = ClassicalEstimator(task, bare, "knn", (network, (network, layer), "gini_m20"))
    hybrid.fit(shards, TRAIN)
    seen = hybrid.features(images) * hybrid._features.scale + hybrid._features.location
    both = np.hstack([before_heads, expected])
    np.testing.assert_allclose(seen[:, : both.shape[1]], both, rtol=1e-4, atol=1e-4)
    assert hybrid.facts["Features"].count(f", layer {layer}") == 1
    hybrid.save(tmp_path / "model")
    again = load_estimator(tmp_path / "model")
    assert again.fingerprint == hybrid.fingerprint
    np.testing.assert_array_equal(again.features(images), hybrid.features(images))

    with pytest.raises(ModelError, match=f"(?s)no layer '{layer}x'.*{layer} .*did you mean"):
        ClassicalEstimator(task, bare, "knn", ((network, f"{layer}x"),))
    with pytest.raises(ModelError, match="no layers"):
        ClassicalEstimator(task, bare, "knn", ((hybrid, layer),))


def test_features_are_fitted_on_the_training_rows_only(task, bare, shards, images, tmp_path):
    wide = images_and_classes(60, seed=4)[1]
    families = ("descriptors", "pixels")
    estimator = ClassicalEstimator(task, bare, "logistic_regression", families, seed=3)
    estimator.fit(shards, TRAIN)
    expected = fit_features(families, shards.images(TRAIN), seed=3)
    for family, arrays in expected.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(estimator._features.fitted[family][name], array)
    whole = estimator.sample(images)["morphology"]
    assert ((whole[0, :, 0] > 0.5) == wide).mean() > 0.9
    np.testing.assert_array_equal(estimator.sample(images[[7]])["morphology"], whole[:, [7]])

    estimator.save(tmp_path / "model")
    again = load_estimator(tmp_path / "model")
    assert again.fingerprint == estimator.fingerprint
    np.testing.assert_array_equal(again.sample(images)["morphology"], whole)
    again._features.fitted["descriptors"]["words"][0, 0] += 1e-3
    assert again.fingerprint != estimator.fingerprint
    file = tmp_path / "model" / "features.npz"
    for damage in (lambda: file.write_bytes(file.read_bytes()[:500]), file.unlink):
        damage()
        with pytest.raises(ModelError, match=r"features\.npz' cannot be read"):
            load_estimator(tmp_path / "model")


def test_invalid_combinations_are_refused(task, bare):
    with pytest.raises(ConfigError, match="did you mean 'hog'"):
        ClassicalEstimator(task, bare, "knn", ("hogg",))
    with pytest.raises(ModelError, match="scalars only"):
        ClassicalEstimator(task, bare, "knn")
    with pytest.raises(ModelError, match="no bands"):
        ClassicalEstimator(task, Inputs((), 0, scalars=("a",)), "knn", ("hog",))
    other = ClassicalEstimator(task, Inputs((), 0, scalars=("a",)), "knn")
    with pytest.raises(ModelError, match="Only a trained network"):
        ClassicalEstimator(task, bare, "knn", (other,))
