"""Run files: everything wrong is said at once, and a resolved run reads back the same."""

from __future__ import annotations

import tomllib

import pytest

from astrocnn.errors import ConfigError
from astrocnn.runs.config import dump_run, load_run, parse_run

GOOD = {
    "catalog": {"file": "catalog.fits"},
    "survey": {"name": "s", "bands": [{"name": "r"}]},
    "task": {"name": "morphology", "classes": ["a", "b"]},
}


def write(tmp_path, text, name="run.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_round_trip():
    config = parse_run(GOOD)
    assert parse_run(tomllib.loads(dump_run(config))) == config


def test_all_mistakes_in_one_message():
    wrong = {
        "catalog": {"fle": "x"},
        "survey": {},
        "task": {"name": "m"},
        "training": {"epoch": 3, "epochs": 0},
        "split": {"fractions": [0.5, 0.1, 0.1]},
    }
    with pytest.raises(ConfigError) as caught:
        parse_run(wrong)
    message = str(caught.value)
    assert message.startswith("5 mistakes")
    for said in (
        "catalog.file: is needed",
        "did you mean 'file'?",
        "did you mean 'epochs'?",
        "training.epochs",
        "sum to 1",
    ):
        assert said in message


def test_overrides_are_toml_values(tmp_path):
    run = write(
        tmp_path,
        'survey = {}\n[catalog]\nfile = "c.csv"\n[task]\nname = "morphology"\n',
    )
    config = load_run(run, ["training.epochs=3", "inputs.bands=['r']", "task.column=kind"])
    assert config.training.epochs == 3
    assert config.inputs.bands == ("r",)
    assert config.task.options == {"column": "kind"}
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        load_run(run, ["epochs"])


def test_survey_file_is_taken_in_with_its_own_root(tmp_path):
    (tmp_path / "surveys").mkdir()
    write(tmp_path / "surveys", 'name = "sky"\n', "sky.toml")
    run = write(
        tmp_path,
        'survey = "surveys/sky.toml"\n[catalog]\nfile = "c.csv"\n[task]\nname = "morphology"\n',
    )
    config = load_run(run)
    assert config.survey == {"name": "sky", "root": str(tmp_path / "surveys")}
    assert config.root == tmp_path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = ", "not a TOML file"),
        ('survey = "none.toml"', "survey file does not exist"),
    ],
)
def test_unreadable_files_are_refused(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        load_run(write(tmp_path, text))
    with pytest.raises(ConfigError, match="does not exist"):
        load_run(tmp_path / "absent.toml")
