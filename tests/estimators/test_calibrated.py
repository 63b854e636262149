from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from scipy.special import expit, logit

from astrocnn.calibration import Novelty, PitRemap, Temperature, calibrate
from astrocnn.catalog import Catalog
from astrocnn.errors import ConfigError, ModelError
from astrocnn.estimators import Calibrated, KerasEstimator, load_estimator
from astrocnn.flags import Flag
from astrocnn.imaging.cutouts import Cutouts
from astrocnn.prediction import predict_objects
from astrocnn.targets import Target, Task
from astrocnn.targets.families.binned import Binned
from astrocnn.targets.families.gaussian import Gaussian

from .conftest import images_and_classes

REMAP = PitRemap((-1.5, 0.0, 1.5), (-0.8, 0.1, 0.8))


@pytest.fixture(scope="module")
def inside(shards, inputs):
    targets = (
        Target("width", Gaussian(0.0, 10.0, n_bins=50), "area"),
        Target("bright", Gaussian(-1.0, 2.0, n_bins=10), "bright"),
    )
    task = Task("two", targets, "width.crps")
    how = {"options": {"head_dropout": 0.3}, "precision": "float32"}
    estimator = KerasEstimator(task, inputs, "lenet", **how)
    with pytest.warns(UserWarning, match="outside the range"):
        estimator.fit(shards, np.arange(90), np.arange(90, 120), epochs=1, strategy="one")
    return estimator


@pytest.fixture(scope="module")
def images():
    return images_and_classes(70, seed=4)[0]


def test_remapped_samples_and_the_families_they_belong_to(inside, images):
    calibrated = Calibrated(inside, {"width": REMAP})
    assert calibrated.task.target("width").family == Binned(
        0.0, 10.0, n_bins=50, relative_errors=False, ucd=""
    )
    assert calibrated.task.target("bright") == inside.task.target("bright")
    raw = inside.sample(images, draws=3, seed=2)
    out = calibrated.sample(images, draws=3, seed=2)
    family = inside.task.target("width").family
    np.testing.assert_array_equal(out["width"], REMAP.apply(family, raw["width"]))
    np.testing.assert_array_equal(out["bright"], raw["bright"])
    assert out["width"].shape == (3, 70, 50)
    names = {column.name for column in inside.task.columns()}
    assert set(calibrated.task.summarize(out)) == names
    np.testing.assert_array_equal(calibrated.features(images), inside.features(images))


def test_no_result_depends_on_the_batch(inside, images):
    calibrated = Calibrated(inside, {"width": REMAP})
    whole = calibrated.sample(images)["width"]
    parts = [calibrated.sample(images[a:b])["width"] for a, b in ((0, 1), (1, 70))]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_a_temperature_on_a_network(shards, task, inputs, images):
    estimator = KerasEstimator(task, inputs, "lenet", precision="float32")
    estimator.fit(shards, np.arange(90), epochs=1, strategy="one")
    hot = Calibrated(estimator, {"bright": Temperature(2.0)})
    assert hot.task == estimator.task
    expected = expit(logit(estimator.sample(images)["bright"].astype(float)) / 2)
    np.testing.assert_allclose(hot.sample(images)["bright"], expected, atol=1e-5)
    same = Calibrated(estimator, {"bright": Temperature(1.0)}).sample(images)
    np.testing.assert_array_equal(same["bright"], estimator.sample(images)["bright"])


def test_a_saved_estimator_predicts_the_same(inside, images, tmp_path):
    calibrated = Calibrated(inside, {"width": REMAP})
    calibrated.save(tmp_path / "model")
    again = load_estimator(tmp_path / "model")
    assert again.remaps == calibrated.remaps
    assert again.fingerprint == calibrated.fingerprint != inside.fingerprint
    np.testing.assert_array_equal(again.sample(images)["width"], calibrated.sample(images)["width"])
    inside.save(tmp_path / "model" / "estimator")
    other = tmp_path / "model" / "calibration.json"
    other.write_text(other.read_text().replace(inside.fingerprint, "0" * 64))
    with pytest.raises(ModelError, match="another model"):
        load_estimator(tmp_path / "model")


def test_remaps_have_to_suit(inside):
    with pytest.raises(ConfigError, match=r"(?s)does not suit.*Temperature for Gaussian"):
        Calibrated(inside, {"width": Temperature(2.0)})
    with pytest.raises(ConfigError, match="no target"):
        Calibrated(inside, {"widht": REMAP})


def test_the_whole_way_from_a_network_to_novelty(inside):
    """Objects of the same kind are no strangers; noise a hundred times as loud is."""
    images, _ = images_and_classes(260, seed=8)
    n = len(images)
    samples, features = inside.sample(images, draws=4), inside.features(images)
    novelty = Novelty.fit(features[:130], features[130:])
    rng = np.random.default_rng(0)
    labels = {
        "width": rng.normal(samples["width"][0, :, 0], 2 * samples["width"][0, :, 1]),
        "bright": rng.normal(samples["bright"][0, :, 0], 0.1),
    }
    encoded = {name: z[:, None].astype(np.float32) for name, z in labels.items()}
    weights = {name: np.ones(n, np.float32) for name in labels}
    found = calibrate(inside, samples, encoded, weights)
    calibrated = Calibrated(inside, found.remaps)
    assert set(calibrated.sample(images[:3])) == {"width", "bright"}
    catalog = Catalog.from_table(Table({"id": np.arange(6)}), id="id")
    flags = np.array([0, 0, Flag.NO_COVERAGE, 0, 0, 0], np.int32)
    cutouts = Cutouts(images[:6], flags, np.zeros((6, 2), np.float32))
    extras = (novelty, *found.extras)
    table = predict_objects(calibrated, catalog, cutouts, draws=4, extras=extras)
    assert {"width_median", "width_conf95_high", "novelty"} <= set(table)
    for name in ("width_median", "width_conf68_low", "novelty_distance"):
        assert np.flatnonzero(np.isnan(table[name])).tolist() == [2]
    assert (table["width_conf95_low"] <= table["width_conf68_low"])[flags == 0].all()
    apart = np.asarray(novelty.score(calibrated.features(images[3:6])), np.float32)
    np.testing.assert_allclose(table["novelty_distance"][3:], apart[1], rtol=1e-5)
    fresh, _ = images_and_classes(200, seed=9)
    same = novelty.score(calibrated.features(fresh))[0]
    assert abs(np.median(same) - 0.5) < 0.12
    strange = novelty.score(calibrated.features(100 * rng.normal(size=fresh.shape)))[0]
    assert np.median(strange) > 0.99
