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
from astrocnn.terminal import build_table
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
    """A table of the names of a kind, each with a sentence, or of the names of all kinds."""
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
    rows = {
        name: [*(others[name]() if name in others else _components(KINDS[name]))]
        for name in (known if kind is None else [kind])
    }
    if kind is not None:
        table = build_table(kind, [""] * len(rows[kind][0]))
        for row in rows[kind]:
            table.add_row(*row)
    else:
        table = build_table("Names of a run file", ("", ""))
        for name, parts in rows.items():
            # Flags have their number first.
            table.add_row(name, ", ".join(row[1 if name == "flags" else 0] for row in parts))
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
