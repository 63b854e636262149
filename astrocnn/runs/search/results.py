"""Results of a search: a table of trials with the best first, and the best run."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from astropy.table import Table
from rich.table import Table as RichTable

from astrocnn import terminal
from astrocnn.atomic import replacing, write_bytes
from astrocnn.runs.search.folder import SearchFolder, TrialFolder, is_loss

__all__ = ["TrialResult", "build_table", "format_result", "read_results", "save_best", "save_table"]

_STATES = ("complete", "pruned", "failed", "unfinished")
_SHOWN = 10


@dataclass(frozen=True)
class TrialResult:
    """One trial with its outcome.

    Attributes
    ----------
    trial : TrialFolder
        Where it is.
    state : str
        "complete", "pruned", "failed", or "unfinished".
    objective : float
        At the epoch whose weights are kept; NaN without any.
    epoch : int or None
        That epoch, from 1.
    epochs : int
        How many were trained.
    seconds : float
        Time of all epochs.
    values : dict of str to value
        What the trial set, by dotted path.
    error : str
        Why it failed.
    """

    trial: TrialFolder
    state: str
    objective: float
    epoch: int | None
    epochs: int
    seconds: float
    values: dict[str, Any]
    error: str


def read_result(folder: SearchFolder, trial: TrialFolder) -> TrialResult:
    """Read the result of one trial, finished or not."""
    history = trial.history()
    objective, epoch = folder.objective(trial)
    state, error = "unfinished", ""
    if trial.done:
        outcome = trial.outcome()
        state, error = outcome.state, outcome.error
    seconds = history.get("seconds", [])
    return TrialResult(
        trial, state, objective, epoch, len(seconds), sum(seconds), trial.values(), error
    )  # fmt: skip


def read_results(folder: SearchFolder) -> list[TrialResult]:
    """Read all trials, best first: complete ones, then pruned, failed and unfinished ones.

    Parameters
    ----------
    folder : SearchFolder
        What is read.

    Returns
    -------
    list of TrialResult
    """
    sign = 1 if is_loss(folder.search.objective) else -1

    def rank(result: TrialResult) -> tuple[Any, ...]:
        value = sign * result.objective
        return _STATES.index(result.state), math.isnan(value), value, result.trial.number

    every = [read_result(folder, trial) for trial in folder.trials()]
    # NaN has no order, so it is replaced after `rank` has marked it.
    return sorted(every, key=lambda f: tuple(0 if v != v else v for v in rank(f)))


def save_table(folder: SearchFolder, results: Sequence[TrialResult]) -> None:
    """Write ``trials.ecsv``, which is CSV with a header that astropy understands."""
    names = list(folder.search.space)
    table = Table(
        {
            "trial": [result.trial.number for result in results],
            "state": [result.state for result in results],
            folder.search.objective: [result.objective for result in results],
            "epoch": [result.epoch or 0 for result in results],
            "epochs": [result.epochs for result in results],
            "seconds": [round(result.seconds, 2) for result in results],
            **{name: _column([result.values[name] for result in results]) for name in names},
        }
    )
    table["seconds"].unit = "s"
    for name, description in (
        (folder.search.objective, "at the epoch whose weights are kept"),
        ("epoch", "whose weights are kept, from 1; 0 for none"),
        ("epochs", "that were trained"),
    ):
        table[name].description = description
    with replacing(folder.table) as temporary:
        table.write(temporary, format="ascii.ecsv", delimiter=",", overwrite=True)


def _column(values: list[Any]) -> list[Any]:
    """Keep numbers; format anything else as in a run file."""
    plain = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    return values if plain else [format_value(v) for v in values]


def format_value(value: Any) -> str:
    """Format a value for a table or a figure."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def save_best(folder: SearchFolder, results: Sequence[TrialResult]) -> None:
    """Write ``best.toml``, the run file of the best complete trial, if there is one."""
    if results and results[0].state == "complete":
        write_bytes(folder.best, results[0].trial.run_file.read_bytes())


def format_result(folder: SearchFolder, trial: TrialFolder) -> str:
    """Format one line about a finished trial."""
    result = read_result(folder, trial)
    if result.state == "failed":
        return f"trial {trial.number} failed: {result.error.splitlines()[0]}"
    details = f"epoch {result.epoch} of {result.epochs}, {result.seconds:.0f} s"
    end = ", pruned" if result.state == "pruned" else ""
    return (
        f"trial {trial.number}: {folder.search.objective} {result.objective:.4g} ({details}){end}"
    )


def build_table(folder: SearchFolder, results: Sequence[TrialResult]) -> RichTable:
    """Build a terminal table of the best trials."""
    table = terminal.build_table(
        folder.config.title, ("trial", folder.search.objective, "epoch", "s"), left=()
    )
    for name in folder.search.space:
        table.add_column(name.rpartition(".")[2].replace("_", " "), justify="right")
    for result in results[:_SHOWN]:
        value = "" if math.isnan(result.objective) else f"{result.objective:.4g}"
        mark = "" if result.state == "complete" else f" {result.state}"
        table.add_row(
            str(result.trial.number),
            value + mark,
            f"{result.epoch or ''}/{result.epochs}",
            f"{result.seconds:.0f}",
            *(format_value(v) for v in result.values.values()),
        )
    return table
