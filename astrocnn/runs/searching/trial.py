"""One trial of a search: a run directory with what it tried and how it ended."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from astrocnn.atomic import write_text
from astrocnn.runs.config import RunConfig, dump_run, load_run
from astrocnn.runs.directory import RunDirectory

__all__ = ["Outcome", "TrialFolder", "lock"]

try:
    import fcntl
except ImportError:  # then only one process at a time may search a folder
    fcntl = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes
    ----------
    state : {"complete", "pruned", "failed"}
        Pruned: stopped because others were better; failed: this run cannot be trained.
    said : str
        Why it failed.
    """

    state: str
    said: str = ""


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
        """Whether it is known what the trial tries."""
        return self.run_file.is_file()

    @property
    def done(self) -> bool:
        """Whether the trial has ended."""
        return self.outcome_file.is_file()

    def make(self, values: Mapping[str, Any], config: RunConfig) -> None:
        """Write the run file; one that is there stays."""
        if not self.made:
            write_text(self._values, json.dumps(dict(values), indent=1) + "\n")
            write_text(self.run_file, dump_run(config))

    def values(self) -> dict[str, Any]:
        """What the trial sets, by dotted path."""
        return dict(json.loads(self._values.read_text(encoding="utf-8")))

    def config(self) -> RunConfig:
        """The run of the trial."""
        return load_run(self.run_file)

    def end(self, outcome: Outcome) -> None:
        """Record that the trial has ended; what was kept to continue it goes."""
        write_text(self.outcome_file, json.dumps(asdict(outcome)) + "\n")
        shutil.rmtree(RunDirectory(self.path).backup, ignore_errors=True)

    def outcome(self) -> Outcome:
        """How the trial ended."""
        home = RunDirectory(self.path)
        with home.reading(self.outcome_file, "search") as path:
            return Outcome(**json.loads(path.read_text(encoding="utf-8")))

    def history(self) -> dict[str, list[float]]:
        """The columns of ``history.csv``; none before the first epoch has ended."""
        return RunDirectory(self.path).curves()

    @contextlib.contextmanager
    def claimed(self) -> Iterator[bool]:
        """Yield whether this process may work on the trial: no other does at this time.

        The system itself gives the claim back when a process ends, however it ends.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / ".claim", "a") as stream:
            yield lock(stream, wait=False)


def lock(stream: TextIO, wait: bool) -> bool:
    """Claim a file until it is closed; False if another process has it and it is not waited for."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
