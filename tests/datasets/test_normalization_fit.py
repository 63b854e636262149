"""The normalization sees the training rows, all of them and no others."""

from __future__ import annotations

import numpy as np

from astrocnn.catalog import Catalog
from astrocnn.datasets import fit_normalization, write_shards
from astrocnn.imaging import ArraySource, Inputs, NormalizationFitter


def test_statistics_are_those_of_the_training_rows_alone(shards, images) -> None:
    rows = np.array([0, 1, 2, 10, 11, 12, 30, 45])
    result = fit_normalization(shards, rows[::-1], "linear")
    chosen = images[rows].astype(np.float64)
    np.testing.assert_allclose(result.location, np.nanmean(chosen, axis=(0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(result.scale, np.nanstd(chosen, axis=(0, 1, 2)), rtol=1e-9)
    assert result == fit_normalization(shards, rows, "linear")


def test_softening_is_that_of_the_whole_split_not_of_its_first_tile(tmp_path, monkeypatch) -> None:
    """Noise 1 in the first half of the catalogue and 3 in the second; a small warm-up."""
    monkeypatch.setattr("astrocnn.imaging.normalization_fitter.WARM_UP_IMAGES", 201)
    monkeypatch.setattr("astrocnn.datasets.pipeline.WARM_UP_IMAGES", 201)
    sigma = np.repeat([1.0, 3.0], 1000)[:, None, None, None]
    images = np.random.default_rng(0).normal(size=(2000, 10, 10, 1)) * sigma
    catalog = Catalog.from_table({"id": np.arange(2000)})
    shards = write_shards(tmp_path, catalog, ArraySource(images, "r"), Inputs(("r",), 10))
    naive = NormalizationFitter("asinh").update(images).finish()
    assert naive.softening[0] < 1.2
    fitted = fit_normalization(shards, np.arange(2000), "asinh")
    assert 1.2 < fitted.softening[0] < 2.9
    z = fitted.apply(images)
    assert abs(z.mean()) < 1e-5 and abs(z.std() - 1) < 1e-5
