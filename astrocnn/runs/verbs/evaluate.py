"""``astrocnn evaluate``: score the test split, beside the baselines, and count that it was done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from rich.table import Table

from astrocnn.atomic import replacing
from astrocnn.backend import load_tensorflow
from astrocnn.calibration.selection import Selection
from astrocnn.datasets import Shards, read_labels
from astrocnn.errors import PredictionError
from astrocnn.evaluation import baseline_scores, headline, peak_brightness, score, write_scores
from astrocnn.evaluation.story import crowd_of, side_by_side
from astrocnn.metrics import Score
from astrocnn.report.labels import interval_of, is_of_class, name_of, value_of
from astrocnn.runs.assemble import PEAK, check_columns
from astrocnn.runs.config import RunConfig
from astrocnn.runs.directory import RunDirectory
from astrocnn.runs.verbs.train import labelled_rows
from astrocnn.targets import Task

__all__ = ["run"]


def run(folder: Path) -> Iterator[Table | str]:
    """Sample the test split once, keep the samples, write ``scores.json``.

    Raises
    ------
    PredictionError
        If the test split has no labelled object.
    """
    run_folder = RunDirectory.open(folder)
    config = run_folder.config()
    shards = Shards.open(run_folder.require(run_folder.shards, "cutouts"))
    run_folder.require(run_folder.model, "train")
    check_columns(config, shards.objects)

    load_tensorflow()
    estimator, extras = run_folder.estimator()
    task = estimator.task
    rows = labelled_rows(config, shards, task)
    test = rows["test"]
    if not len(test):
        raise PredictionError(
            "The test split has no labelled object.", hint="add rows, or change split.fractions"
        )
    samples = estimator.sample(
        shards.images(test),
        shards.scalars(estimator.inputs.scalars)[test] if estimator.inputs.scalars else None,
        draws=config.prediction.draws,
        seed=config.seed,
        views=config.prediction.views,
    )
    times = run_folder.count_test_scoring(estimator.fingerprint)
    encoded, weights = read_labels(shards, task, test)
    kept = {f"target/{name}": values for name, values in samples.items()}
    with replacing(run_folder.evaluation / "samples.npz") as temporary, open(temporary, "wb") as to:
        np.savez(to, rows=test, **kept)
    scores = score(task, encoded, weights, samples, seed=config.seed)
    baselines, sentences = baseline_scores(
        task,
        read_labels(shards, task, rows["train"]),
        (encoded, weights),
        number=_number(config, shards, rows),
        seed=config.seed,
    )
    write_scores(
        run_folder.scores,
        scores,
        baselines=baselines,
        split="test",
        headline=task.headline,
        times_scored=times,
        baseline_sentences=sentences,
        draws=config.prediction.draws,
        views=config.prediction.views,
        precision=estimator.precision,
        model=estimator.fingerprint,
        calibrated=run_folder.calibration.is_file(),
    )
    yield from _tables(task, scores, baselines)
    first = headline(task, scores)
    yield (
        f"{name_of(first.name)} of {first.target}: {value_of(first)} {interval_of(first)} on "
        f"{first.n_used} test objects; the test split has been scored "
        + ("once" if times == 1 else f"{times} times")
    )
    yield from (f"{name}: {sentence}" for name, sentence in sentences.items())
    for selection in (extra for extra in extras if isinstance(extra, Selection)):
        got = selection.judge(task, encoded, weights, samples)
        said = ", ".join(
            f"{k} {v:.3f} [{low:.3f}, {high:.3f}]" for k, (v, low, high) in got.items()
        )
        yield f"selected ({selection.prefix}_p >= {selection.threshold:.4g}): {said}"


def _number(
    config: RunConfig, shards: Shards, rows: Mapping[str, np.ndarray]
) -> tuple[str, np.ndarray, np.ndarray] | None:
    """The number to compare with, where one is asked for: name, training and test values."""
    column = config.evaluation.cut
    if column is None:
        return None
    taught, asked = (_numbers(shards, column, rows[name]) for name in ("train", "test"))
    return column, taught, asked


def _numbers(shards: Shards, column: str, rows: np.ndarray) -> np.ndarray:
    if column == PEAK and column not in shards.objects.colnames:
        return peak_brightness(shards.images(rows))
    values, missing = shards.column(column)
    return np.where(missing, np.nan, values.astype(np.float64))[rows]


def _tables(
    task: Task, scores: list[Score], baselines: Mapping[str, list[Score]]
) -> Iterator[Table]:
    crowd = crowd_of(task)
    for target in [*task.names, ""]:
        if target in crowd[:1]:
            made = side_by_side(task, scores)
            table = Table(*made.columns, title=made.caption, title_justify="left")
            for row in made.rows:
                table.add_row(*row)
            yield table
        if target in crowd:
            continue
        shown = [s for s in scores if s.target == target and not is_of_class(s.name)]
        if not shown:
            continue
        table = Table(title=target or "all targets", title_justify="left", title_style="bold")
        table.add_column("score")
        for name in ("model", *(name.lower() for name in baselines)):
            table.add_column(name, justify="right", no_wrap=True)
        for found in shown:
            others = [
                next((s for s in b if (s.target, s.name) == (target, found.name)), None)
                for b in baselines.values()
            ]
            mine = f"{value_of(found)} {interval_of(found)}".rstrip()
            table.add_row(name_of(found.name), mine, *(value_of(s) if s else "" for s in others))
        yield table
