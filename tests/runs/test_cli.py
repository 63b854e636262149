"""The command line as a user meets it: a small survey, end to end, and what goes wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from astropy.io import fits
from astropy.table import Table

from astrocnn.runs.directory import RunDirectory
from astrocnn.runs.verbs import doctor
from tests import processes

from .command import RUN, astrocnn


def predictions(path):
    with fits.open(path) as hdus:
        return np.array(hdus["PREDICTIONS"].data).tobytes()


def test_the_chain_from_tiles_to_the_report(home):
    assert "ok" in astrocnn("check", home / "run.toml")
    out = home / "p.fits"
    astrocnn("predict", home / "run", "--out", out)
    table, catalog = Table.read(out), Table.read(home / "sky/catalog.fits")
    np.testing.assert_array_equal(table["id"], catalog["id"])
    lost = np.asarray(table["flags"]) & 2048 > 0
    assert 6 <= lost.sum() < 20  # the awkward rows, and objects on the masked region
    p = np.stack([np.ma.getdata(table[c]) for c in table.colnames if "_p_" in c and "std" not in c])
    assert np.isnan(p[:, lost]).all()
    np.testing.assert_allclose(p[:, ~lost].sum(axis=0), 1, atol=1e-5)
    said = astrocnn("evaluate", home / "run")
    assert "scored once" in said and "Majority" in said
    assert "scored 2 times" in " ".join(astrocnn("evaluate", home / "run").split())
    scores = json.loads((home / "run/scores.json").read_text())
    assert scores["headline"] == "morphology.accuracy" and scores["times_scored"] == 2
    astrocnn("report", home / "run")
    page = (home / "run/report.html").read_text()
    assert "a small survey" in page and "<script" not in page
    assert not re.search(r"""(src|href)=["']?https?:""", page)  # nothing is fetched


def test_brackets_are_shown_as_they_are(home):
    said = astrocnn("check", home / "run.toml", "--set", 'title="flux [red] a\\\\[b]"')
    assert "flux [red] a\\[b]" in said
    assert "direction [dimensionless]." in astrocnn("list", "features")


def test_a_lack_of_memory_is_a_sentence_whoever_says_so(monkeypatch):
    def lacking(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating [9,9]\nmore")

    monkeypatch.setattr(doctor, "run", lacking)
    said = astrocnn("doctor", code=2)
    assert "Out of memory" in said and "OOM when allocating [9,9]" in said
    assert "more" not in said and "training.batch_size" in said


def test_training_twice_says_so_and_another_run_is_refused(home):
    assert "trained already" in astrocnn("train", home / "run.toml", "--out", home / "run")
    said = astrocnn(
        "train", home / "run.toml", "--out", home / "run", "--set", "training.epochs=9", code=2
    )
    assert "training.epochs" in said and "another run" in said


def test_a_second_command_in_one_directory_is_told_at_once(home):
    with RunDirectory(home / "run").claimed():
        for command in (("train", home / "run.toml", "--out"), ("calibrate",), ("evaluate",)):
            said = astrocnn(*command, home / "run", code=2)
            assert "Another process is writing to" in said and "wait until it has ended" in said


@pytest.fixture(scope="module")
def whole(home):
    """Predictions with three draws, made in one go."""
    out = home / "whole.fits"
    astrocnn("predict", home / "run", "--out", out, "--draws", 3)
    return out


def test_killed_predictions_give_the_same_table(home, whole, tmp_path):
    other = home / "killed.fits"
    command = ("predict", home / "run", "--out", other, "--draws", 3)
    process = processes.start(tmp_path / "log", processes.run_command, *command)
    deadline = time.time() + 60
    parts = other.with_name(other.name + ".parts")
    while not list(parts.glob("part-*.fits")) and process.is_alive():
        assert time.time() < deadline
        time.sleep(0.005)
    process.kill()
    process.join()
    astrocnn("predict", home / "run", "--out", other, "--draws", 3)
    assert predictions(whole) == predictions(other)


def test_workers_and_formats(home, whole):
    parts = home / "many.csv"
    assert "missing" in astrocnn(
        "predict", home / "run", "--out", parts, "--draws", 3, "--worker", "2/2"
    )
    astrocnn("predict", home / "run", "--out", parts, "--draws", 3, "--worker", "1/2")
    assert predictions(whole) == predictions(parts.with_suffix(".fits"))
    lines = parts.read_text().splitlines()
    ids = [int(line.split(",")[0]) for line in lines[1:]]
    assert ids == Table.read(home / "sky/catalog.fits")["id"].tolist()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[catalog]\n", "[catalogue]\n"), "did you mean 'catalog'"),
        (("sky/catalog.fits", "sky/none.fits"), "none.fits"),
        (('"elliptical", "spiral", ', '"elliptic", "spiral", '), "did you mean 'elliptic'"),
        (('name = "morphology"', 'name = "morfology"'), "did you mean 'morphology'"),
        (('"euclid_quality"', '"euclid_qualty"'), "did you mean 'euclid_quality'"),
        (("width =", "widht ="), "did you mean 'width'"),
        (('column = "morphology"', 'column = "morfology"'), "did you mean 'morphology'"),
        (("size = 24", "size = 2"), "inputs.size"),
        (("epochs = 2", "epochs = 0"), "training.epochs"),
        (("sky/survey.toml", "sky/surve.toml"), "survey file does not exist"),
    ],
)
def test_mistakes_are_sentences(home, change, said):
    path = home / "wrong.toml"
    path.write_text(RUN.replace(*change))
    out = home / "wrong"
    output = astrocnn("train", path, "--out", out, code=2)
    assert said in " ".join(output.split())
    assert not (out / "model").exists()
    if (out / "config.toml").exists():
        for file in sorted(out.rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()


def test_a_catalogue_elsewhere_on_the_sky(home):
    table = Table.read(home / "sky/catalog.fits")
    table["dec"] = -table["dec"] - 40
    table.write(home / "south.fits", overwrite=True)
    path = home / "south.toml"
    path.write_text(RUN.replace("sky/catalog.fits", "south.fits"))
    said = astrocnn("train", path, "--out", home / "south", code=2)
    assert "Not one object" in said and "no image covers the position" in said


def test_predicting_with_other_bands_is_refused(home):
    survey = (home / "sky/survey.toml").read_text()
    other = home / "sky/other.toml"
    other.write_text(survey.replace('"g", "r", "i", "z"', '"g", "r", "i"'))
    said = astrocnn("predict", home / "run", "--survey", other, "--out", home / "x.fits", code=2)
    assert "lacks a band" in said and "z" in said


def test_help_loads_no_tensorflow():
    command = [sys.executable, "-X", "importtime", "-m", "astrocnn", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "predict" in done.stdout
    assert "tensorflow" not in done.stderr and "keras" not in done.stderr


def test_an_error_is_a_sentence_not_a_traceback(tmp_path):
    command = [sys.executable, "-m", "astrocnn", "check", tmp_path / "none.toml"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "The run file does not exist" in done.stderr
