"""A question about an object: classes, yes or no, or the votes of many people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from astrocnn import plugins
from astrocnn.errors import ConfigError
from astrocnn.targets.families import Bernoulli, Categorical, DirichletMultinomial
from astrocnn.targets.target import Target
from astrocnn.targets.tasks._presets import classes_of

__all__ = ["question"]

_OPTIONS = (
    "column",
    "classes",
    "map",
    "answers",
    "total",
    "depends_on",
    "weight",
    "symmetric",
)


def question(name: str, options: str | Mapping[str, Any]) -> Target:
    """A target from the name of its column, or from a mapping of options.

    Raises
    ------
    ConfigError
        If an option is unknown, or the column is missing.
    """
    if isinstance(options, str):
        options = {"column": options}
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"Question '{name}' needs the name of its column, or a table of options.",
            received=repr(options),
        )
    for key in options:
        if key not in _OPTIONS:
            raise ConfigError(
                f"Question '{name}' has no option '{key}'.",
                allowed=_OPTIONS,
                hint=plugins.nearest(key, _OPTIONS),
            )
    depends_on = options.get("depends_on")
    if not (depends_on is None or (isinstance(depends_on, str) and "." in depends_on)):
        raise ConfigError(
            f"What question '{name}' depends on is the answer of another one.",
            received=repr(depends_on),
            hint='depends_on = "smooth_or_featured.featured"',
        )
    if "answers" in options:
        return _votes(name, options)
    if "total" in options:
        raise ConfigError(f"Question '{name}' has a total but no votes.", hint="answers = { ... }")
    if not isinstance(options.get("column"), str):
        raise ConfigError(
            f"Question '{name}' needs the column that holds its answers.",
            received=repr(options.get("column")),
            hint=f'column = "{name}"',
        )
    classes = options.get("classes")
    family = Bernoulli() if classes is None else Categorical(classes_of(classes))
    return Target(
        name,
        family,
        options["column"],
        map=options.get("map"),
        weight=options.get("weight", 1.0),
        symmetric=_symmetric(name, options, () if classes is None else family.classes),
        depends_on=depends_on,
    )


def _votes(name: str, options: Mapping[str, Any]) -> Target:
    answers = options["answers"]
    if not isinstance(answers, Mapping) or not all(isinstance(c, str) for c in answers.values()):
        raise ConfigError(
            f"The answers of question '{name}' are names with their columns of votes.",
            received=repr(answers),
            hint='answers = { smooth = "smooth_votes", featured = "featured_votes" }',
        )
    odd = sorted({"column", "classes", "map"} & set(options))
    if odd:
        raise ConfigError(
            f"Question '{name}' has votes for its answers, and no '{odd[0]}' beside them."
        )
    return Target(
        name,
        DirichletMultinomial(tuple(answers)),
        tuple(answers.values()),
        weight=options.get("weight", 1.0),
        symmetric=_symmetric(name, options, tuple(answers)),
        total=options.get("total"),
        depends_on=options.get("depends_on"),
    )


def _symmetric(name: str, options: Mapping[str, Any], classes: tuple[str, ...]) -> bool:
    said = options.get("symmetric")
    spoken = f"{name} {' '.join(classes)}".lower()
    return not re.search(r"clockwise|handedness", spoken) if said is None else said
