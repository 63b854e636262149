"""Tables of predictions, read back."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

import astrocnn
from astrocnn.errors import PredictionError
from astrocnn.flags import Flag
from astrocnn.prediction import predict, read_pdf


@pytest.fixture
def made(fake, tmp_path):
    catalog, source = fake.survey(40)
    out = tmp_path / "p.fits"
    predict(fake.Photometric(), catalog, source, out, draws=3, pdf="float32")
    return out, catalog


def test_columns_flags_and_densities_are_those_of_the_file(made):
    path, catalog = made
    found = astrocnn.read_predictions(path)
    np.testing.assert_array_equal(found.table["OBJECT_ID"], catalog.ids)
    assert len(found) == 40 and found.table.meta["NDRAWS"] == 3
    assert found.table["z_mean"].description == "Mean of the predictive density"
    (lost,) = np.flatnonzero(np.isnan(np.ma.filled(found.table["z_mean"], np.nan)))
    assert Flag.NOT_PREDICTED.sentence in found.flags(lost) and found.flags(0) == []
    assert found.count_flags()[Flag.NOT_PREDICTED.sentence] == 1
    assert repr(found).startswith("<Predictions: objects 40; columns OBJECT_ID, ")
    assert "<td style='text-align:left'>40</td>" in found._repr_html_()
    _, grid, density = read_pdf(path)
    np.testing.assert_array_equal(found.pdf()[0], grid)
    np.testing.assert_array_equal(found.pdf(rows=slice(3, 9))[1], density[3:9])


def test_other_files_are_refused(tmp_path):
    Table({"a": [1]}).write(tmp_path / "other.fits")
    (tmp_path / "text.fits").write_text("no")
    for name in ("other", "text", "absent"):
        with pytest.raises(PredictionError):
            astrocnn.read_predictions(tmp_path / f"{name}.fits")
