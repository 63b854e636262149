"""README.md tells the truth: its example runs, its commands and their options are there."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer
from astropy.io import fits

from astrocnn.catalog import read_catalog
from astrocnn.cli import app
from astrocnn.flags import Flag
from astrocnn.simulation import CLASSES, simulate

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_the_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    # Only comparisons in benchmarks need them.
    extras = set(project["optional-dependencies"]) - {"oracles"}
    install = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    for page in (README, install):
        table = page.partition("| extra | for |")[2].partition("\n\n")[0]
        named = re.findall(
            r"`(\w+)`", "\n".join(row.split("|")[1] for row in table.split("\n")[2:])
        )
        assert set(named) == extras


def block(language: str, containing: str) -> str:
    """The one code block of a language that holds a text."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    (found,) = (text for spoken, text in blocks if spoken == language and containing in text)
    return found


def lines() -> list[list[str]]:
    """Words of each line of the block of commands, without what explains it."""
    text = block("", "astrocnn train")
    return [shlex.split(re.split(r" {3,}", line)[0]) for line in text.splitlines()]


def test_the_commands_of_the_readme_are_those_of_the_command_line() -> None:
    named = {word for words in lines() for word in "|".join(_verbs(words)).split("|") if word}
    assert named == set(COMMANDS)
    anywhere = set(re.findall(r"`astrocnn ([a-z]+)", README))
    assert anywhere and anywhere <= named


def _verbs(words: list[str]) -> list[str]:
    assert words[0] == "astrocnn"
    return words[1:] if "|" in words else words[1:2]


def test_their_options_and_arguments_exist() -> None:
    checked = 0
    for words in lines():
        if "|" in words:
            continue
        command = COMMANDS[words[1]]
        options = {name for parameter in command.params for name in parameter.opts}
        for word in (word.strip("[]") for word in words[2:]):
            if word.startswith("--"):
                assert word in options, f"astrocnn {words[1]} has no {word}"
                checked += 1
        arguments = [
            p.metavar for p in command.params if p.param_type_name == "argument" and p.required
        ]
        given = words[2:3] if len(words) > 2 and not words[2].startswith(("-", "[")) else []
        assert given == arguments, f"astrocnn {words[1]} takes {arguments}"
    assert checked >= 6


def test_everything_the_example_uses_is_public() -> None:
    import astrocnn

    used = set(re.findall(r"astrocnn\.(\w+)", block("python", "import astrocnn")))
    assert len(used) >= 6
    assert used <= set(astrocnn.__all__)


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a small survey, with small numbers."""
    code = block("python", "import astrocnn")
    for name, number in {"size": 32, "epochs": 2, "draws": 3}.items():
        code, replaced = re.subn(rf"{name}=\d+", f"{name}={number}", code)
        assert replaced == 1
    simulate(tmp_path, n_objects=40, tile_size=400, invalid_rows=4, seed=3)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    catalog = read_catalog(tmp_path / "catalog.fits")
    with fits.open(tmp_path / "predictions.fits") as hdus:
        table = hdus["PREDICTIONS"].data
        assert hdus[0].header["NDRAWS"] == 3
        np.testing.assert_array_equal(table["id"], catalog.ids)
        good = (table["flags"] & int(Flag.NOT_PREDICTED)) == 0
        p = np.stack([table[f"morphology_p_{name}"] for name in CLASSES])
    assert good.sum() == 40 and len(table) == 44
    assert np.isnan(p[:, ~good]).all()
    np.testing.assert_allclose(p[:, good].sum(axis=0), 1, atol=1e-5)
