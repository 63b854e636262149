"""What users do wrong: each mistake ends with a sentence, and nothing of theirs is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.catalog import CatalogWarning
from tests import processes

from . import interrupted
from .command import RUN, astrocnn


def words(text: str) -> str:
    """Without the frame of a table and its line ends."""
    return " ".join(text.replace("│", " ").split())


@pytest.fixture
def broken(home, tmp_path) -> Path:
    """A copy of the run directory to damage."""
    return Path(shutil.copytree(home / "run", tmp_path / "run"))


@pytest.fixture(scope="module")
def scored(home, tmp_path_factory) -> Path:
    """The run directory with the scores of its network."""
    run = Path(shutil.copytree(home / "run", tmp_path_factory.mktemp("scored") / "run"))
    astrocnn("evaluate", run)
    return run


@pytest.mark.parametrize(
    ("file", "content", "verb"),
    [
        ("scores.json", "{", "evaluate"),
        ("history.csv", "", "train"),
        ("environment.json", "1", "train"),
        ("evaluation/samples.npz", "", "evaluate"),
        ("evaluation/samples.npz", "text", "evaluate"),
    ],
)
def test_damaged_files_of_a_run_are_named(scored, tmp_path, file, content, verb):
    broken = shutil.copytree(scored, tmp_path / "run")
    (broken / file).write_text(content)
    said = words(astrocnn("report", broken, code=2))
    assert file in said and ("cannot be read" in said or "is damaged" in said)
    assert f"run 'astrocnn {verb}' again" in said


def test_a_damaged_count_of_scorings_is_not_forgotten(broken):
    log = broken / "test_scorings.json"
    log.write_text("{")
    assert "test_scorings.json' cannot be read" in astrocnn("evaluate", broken, code=2)
    assert log.read_text() == "{"


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        ("model/model.keras", lambda b: b[: len(b) // 2], "network in"),
        ("model/model.keras", lambda b: b[:3000] + bytes(64) + b[3064:], "network in"),
        ("model/inputs.json", lambda b: b"{}", "damaged"),
        ("model/estimator.json", lambda b: b"[]", "estimator.json"),
        ("config.toml", lambda b: b"", "catalog: is needed and absent"),
    ],
)
def test_damaged_estimators_are_named(broken, file, damage, said):
    path = broken / file
    path.write_bytes(damage(path.read_bytes()))
    assert said in astrocnn("predict", broken, "--out", broken / "p.fits", code=2)
    assert not (broken / "p.fits").exists()


def test_a_damaged_manifest_is_named(broken):
    (broken / "shards/manifest.json").write_text("{")
    said = astrocnn("evaluate", broken, code=2)
    assert "manifest.json' cannot be read" in said


def test_predictions_never_replace_the_catalogue(home, tmp_path):
    mine = Path(shutil.copy(home / "sky/catalog.fits", tmp_path / "mine.fits"))
    before = mine.read_bytes()
    for out in (mine, mine.with_suffix(".csv")):
        said = astrocnn("predict", home / "run", "--catalog", mine, "--out", out, code=2)
        assert "replace the catalogue" in said and mine.read_bytes() == before
    other = tmp_path / "other.fits"
    other.write_bytes(before)
    said = astrocnn("predict", home / "run", "--catalog", mine, "--out", other, code=2)
    assert "not replaced" in said and other.read_bytes() == before


def test_simulating_and_detecting_replace_nothing_of_the_user(home, tmp_path):
    mine = tmp_path / "catalog.fits"
    mine.write_text("precious")
    assert "not replaced" in astrocnn("simulate", tmp_path, "--objects", 20, code=2)
    said = astrocnn("detect", home / "sky/survey.toml", "--out", mine, code=2)
    assert "exists" in said and mine.read_text() == "precious"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("simulate", "{file}"), "is a file"),
        (("demo", "--out", "{file}"), "is a file"),
        (("demo", "--task", "photos"), "did you mean 'photoz'"),
        (("check", "{home}"), "run file is a folder"),
        (("detect", "{home}/sky/survey.toml", "--out", "x.xyz"), "unknown format"),
        (
            ("show", "{home}/sky/survey.toml", "--catalog", "{file}", "--out", "x.xyz"),
            "unknown format",
        ),
        (("predict", "{home}/run", "--out", "{file}/x.fits"), "Not a directory"),
        (("predict", "{home}/run", "--worker", "²/3"), "i from 1 to n"),
        (("predict", "{home}/run", "--views", "d5"), "did you mean 'd4'"),
        (("check", "{home}/run.toml", "--set", "inputs.size=1000000"), "inputs.size"),
        (("check", "{home}/run.toml", "--set", "seed=-1"), "seed"),
        (("check", "{home}/run.toml", "--set", "augmentation.rotation=oui"), "One mistake"),
        (("check", "{home}/sky/survey.toml"), "describes a survey, not a run"),
        (("detect", "{home}/run.toml", "--out", "x.fits"), "is a run file, not a survey"),
    ],
)
def test_wrong_arguments(home, tmp_path, command, said):
    file = tmp_path / "file.toml"
    file.write_text("")
    parts = [part.format(home=home, file=file) for part in command]
    assert said in words(astrocnn(*parts, code=2))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("inputs.scalars=['nope']", "no column 'nope'"),
        ("inputs.scalars=['morphology']", "does not hold one number per row"),
        ("evaluation.cut=mag_q", "did you mean 'mag_"),
        ("evaluation.by=['morphology']", "evaluation.by needs a column of numbers"),
        ("split.fractions=[1.0, 0.0, 0.0]", "no object for: validation, test"),
        ("model.options={width=0.25}", "no dropout"),
        (
            "model.options={width=0.4, activation='maxout', normalization='group', groups=4}",
            "2 options of the network are invalid",
        ),
        ("split.by=morpology", "did you mean 'morphology'"),
        ("calibration.by=mag_q", "did you mean 'mag_"),
    ],
)
def test_check_and_train_find_it_before_anything_is_cut(home, tmp_path, override, said):
    arguments = (home / "run.toml", "--set", override)
    found = words(astrocnn("check", *arguments, code=1))
    assert "wrong" in found and said in found
    out = tmp_path / "out"
    if "split" not in override:
        assert said in words(astrocnn("train", *arguments, "--out", out, code=2))
        assert not out.exists()


def changed(home: Path, name: str, change) -> Path:
    table = Table.read(home / "sky/catalog.fits")
    change(table)
    table.write(home / f"{name}.fits", overwrite=True)
    run = home / f"{name}.toml"
    run.write_text(RUN.replace("sky/catalog.fits", f"{name}.fits"))
    return run


def test_one_class_is_nothing_to_learn(home, tmp_path):
    def all_stars(table):
        table["morphology"][:] = "star"

    run = changed(home, "stars", all_stars)
    said = astrocnn("train", run, "--out", tmp_path / "out", code=2)
    assert "nothing to tell apart" in said and "all star" in said


def test_radians_and_exchanged_coordinates_are_recognized_by_where_they_lie(home, tmp_path):
    def radians(table):
        for name in ("ra", "dec"):
            table[name] = np.radians(table[name])
            table[name].unit = None

    def exchanged(table):
        table["ra"], table["dec"] = table["dec"].copy(), table["ra"].copy()

    for change, said in ((radians, "read as radians"), (exchanged, "read with RA and Dec exch")):
        run = changed(home, change.__name__, change)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CatalogWarning)
            found = words(astrocnn("cutouts", run, "--out", tmp_path / change.__name__, code=2))
        assert said in found and "160 of 166 positions tried have an image" in found


def test_square_brackets_survive_the_table_of_findings(home):
    run = changed(home, "no_id", lambda table: table.rename_column("id", "label"))
    assert "under [catalog] in a run file" in words(astrocnn("check", run, code=1))


def test_a_typo_costs_no_tensorflow(home):
    """One process for all, since what one brings along is still there after the next."""
    commands = [
        ("check", home / "none.toml"),
        ("train", home / "run.toml", "--set", "training.epoch=3"),
        ("predict", home / "run", "--worker", "3/2"),
        ("evaluate", home / "none"),
        ("report", home),
    ]
    script = (
        "import json, sys; from astrocnn.cli import main\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['astrocnn', *words]\n"
        "    try: main()\n"
        "    except SystemExit as end: print(words[0], end.code, 'tensorflow' in sys.modules)\n"
    )
    given = json.dumps([[str(word) for word in words] for words in commands])
    done = subprocess.run([sys.executable, "-c", script, given], capture_output=True, text=True)
    expected = [f"{words[0]} 2 False" for words in commands]
    assert done.stdout.splitlines() == expected, done.stderr


def test_interrupted_training_says_how_to_continue(home, tmp_path):
    """Ctrl-C, pressed when the first epoch is safe."""
    out = tmp_path / "out"
    options = ["train", home / "run.toml", "--out", out, "--set", "training.epochs=3"]
    log = tmp_path / "log"
    process = processes.start(log, interrupted.main, *options)
    process.join(180)
    said = log.read_text()
    assert process.exitcode == 130, said
    assert "Interrupted" in said and "Traceback" not in said
    assert (out / "backup/state.npz").exists() and not (out / "model").exists()
    astrocnn(*options)
    assert len((out / "history.csv").read_text().splitlines()) == 4
    assert (out / "model").exists()
