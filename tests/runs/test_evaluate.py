"""Scores of another catalogue with labels, beside those of the test split."""

from __future__ import annotations

import importlib.util
import json
import shutil

import numpy as np
import pytest
from astropy.table import Table

from .command import astrocnn


@pytest.fixture(scope="module")
def run(home, tmp_path_factory):
    """A copy of the trained run, its test split scored."""
    folder = tmp_path_factory.mktemp("evaluate")
    shutil.copytree(home / "run", folder / "run")
    astrocnn("evaluate", folder / "run")
    return folder / "run"


def read(file):
    return json.loads(file.read_text())


def test_the_catalogue_of_the_run_has_the_scores_of_its_test_split(home, run):
    """Training and validation objects are recognized by their images and left out."""
    said = astrocnn("evaluate", run, "--catalog", home / "sky/catalog.fits")
    assert "has been scored once" in " ".join(said.split())
    test, other = read(run / "scores.json"), read(run / "scores_catalog.json")
    for key in ("scores", "baselines", "headline", "model", "draws"):
        assert other[key] == test[key]
    assert other["split"] == str(home / "sky/catalog.fits") and other["times_scored"] == 1
    assert not (run / "evaluation/shards").exists()


def test_scorings_of_catalogues_are_counted_apart(home, run, tmp_path, no_pictures):
    table = Table.read(home / "sky/catalog.fits")
    table.rename_column("id", "label of the source")
    table.remove_column("mag_r")
    table.write(tmp_path / "catalog.fits")  # the name of that of the run
    options = ("--catalog", tmp_path / "catalog.fits", "--id", "label of the source")
    before = read(run / "scores.json")
    for times in ("once", "2 times"):
        said = " ".join(astrocnn("evaluate", run, *options).split())
        assert f"scored {times}" in said and "no cut on mag_r" in said
    (file,) = (f for f in run.glob("scores_*.json") if read(f)["split"].startswith(str(tmp_path)))
    assert read(file)["times_scored"] == 2 and set(read(file)["baselines"]) == {"Majority"}
    assert read(run / "scores.json") == before
    astrocnn("report", run)
    page = (run / "report.html").read_text()
    if importlib.util.find_spec("mocpy"):
        assert "coverage.fits (MOC)" in page and (run / "coverage.fits").is_file()
    assert "Other catalogues" in page and str(tmp_path / "catalog.fits") in page


def test_what_cannot_be_scored_is_refused(home, run, tmp_path):
    said = astrocnn("evaluate", run, "--id", "id", code=2)
    assert "belong to the catalogue" in said
    table = Table.read(home / "sky/catalog.fits")
    table["morphology"] = ""
    table.write(tmp_path / "bare.fits")
    said = astrocnn("evaluate", run, "--catalog", tmp_path / "bare.fits", code=2)
    assert "no object with a label" in said
    assert not (run / "scores_bare.json").exists() and not (run / "evaluation/shards").exists()


def test_the_identifier_of_another_catalogue_is_named(home, run, tmp_path):
    table = Table.read(home / "sky/catalog.fits")[:12]
    table["name"] = [f"J{number:04d}" for number in range(12)]
    table.remove_column("id")
    table.rename_column("ra", "RA")
    table.write(tmp_path / "new.fits")
    options = ("--catalog", tmp_path / "new.fits")
    out = ("--out", tmp_path / "p.fits", "--draws", 0)
    astrocnn("predict", run, *options, *out, code=2)
    astrocnn("predict", run, *options, *out, "--id", "name")
    assert list(Table.read(tmp_path / "p.fits", hdu=1)["name"]) == list(table["name"])
    astrocnn(
        "show", home / "sky/survey.toml", *options, "--id", "name", "--out", tmp_path / "s.png"
    )
    assert np.frombuffer((tmp_path / "s.png").read_bytes()[:4], "S4") == b"\x89PNG"
