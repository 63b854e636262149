"""`check` and `train` say the same about the same run."""

from __future__ import annotations

import re
import shlex

import numpy as np
import pytest
from astropy.table import Table

from .command import astrocnn

RUN = """
catalog = { file = "galaxies.ecsv" }
inputs = { scalars = ["g - r", "r"] }
task = { name = "photoz", column = "z", range = [0.0, 0.4], n_bins = 20 }
model = { method = "knn" }
prediction = { draws = 0 }
split = { fractions = [0.7, 0.3, 0.0] }
"""


@pytest.fixture
def run(tmp_path):
    rng = np.random.default_rng(0)
    z = rng.uniform(0, 0.4, 400)
    table = Table({"id": np.arange(400), "g": 20 + z, "r": 19 - z, "z": z})
    table["z"][:40] = np.nan
    table["r"][20:70] = np.nan
    table.write(tmp_path / "galaxies.ecsv")
    (tmp_path / "run.toml").write_text(RUN)
    return tmp_path / "run.toml"


def counts(said):
    return re.search(r"(\d+) train, (\d+) validation, (\d+) test", " ".join(said.split())).groups()


def test_check_and_train_count_the_same_objects(run):
    checked = astrocnn("check", run, "--set", "split.fractions=[0.6,0.2,0.2]")
    trained = astrocnn(
        "train", run, "--out", run.parent / "run", "--set", "split.fractions=[0.6,0.2,0.2]"
    )
    assert counts(checked) == counts(trained)
    assert sum(map(int, counts(trained))) == 400 - 70  # without a redshift or a color
    assert "about" not in checked and "test split is empty" not in checked + trained


def test_an_empty_test_split_is_a_warning_of_both(run):
    checked = astrocnn("check", run)
    trained = astrocnn("train", run, "--out", run.parent / "run")
    for said in (checked, trained):
        assert "the test split is empty" in " ".join(said.split())
        assert counts(said)[2] == "0"


def test_an_empty_validation_split_is_wrong(run):
    said = astrocnn("check", run, "--set", "split.fractions=[0.7,0.0,0.3]", code=1)
    assert "There is no object for: validation" in " ".join(said.split())


def test_numbers_before_images_are_read_are_said_to_be_approximate(home):
    said = " ".join(astrocnn("check", home / "run.toml").split())
    assert "about" in said and "leaves out those without an image" in said


def test_the_last_line_is_the_next_command(run, tmp_path):
    """Each command that is printed can be given as it stands, up to the report."""
    folder = tmp_path / "a run"
    said = astrocnn("train", run, "--out", folder, "--set", "split.fractions=[0.1,0.8,0.1]")
    verbs = []
    while (line := said.splitlines()[-1]).startswith("next: astrocnn ") and "report" not in verbs:
        words = shlex.split(line)[2:]
        verbs.append(words[0])
        said = astrocnn(*words)
    assert verbs == ["calibrate", "evaluate", "report"]
    assert (folder / "report.html").is_file()
    # A classical method has no network to explain.
    assert shlex.split(line)[1:] == ["astrocnn", "predict", str(folder)]
