"""What a search found: a table of trials with the best first, and the best run."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from astropy.table import Table
from rich.table import Table as Shown

from astrocnn.atomic import replacing, write_bytes
from astrocnn.runs.search.folder import SearchFolder, TrialFolder, is_loss

__all__ = ["Found", "gather", "line_of", "save_best", "save_table", "shown_table"]

_STATES = ("complete", "pruned", "failed", "unfinished")
_SHOWN = 10


@dataclass(frozen=True)
class Found:
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
    said : str
        Why it failed.
    """

    trial: TrialFolder
    state: str
    objective: float
    epoch: int | None
    epochs: int
    seconds: float
    values: dict[str, Any]
    said: str


def found_in(folder: SearchFolder, trial: TrialFolder) -> Found:
    """The outcome of one trial, as far as it has got."""
    history = trial.history()
    objective, epoch = folder.objective(trial)
    state, said = "unfinished", ""
    if trial.done:
        outcome = trial.outcome()
        state, said = outcome.state, outcome.said
    seconds = history.get("seconds", [])
    return Found(
        trial, state, objective, epoch, len(seconds), sum(seconds), trial.values(), said
    )  # fmt: skip


def gather(folder: SearchFolder) -> list[Found]:
    """All trials, the best first: complete ones, then pruned, failed and unfinished ones.

    Parameters
    ----------
    folder : SearchFolder
        What is read.

    Returns
    -------
    list of Found
    """
    sign = 1 if is_loss(folder.search.objective) else -1

    def rank(found: Found) -> tuple[Any, ...]:
        value = sign * found.objective
        return _STATES.index(found.state), math.isnan(value), value, found.trial.number

    every = [found_in(folder, trial) for trial in folder.trials()]
    # NaN orders with nothing, so it is replaced once it has been told apart.
    return sorted(every, key=lambda f: tuple(0 if v != v else v for v in rank(f)))


def save_table(folder: SearchFolder, found: Sequence[Found]) -> None:
    """Write ``trials.ecsv``, which is CSV with a header that astropy understands."""
    names = list(folder.search.space)
    table = Table(
        {
            "trial": [one.trial.number for one in found],
            "state": [one.state for one in found],
            folder.search.objective: [one.objective for one in found],
            "epoch": [one.epoch or 0 for one in found],
            "epochs": [one.epochs for one in found],
            "seconds": [round(one.seconds, 2) for one in found],
            **{name: _column([one.values[name] for one in found]) for name in names},
        }
    )
    table["seconds"].unit = "s"
    for name, said in (
        (folder.search.objective, "at the epoch whose weights are kept"),
        ("epoch", "whose weights are kept, from 1; 0 for none"),
        ("epochs", "that were trained"),
    ):
        table[name].description = said
    with replacing(folder.table) as temporary:
        table.write(temporary, format="ascii.ecsv", delimiter=",", overwrite=True)


def _column(values: list[Any]) -> list[Any]:
    """Numbers as they are, anything else as it is written in a run file."""
    plain = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    return values if plain else [said(v) for v in values]


def said(value: Any) -> str:
    """A value in a table or a figure."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def save_best(folder: SearchFolder, found: Sequence[Found]) -> None:
    """Write ``best.toml``, the run file of the best complete trial, if there is one."""
    if found and found[0].state == "complete":
        write_bytes(folder.best, found[0].trial.run_file.read_bytes())


def line_of(folder: SearchFolder, trial: TrialFolder) -> str:
    """A sentence on a trial that has just ended."""
    one = found_in(folder, trial)
    if one.state == "failed":
        return f"trial {trial.number} failed: {one.said.splitlines()[0]}"
    how = f"epoch {one.epoch} of {one.epochs}, {one.seconds:.0f} s"
    end = ", pruned" if one.state == "pruned" else ""
    return f"trial {trial.number}: {folder.search.objective} {one.objective:.4g} ({how}){end}"


def shown_table(folder: SearchFolder, found: Sequence[Found]) -> Shown:
    """The best trials, for a terminal."""
    table = Shown(title=folder.config.title, title_justify="left", title_style="bold")
    table.add_column("trial", justify="right")
    table.add_column(folder.search.objective, justify="right", no_wrap=True)
    table.add_column("epoch", justify="right")
    table.add_column("s", justify="right")
    for name in folder.search.space:
        table.add_column(name.rpartition(".")[2].replace("_", " "), justify="right")
    for one in found[:_SHOWN]:
        value = "" if math.isnan(one.objective) else f"{one.objective:.4g}"
        mark = "" if one.state == "complete" else f" {one.state}"
        table.add_row(
            str(one.trial.number),
            value + mark,
            f"{one.epoch or ''}/{one.epochs}",
            f"{one.seconds:.0f}",
            *(said(v) for v in one.values.values()),
        )
    return table
