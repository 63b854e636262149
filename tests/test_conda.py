"""The conda recipe names what `pyproject.toml` names."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import astrocnn

ROOT = Path(__file__).parents[1]
# conda-forge splits these into a package without optional dependencies and one with them.
SPLIT = {"astropy": "astropy-base", "matplotlib": "matplotlib-base"}


def test_dependencies_and_version_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "conda" / "meta.yaml").read_text(encoding="utf-8")
    run = text.partition("\n  run:\n")[2].partition("\n\n")[0]
    listed = dict(re.findall(r"- (\S+) (>=\S+)", run))
    needed = dict(re.fullmatch(r"([\w-]+)(>=\S+)", d).groups() for d in project["dependencies"])
    assert listed.pop("python") == project["requires-python"]
    assert listed == {SPLIT.get(name, name): version for name, version in needed.items()}
    for name, command in project["scripts"].items():
        assert f"- {name} = {command}" in text
    pattern = re.search(r"regex_pattern='(.+)'", text).group(1)
    source = (ROOT / "conda" / "../astrocnn/__init__.py").read_text(encoding="utf-8")
    assert re.search(pattern, source).group(1) == astrocnn.__version__
