"""Error messages for run files; all errors are reported at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import chain
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from astrocnn.models import Options
from astrocnn.plugins import nearest
from astrocnn.training import PARAMETERS

__all__ = ["Section", "fields_at", "format_validation_error", "suggest_place"]

# Tables of names that are declared elsewhere.
_DECLARED_OUTSIDE = {
    ("model", "options"): tuple(field.name for field in fields(Options)),
    ("training", "parameters"): tuple(dict.fromkeys(chain.from_iterable(PARAMETERS.values()))),
}


class Section(BaseModel):
    """A table of the run file: unknown keys raise, numbers are finite, values are frozen."""

    # TOML knows inf and nan; comparisons with nan would let it through.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )


def format_validation_error(error: ValidationError, run: type[BaseModel], where: str) -> str:
    """Format one line for each invalid place of a run file.

    Parameters
    ----------
    error : ValidationError
        Error raised by pydantic.
    run : type
        The model of a whole run file.
    where : str
        What to call it in a sentence.

    Returns
    -------
    str
    """
    messages_by_place: dict[str, list[str]] = {}
    for mistake in error.errors(include_url=False):
        messages_by_place.setdefault(_place(mistake["loc"]), []).append(
            format_message(mistake, run)
        )
    lines = [
        f"  {place or 'file'}: {'; or '.join(messages)}"
        for place, messages in messages_by_place.items()
    ]
    count = "One mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    return f"{count} in {where}:\n" + "\n".join(lines)


def fields_at(run: type[BaseModel], place: Sequence[Any]) -> list[str]:
    """Names allowed in a table of a run file; empty if any name is allowed.

    Parameters
    ----------
    run : type
        The model of a whole run file.
    place : sequence of str
        Where the table is, such as ``("model", "options")``.

    Returns
    -------
    list of str
    """
    if tuple(place) in _DECLARED_OUTSIDE:
        return list(_DECLARED_OUTSIDE[tuple(place)])
    model: Any = run
    for part in place:
        if part not in model.model_fields:  # the name of an entry of a table
            continue
        annotation = model.model_fields[part].annotation
        model = next((a for a in (annotation, *get_args(annotation)) if _is_model(a)), None)
        if model is None:
            return []
    return list(model.model_fields)


def suggest_place(loc: Sequence[Any], run: type[BaseModel]) -> str:
    """Suggest the table in which a name is known, or a similar name.

    Parameters
    ----------
    loc : sequence of str
        The tables that hold it, and the name.
    run : type
        The model of a whole run file.

    Returns
    -------
    str
        The end of a sentence.
    """
    *place, name = map(str, loc)
    known = fields_at(run, place)
    other = [path for path in _paths(run) if path[-1] == name]
    inside = [path for path in other if list(path[: len(place)]) == place]
    if inside or other:
        places = [_table(path) for path in inside or other]
        return f"it belongs {' or '.join(places)}"
    # Names known here and in the tables below: the shortest path of each name, the first of these.
    n = len(place)
    below = [p[n:] for p in _paths(run) if list(p[:n]) == place and len(p) > n]
    by_name: dict[str, str] = {}
    for path in sorted(below, key=len):
        by_name.setdefault(path[-1], ".".join(path))
    by_name |= {name: name for name in known}
    near = nearest(name, by_name)
    if near is None:
        return f"known here: {', '.join(known) or 'nothing'}"
    meant = near.split("'")[1]
    return near.replace(meant, by_name[meant])


def format_message(mistake: Any, run: type[BaseModel]) -> str:
    if mistake["type"] == "extra_forbidden":
        return f"is not known; {suggest_place(mistake['loc'], run)}"
    if mistake["type"] == "missing":
        return "is needed and absent"
    message = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] in ("tuple_type", "list_type"):
        message = "should be a list in brackets"
    text = f"{message[0].lower()}{message[1:]}"
    # A whole table is not worth repeating.
    if not isinstance(mistake["input"], dict) and repr(mistake["input"]) not in text:
        text += f" (received {mistake['input']!r})"
    if mistake["type"] == "literal_error":
        known = re.findall("'([^']*)'", mistake["ctx"]["expected"])
        hint = nearest(str(mistake["input"]), known)
        text += f"; {hint}" if hint else ""
    return text


def _table(path: tuple[str, ...]) -> str:
    if len(path) == 1:
        return f"at the top of the file, before any table: {path[0]}"
    return f"in [{'.'.join(path[:-1])}]: {'.'.join(path)}"


def _paths(run: type[BaseModel], place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All names of a run file with their tables, the outer ones first."""
    names = fields_at(run, place)
    yield from ((*place, name) for name in names)
    for name in names:
        inner = (*place, name)
        if inner in _DECLARED_OUTSIDE or (len(inner) == 1 and fields_at(run, inner)):
            yield from _paths(run, inner)


def _place(loc: tuple[Any, ...]) -> str:
    """The path of a value; pydantic adds which of several types it tried."""
    parts = [str(part) for part in loc if part != "[key]"]
    while len(parts) > 1 and re.fullmatch(r"bool|int|float|str|literal\[.*", parts[-1]):
        parts.pop()
    return ".".join(parts)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
