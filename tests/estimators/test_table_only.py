"""From a table without images to a table of predictions."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.catalog import Catalog
from astrocnn.datasets import write_shards
from astrocnn.errors import CatalogError, ModelError
from astrocnn.estimators import ClassicalEstimator, KerasEstimator, load_estimator
from astrocnn.flags import Flag
from astrocnn.imaging import ArraySource, Inputs, NoImages
from astrocnn.prediction import predict
from astrocnn.targets import make

N, TRAIN, VALIDATION = 600, np.arange(400), np.arange(400, 500)
INPUTS = Inputs((), 0, scalars=("mag_g", "mag_r"))
TASK = make("photoz", column="z", range=(0.0, 1.0), n_bins=50)


def table(seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    z = rng.uniform(0.1, 0.9, N)
    r = rng.normal(19, 1, N)
    g = r + 1.5 * z + rng.normal(0, 0.05, N)
    g[[3, 450]] = 99.0
    return Table({"id": np.arange(N) - 7, "mag_g": g, "mag_r": r, "z": z})


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.from_table(table(), missing=(99.0,))


@pytest.fixture(scope="module", params=["ann", "knn"])
def fitted(request, catalog, tmp_path_factory):
    shards = write_shards(tmp_path_factory.mktemp("shards"), catalog, NoImages(N), INPUTS)
    if request.param == "knn":
        return ClassicalEstimator(TASK, INPUTS, "knn").fit(shards, TRAIN)
    how = {"options": {"width": 8}, "precision": "float32"}
    network = KerasEstimator(TASK, INPUTS, "ann", seed=2, **how)
    return network.fit(
        shards, TRAIN, VALIDATION, epochs=25, batch_size=32, strategy="one", optimizer="adam"
    )


def test_colors_predict_the_class(fitted, catalog):
    scalars = np.stack([catalog.numbers(n) for n in INPUTS.scalars], axis=1)[500:]
    columns = TASK.summarize(fitted.sample(None, scalars))
    assert np.std(columns["z_mean"] - catalog.table["z"][500:]) < 0.09  # from 0.23 of all


def test_scalars_are_standardized_by_the_training_rows(fitted, catalog):
    g = catalog.numbers("mag_g")[TRAIN]
    assert fitted.inputs.scalar_location[0] == pytest.approx(np.nanmean(g), rel=1e-6)
    assert fitted.inputs.scalar_scale[0] == pytest.approx(np.nanstd(g), rel=1e-6)


def test_a_saved_estimator_predicts_the_same(fitted, catalog, tmp_path):
    scalars = np.stack([catalog.numbers(n) for n in INPUTS.scalars], axis=1)[10:40]
    fitted.save(tmp_path / "model")
    again = load_estimator(tmp_path / "model")
    assert again.inputs == fitted.inputs and again.fingerprint == fitted.fingerprint
    np.testing.assert_array_equal(
        again.sample(None, scalars)["z"], fitted.sample(None, scalars)["z"]
    )
    with pytest.raises(ModelError, match="views"):
        again.sample(None, scalars, views="d5")
    np.testing.assert_array_equal(
        again.sample(None, scalars, views="d4")["z"], fitted.sample(None, scalars)["z"]
    )


def test_every_row_is_predicted_or_flagged_and_none_is_dropped(fitted, catalog, tmp_path):
    out = predict(fitted, catalog, NoImages(N), tmp_path / "p.fits")
    found = Table.read(out, hdu="PREDICTIONS")
    assert found["id"].tolist() == catalog.ids.tolist()
    gone = np.isin(np.arange(N), [3, 450])
    np.testing.assert_array_equal(np.isnan(np.ma.filled(found["z_mean"], np.nan)), gone)
    wanted = Flag.SCALAR_MISSING | Flag.NOT_PREDICTED
    np.testing.assert_array_equal(found["flags"], np.where(gone, wanted, 0))
    scalars = np.stack([catalog.numbers(n) for n in INPUTS.scalars], axis=1)[~gone]
    columns = TASK.summarize(fitted.sample(None, scalars))
    np.testing.assert_array_equal(np.asarray(found["z_mean"])[~gone], columns["z_mean"])


def test_images_beside_the_table_are_not_read(fitted, catalog, tmp_path):
    class Refusing(ArraySource):
        def read(self, rows, out=None):
            raise AssertionError("read")

    source = Refusing(np.zeros((N, 2, 2, 1)), ["r"])
    with_images = predict(fitted, catalog, source, tmp_path / "a.fits")
    without = predict(fitted, catalog, NoImages(N), tmp_path / "b.fits")
    assert with_images.read_bytes() == without.read_bytes()


def test_undeclared_sentinels_are_refused_before_anything_is_written(fitted, tmp_path):
    with pytest.raises(CatalogError, match="mag_g: 2 x 99"):
        predict(fitted, Catalog.from_table(table()), NoImages(N), tmp_path / "p.fits")
    assert not list(tmp_path.iterdir())
