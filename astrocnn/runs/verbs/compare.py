"""``astrocnn compare``: which of several evaluated runs is better, on the same test objects."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from astrocnn import plugins
from astrocnn.backend import load_tensorflow
from astrocnn.datasets import Shards, read_labels
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.evaluation.sample import scorable
from astrocnn.metrics import Score, bootstrap, mcnemar, paired_difference
from astrocnn.metrics.intervals import Statistic
from astrocnn.report.labels import interval_of, name_of, value_of
from astrocnn.runs.directory import RunDirectory
from astrocnn.targets import ClassFamily, Target

__all__ = ["run"]


@dataclass(frozen=True, eq=False)
class _Evaluated:
    """What a run said of its test objects, about the target of its headline."""

    name: str
    target: Target
    score: str
    ids: NDArray[np.generic]
    encoded: NDArray[np.float32]
    weight: NDArray[np.float32]
    samples: NDArray[np.float32]

    def of(self, ids: NDArray[np.generic]) -> _Evaluated:
        """The same of some objects, in their order."""
        order = np.argsort(self.ids, kind="stable")
        rows = order[np.searchsorted(self.ids, ids, sorter=order)]
        kept = (self.ids[rows], self.encoded[rows], self.weight[rows], self.samples[:, rows])
        return _Evaluated(self.name, self.target, self.score, *kept)

    @property
    def usable(self) -> NDArray[np.generic]:
        """Identifiers of the objects with a label and a prediction."""
        known = (self.weight > 0) & np.isfinite(self.samples).all(axis=(0, 2))
        return self.ids[known]


def run(folders: Sequence[Path]) -> Iterator[Table | str]:
    """Compare the headline of each run over the objects that all of them tested.

    Reads what 'evaluate' kept; nothing is scored on objects that were not scored before.

    Raises
    ------
    ConfigError
        If there are fewer than two runs, one has not been evaluated, or they do not predict the
        same quantity.
    PredictionError
        If no object was tested by all.
    """
    if len(folders) < 2:
        raise ConfigError("A comparison needs two runs.", received=f"{len(folders)}")
    load_tensorflow()
    whole = [_read(folder) for folder in folders]
    ids = reduce(np.intersect1d, [found.usable for found in whole])
    _check_alike(whole, len(ids))
    found = [one.of(ids) for one in whole]
    _check_labels(found)
    statistics = [_statistic(one) for one in found]
    first, n = found[0], len(ids)

    table = Table(title=f"{name_of(first.score)} of {first.target.name}", title_justify="left")
    table.add_column("", justify="right")
    table.add_column("run", overflow="fold")
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("tested", justify="right")
    for k, (one, full, statistic) in enumerate(zip(found, whole, statistics, strict=True), 1):
        score = bootstrap({one.score: statistic}, n)[one.score]
        shown = f"{value_of(score)} {interval_of(score)}".rstrip()
        table.add_row(str(k), one.name, shown, str(len(full.ids)))
    yield table

    classes = isinstance(first.target.family, ClassFamily)
    pairs = Table(title="Differences of two runs", title_justify="left")
    pairs.add_column("runs", justify="right")
    pairs.add_column("difference", justify="right", no_wrap=True)
    if classes:
        for heading in ("only first right", "only second right", "McNemar p"):
            pairs.add_column(heading, justify="right")
    right = [_right(one) for one in found] if classes else []
    for i, j in itertools.combinations(range(len(found)), 2):
        score = paired_difference(first.score, statistics[i], statistics[j], n)
        row = [f"{i + 1} - {j + 1}", _signed(score)]
        if classes:
            only_i, only_j, p = mcnemar(right[i], right[j])
            row += [str(only_i), str(only_j), f"{p:.2g}"]
        pairs.add_row(*row)
    yield pairs
    counts = ", ".join(str(len(one.ids)) for one in whole)
    yield (
        f"on the {n} test objects that all runs have in common, label and prediction included "
        f"(of {counts}); brackets: 95 % of paired bootstrap resamples"
        + ("; no p is corrected for the number of pairs" if classes and len(found) > 2 else "")
    )


def _read(folder: Path) -> _Evaluated:
    home = RunDirectory.open(folder)
    shards = Shards.open(home.require(home.shards, "cutouts"))
    home.require(home.model, "train")
    task = home.estimator()[0].task
    name, _, score = task.headline.partition(".")
    (target,) = (t for t in task.targets if t.name == name)
    rows, samples = home.kept_draws([name])
    encoded, weights = read_labels(shards, task, rows)
    told = (shards.ids[rows], encoded[name], weights[name], samples[name])
    return _Evaluated(str(folder), target, score, *told)


def _check_alike(runs: Sequence[_Evaluated], n: int) -> None:
    what = {one.name: _said_of(one) for one in runs}
    if len(set(what.values())) > 1:
        raise ConfigError(
            "These runs do not predict the same quantity, or quote another score first.",
            received="; ".join(f"{name}: {text}" for name, text in what.items()),
        )
    if n == 0:
        raise PredictionError(
            "No object was tested by all of these runs.",
            received=", ".join(f"{one.name}: {len(one.ids)}" for one in runs),
            hint="give the runs the same catalogue and the same [split]",
        )


def _said_of(one: _Evaluated) -> str:
    family = one.target.family
    kinds = f" ({', '.join(family.classes)})" if isinstance(family, ClassFamily) else ""
    return f"{one.score} of {one.target.name}, a {family.chapter}{kinds}"


def _check_labels(runs: Sequence[_Evaluated]) -> None:
    first = runs[0]
    for other in runs[1:]:
        if other.encoded.shape != first.encoded.shape:
            continue
        differ = ~np.isclose(other.encoded, first.encoded, equal_nan=True)
        n = int(differ.reshape(len(differ), -1).any(axis=1).sum())
        if n:
            raise ConfigError(
                "The same objects have other labels in another run.",
                received=f"{n} of {len(differ)} in {other.name}",
                allowed=f"those of {first.name}",
            )


def _statistic(one: _Evaluated) -> Statistic:
    chapter = plugins.load_module("astrocnn.evaluation.chapters", one.target.family.chapter)
    known = chapter.statistics(one.target, one.encoded, one.weight, one.samples)
    if one.score not in known:
        raise ConfigError(
            f"The headline '{one.score}' cannot be compared over resamples.", allowed=list(known)
        )
    return known[one.score]


def _right(one: _Evaluated) -> NDArray[np.bool_]:
    sample = scorable(one.target, one.encoded, one.weight, one.samples)
    return np.asarray(sample.said == sample.label)


def _signed(score: Score) -> str:
    sign = "+" if math.isfinite(score.value) and score.value > 0 else ""
    return f"{sign}{value_of(score)} {interval_of(score)}".rstrip()
