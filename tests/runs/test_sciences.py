"""The three sciences through the command line: densities, selections, ensembles, calibration."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.prediction import read_pdf
from astrocnn.simulation import simulate_quality

from .command import astrocnn

PHOTOZ = """
title = "redshifts from colors"

[catalog]
file = "galaxies.ecsv"
missing = [99.0]

[inputs]
scalars = ["g - r", "r"]

[split]
fractions = [0.4, 0.35, 0.25]

[task]
name = "photoz"
column = "z"
range = [0.0, 0.4]
n_bins = 50

[model]
method = "knn"

[prediction]
draws = 0
pdf = "int16"

[calibration]
by = "r"
"""

QUALITY = """
title = "quality of stamps"
survey = "sky/survey.toml"

[catalog]
file = "sky/catalog.fits"

[inputs]
size = 32

[split]
fractions = [0.4, 0.4, 0.2]

[task]
name = "quality"
reasons = { saturated = "has_saturated", edge = "has_edge" }

[model]
architecture = "lenet"
members = 2
options = { head_dropout = 0.3 }

[training]
epochs = 2

[prediction]
draws = 3
precision = "float32"

[selection]
completeness = 0.9
"""


def words(text: str) -> str:
    """Without the line breaks of the terminal."""
    return " ".join(text.split())


@pytest.fixture(scope="module")
def redshifts(tmp_path_factory):
    """A catalogue whose color tells the redshift, three of its rows without a magnitude."""
    folder = tmp_path_factory.mktemp("redshifts")
    rng = np.random.default_rng(0)
    z = rng.uniform(0.02, 0.38, 800)
    r = 15 + 10 * z + rng.normal(0, 0.5, 800)
    g = r + 0.5 + 3 * z + rng.normal(0, 0.06, 800)
    g[[5, 300, 799]] = 99.0
    table = Table({"id": np.arange(800) - 2**62, "z": z, "g": g, "r": r})
    table.write(folder / "galaxies.ecsv")
    (folder / "run.toml").write_text(PHOTOZ)
    return folder


def test_redshifts_from_a_catalogue_alone(redshifts):
    run = redshifts / "run"
    checked = words(astrocnn("check", redshifts / "run.toml"))
    assert "method: knn" in checked and "wrong" not in checked
    astrocnn("train", redshifts / "run.toml", "--out", run)
    before = astrocnn("predict", run, "--out", redshifts / "before.fits")
    assert "800 rows" in before
    said = words(astrocnn("calibrate", run))
    assert "Before and after" in said and "objects of the validation split" in said
    astrocnn("predict", run, "--out", redshifts / "after.fits")
    first, second = (Table.read(redshifts / f"{n}.fits", hdu=1) for n in ("before", "after"))
    np.testing.assert_array_equal(second["id"], np.arange(800) - 2**62)
    assert "z_conf68_low" in second.colnames and "z_conf68_low" not in first.colnames
    lost = np.flatnonzero(np.isnan(np.ma.filled(second["z_mean"], np.nan)))
    assert lost.tolist() == [5, 300, 799]
    _, grid, density = read_pdf(redshifts / "after.fits")
    good = np.setdiff1d(np.arange(800), lost)
    width = grid[1] - grid[0]
    np.testing.assert_allclose(density[good].sum(axis=1) * width, 1, atol=2e-3)
    np.testing.assert_allclose(
        density[good] @ grid * width, np.asarray(second["z_mean"])[good], atol=2e-3
    )
    assert "sigma_MAD" in astrocnn("evaluate", run)
    scores = json.loads((run / "scores.json").read_text())
    found = {s["name"]: s["value"] for s in scores["scores"]}
    prior = {s["name"]: s["value"] for s in scores["baselines"]["Prior"]}
    assert scores["calibrated"] and found["sigma_mad"] < 0.4 * prior["sigma_mad"]
    astrocnn("report", run)
    assert "Calibration" in (run / "report.html").read_text()


def test_an_ensemble_of_densities_for_qp(redshifts):
    qp = pytest.importorskip("qp", reason="needs the extra photoz")
    out = redshifts / "densities.hdf5"
    small = Table.read(redshifts / "galaxies.ecsv")[10:40]
    small.write(redshifts / "small.ecsv", overwrite=True)
    astrocnn("predict", redshifts / "run", "--catalog", redshifts / "small.ecsv", "--out", out)
    ensemble = qp.read(str(out))
    assert ensemble.ancil["id"].tolist() == small["id"].tolist()
    table = Table.read(out.with_suffix(".fits"), hdu=1)
    np.testing.assert_allclose(ensemble.median()[:, 0], table["z_median"], atol=0.01)


def test_draws_of_what_has_none_are_refused_before_training(redshifts):
    said = astrocnn(
        "train", redshifts / "run.toml", "--out", redshifts / "drawn", "--set",
        "prediction.draws=5", code=2,
    )  # fmt: skip
    assert "'knn' has no draws" in words(said) and "prediction.draws=0" in said


def test_an_undeclared_sentinel_is_refused_with_its_count(redshifts):
    bare = redshifts / "bare.toml"
    bare.write_text(PHOTOZ.replace("missing = [99.0]\n", ""))
    said = words(astrocnn("train", bare, "--out", redshifts / "bare", code=2))
    assert "99" in said and "3" in said


def test_a_calibration_on_too_few_rows_is_refused(redshifts):
    few = redshifts / "few.toml"
    few.write_text(PHOTOZ.replace("[0.4, 0.35, 0.25]", "[0.8, 0.1, 0.1]"))
    astrocnn("train", few, "--out", redshifts / "few")
    said = words(astrocnn("calibrate", redshifts / "few", code=2))
    assert "200" in said
    assert not (redshifts / "few/calibration.json").exists()


def test_a_calibration_of_another_model_is_refused(redshifts):
    one = json.loads((redshifts / "run/calibration.json").read_text())
    one["model"] = "0" * 64
    (redshifts / "few/calibration.json").write_text(json.dumps(one))
    for old in (redshifts / "run").glob("calibration-*.npz"):
        (redshifts / "few" / old.name).write_bytes(old.read_bytes())
    out = redshifts / "x.fits"
    said = words(astrocnn("predict", redshifts / "few", "--out", out, code=2))
    assert "another model" in said and "calibrate again" in said


def test_quality_by_an_ensemble_down_to_the_cleaned_catalogue(tmp_path, no_pictures):
    simulate_quality(tmp_path / "sky", n_objects=320, size=32, seed=3)
    (tmp_path / "run.toml").write_text(QUALITY)
    run = tmp_path / "run"
    astrocnn("train", tmp_path / "run.toml", "--out", run)
    said = words(astrocnn("calibrate", run))
    assert "Selection at completeness >= 0.9:" in said
    astrocnn("predict", run, "--out", tmp_path / "p.fits")
    catalog = Table.read(tmp_path / "sky/catalog.fits")
    made = Table.read(tmp_path / "p.fits", hdu="PREDICTIONS")
    assert {"usable_p", "selected", "rejected_for", "novelty"} <= set(made.colnames)
    astrocnn(
        "select", tmp_path / "p.fits", "--catalog", tmp_path / "sky/catalog.fits",
        "--out", tmp_path / "clean.fits",
    )  # fmt: skip
    kept = Table.read(tmp_path / "clean.fits", hdu=1)
    rejected = Table.read(tmp_path / "clean-rejected.fits", hdu=1)
    assert sorted([*kept["id"], *rejected["id"]]) == sorted(catalog["id"])
    chosen = np.asarray(made["selected"]) == 1
    np.testing.assert_array_equal(kept["id"], catalog["id"][chosen])
    assert kept.colnames == catalog.colnames and all(rejected["reason"] != "")
    astrocnn("evaluate", run)
    astrocnn("report", run)
    assert "Members" in (run / "report.html").read_text()
