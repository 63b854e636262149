"""A task as plain values, so that a trained model carries what it predicts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from astrocnn import plugins
from astrocnn.targets.families import Family
from astrocnn.targets.target import Target
from astrocnn.targets.task import Task

__all__ = ["from_dict", "to_dict"]


def to_dict(task: Task) -> dict[str, Any]:
    """Values that JSON can hold; `from_dict` gives the task back."""
    return {
        "name": task.name,
        "headline": task.headline,
        "targets": [_target(target) for target in task.targets],
    }


def from_dict(values: dict[str, Any], root: Path | None = None) -> Task:
    """The task that `to_dict` described; families of files are below `root`.

    Raises
    ------
    ConfigError
        If it names a family that does not exist, or is not trusted.
    """
    targets = tuple(
        Target(**{**target, "family": _family_from(target["family"], root)})
        for target in values["targets"]
    )
    return Task(values["name"], targets, values["headline"])


def _target(target: Target) -> dict[str, Any]:
    values = {f.name: getattr(target, f.name) for f in dataclasses.fields(target)}
    mapping = values["map"]
    return {
        **values,
        "map": None if mapping is None else dict(mapping),
        "family": _family(target.family),
    }


def _family(family: Family) -> dict[str, Any]:
    kind = type(family)
    values = {f.name: getattr(family, f.name) for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return {"name": plugins.reference("families", kind), **values}


def _family_from(values: dict[str, Any], root: Path | None) -> Family:
    values = dict(values)
    kind = plugins.load("families", values.pop("name"), root)
    made: Family = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    return made
