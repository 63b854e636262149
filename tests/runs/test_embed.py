"""`embed` on a trained run."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from astrocnn.flags import Flag
from astrocnn.runs.run import Run

from .command import astrocnn


def test_the_table_holds_the_features_of_the_network(home, tmp_path):
    out = tmp_path / "embeddings.parquet"
    printed = astrocnn("embed", home / "run", "--out", out)
    assert "166 rows" in printed and out.is_file()
    table = Table.read(out.with_suffix(".fits"), hdu="EMBEDDINGS")
    run = Run.open(home / "run")
    np.testing.assert_array_equal(table["id"], run.catalog.ids)
    good = (np.asarray(table["flags"]) & int(Flag.NOT_PREDICTED)) == 0
    assert good.sum() == 160 and np.isnan(np.ma.getdata(table["embedding"])[~good]).all()
    images = run.source.read(np.flatnonzero(good)[:10]).images
    expected = run.estimator.features(images)
    np.testing.assert_allclose(
        np.ma.getdata(table["embedding"])[good][:10], expected, rtol=1e-5, atol=1e-6
    )


def test_what_cannot_be_embedded_is_one_message(home, tmp_path):
    said = astrocnn("embed", home / "run", "--out", tmp_path / "e.txt", code=2)
    assert "unknown format" in said and ".parquet" in said
    said = astrocnn("embed", home / "run", "--out", home / "sky/catalog.fits", code=2)
    assert "would replace the catalogue" in said
    said = astrocnn(
        "embed", home / "run", "--layer", "pool99", "--out", tmp_path / "e.fits", code=2
    )
    assert "no layer 'pool99'" in said
