"""Run files: everything wrong is said at once, and a resolved run reads back the same."""

from __future__ import annotations

import tomllib

import pytest

from astrocnn.errors import ConfigError
from astrocnn.runs.config import dump_run, load_run, parse_run
from astrocnn.runs.run import Run

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
        "task": {"name": "quality"},
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


def test_parameters_of_the_optimizer():
    nesterov = {"optimizer": "nesterov", "parameters": {"momentum": 0.95}, "weight_decay": 1e-4}
    config = parse_run({**GOOD, "training": nesterov})
    assert parse_run(tomllib.loads(dump_run(config))) == config
    assert Run(config).optimizer.options == {"momentum": 0.95, "weight_decay": 1e-4}
    # A run without them is written as it was before there were any.
    assert "parameters" not in tomllib.loads(dump_run(parse_run(GOOD)))["training"]
    for wrong, said in (
        ({"parameters": {"beta_3": 0.9}}, "did you mean 'beta_"),
        ({"parameters": {"momentum": 0.9}}, "allowed: beta_1, beta_2"),
        ({"momentum": 0.9}, "it belongs in [training.parameters]: training.parameters.momentum"),
    ):
        with pytest.raises(ConfigError) as caught:
            parse_run({**GOOD, "training": wrong})
        assert said in str(caught.value)


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
    survey = 'name = "sky"\nimage = "*_{band}.fits"\nbands = ["r"]\n'
    write(tmp_path / "surveys", survey, "sky.toml")
    run = write(
        tmp_path,
        'survey = "surveys/sky.toml"\n[catalog]\nfile = "c.csv"\n[task]\nname = "morphology"\n',
    )
    config = load_run(run)
    assert config.survey == {
        "name": "sky",
        "image": "*_{band}.fits",
        "bands": ["r"],
        "root": str(tmp_path / "surveys"),
    }
    assert config.root == tmp_path


@pytest.mark.parametrize(
    ("survey", "message"),
    [
        (None, "survey file does not exist"),
        ('name = "s"\nkindd = "tiles"\nbands = ["r"]\n', "unknown key 'kindd'"),
        ('name = "s"\nimage = "i"\nreference = "u"\nbands = ["r"]\n', "reference = 'u'"),
    ],
)
def test_mistakes_of_run_and_survey_file_come_in_one_message(tmp_path, survey, message):
    if survey is not None:
        write(tmp_path, survey, "survey.toml")
    path = write(
        tmp_path,
        'survey = "survey.toml"\n[catalog]\nfile = "c.csv"\n[task]\nname = "morphology"\n'
        "[training]\nepoch = 3\n",
    )
    with pytest.raises(ConfigError) as caught:
        load_run(path)
    assert message in str(caught.value)
    assert "training.epoch" in str(caught.value)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"model": {"width": 0.5}}, "model.width: is not known; it belongs in [model.options]"),
        ({"model": {"head_droput": 0.5}}, "did you mean 'options.head_dropout'?"),
        ({"training": {"draws": 5}}, "it belongs in [prediction]: prediction.draws"),
        ({"training": {"titel": "x", "epochs": 0}}, "2 mistakes"),
        ({"epochs": 3}, "it belongs in [training]: training.epochs"),
        ({"inputs": {"title": "x"}}, "at the top of the file, before any table: title"),
        ({"learning_rat": 3}, "did you mean 'training.learning_rate'?"),
        (
            {"model": {"zzzz": 1}},
            "known here: architecture, members, weights, method, classical, features, options",
        ),
        (
            {"search": {"space": {"model.width": {"choices": [1, 2]}}}},
            "there is no 'width' in model; it belongs in [model.options]: model.options.width",
        ),
    ],
)
def test_an_unknown_name_is_sent_to_its_place(section, said):
    with pytest.raises(ConfigError) as caught:
        parse_run({**GOOD, **section})
    assert said in str(caught.value)


def test_names_and_single_options_are_judged_with_all_the_rest():
    wrong = {
        "task": {"name": "morfology"},
        "model": {
            "architecture": "plain9",
            "options": {"activation": "reluu", "widht": 1, "width": -1, "groups": 4},
        },
        "training": {"optimizer": "adamm", "schedule": "cosin", "epochs": 0},
    }
    with pytest.raises(ConfigError) as caught:
        parse_run({**GOOD, **wrong})
    message = str(caught.value)
    assert message.startswith("6 mistakes")
    for right in ("morphology", "plain8", "relu", "width", "adam", "cosine"):
        assert f"did you mean '{right}'?" in message
    assert "received -1; allowed: a number from 0 up" in message
    # Options of a method are its own, and so are networks among its features.
    wrong = {"method": "svn", "features": ["hogg", "cnn:runs/other"], "options": {"widht": 1}}
    with pytest.raises(ConfigError) as caught:
        parse_run({**GOOD, "model": wrong})
    message = str(caught.value)
    assert message.startswith("2 mistakes") and "'svm'" in message and "'hog'" in message


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


def test_a_survey_is_checked_without_the_variables_of_its_paths(tmp_path, monkeypatch):
    """A run can be read where its images are not; a mistake beside them is still found."""
    monkeypatch.delenv("NOWHERE", raising=False)
    survey = 'name = "s"\nimage = "$NOWHERE/{band}.fits"\nbands = ["r"]\n'
    write(tmp_path, survey, "survey.toml")
    run = write(
        tmp_path,
        'survey = "survey.toml"\n[catalog]\nfile = "c.csv"\n[task]\nname = "morphology"\n',
    )
    assert load_run(run).survey["image"] == "$NOWHERE/{band}.fits"
    write(tmp_path, survey + 'resampling = "magic"\n', "survey.toml")
    with pytest.raises(ConfigError, match="resampling = 'magic'"):
        load_run(run)


@pytest.mark.parametrize("section", ["training", "inputs", "augmentation", "prediction", "split"])
def test_every_key_has_a_description_and_a_valid_default(section):
    model = type(getattr(parse_run(GOOD), section))
    for name, field in model.model_fields.items():
        assert field.description and field.description.endswith("."), name
    assert model() == getattr(parse_run(GOOD), section)
