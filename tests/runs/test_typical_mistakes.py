"""Mistakes that new users make: the message names the place and the next step."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.calibration.base import too_few_objects
from astrocnn.catalog import Catalog
from astrocnn.errors import AstrocnnError
from astrocnn.flags import Flag
from astrocnn.runs.config import load_run
from astrocnn.runs.run import Run
from astrocnn.runs.verbs.check import _describe_problems, _images, _labels, _time

from .command import RUN, astrocnn


@pytest.fixture
def files(home, tmp_path):
    """The run and survey files of the simulated survey, to be spoiled."""
    shutil.copy(home / "sky/survey.toml", tmp_path / "survey.toml")
    text = (tmp_path / "survey.toml").read_text().replace('"tiles/', f'"{home}/sky/tiles/')
    (tmp_path / "survey.toml").write_text(text)
    text = RUN.replace("sky/survey.toml", "survey.toml")
    (tmp_path / "run.toml").write_text(text.replace("sky/catalog.fits", f"{home}/sky/catalog.fits"))
    return tmp_path


def source(run):
    return run.source


def catalog(run):
    return run.catalog


@pytest.mark.parametrize(
    "spoil, step, hint",
    [
        (["catalog.file={home}/sky/catalogue.fits"], catalog, "did you mean 'catalog.fits'"),
        (["catalog.file={home}/skies/catalog.fits"], catalog, "there is no folder"),
        (["survey=surveys.toml"], source, "did you mean 'survey.toml'"),
        (["catalog.id=identifier"], catalog, "allowed:"),
        ([], lambda run: run.catalog.numbers("mag_g-mag_r"), "'mag_g - mag_r'"),
        (["task.classes=['a','b']"], _labels, "not in the list of classes"),
        (["catalog.missing='99'"], catalog, "should be a list in brackets"),
    ],
)  # fmt: skip
def test_of_the_run_file(home, files, spoil, step, hint):
    with pytest.raises(AstrocnnError, match=hint):
        step(Run(load_run(files / "run.toml", [text.format(home=home) for text in spoil])))


@pytest.mark.parametrize(
    "found, spoilt, hint",
    [
        ('kind = "tiles"', 'kind = "stamps"', "needs one file template"),
        ('kind = "tiles"', 'kind = "tiles"\npixel_scale = 7e-5', "that of the images"),
        ('hdu = "IMAGE"', 'hdu = "IMAGES"', "did you mean 'IMAGE'"),
    ],
)
def test_of_the_survey_file(files, found, spoilt, hint):
    text = (files / "survey.toml").read_text()
    assert found in text
    (files / "survey.toml").write_text(text.replace(found, spoilt, 1))
    with pytest.raises(AstrocnnError, match=hint):
        _ = Run(load_run(files / "run.toml")).source


def test_stamps_need_a_column_in_their_names(files):
    text = 'kind = "stamps"\nbands = ["r"]\nimage = "tiles/*_r.fits"\n'
    (files / "survey.toml").write_text(text)
    with pytest.raises(AstrocnnError, match='of kind = "tiles"'):
        _ = Run(load_run(files / "run.toml")).source


def test_no_label_at_all_is_told_apart_from_an_empty_split(home, files):
    table = Table.read(home / "sky/catalog.fits")
    table["morphology"] = ""
    table.write(files / "unlabelled.fits")
    run = Run(load_run(files / "run.toml", [f"catalog.file={files}/unlabelled.fits"]))
    with pytest.raises(AstrocnnError, match="No object can be used for training"):
        _labels(run)


def test_positions_elsewhere_are_shown_beside_those_of_the_images(home, files):
    table = Table.read(home / "sky/catalog.fits")
    table["dec"] = np.where(np.isfinite(table["dec"]), 80.0, np.nan)
    table.write(files / "elsewhere.fits")
    run = Run(load_run(files / "run.toml", [f"catalog.file={files}/elsewhere.fits"]))
    finding, _ = _images(run.catalog, run.source)
    assert not finding.passed and finding.message.startswith("none of 64 has an image")
    assert "Dec 80.0000 to 80.0000 deg; images are at RA" in finding.message


def test_exchanged_coordinates_are_recognized_by_the_place_of_the_images():
    for ra, dec in (10.0, -30.0), (359.0, 5.0), (59.1, -30.5):
        images = SimpleNamespace(places=[(ra, dec)], problems=[])
        flags = np.full(3, int(Flag.NO_COVERAGE), np.int32)
        for there, exchanged in (((dec % 360, (ra + 180) % 360 - 180), True), ((ra, 80), False)):
            table = Table({"id": [1, 2, 3], "ra": [there[0]] * 3, "dec": [there[1]] * 3})
            lines = _describe_problems(Catalog.from_table(table), images, flags)
            assert ("exchange ra and dec" in lines[-1]) == exchanged


def test_the_time_of_check_does_not_grow_with_the_stamps(files):
    run = Run(load_run(files / "run.toml"))
    shapes = []
    model = SimpleNamespace(
        input={"image": np.zeros((1, 4000, 4000, 2))},
        predict_on_batch=lambda batch: shapes.append(batch["image"].shape),
    )
    _time(run.config, model, 1000, 100)
    assert set(shapes) == {(1, 4000, 4000, 2)}


def test_messages_on_many_files_are_shown_once(files, tmp_path):
    for k in range(9):
        (tmp_path / f"{k}.fits").write_bytes(b"nothing")
    Table({"id": np.arange(9), "morphology": ["a", "b", "c"] * 3}).write(tmp_path / "c.csv")
    (tmp_path / "survey.toml").write_text('kind = "stamps"\nbands = ["r"]\nimage = "{id}.fits"\n')
    said = astrocnn(
        "check", files / "run.toml", "--set", "catalog.file=c.csv", "--set", "evaluation.cut=peak",
        "--set", "task.classes=['a','b','c']", code=1,
    )  # fmt: skip
    words = " ".join(said.replace("│", " ").split())
    assert words.count("not a FITS file") == 1 and "(9 files or more)" in words
    # Names of files are folded, not cut.
    assert "…" not in said


def test_small_splits_are_told_how_to_go_on():
    text = str(too_few_objects("a calibration", 43, 100))
    assert "split.fractions" in text and "go on without" in text
