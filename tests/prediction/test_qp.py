"""Ensembles of qp: what qp reads is what was predicted."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from astrocnn.errors import PredictionError
from astrocnn.prediction import predict, read_pdf, table_formats, to_qp


@pytest.fixture
def qp():
    return pytest.importorskip("qp", reason="qp is not installed: pip install 'astrocnn[photoz]'")


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("form", ["float32", "int16", "quantiles"])
def test_qp_reads_densities_and_exact_identifiers(fake, tmp_path, monkeypatch, qp, form, text):
    monkeypatch.setattr(table_formats, "QP_ROWS", 33)  # the last block has a single row
    catalog, source = fake.survey(100, text=text, broken=False)
    extras = (fake.Brightness(), fake.Counted())
    table = predict(
        fake.Photometric(), catalog, source, tmp_path / "p.fits", pdf=form, extras=extras
    )
    ensemble = qp.read(str(to_qp(table, tmp_path / "p.hdf5")))
    ids, grid, density = read_pdf(table)
    assert ensemble.npdf == 100
    assert ensemble.ancil["OBJECT_ID"].dtype.kind == ids.dtype.kind
    assert ensemble.ancil["OBJECT_ID"].tolist() == catalog.ids.tolist()
    assert text or min(ensemble.ancil["OBJECT_ID"]) < -(2**53)
    np.testing.assert_allclose(ensemble.pdf(grid), density, rtol=1e-6, atol=1e-9)
    mean = (density * grid).sum(axis=1) * 0.05
    np.testing.assert_allclose(ensemble.mean().ravel(), mean, rtol=1e-4)
    told = ensemble.ancil["z_median"]
    slack = {"float32": 1e-5, "int16": 1e-4, "quantiles": 0.01}[form]
    np.testing.assert_allclose(ensemble.ppf(0.5).ravel(), told, atol=slack)
    assert set(ensemble.ancil["side"].tolist()) == {"north", "south"}


def test_a_row_without_a_prediction_stays_and_qp_says_so(fake, tmp_path, qp):
    catalog, source = fake.survey(20)
    table = predict(fake.Photometric(), catalog, source, tmp_path / "p.fits", pdf="int16")
    out = to_qp(table, tmp_path / "p.h5")
    with pytest.warns(RuntimeWarning, match="non-finite values in the pdfs"):
        ensemble = qp.read(str(out), fmt="hdf5")
    assert ensemble.npdf == 20
    gone = np.isnan(ensemble.objdata["pdfs"]).all(axis=1)
    assert np.flatnonzero(gone).tolist() == [fake.broken]


def test_one_of_several_targets(fake, tmp_path, qp):
    catalog, source = fake.survey(20, broken=False)
    estimator = fake.Photometric(targets=("z", "mass"))
    table = predict(estimator, catalog, source, tmp_path / "p.fits", pdf="float32")
    with pytest.raises(PredictionError, match="several targets"):
        to_qp(table, tmp_path / "p.hdf5")
    out = to_qp(table, tmp_path / "p.hdf5", target="mass")
    np.testing.assert_allclose(
        qp.read(str(out)).objdata["pdfs"], read_pdf(table, "mass")[2], rtol=1e-6
    )
    assert not list(tmp_path.glob(".tmp*"))


def test_what_cannot_be_written_is_said(fake, tmp_path, monkeypatch):
    catalog, source = fake.survey(20)
    table = predict(fake.Photometric(), catalog, source, tmp_path / "p.fits")
    with pytest.raises(PredictionError, match="is an HDF5 file"):
        to_qp(table, tmp_path / "p.fits")
    monkeypatch.setitem(sys.modules, "qp", None)
    with pytest.raises(PredictionError, match=r"astrocnn\[photoz\]"):
        to_qp(table, tmp_path / "p.hdf5")


def test_a_table_without_densities_leaves_nothing(fake, tmp_path, qp):
    catalog, source = fake.survey(20)
    table = predict(fake.Photometric(), catalog, source, tmp_path / "p.fits")
    with pytest.raises(PredictionError, match="no predictive densities"):
        to_qp(table, tmp_path / "p.hdf5")
    assert [p.name for p in tmp_path.iterdir()] == ["p.fits"]
