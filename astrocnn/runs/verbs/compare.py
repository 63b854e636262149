"""``astrocnn compare``: which of several evaluated runs is better, on the same test objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table

from astrocnn.backend import load_tensorflow
from astrocnn.datasets import read_labels
from astrocnn.errors import ConfigError
from astrocnn.evaluation import Contestant, compare_models, evaluate_target
from astrocnn.runs.run import Run

__all__ = ["run"]


def run(folders: Sequence[Path]) -> Iterator[Table | str]:
    """Compare the headline score of each run over the objects that all of them tested.

    Reads the predictions saved by 'evaluate'; nothing is predicted again.

    Raises
    ------
    ConfigError
        If there are fewer than two runs, one has not been evaluated, or they do not predict the
        same quantity.
    PredictionError
        If no object was tested by all.
    """
    if len(folders) < 2:
        raise ConfigError("A comparison needs at least two runs.", received=f"{len(folders)}")
    load_tensorflow()
    tables, note = compare_models([_read(folder) for folder in folders])
    yield from (table.to_rich() for table in tables)
    yield note


def _read(folder: Path) -> Contestant:
    current = Run.open(folder)
    home, shards = current.directory, current.shards
    home.require(home.model, "train")
    task = current.estimator.task
    name, _, score = task.headline.partition(".")
    rows, samples = home.kept_draws([name])
    encoded, weights = read_labels(shards, task, rows)
    evaluation = evaluate_target(task.target(name), encoded[name], weights[name], samples[name])
    return Contestant(str(folder), score, shards.ids[rows], evaluation)
