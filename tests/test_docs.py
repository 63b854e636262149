"""What the documentation promises: every name says what it is, and every example runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import astrocnn

NAMES = [
    "astrocnn",
    *(module.name for module in pkgutil.walk_packages(astrocnn.__path__, "astrocnn.")),
]


def public(module: ModuleType) -> list[tuple[str, Any]]:
    """Functions and classes a module names in ``__all__`` and defines itself."""
    found = [(name, getattr(module, name)) for name in getattr(module, "__all__", ())]
    return [
        (name, value)
        for name, value in found
        if (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    ]


def methods(cls: type) -> list[tuple[str, str | None]]:
    """Public methods and properties that a class defines itself, with their docstrings."""
    kinds = (property, classmethod, staticmethod)
    found = []
    for name, value in vars(cls).items():
        is_ours = (
            isinstance(value, kinds) or inspect.isfunction(value) or hasattr(value, "attrname")
        )
        if is_ours and not name.startswith("_"):
            found.append((name, inspect.getdoc(value)))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_modules_and_their_public_names_say_what_they_are(name):
    module = importlib.import_module(name)
    sentence = (module.__doc__ or "").strip().split("\n\n")[0]
    assert re.search(r"\w.*[.:?]$", " ".join(sentence.split())), f"{name}: {sentence!r}"
    for label, value in public(module):
        said = value.__doc__ if inspect.isclass(value) else inspect.getdoc(value)
        assert said and said.strip(), f"{name}.{label} has no docstring"
        # What @dataclass writes by itself is a signature, not a sentence.
        assert not said.startswith(f"{label}("), f"{name}.{label} has no docstring of its own"
        if inspect.isclass(value):
            silent = [method for method, text in methods(value) if not text]
            assert not silent, f"{name}.{label}: no docstring of {silent}"


def offered() -> list[Any]:
    """Functions that the package and its folders re-export."""
    folders = [importlib.import_module(name) for name in NAMES]
    values = [
        getattr(folder, name)
        for folder in folders
        if hasattr(folder, "__path__")
        for name in getattr(folder, "__all__", ())
    ]
    unique = {id(v): v for v in values if inspect.isfunction(v)}
    return sorted(unique.values(), key=lambda f: (f.__module__, f.__name__))


@pytest.mark.parametrize("function", offered(), ids=lambda f: f"{f.__module__}.{f.__name__}")
def test_functions_offered_by_a_folder_describe_their_parameters(function):
    said = inspect.getdoc(function) or ""
    named = list(inspect.signature(function).parameters)
    if named and "See `" not in said:
        sections = said.partition("Parameters\n")[2]
        missing = [n for n in named if not re.search(rf"(^|[\s,*]){n}\b", sections)]
        assert not missing, f"{missing} not under Parameters"


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name):
    module = importlib.import_module(name)
    # As in the documentation of numpy itself, examples take `np` for granted.
    results = doctest.testmod(
        module,
        extraglobs={"np": importlib.import_module("numpy")},
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    assert not results.failed


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    found = [
        test
        for name in NAMES
        for test in finder.find(importlib.import_module(name))
        if test.examples
    ]
    assert len(found) > 20


def test_version_is_written_in_one_place():
    root = Path(__file__).parents[1]
    citation = (root / "CITATION.cff").read_text()
    assert f"version: {astrocnn.__version__}\n" in citation
    project = tomllib.loads((root / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "astrocnn/__init__.py"
    assert f"## {astrocnn.__version__}" in (root / "CHANGELOG.md").read_text()
