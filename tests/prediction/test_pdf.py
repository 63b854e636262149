"""Densities in a table of predictions: rows, order, workers, interruption, other readers."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from astrocnn.errors import PredictionError
from astrocnn.imaging import Inputs
from astrocnn.imaging.source import NoImages
from astrocnn.prediction import objects, predict, read_pdf, to_csv, to_parquet

FORMS = ("float32", "int16", "quantiles")


def truth(estimator, source, n, broken, target="z", **way):
    """Predictive masses, computed in one go and in double precision."""
    images = source.read(np.arange(n)).images
    images[broken] = 0.5
    samples = estimator.sample(images, **way)[target].astype(np.float64)
    masses = (samples / samples.sum(axis=-1, keepdims=True)).mean(axis=0)
    masses[broken] = np.nan
    return masses


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", [False, True])
def test_densities_come_out_within_the_error_of_the_header(fake, tmp_path, form, text):
    catalog, source = fake.survey(text=text)
    estimator = fake.Photometric(members=2)
    out = predict(estimator, catalog, source, tmp_path / "p.fits", draws=3, seed=4, pdf=form)
    ids, grid, density = read_pdf(out)
    assert ids.dtype.kind == ("U" if text else "i") and ids.tolist() == catalog.ids.tolist()
    np.testing.assert_allclose(grid, np.arange(30) * 0.05 + 0.025)
    masses = truth(estimator, source, 300, fake.broken, draws=3, seed=4)
    error = fits.getheader(out, "PDF")["CDFERR"]
    assert fits.getheader(out, "PDF").comments["CDFERR"]
    good = np.arange(300) != fake.broken
    assert np.array_equal(np.isfinite(density).all(axis=1), good)
    assert np.array_equal(np.isnan(density).any(axis=1), ~good)
    change = np.abs(np.cumsum(density[good] * 0.05 - masses[good], axis=1)).max()
    # The estimator's float32 masses do not sum to one exactly.
    assert 0.8 * error - 1e-7 <= change <= error + 1e-7
    assert error < {"float32": 1e-6, "int16": 1.7e-5, "quantiles": 0.02}[form]
    np.testing.assert_allclose(density[good].sum(axis=1) * 0.05, 1, rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_plain_fits_readers_see_the_same(fake, tmp_path, form):
    catalog, source = fake.survey()
    out = predict(fake.Photometric(), catalog, source, tmp_path / "p.fits", pdf=form)
    _, grid, density = read_pdf(out)
    with fits.open(out, checksum=True) as hdus:  # warnings are errors
        names = [unit.name for unit in hdus]
        assert names == ["PRIMARY", "PREDICTIONS", "PDF", "PDF_GRID"]
        for unit in hdus:
            assert unit.verify_checksum() == 1 and unit.verify_datasum() == 1
        data, axis = hdus["PDF"].data, hdus["PDF_GRID"].data
        assert np.isnan(data[fake.broken]).all() and len(axis) == data.shape[1]
        if form == "quantiles":
            assert axis["level"][0] == 0 and axis["level"][-1] == 1
            median = data[:, axis["level"].tolist().index(0.5)]
            told = np.asarray(hdus["PREDICTIONS"].data["z_median"])
            np.testing.assert_allclose(median, told, atol=1e-6)
        else:
            np.testing.assert_allclose(axis["center"], grid, rtol=1e-15)
            np.testing.assert_allclose(data, density, rtol=1e-6)
        assert hdus["PDF"].data.dtype.itemsize == 4
        assert hdus["PDF"].header["PDFFORM"] == form


def test_sixteen_bits_are_half_the_size(fake, tmp_path):
    catalog, source = fake.survey(20)
    sizes = {}
    for form in FORMS:
        out = predict(
            fake.Photometric(n_bins=180), catalog, source, tmp_path / f"{form}.fits", pdf=form
        )
        header = fits.getheader(out, "PDF")
        sizes[form] = header["NAXIS1"] * header["NAXIS2"] * abs(header["BITPIX"])
    assert sizes["int16"] == 0.5 * sizes["float32"] and sizes["quantiles"] < sizes["int16"]


def test_some_rows_are_read_alone(fake, tmp_path):
    catalog, source = fake.survey()
    out = predict(fake.Photometric(), catalog, source, tmp_path / "p.fits", pdf="int16")
    ids, _, density = read_pdf(out)
    some = read_pdf(out, rows=slice(3, 200, 7))
    assert some[0].tolist() == ids[3:200:7].tolist()
    np.testing.assert_array_equal(some[2], density[3:200:7])


def test_several_targets_have_an_extension_each(fake, tmp_path):
    catalog, source = fake.survey()
    estimator = fake.Photometric(targets=("z", "log-mass"))
    out = predict(estimator, catalog, source, tmp_path / "p.fits", pdf="int16")
    with fits.open(out) as hdus:
        names = [unit.name for unit in hdus[2:]]
    assert names == ["PDF_Z", "PDF_LOG_MASS", "PDF_Z_GRID", "PDF_LOG_MASS_GRID"]
    for target in ("z", "log-mass"):
        density = read_pdf(out, target)[2]
        masses = truth(estimator, source, 300, fake.broken, target)
        np.testing.assert_allclose(density * 0.05, masses, atol=4e-5)
    with pytest.raises(PredictionError, match=r"(?s)several targets.*log-mass"):
        read_pdf(out)
    with pytest.raises(PredictionError, match="no density of target 'kind'"):
        read_pdf(out, "kind")


def test_a_table_without_densities_says_so(fake, tmp_path):
    catalog, source = fake.survey(20)
    out = predict(fake.Photometric(), catalog, source, tmp_path / "p.fits")
    with pytest.raises(PredictionError, match="holds no predictive densities"):
        read_pdf(out)


@pytest.mark.parametrize("form", FORMS)
def test_any_number_of_workers_gives_the_same_file(fake, tmp_path, form):
    catalog, source = fake.survey()
    way = {"draws": 4, "seed": 3, "pdf": form, "extras": (fake.Brightness(), fake.Counted())}
    alone = predict(fake.Photometric(), catalog, source, tmp_path / "a.fits", **way)
    for i in (2, 3, 1):
        out = predict(
            fake.Photometric(), catalog, source, tmp_path / "b.fits", worker=(i, 3), **way
        )
    assert alone.read_bytes() == out.read_bytes()


@pytest.mark.parametrize("fails_at", [0, 2, 4])
def test_an_interrupted_prediction_continues(fake, tmp_path, fails_at):
    catalog, source = fake.survey()
    way = {"draws": 2, "pdf": "int16", "extras": (fake.Brightness(), fake.Counted())}
    whole = predict(fake.Photometric(), catalog, source, tmp_path / "a.fits", **way)
    broken = fake.Photometric()
    real = broken.sample

    def interrupted(*args, **kwargs):
        if broken.calls == fails_at:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    broken.sample = interrupted
    with pytest.raises(KeyboardInterrupt):
        predict(broken, catalog, source, tmp_path / "b.fits", **way)
    again = fake.Photometric()
    out = predict(again, catalog, source, tmp_path / "b.fits", **way)
    assert again.calls == 5 - fails_at
    assert out.read_bytes() == whole.read_bytes()


def test_another_form_is_another_prediction(fake, tmp_path):
    catalog, source = fake.survey()
    predict(fake.Photometric(), catalog, source, tmp_path / "p.fits", pdf="int16", worker=(1, 2))
    with pytest.raises(PredictionError, match="another prediction"):
        predict(fake.Photometric(), catalog, source, tmp_path / "p.fits", worker=(1, 2))


@pytest.mark.parametrize("budget", [1, 40_000, 10**9])
def test_how_many_rows_are_in_memory_changes_no_byte(fake, tmp_path, monkeypatch, budget):
    catalog, source = fake.survey(90)
    way = {"draws": 3, "pdf": "float32", "extras": (fake.Brightness(), fake.Counted())}
    whole = predict(fake.Photometric(4), catalog, source, tmp_path / "a.fits", **way)
    monkeypatch.setattr(objects, "SAMPLE_BYTES", budget)
    estimator = fake.Photometric(members=4)
    out = predict(estimator, catalog, source, tmp_path / "b.fits", **way)
    assert out.read_bytes() == whole.read_bytes()
    bytes_per_row = 4 * 3 * (30 + 2) * 4
    assert max(estimator.rows) == max(1, min(64, budget // bytes_per_row))


@pytest.mark.parametrize("form", FORMS)
def test_fitsverify_is_content(fake, tmp_path, run, form):
    catalog, source = fake.survey(80)
    out = predict(fake.Photometric(), catalog, source, tmp_path / "p.fits", pdf=form)
    assert "0 warning(s) and 0 error(s)" in run("fitsverify", out)


def test_stilts_reads_the_tables(fake, tmp_path, run):
    catalog, source = fake.survey(80)
    out = predict(fake.Photometric(), catalog, source, tmp_path / "p.fits", pdf="int16")
    grid = run("stilts", "tpipe", f"in={out}#PDF_GRID", "omode=meta")
    assert "center(Double) - Center of the bin" in grid and "Rows:    30" in grid
    ids = run("stilts", "tpipe", f"in={out}", "cmd=keepcols OBJECT_ID", "ofmt=csv")
    assert [int(line) for line in ids.split()[1:]] == catalog.ids.tolist()


def test_parquet_carries_the_densities_and_csv_the_columns(fake, tmp_path, run):
    catalog, source = fake.survey()
    out = predict(
        fake.Photometric(),
        catalog,
        source,
        tmp_path / "p.fits",
        pdf="quantiles",
        extras=(fake.Counted(),),
    )
    _, grid, density = read_pdf(out)
    table = pq.read_table(to_parquet(out, tmp_path / "p.parquet"))
    lists = table.column("PDF").to_pylist()
    assert lists[fake.broken] is None
    lists[fake.broken] = [np.nan] * 30
    np.testing.assert_allclose(np.array(lists), density, rtol=1e-6)
    centers = table.schema.field("PDF").metadata[b"centers"]
    np.testing.assert_allclose(np.fromstring(centers.strip(b"[]"), sep=","), grid)
    text = Table.read(to_csv(out, tmp_path / "p.csv"), format="ascii.csv")
    assert text["OBJECT_ID"].tolist() == catalog.ids.tolist() and "PDF" not in text.colnames
    assert text["n_samples"].tolist() == [1 if i != fake.broken else -1 for i in range(300)]


def test_a_catalogue_without_images(fake, tmp_path):
    catalog, _ = fake.survey(70, broken=False)
    catalog.table["u_g"] = np.random.default_rng(0).uniform(0.1, 0.9, 70)
    catalog.table["u_g"][3] = np.nan
    estimator = fake.Photometric()
    estimator.inputs = Inputs(bands=(), size=0, scalars=("u_g",))
    real = estimator.sample
    estimator.sample = lambda images, scalars, **way: real(scalars[:, :, None, None], **way)
    out = predict(
        estimator, catalog, NoImages(70), tmp_path / "p.fits", pdf="int16", extras=(fake.Counted(),)
    )
    _, grid, density = read_pdf(out)
    assert np.flatnonzero(np.isnan(density[:, 0])).tolist() == [3]
    mean = np.delete((density * grid).sum(axis=1) * 0.05, 3)
    shift = 0.05 * np.random.default_rng(0).normal()
    np.testing.assert_allclose(mean - shift, np.delete(catalog.table["u_g"], 3), atol=2e-3)
    assert fits.getdata(out, 1)["n_samples"].tolist() == [1, 1, 1, -1] + 66 * [1]


def test_no_rows_at_all(fake, tmp_path):
    catalog, source = fake.survey(2, broken=False)
    source = type(source)(source.read(np.arange(0)).images, bands=("g", "r"))
    empty = catalog[np.arange(0)]
    out = predict(fake.Photometric(), empty, source, tmp_path / "p.fits", pdf="float32")
    ids, grid, density = read_pdf(out)
    assert len(ids) == 0 and density.shape == (0, 30) and grid.shape == (30,)
