"""Components found by name: the file is the registration.

An architecture, a family, a task or a verb is a module in the folder of its kind.  To add
one, add a file; there is no list to edit.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from astrocnn.errors import ConfigError

__all__ = ["folder", "lazy", "load", "names", "nearest"]


def folder(package: str) -> Path:
    """Where the modules of a package of this project lie."""
    return Path(__file__).parent.joinpath(*package.split(".")[1:])


def names(package: str) -> tuple[str, ...]:
    """Names of the components in a package, sorted.

    Modules whose name begins with an underscore, the module ``base`` and folders are not
    components.  Nothing is imported.
    """
    path = folder(package)
    found = (module.name for module in pkgutil.iter_modules([str(path)]) if not module.ispkg)
    return tuple(sorted(n for n in found if n != "base" and not n.startswith("_")))


def load(package: str, name: str) -> ModuleType:
    """Import one component by name.

    Raises
    ------
    ConfigError
        If there is no such component; the message holds the nearest known name.
    """
    known = names(package)
    if name not in known:
        kind = package.rpartition(".")[2]
        raise ConfigError(
            f"There is no '{name}' among the {kind}.",
            allowed=known,
            hint=nearest(name, known),
        )
    return importlib.import_module(f"{package}.{name}")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The hint "did you mean ...?" for a misspelt name, or None when nothing is near."""
    by_lower = {str(k).lower(): str(k) for k in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return f"did you mean '{by_lower[close[0]]}'?" if close else None


def lazy(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package whose public names are imported when first used.

    Parameters
    ----------
    package : str
        Its name.
    homes : mapping of str to str
        Module of the package that each name lives in.
    """

    def getattribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return getattribute
