"""``astrocnn list``: the names allowed in a run file."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from astrocnn import plugins
from astrocnn.errors import ConfigError
from astrocnn.flags import Flag
from astrocnn.models.options import ALLOWED, Options
from astrocnn.plugins import folder, module_names, nearest
from astrocnn.training import OPTIMIZERS, PARAMETERS, SCHEDULES

__all__ = ["KINDS", "describe", "run"]

KINDS = {
    "tasks": "astrocnn.targets.tasks",
    "families": "astrocnn.targets.families",
    "architectures": "astrocnn.models.architectures",
    "methods": "astrocnn.estimators.methods",
    "features": "astrocnn.features",
    "artefacts": "astrocnn.simulation.artefacts",
    "augmentations": "astrocnn.datasets.augmentations",
    "pretraining": "astrocnn.pretraining.methods",
    "explain": "astrocnn.explain.methods",
}


def run(kind: str | None = None) -> Iterator[Table]:
    """Tables of names, each with the first sentence of its docstring."""
    others = {
        "options": _options,
        "optimizers": _optimizers,
        "schedules": _schedules,
        "flags": _flags,
    }
    known = [*KINDS, *others]
    if kind is not None and kind not in known:
        raise ConfigError(
            f"There is no list of '{kind}'.", allowed=known, hint=nearest(kind, known)
        )
    for section in known if kind is None else [kind]:
        table = Table(title=section, title_justify="left", title_style="bold", show_header=False)
        for row in others[section]() if section in others else _components(KINDS[section]):
            table.add_row(*row)
        yield table


def _components(package: str) -> Iterator[tuple[str, ...]]:
    for name in module_names(package):
        yield name, describe(folder(package) / f"{name}.py")
    for kind, about in plugins.KINDS.items():
        if about.package == package:
            for name in plugins.names(kind)[len(module_names(package)) :]:
                yield name, "an installed entry point"


def _options() -> Iterator[tuple[str, ...]]:
    """Options of ``[model.options]``, from their docstring."""
    descriptions = re.findall(
        r"^(\w+) : .*\n((?: .*\n)+)", inspect.cleandoc(Options.__doc__ or ""), re.M
    )
    for name, text in descriptions:
        sentence = re.sub(r" \[\d\]_", "", " ".join(text.split())).replace("`", "")
        yield name, ", ".join(ALLOWED.get(name, ())), sentence


def _optimizers() -> Iterator[tuple[str, ...]]:
    """Entries with their parameters in ``[training.parameters]``."""
    return ((name, ", ".join(PARAMETERS[name])) for name in OPTIMIZERS)


def _schedules() -> Iterator[tuple[str, ...]]:
    return ((name,) for name in SCHEDULES)


def _flags() -> Iterator[tuple[str, ...]]:
    return ((str(int(flag)), str(flag.name), flag.sentence) for flag in Flag)


def describe(module: Path) -> str:
    """The first paragraph of the docstring of a file, read without importing it."""
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())
