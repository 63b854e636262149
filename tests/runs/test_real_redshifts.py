"""Real cutouts with redshifts: 31 are enough to see that everything fits together, and no more."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

import astrocnn
from astrocnn.imaging import ArraySource


@pytest.mark.real_data
def test_legacy_survey_cutouts_become_a_table_of_redshifts(real_data, tmp_path):
    folder = real_data / "photoz_piczl"
    with np.load(folder / "griz_cutouts.npz") as stored:
        images = np.moveaxis(stored["images"], 1, -1).astype(np.float32)
        z = stored["z"].astype(np.float64)
    rows = Table.read(folder / "catalog_with_z.fits")
    table = Table({"id": np.arange(len(z)), "ra": rows["RA"], "dec": rows["DEC"], "z": z})
    catalog = astrocnn.Catalog.from_table(table)
    source = ArraySource(images, bands=("g", "r", "i", "z"), pixel_scale=0.262)
    task = astrocnn.task("photoz", family="mixture", components=2, range=(0.0, 0.7))
    shards = astrocnn.write_shards(tmp_path / "shards", catalog, source)
    model = astrocnn.KerasEstimator(
        task, shards.inputs, "plain8", options={"width": 0.25}, precision="float32"
    )
    every = np.arange(len(z))
    model.fit(shards, every[::2], every[1::2], epochs=2, batch_size=8)
    out = astrocnn.predict(model, catalog, source, tmp_path / "z.fits", draws=5, pdf="quantiles")
    made = Table.read(out, hdu="PREDICTIONS")
    assert made["id"].tolist() == every.tolist()
    assert np.all((made["z_q16"] < made["z_median"]) & (made["z_median"] < made["z_q84"]))
    assert np.all((made["z_mean"] > 0) & (made["z_mean"] < 0.7))
    ids, _, density = astrocnn.read_pdf(out)
    assert ids.tolist() == every.tolist() and np.isfinite(density).all()
