"""The documentation tells the truth: its run files validate, its commands and names exist."""

from __future__ import annotations

import importlib
import math
import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

import astrocnn
from astrocnn.cli import app
from astrocnn.clusters import ClusterFile
from astrocnn.imaging import read_survey
from astrocnn.models.build import ARCHITECTURES
from astrocnn.plugins import module_names
from astrocnn.runs.config import parse_run
from astrocnn.stored_files import validate

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "docs").glob("*/*.md"))
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
TABLES = {"task", "model", "inputs", "catalog", "augmentation", "training", "pretraining"}


def blocks(language: str) -> list[Any]:
    """Each block of code of a language, with the page that it is on."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            found.append(pytest.param(block, id=f"{page.stem}-{len(found)}"))
    return found


@pytest.mark.parametrize("text", blocks("toml"))
def test_run_and_survey_files_are_valid(text: str, tmp_path: Path) -> None:
    raw = tomllib.loads(text)
    if "bands" in raw:
        (tmp_path / "survey.toml").write_text(text)
        assert read_survey(tmp_path / "survey.toml").bands
        return
    if "cluster" in raw:
        assert validate(raw["cluster"], ClusterFile, "cluster")
        return
    assert set(raw) & TABLES
    raw = {"catalog": {"file": "c.fits"}, "task": {"name": "photoz"}, **raw}
    if isinstance(raw.get("survey"), str) or "scalars" not in raw.get("inputs", {}):
        raw["survey"] = {"name": "s", "kind": "stamps", "bands": []}
    architecture = raw.get("model", {}).get("architecture", "")
    if ".py:" in architecture:
        file, name = architecture.split(":")
        (tmp_path / file).write_text(f"def {name}(image, scalars, block):\n    return image\n")
    parse_run(raw, folder=tmp_path)


def test_commands_and_options_exist() -> None:
    checked = 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"^astrocnn .*$", text, re.MULTILINE):
            words = shlex.split(line.split("   ")[0].split(" # ")[0])
            command = COMMANDS[words[1]]
            options = {name for parameter in command.params for name in parameter.opts}
            for word in words[2:]:
                if word.startswith("--"):
                    assert word in options, f"{page.name}: astrocnn {words[1]} has no {word}"
            checked += 1
    assert checked >= 15


def test_names_of_the_api_page_exist() -> None:
    text = (ROOT / "docs" / "reference" / "api.rst").read_text(encoding="utf-8")
    names = re.findall(r"^   ([A-Za-z_.]+)$", text, re.MULTILINE)
    assert set(astrocnn.__all__) - {"__version__"} <= {*names}, "public names are not documented"
    for name in names:
        module, _, attribute = f"astrocnn.{name}".rpartition(".")
        assert getattr(importlib.import_module(module), attribute).__doc__, name


def test_every_key_of_a_run_file_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    pages = importlib.import_module("reference_pages")
    pages.write_all(tmp_path)
    sys.modules.pop("reference_pages")
    text = (tmp_path / "run_file.md").read_text(encoding="utf-8")
    assert "| `learning_rate` |" in text and "| `n_bins`" not in text
    for name, command in COMMANDS.items():
        commands = (tmp_path / "cli.md").read_text(encoding="utf-8")
        assert f"## `{name}`" in commands
        assert command.help, name


def test_costs_are_hours_for_a_thousand_million_galaxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    text = importlib.import_module("reference_pages").costs()
    sys.modules.pop("reference_pages")
    assert not re.search(r"\{(machine|measured|total)\}", text)
    measured, total = (
        {cells[0]: cells[1:] for cells in _rows_of(part) if "`" in cells[0]}
        for part in text.split("## Extrapolated")
    )
    assert tuple(name.strip("`") for name in measured) == module_names(ARCHITECTURES)
    for name, (shape, *numbers) in measured.items():
        exact, short, draws, short_draws = (None if n == "-" else float(n) for n in numbers)
        hours = [None if c == "-" else float(c.replace(",", "")) for c in total[name]]
        # 10^9 times a millisecond are 278 hours.
        assert hours[0] == pytest.approx(277.8 * min(exact, short), rel=0.06)
        if draws is None:
            assert hours[1] is None
        else:
            assert hours[1] == pytest.approx(277.8 * min(draws, short_draws), rel=0.06)
        if shape != "scalars":
            pixels = math.prod(int(n) for n in shape.split(" x "))
            assert hours[3] == pytest.approx(4e-3 * pixels, rel=0.06)


def _rows_of(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
