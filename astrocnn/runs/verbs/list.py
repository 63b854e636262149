"""``astrocnn list``: what can be named in a run file."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator

from rich.table import Table

from astrocnn.errors import ConfigError
from astrocnn.flags import Flag
from astrocnn.plugins import names, nearest

__all__ = ["KINDS", "run"]

KINDS = {
    "tasks": "astrocnn.tasks",
    "families": "astrocnn.families",
    "architectures": "astrocnn.models.architectures",
    "methods": "astrocnn.estimators.methods",
    "features": "astrocnn.features",
    "artefacts": "astrocnn.simulation.artefacts",
}


def run(kind: str | None = None) -> Iterator[Table]:
    """Tables of components, with the first sentence of what each says of itself."""
    known = [*KINDS, "flags"]
    if kind is not None and kind not in known:
        raise ConfigError(
            f"There is no list of '{kind}'.", allowed=known, hint=nearest(kind, known)
        )
    for wanted in known if kind is None else [kind]:
        table = Table(title=wanted, title_justify="left", title_style="bold", show_header=False)
        if wanted == "flags":
            for flag in Flag:
                table.add_row(str(int(flag)), str(flag.name), flag.sentence)
        else:
            for name in names(KINDS[wanted]):
                table.add_row(name, _first_sentence(f"{KINDS[wanted]}.{name}"))
        yield table


def _first_sentence(module: str) -> str:
    """Read from the source: listing imports nothing."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return ""
    with open(spec.origin, encoding="utf-8") as stream:
        text = ast.get_docstring(ast.parse(stream.read())) or ""
    return " ".join(text.split("\n\n")[0].split())
