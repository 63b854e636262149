"""Names of classes and answers, which become names of columns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from astrocnn.errors import ConfigError

__all__ = ["check_distinct", "checked_names", "column_name"]


def checked_names(names: Any, kind: str) -> tuple[str, ...]:
    """A list of names as a tuple.

    Parameters
    ----------
    names : iterable of str
        What the user gave.
    kind : str
        What is named, for the messages: ``"class"`` or ``"answer"``.

    Raises
    ------
    ConfigError
        If it is no list, or a name cannot be that of a column.
    """
    several = "classes" if kind == "class" else f"{kind}s"
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigError(
            f"{several.capitalize()} must be a list of names.", received=names, hint="['a', 'b']"
        )
    names = tuple(names)
    for name in names:
        if not isinstance(name, str) or not name.strip() or name != name.strip():
            raise ConfigError(
                f"The name of a {kind} is a text without white space around it.",
                received=repr(name),
                hint='classes = ["star", "galaxy"], and a map for other values',
            )
        if not name.isascii() or not name.isprintable():
            raise ConfigError(
                f"The name of a {kind} must be plain ASCII, because FITS tables are.",
                received=name,
                hint=f'another name, and map = {{ "{name}" = "..." }}',
            )
    return names


def column_name(name: str) -> str:
    """The name with everything but letters, digits and underscores made an underscore."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def check_distinct(suffixes: Iterable[str], names: tuple[str, ...], kind: str) -> None:
    """Refuse names that would give one column twice.

    Raises
    ------
    ConfigError
        If two of the suffixes are the same but for case.
    """
    lower = [suffix.lower() for suffix in suffixes]
    clash = sorted({s for s in lower if lower.count(s) > 1})
    if clash:
        several = "classes" if kind == "class" else f"{kind}s"
        raise ConfigError(
            f"Two {several} would give the same column in the table of predictions.",
            received=[f"{s} (from {several} {', '.join(names)})" for s in clash],
            hint=f"rename one of the {several}",
        )
