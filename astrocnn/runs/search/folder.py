"""The folder of a search: plain runs, each with its outcome."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import math
import os
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from astrocnn.atomic import exclusive, remove_leftovers, write_text
from astrocnn.errors import ConfigError
from astrocnn.runs.config import dump_run, load_run, parse_run
from astrocnn.runs.directory import RunDirectory, differences
from astrocnn.runs.sections import RunConfig

__all__ = ["Outcome", "SearchFolder", "TrialFolder", "is_loss", "set_values"]

# A search may be continued with other values of these.
_MAY_CHANGE = {"trials": None, "hours": None, "objective": "val_loss"}


def is_loss(objective: str) -> bool:
    """Whether a column of the history is minimized."""
    return objective.endswith("loss")


class SearchFolder:
    """A folder of trials.

    ============================  =====================================================
    ``search.toml``               the search, resolved
    ``cutouts/``                  shards, one set for all trials with the same inputs
    ``trials/0007/run.toml``      a plain run; its folder is a run directory
    ``trials/0007/outcome.json``  how the trial ended
    ``trials.ecsv``               all trials, the best first
    ``best.toml``                 the run file of the best
    ``figures/``                  parallel coordinates
    ``optuna.log``                the same trials as an Optuna study, if it was used
    ============================  =====================================================

    Parameters
    ----------
    path : path-like
        The folder; it need not exist yet.
    config : RunConfig
        With a search.
    """

    def __init__(self, path: str | Path, config: RunConfig) -> None:
        assert config.search is not None
        self.path = Path(path)
        self.config = config
        self.search = config.search
        self.figures = self.path / "figures"
        self.table = self.path / "trials.ecsv"
        self.best = self.path / "best.toml"
        self.study = self.path / "optuna.log"

    def create(self) -> None:
        """Create the folder, or continue the search it holds.

        Raises
        ------
        ConfigError
            If the folder holds something else.
        """
        file = self.path / "search.toml"
        if (self.path / "config.toml").is_file():
            raise ConfigError(
                f"{self.path} is the directory of a single run.", hint="choose another --out"
            )
        for folder in (self.path, self.figures):
            remove_leftovers(folder)
        for trial in self.trials():
            if trial.done:
                trial.remove_backup()
        text = dump_run(self.config)
        if file.is_file():
            old = load_run(file)
            if _kept(old) != _kept(self.config):
                a, b = (_kept(config).model_dump(mode="json") for config in (old, self.config))
                changed = differences(a, b)
                raise ConfigError(
                    f"{self.path} holds another search; it differs in: {', '.join(changed)}.",
                    hint="choose another --out, or remove that folder to start afresh",
                )
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            write_text(file, text)

    @cached_property
    def _base(self) -> dict[str, Any]:
        return tomllib.loads(dump_run(self.config.model_copy(update={"search": None})))

    def build_config(self, values: Mapping[str, Any], number: int | None = None) -> RunConfig:
        """Build the run with some values set, by dotted path.

        Raises
        ------
        ConfigError
            If a run cannot have these values.
        """
        raw = set_values(self._base, values)
        if number is not None:
            raw["title"] = f"{self.config.title}, trial {number}"
        return parse_run(raw)

    def trial(self, number: int) -> TrialFolder:
        """A trial by its number, from 0."""
        return TrialFolder(self.path / "trials" / f"{number:04d}", number)

    def trials(self) -> list[TrialFolder]:
        """All trials whose values are known, by number."""
        files = (self.path / "trials").glob("[0-9]*/run.toml")
        return sorted((self.trial(int(file.parent.name)) for file in files), key=lambda t: t.number)

    def cutouts(self, config: RunConfig) -> RunDirectory:
        """Directory of the shards of a trial, shared by all trials with the same inputs."""
        inputs = config.inputs.model_dump(include={"bands", "size", "scalars", "mask_channel"})
        name = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:8]
        return RunDirectory(self.path / "cutouts" / name)

    def link_shards(self, trial: TrialFolder, config: RunConfig) -> None:
        """Link a trial to the shards of its inputs."""
        link = RunDirectory(trial.path).shards
        if not link.exists():
            target = os.path.relpath(self.cutouts(config).shards.resolve(), trial.path.resolve())
            link.unlink(missing_ok=True)
            link.symlink_to(target, target_is_directory=True)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock of the folder; wait until no other process holds it."""
        with exclusive(self.path / ".claim", wait=True):
            yield

    def objective(self, trial: TrialFolder) -> tuple[float, int | None]:
        """Value of a trial and its epoch, from 1: the one whose weights are kept.

        That is the epoch of the lowest validation loss, whatever the objective; NaN and None before
        the first epoch.
        """
        history = trial.history()
        losses = history.get("val_loss", [])
        good = [i for i, loss in enumerate(losses) if math.isfinite(loss)]
        if not good:
            return math.nan, None
        best = min(good, key=losses.__getitem__)
        return history.get(self.search.objective, [math.nan] * len(losses))[best], best + 1


def _kept(config: RunConfig) -> RunConfig:
    """The configuration without the settings that may change between sessions."""
    assert config.search is not None
    fixed = config.search.model_copy(update=_MAY_CHANGE)
    return config.model_copy(update={"search": fixed})


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes
    ----------
    state : {"complete", "pruned", "failed"}
        Pruned: stopped because others were better; failed: this run cannot be trained.
    error : str
        Why it failed.
    """

    state: Literal["complete", "pruned", "failed"]
    error: str = ""


class TrialFolder:
    """One trial: a run directory, its run file, its values and its outcome.

    Parameters
    ----------
    path : Path
        The folder.
    number : int
        From 0.
    """

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.number = number
        self.run_file = path / "run.toml"
        self.outcome_file = path / "outcome.json"
        self._values = path / "values.json"

    @property
    def made(self) -> bool:
        """Whether the values of the trial are chosen."""
        return self.run_file.is_file()

    @property
    def done(self) -> bool:
        """Whether the trial has ended."""
        return self.outcome_file.is_file()

    def make(self, values: Mapping[str, Any], config: RunConfig) -> None:
        """Write the run file; an existing one is kept."""
        if not self.made:
            write_text(self._values, json.dumps(dict(values), indent=1) + "\n")
            write_text(self.run_file, dump_run(config))

    def values(self) -> dict[str, Any]:
        """Values of the trial, by dotted path."""
        values: dict[str, Any] = RunDirectory(self.path).read_json(
            self._values, dict[str, Any], "search"
        )
        return values

    def config(self) -> RunConfig:
        """The run of the trial."""
        return load_run(self.run_file)

    def end(self, outcome: Outcome) -> None:
        """Record that the trial has ended, and remove its training backup."""
        write_text(self.outcome_file, json.dumps(asdict(outcome)) + "\n")
        self.remove_backup()

    def remove_backup(self) -> None:
        """Remove the state of a training that has ended."""
        shutil.rmtree(RunDirectory(self.path).backup, ignore_errors=True)

    def outcome(self) -> Outcome:
        """How the trial ended."""
        outcome: Outcome = RunDirectory(self.path).read_json(self.outcome_file, Outcome, "search")
        return outcome

    def history(self) -> dict[str, list[float]]:
        """The columns of ``history.csv``; none before the first epoch has ended."""
        return RunDirectory(self.path).curves()

    def claimed(self) -> contextlib.AbstractContextManager[bool]:
        """Lock the trial; the context is whether this process holds the lock."""
        return exclusive(self.path / ".claim")


def set_values(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A run as nested tables with some values set.

    Parameters
    ----------
    base : mapping
        The run that all trials have in common; left as it is.
    values : mapping of str to value
        By dotted path.  A whole table goes before what is inside it.

    Returns
    -------
    dict
    """
    raw: dict[str, Any] = copy.deepcopy(dict(base))
    for name in sorted(values, key=lambda path: path.count(".")):
        *tables, leaf = name.split(".")
        inside = raw
        for table in tables:
            inside = inside.setdefault(table, {})
        inside[leaf] = copy.deepcopy(values[name])
    return raw
