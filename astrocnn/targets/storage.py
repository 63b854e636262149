"""Tasks and families as plain values, so that a trained model carries what it predicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from astrocnn import plugins
from astrocnn.errors import ConfigError
from astrocnn.stored_files import Stored, validate
from astrocnn.targets.families import Family
from astrocnn.targets.target import Target
from astrocnn.targets.task import Task

__all__ = ["family_from_dict", "family_to_dict", "from_dict", "to_dict"]


class _StoredTask(Stored):
    name: str
    headline: str
    targets: tuple[dict[str, Any], ...]


class _StoredFamily(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


def to_dict(task: Task) -> dict[str, Any]:
    """Values that JSON can hold; `from_dict` gives the task back."""
    return {
        "name": task.name,
        "headline": task.headline,
        "targets": [_target_to_dict(target) for target in task.targets],
    }


def from_dict(values: Mapping[str, Any], root: Path | None = None) -> Task:
    """The task that `to_dict` described; families in files are below `root`.

    Raises
    ------
    ConfigError
        If it names a family that does not exist, or is not trusted: see `astrocnn.plugins`.
    """
    stored = validate(values, _StoredTask, "The description of a task", ConfigError)
    targets = tuple(
        validate(
            {**target, "family": family_from_dict(target.get("family"), root)},
            Target,
            f"The description of target {target.get('name')!r}",
            ConfigError,
        )
        for target in stored.targets
    )
    return Task(stored.name, targets, stored.headline)


def family_to_dict(family: Family) -> dict[str, Any]:
    """Name of the family, as `astrocnn.plugins` finds it, and its fields."""
    fields = dataclasses.fields(family)  # type: ignore[arg-type]
    return {"name": plugins.reference("families", type(family))} | {
        f.name: _plain(getattr(family, f.name)) for f in fields
    }


def family_from_dict(values: Any, root: Path | None = None) -> Family:
    """The family that `family_to_dict` described; one in a file is below `root`.

    Raises
    ------
    ConfigError
        If it does not exist, is not trusted, or has other fields.
    """
    where = "The description of a family"
    stored = validate(values, _StoredFamily, where, ConfigError)
    kind = plugins.load("families", stored.name, root)
    # JSON has no tuples, and families are compared by value.
    fields = {key: _frozen(value) for key, value in (stored.model_extra or {}).items()}
    family: Family = validate(fields, kind, f"{where} '{stored.name}'", ConfigError)
    return family


def _target_to_dict(target: Target) -> dict[str, Any]:
    values = {f.name: getattr(target, f.name) for f in dataclasses.fields(target)}
    return values | {
        "column": _plain(target.column),
        "map": None if target.map is None else dict(target.map),
        "family": family_to_dict(target.family),
    }


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
