"""Targets from the options of a run file: questions and quantities."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from astrocnn import plugins
from astrocnn.errors import ConfigError
from astrocnn.targets.families import (
    Bernoulli,
    Categorical,
    DirichletMultinomial,
    QuantityFamily,
)
from astrocnn.targets.target import Target

__all__ = ["CLASS_LISTS", "build_quantity", "build_question", "get_classes"]

CLASS_LISTS = {
    # Main morphology classes of the CANDELS visual classification (Kartaltepe et al. 2015, ApJS
    # 221, 11), as used by Huertas-Company et al. (2015), ApJS 221, 8.  A galaxy may
    # be in several there; as classes that exclude one another they stand for the dominant one.
    "candels5": ("spheroid", "disk", "irregular", "point_source", "unclassifiable"),
    # Revised Hubble sequence (de Vaucouleurs 1959), the stages from late Sc onwards together, as
    # there are few of them in flux-limited samples (Nair & Abraham 2010, ApJS 186, 427).
    "hubble": ("E", "S0", "Sa", "Sb", "Sc", "Sd_Irr"),
    # The six buttons of Galaxy Zoo (Lintott et al. 2008, MNRAS 389, 1179, table 1).
    "galaxy_zoo": (
        "elliptical",
        "spiral_clockwise",
        "spiral_anticlockwise",
        "edge_on",
        "star_or_dont_know",
        "merger",
    ),
}
"""Lists of classes with an established name in the literature."""

_VOTE_OPTIONS = ("answers", "total", "depends_on")
_QUESTION_OPTIONS = ("column", "classes", "map", *_VOTE_OPTIONS, "weight", "symmetric")
_QUANTITY_OPTIONS = ("column", "range", "family", "map", "weight")
# The range gives these fields of a family.
_ENDS = ("low", "high")


def get_classes(classes: Sequence[str] | str) -> Sequence[str]:
    """The classes of a list by its name (else `ConfigError`); a list is returned as it is."""
    if not isinstance(classes, str):
        return classes
    if classes not in CLASS_LISTS:
        raise ConfigError(
            f"There is no list of classes named '{classes}'.",
            allowed=CLASS_LISTS,
            hint=plugins.nearest(classes, CLASS_LISTS) or 'classes = ["elliptical", "spiral"]',
        )
    return CLASS_LISTS[classes]


def build_question(
    name: str, options: str | Mapping[str, Any], *, ucd: str = "src.class"
) -> Target:
    """Build a target of classes, yes or no, or votes from its options, or from its column.

    `ucd` says what classes are, where there are any.

    Raises
    ------
    ConfigError
        If an option is unknown, or the column is missing.
    """
    subject = f"Question '{name}'"
    if isinstance(options, str):
        options = {"column": options}
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"{subject} needs the name of its column, or a table of options.",
            received=repr(options),
        )
    _validate_options(subject, options, _QUESTION_OPTIONS)
    depends_on = options.get("depends_on")
    if not (depends_on is None or (isinstance(depends_on, str) and "." in depends_on)):
        raise ConfigError(
            f"`depends_on` of question '{name}' must name the answer of another question.",
            received=repr(depends_on),
            hint='depends_on = "smooth_or_featured.featured"',
        )
    family: Bernoulli | Categorical | DirichletMultinomial
    column: str | tuple[str, ...]
    if "answers" in options:
        answers = _get_answers(name, options)
        family, column = DirichletMultinomial(tuple(answers)), tuple(answers.values())
    elif "total" in options:
        raise ConfigError(f"{subject} has a total but no votes.", hint="answers = { ... }")
    else:
        column = _get_column(subject, name, options)
        classes = options.get("classes")
        family = (
            Bernoulli() if classes is None else Categorical(tuple(get_classes(classes)), ucd=ucd)
        )
    symmetric = options.get("symmetric")
    if symmetric is None:
        names = " ".join([name, *family.classes]).lower()
        symmetric = not re.search(r"clockwise|handedness", names)
    return Target(
        name,
        family,
        column,
        map=options.get("map"),
        weight=options.get("weight", 1.0),
        symmetric=symmetric,
        total=options.get("total"),
        depends_on=depends_on,
    )


def build_quantity(name: str, options: Mapping[str, Any], **defaults: Any) -> Target:
    """Build a target that is a number.

    The options are ``column``, ``range`` (two numbers), ``family`` (``"gaussian"`` when left out),
    ``map``, ``weight``, and the fields of the family, of which `defaults` are given.

    Raises
    ------
    ConfigError
        If an option is unknown, missing, or not one of this family.
    """
    subject = f"The value '{name}'"
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"{subject} needs a table of options.",
            received=repr(options),
            hint=f'{{ column = "{name}", range = [-5, 10] }}',
        )
    options = {key: value for key, value in options.items() if value is not None}
    kind = _load_quantity_family(options.get("family", "gaussian"))
    family_name = plugins.short_name("families", kind)
    fields = _get_family_options(kind)
    unknown = [key for key in options if key not in (*_QUANTITY_OPTIONS, *fields)]
    # An option of another family is the likeliest error, and worth a hint of its own.
    for key in unknown:
        quantity_families = _get_quantity_families().items()
        others = [other for other, cls in quantity_families if key in _get_family_options(cls)]
        if others:
            raise ConfigError(
                f"The family '{family_name}' has no option '{key}'.",
                received=f"{key} = {options[key]!r}",
                allowed=fields,
                hint=f'family = "{others[0]}"',
            )
    _validate_options(subject, options, (*_QUANTITY_OPTIONS, *fields))
    column = _get_column(subject, name, options)
    ends = options.get("range")
    if not isinstance(ends, Sequence) or isinstance(ends, str) or len(ends) != 2:
        raise ConfigError(
            f"{subject} needs the range in which it lies.",
            received=repr(ends),
            hint="range = [-5, 10]",
        )
    chosen = defaults | {fields[key]: options[key] for key in fields if key in options}
    return Target(
        name,
        kind(**dict(zip(_ENDS, ends, strict=True)), **chosen),
        column,
        map=options.get("map"),
        weight=options.get("weight", 1.0),
    )


def _load_quantity_family(family: str | type[QuantityFamily]) -> type[QuantityFamily]:
    kind: type[QuantityFamily] = plugins.load("families", family, trusted=True)
    if not isinstance(kind, type) or not issubclass(kind, QuantityFamily):
        raise ConfigError(
            f"The family '{plugins.short_name('families', kind)}' is not one of a number.",
            allowed=_get_quantity_families(),
        )
    return kind


def _get_quantity_families() -> dict[str, type[QuantityFamily]]:
    """Those of this package, by name."""
    names = plugins.module_names("astrocnn.targets.families")
    kinds = {name: plugins.load("families", name) for name in names}
    return {name: kind for name, kind in kinds.items() if issubclass(kind, QuantityFamily)}


def _get_family_options(kind: type[Any]) -> dict[str, str]:
    """Names of the options of a family, each with the field that it sets."""
    fields = (f for f in dataclasses.fields(kind) if f.init and f.name not in _ENDS)
    return {f.metadata.get("option", f.name): f.name for f in fields}


def _get_answers(name: str, options: Mapping[str, Any]) -> Mapping[str, str]:
    answers = options["answers"]
    if not isinstance(answers, Mapping) or not all(isinstance(c, str) for c in answers.values()):
        raise ConfigError(
            f"`answers` of question '{name}' must be names with their columns of votes.",
            received=repr(answers),
            hint='answers = { smooth = "smooth_votes", featured = "featured_votes" }',
        )
    conflicts = sorted({"column", "classes", "map"} & set(options))
    if conflicts:
        raise ConfigError(
            f"Question '{name}' has votes for its answers, and no '{conflicts[0]}' beside them."
        )
    return answers


def _get_column(subject: str, name: str, options: Mapping[str, Any]) -> str:
    column = options.get("column")
    if not isinstance(column, str):
        raise ConfigError(
            f"{subject} needs the column of its labels.",
            received=repr(column),
            hint=f'column = "{name}"',
        )
    return column


def _validate_options(subject: str, options: Iterable[str], known: Sequence[str]) -> None:
    for key in options:
        if key not in known:
            raise ConfigError(
                f"{subject} has no option '{key}'.",
                allowed=known,
                hint=plugins.nearest(key, known),
            )
