"""The files of a run: curves, counts of scorings, names of scores, differences of run files."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pytest
import tomli_w

from astrocnn.errors import ConfigError
from astrocnn.runs.config import parse_run
from astrocnn.runs.directory import RunDirectory, differences

GOOD = {
    "catalog": {"file": "catalog.fits"},
    "survey": {"name": "s", "bands": [{"name": "r"}]},
    "task": {"name": "morphology", "classes": ["a", "b"]},
}


@pytest.fixture
def directory(tmp_path):
    return RunDirectory.create(tmp_path / "run", parse_run(GOOD))


@pytest.mark.parametrize(
    ("a", "b", "changed"),
    [
        ({"seed": 0}, {"seed": 1}, ["seed"]),
        ({"t": {"x": 1, "y": 2}}, {"t": {"x": 1, "y": 3, "z": 4}}, ["t.y", "t.z"]),
        ({"t": {"x": 1}}, {}, ["t"]),
        ({"b": 1, "a": {"k": 1}}, {"b": 2, "a": {}}, ["a.k", "b"]),
        ({"t": {"x": 1}}, {"t": {"x": 1}}, ["formatting of config.toml"]),
    ],
)
def test_differences_are_paths(a, b, changed):
    assert differences(a, b) == differences(b, a) == changed


def test_a_run_is_created_once_and_continued(directory):
    again = RunDirectory.create(directory.path, parse_run(GOOD))
    assert again.config() == directory.config() == RunDirectory.open(directory.path).config()
    changed = parse_run({**GOOD, "seed": 3, "training": {"epochs": 2}})
    with pytest.raises(ConfigError, match=r"it differs in: seed, training\.epochs\."):
        RunDirectory.create(directory.path, changed)
    packages = json.loads((directory.path / "environment.json").read_text())["packages"]
    assert packages["numpy"] == np.__version__


def test_a_key_of_a_later_version_at_its_default_changes_nothing(directory):
    older = tomllib.loads(directory.config_file.read_text())
    del older["model"]["classical"], older["training"]["warmup"], older["evaluation"]
    directory.config_file.write_text(tomli_w.dumps(older))
    RunDirectory.create(directory.path, parse_run(GOOD))
    for section, key, value in (
        ("model", "classical", {"svm": {}}),
        ("training", "warmup", 2.0),
        ("evaluation", "by", ["mag"]),
        ("training", "epochs", 3),
    ):
        with pytest.raises(ConfigError, match=section):
            RunDirectory.create(directory.path, parse_run({**GOOD, section: {key: value}}))


def test_a_folder_without_a_run_file_is_no_run(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no config\.toml"):
        RunDirectory.open(tmp_path)


def test_curves_are_numbers_and_nan_where_nothing_was_measured(directory):
    assert directory.curves() == {}
    directory.history.write_text("epoch,loss,val\n1,0.5,\n2,0.25,0.75\n")
    curves = directory.curves()
    assert curves["epoch"] == [1, 2] and curves["loss"] == [0.5, 0.25]
    np.testing.assert_array_equal(curves["val"], [np.nan, 0.75])


@pytest.mark.parametrize("text", ["epoch,loss\n1,abc\n", "", "epoch,loss\n"])
def test_damaged_curves_are_refused(directory, text):
    directory.history.write_text(text)
    with pytest.raises(ConfigError, match=r"damaged(.|\n)*remove history\.csv"):
        directory.curves()


def test_scorings_are_counted_by_name(directory):
    counts = [directory.count_scoring("a"), directory.count_scoring("b")]
    counts += [directory.count_scoring("a", "deep"), directory.count_scoring("a")]
    assert counts == [1, 2, 1, 3]
    log = json.loads((directory.path / "test_scorings.json").read_text())
    assert [entry["objects"] for entry in log] == ["test", "test", "deep", "test"]
    # Entries of before there were other catalogues are of the test split.
    del log[0]["objects"]
    (directory.path / "test_scorings.json").write_text(json.dumps(log))
    assert directory.count_scoring("a") == 4


def test_scores_of_catalogues_of_one_name_are_numbered(directory, tmp_path):
    first, second = tmp_path / "a" / "deep field.v2.fits", tmp_path / "b" / "deep field.csv"
    name, file = directory.name_scores(first)
    assert (name, file.name) == ("deep_field", "scores_deep_field.json")
    file.write_text(json.dumps({"split": str(first.resolve())}))
    assert directory.name_scores(first) == (name, file)
    assert directory.name_scores(second)[0] == "deep_field-2"
    assert directory.name_scores(tmp_path / ".csv")[0] == "catalog"
    assert directory.other_scores() == [file]


def test_kept_draws_are_those_of_the_names(directory):
    with pytest.raises(ConfigError, match=r"holds no samples\.npz yet(.|\n)*astrocnn evaluate"):
        directory.kept_draws(["z"])
    directory.evaluation.mkdir()
    z = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    np.savez(directory.evaluation / "samples.npz", rows=[4, 5, 9], **{"target/z": z})
    rows, draws = directory.kept_draws(["z"])
    assert rows.tolist() == [4, 5, 9]
    np.testing.assert_array_equal(draws["z"], z)
    with pytest.raises(ConfigError, match="damaged"):
        directory.kept_draws(["kind"])


def test_one_process_writes_at_a_time(directory):
    with directory.claimed():
        other = RunDirectory(directory.path)
        with pytest.raises(ConfigError, match="Another process"), other.claimed():
            pass
    with directory.claimed():
        pass


def test_errors_of_damaged_files_become_one(directory):
    path = directory.scores
    path.write_text("{}")
    with pytest.raises(ConfigError, match="damaged"), directory.reading(path, "evaluate"):
        raise KeyError("x")
    with pytest.raises(ConfigError, match=r"^other"), directory.reading(path, "evaluate"):
        raise ConfigError("other")
