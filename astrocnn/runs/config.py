"""Run files: reading TOML into a `RunConfig`, with all mistakes in one message, and writing it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from astrocnn import plugins
from astrocnn.errors import ConfigError
from astrocnn.imaging import Survey
from astrocnn.runs.config_errors import format_validation_error
from astrocnn.runs.sections import RunConfig
from astrocnn.stored_files import read_toml

__all__ = [
    "dump_portable",
    "dump_run",
    "list_leaves",
    "load_run",
    "parse_run",
    "read_survey_file",
]


def load_run(
    path: str | Path, overrides: tuple[str, ...] | list[str] = (), *, trusted: bool = True
) -> RunConfig:
    """Read a run file.

    Parameters
    ----------
    path : path-like
        A TOML file. Relative paths in it count from its folder; ``$NAME`` is expanded when
        the file named is opened.
    overrides : sequence of str
        ``section.key=value`` with a TOML value, as given to ``--set``.
    trusted : bool
        Whether the user names the file here and now: Python code that it names may then be
        imported, see `astrocnn.plugins.trust`.

    Raises
    ------
    ConfigError
        If the file is missing, is not TOML, or holds anything unknown or out of range: all
        mistakes, those of the survey file that it names included, in one message.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(
            "The run file is a folder." if path.is_dir() else "The run file does not exist.",
            received=str(path),
            hint=(None if path.is_dir() else plugins.nearest_file(path))
            or "give the path of a .toml file; 'astrocnn init' drafts one",
        )
    raw = read_toml(path)
    if "bands" in raw and "task" not in raw:
        raise ConfigError(
            f"{path} describes a survey, not a run.",
            hint='name it in a run file: survey = "..."',
        )
    for override in overrides:
        _override(raw, override)
    raw.setdefault("root", str(path.resolve().parent))
    mistakes: list[ConfigError] = []
    if isinstance(survey := raw.get("survey"), str):
        # A stand-in lets the rest of the run be checked beside a survey with mistakes.
        raw["survey"] = {}
        try:
            raw["survey"] = read_survey_file(Path(raw["root"]) / survey)
            _check_survey(raw["survey"])
        except ConfigError as error:
            mistakes.append(error)
    try:
        config = parse_run(raw, where=str(path), folder=path.resolve().parent)
    except ConfigError as error:
        mistakes.insert(0, error)
    if len(mistakes) == 1:
        raise mistakes[0]
    if mistakes:
        raise ConfigError("\n".join(str(mistake) for mistake in mistakes))
    if trusted:
        for _, leaf in list_leaves(config):
            plugins.trust(leaf)
    return config


def parse_run(raw: dict[str, Any], where: str = "the run", folder: Path | None = None) -> RunConfig:
    """Validate a nested mapping as a run; all mistakes in one `ConfigError`.

    Parameters
    ----------
    raw : dict
        The tables of a run file.
    where : str
        What to call it in a sentence.
    folder : Path, optional
        The folder from which files of leaves count; by default the current one.

    Returns
    -------
    RunConfig

    Raises
    ------
    ConfigError
        If anything is unknown, absent or out of range.
    """
    raw = _map_leaves(raw, lambda kind, leaf: plugins.resolve(leaf, folder))
    try:
        return RunConfig.model_validate(raw, context={"run": RunConfig})
    except ValidationError as error:
        raise ConfigError(format_validation_error(error, RunConfig, where)) from None


def list_leaves(config: RunConfig) -> list[tuple[str, str]]:
    """List kind and reference of every leaf that a run names."""
    leaves: list[tuple[str, str]] = []

    def collect(kind: str, leaf: str) -> str:
        leaves.append((kind, leaf))
        return leaf

    _map_leaves(config.model_dump(mode="json"), collect)
    return leaves


def dump_run(config: RunConfig) -> str:
    """Serialize the resolved run as TOML, which reads back as the same run."""
    return tomli_w.dumps(_without_none(config.model_dump(mode="json")))


def dump_portable(config: RunConfig) -> tuple[str, dict[str, bytes]]:
    """The resolved run as TOML that names copies of the files of leaves, and these copies.

    Returns
    -------
    text : str
    files : dict of str to bytes
        Contents by their path, which counts from the folder of the run file.
    """
    files: dict[str, bytes] = {}

    def copy(kind: str, leaf: str) -> str:
        text, content = plugins.portable(leaf)
        if content is not None:
            files[plugins.split_reference(text)[0]] = content
        return text

    raw = _map_leaves(config.model_dump(mode="json"), copy)
    return tomli_w.dumps(_without_none(raw)), files


def _map_leaves(raw: Any, change: Callable[[str, str], str]) -> Any:
    """The tables of a run file with another reference in place of each leaf.

    Nothing is validated yet: what is not where it should be stays as it is.
    """
    if not isinstance(raw, dict):
        return raw

    def replace(table: Any, key: str, kind: str) -> Any:
        if not isinstance(table, dict) or not isinstance(table.get(key), str):
            return table
        return {**table, key: change(kind, table[key])}

    def replace_families(table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        inner = {key: replace_families(value) for key, value in table.items()}
        outside = isinstance(inner.get("family"), str) and plugins.is_outside(inner["family"])
        return replace(inner, "family", "families") if outside else inner

    def replace_step(step: Any) -> Any:
        return (
            change("augmentations", step)
            if isinstance(step, str)
            else replace(step, "name", "augmentations")
        )

    raw = dict(raw)
    for name, key, kind in (
        ("task", "name", "tasks"),
        ("model", "architecture", "architectures"),
        ("pretraining", "method", "pretraining"),
        ("survey", "kind", "sources"),
    ):
        if name in raw:
            raw[name] = replace(raw[name], key, kind)
    if "task" in raw:
        raw["task"] = replace_families(raw["task"])

    def replace_steps(table: dict[str, Any]) -> dict[str, Any]:
        found = table.get("augmentation")
        if not isinstance(found, dict) or not isinstance(found.get("steps"), list | tuple):
            return table
        steps = [replace_step(step) for step in found["steps"]]
        return {**table, "augmentation": {**found, "steps": steps}}

    if isinstance(raw.get("pretraining"), dict):
        raw["pretraining"] = replace_steps(raw["pretraining"])
    return replace_steps(raw)


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return value


def read_survey_file(path: Path) -> dict[str, Any]:
    """A survey file as plain values, with the folder its relative paths count from."""
    if not path.is_file():
        raise ConfigError(
            "The survey file does not exist.", received=str(path), hint=plugins.nearest_file(path)
        )
    survey = read_toml(path)
    if "task" in survey and "bands" not in survey:
        raise ConfigError(
            f"{path} is a run file, not a survey.",
            hint="give the file that it names under survey",
        )
    folder = path.resolve().parent
    if isinstance(survey.get("kind"), str):
        survey["kind"] = plugins.resolve(survey["kind"], folder)
    return {"root": str(folder), **survey}


def _check_survey(mapping: dict[str, Any]) -> None:
    values = {key: value for key, value in mapping.items() if key not in ("root", "archive")}
    # A run can be read where its images are not: variables count when files are opened.
    Survey.from_dict(_without_variables(values), mapping["root"])


def _without_variables(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_variables(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_variables(item) for item in value]
    return value.replace("$", "") if isinstance(value, str) else value


def _override(raw: dict[str, Any], text: str) -> None:
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise ConfigError(
            "An override must read section.key=value.",
            received=text,
            hint="--set training.epochs=3",
        )
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    *folders, leaf = key.strip().split(".")
    table = raw
    for folder in folders:
        table = table.setdefault(folder, {})
        if not isinstance(table, dict):
            raise ConfigError(f"'{folder}' is a value, not a table.", received=text)
    table[leaf] = parsed
