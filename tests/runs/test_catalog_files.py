"""A run whose training and test objects are in files of their own."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.runs.config import load_run
from astrocnn.runs.run import Run

from .command import astrocnn

RUN = """
[catalog]
file = ["train.csv", "test.fits"]

[split]
files = ["train", "test"]
fractions = [0.8, 0.2, 0.0]

[inputs]
scalars = ["mag_g - mag_r", "mag_r"]

[task]
name = "photoz"
column = "z"
range = [0.0, 1.0]

[model]
method = "knn"

[prediction]
draws = 0
"""


def catalogue(path, ids, seed):
    rng = np.random.default_rng(seed)
    z = rng.uniform(0.1, 0.9, len(ids))
    r = 17 + 4 * z + rng.normal(0, 0.1, len(ids))
    Table({"id": ids, "mag_r": r, "mag_g": r + z, "z": z}).write(path)


@pytest.fixture
def folder(tmp_path):
    catalogue(tmp_path / "train.csv", np.arange(500), 0)
    catalogue(tmp_path / "test.fits", np.arange(1000, 1200), 1)
    (tmp_path / "run.toml").write_text(RUN)
    return tmp_path


def words(text):
    return " ".join(text.replace("│", " ").split())


def test_from_check_to_scores(folder):
    said = words(astrocnn("check", folder / "run.toml"))
    assert "700 rows" in said
    said_of_train = words(astrocnn("train", folder / "run.toml", "--out", folder / "run"))
    counts = said_of_train.split(" objects with labels")[0]
    assert counts in said and counts.endswith(" 200 test")
    run = Run.open(folder / "run")
    assert set(run.shards.ids[run.rows["test"]]) == set(range(1000, 1200))
    fitted = np.concatenate([run.rows["train"], run.rows["validation"]])
    assert set(run.shards.ids[fitted]) == set(range(500))
    assert 350 < len(run.rows["train"]) < 450
    np.testing.assert_array_equal(run.splits, run.shard_splits)
    astrocnn("evaluate", folder / "run")
    scores = json.loads((folder / "run/scores.json").read_text())
    assert {score["n_used"] for score in scores["scores"]} == {200}
    astrocnn("report", folder / "run")
    assert "train.csv, test.fits" in (folder / "run/report.html").read_text()
    astrocnn("predict", folder / "run", "--out", folder / "p.fits")
    table = Table.read(folder / "p.fits", hdu="PREDICTIONS")
    assert table["id"].tolist() == [*range(500), *range(1000, 1200)]
    said = astrocnn("predict", folder / "run", "--out", folder / "test.fits", code=2)
    assert "would replace the catalogue" in said


def test_without_splits_of_files_all_rows_are_divided_by_the_hash(folder):
    text = RUN.replace('files = ["train", "test"]\n', "").replace(
        "[0.8, 0.2, 0.0]", "[0.6, 0.2, 0.2]"
    )
    (folder / "run.toml").write_text(text)
    run = Run(load_run(folder / "run.toml"))
    assert len(np.unique(run.splits[:500])) == len(np.unique(run.splits[500:])) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('files = ["train", "test"]', 'files = ["train"]'), "names 1 splits, catalog.file a list"),
        (('["train.csv", "test.fits"]', '"train.csv"'), "a split for each file of a list"),
        (('files = ["train", "test"]', 'files = ["test", "test"]'), "no file for training"),
        (('files = ["train", "test"]', 'files = ["train", "tset"]'), "split.files"),
        (('["train.csv", "test.fits"]', '["train.csv", "train.csv"]'), "one file or more, each"),
        (('["train.csv", "test.fits"]', "[]"), "one file or more, each once"),
    ],
)
def test_lists_that_do_not_fit_are_refused(folder, change, message):
    (folder / "run.toml").write_text(RUN.replace(*change))
    assert message in words(astrocnn("check", folder / "run.toml", code=2))


def test_identifiers_of_both_files_are_refused_with_their_names(folder):
    catalogue(folder / "again.csv", np.arange(490, 520), 2)
    (folder / "run.toml").write_text(RUN.replace("test.fits", "again.csv"))
    said = words(astrocnn("train", folder / "run.toml", "--out", folder / "run", code=2))
    assert "'train.csv' and 'again.csv' have 10 identifiers in common" in said
    assert not (folder / "run").exists()


def test_init_takes_several_catalogues(folder):
    catalogue(folder / "my_valid.csv", np.arange(2000, 2010), 3)
    files = [folder / name for name in ("train.csv", "my_valid.csv", "test.fits")]
    options = [word for file in files for word in ("--catalog", file)]
    said = words(astrocnn("init", folder / "new", *options))
    assert "train.csv: train, my_valid.csv: validation, test.fits: test" in said
    content = tomllib.loads((folder / "new/run.toml").read_text())
    assert content["catalog"]["file"] == [str(file) for file in files]
    assert content["split"]["files"] == ["train", "validation", "test"]
    splits = Run(load_run(folder / "new/run.toml")).splits
    assert np.bincount(splits).tolist() == [500, 10, 200]
