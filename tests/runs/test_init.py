"""``astrocnn init``: what it writes is a valid survey and a valid run."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from astropy.table import Table

from astrocnn.errors import ConfigError
from astrocnn.imaging import read_survey
from astrocnn.runs.config import load_run
from astrocnn.runs.verbs.init import TEMPLATES, list_surveys, run

PIPELINES = Path(__file__).parents[2] / "pipelines"


def test_the_surveys_of_pipelines_are_found_and_go_into_the_wheel():
    assert set(list_surveys()) == {path.stem for path in PIPELINES.glob("surveys/*.toml")}
    project = tomllib.loads((PIPELINES.parent / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"pipelines": "astrocnn/pipelines"}


@pytest.mark.parametrize("survey", [*TEMPLATES, *list_surveys()])
def test_written_files_are_valid(tmp_path, survey):
    lines = list(run(tmp_path / "new", survey))
    assert "astrocnn check" in lines[-1]
    if survey in TEMPLATES:
        assert read_survey(tmp_path / "new" / "survey.toml").kind == survey
    config = load_run(tmp_path / "new" / "run.toml")
    assert config.survey is not None and config.survey["root"] == str(tmp_path / "new")


def test_roles_and_classes_come_from_the_catalogue(tmp_path):
    table = Table(
        {
            "OBJECT_ID": [2**62 + i for i in range(40)],
            "RA": [10.0] * 40,
            "DEC": [-5.0] * 40,
            "kind": ["spiral", 'say "S0"', "", "star"] * 10,
            "ccd": [1, 2] * 20,
            "mag": [18.0 + i for i in range(40)],
            "z_spec": [0.01 * i for i in range(40)],
        }
    )
    table.write(tmp_path / "c.fits")
    list(run(tmp_path / "a", "tiles", tmp_path / "c.fits"))
    config = load_run(tmp_path / "a" / "run.toml")
    assert (config.catalog.id, config.catalog.ra, config.catalog.dec) == ("OBJECT_ID", "RA", "DEC")
    assert Path(config.catalog.file) == tmp_path / "c.fits"
    assert config.task.options == {"column": "kind", "classes": ['say "S0"', "spiral", "star"]}
    table.remove_column("kind")
    table["z_spec"][3] = 99.0
    table.write(tmp_path / "z.fits")
    list(run(tmp_path / "b", "tiles", tmp_path / "z.fits"))
    config = load_run(tmp_path / "b" / "run.toml")
    assert config.task.name == "photoz"
    assert config.task.options == {"column": "z_spec", "range": [0.0, 0.4]}


def test_existing_files_are_left_alone(tmp_path):
    (tmp_path / "run.toml").write_text("mine")
    with pytest.raises(ConfigError, match="has such files"):
        list(run(tmp_path))
    assert (tmp_path / "run.toml").read_text() == "mine"
    assert not (tmp_path / "survey.toml").exists()


def test_unknown_surveys_are_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'sdss_jpeg'"):
        list(run(tmp_path / "x", "sdss_jpg"))
    assert not (tmp_path / "x").exists()


def test_names_with_quotes_and_backslashes_are_kept(tmp_path):
    odd = tmp_path / 'my "deep" field'
    odd.mkdir()
    Table({"id": [1, 2], 'the "kind"': ["a", "b"]}).write(odd / "c\\d.fits")
    list(run(odd / 'run "1"', "tiles", odd / "c\\d.fits"))
    config = load_run(odd / 'run "1"' / "run.toml")
    assert config.title == 'run "1"' and Path(config.catalog.file) == odd / "c\\d.fits"
    assert config.task.options["column"] == 'the "kind"'
