"""``astrocnn evaluate``: score labelled objects beside baselines, and count the scoring."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from astrocnn.atomic import replacing
from astrocnn.backend import load_tensorflow
from astrocnn.calibration.novelty import THRESHOLD
from astrocnn.calibration.selection import Selection
from astrocnn.clusters import open_scheduler
from astrocnn.datasets import Shards, find_usable_rows, read_labels, write_shards
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.evaluation import (
    baseline_scores,
    compute_peak_brightness,
    find_headline,
    format_score,
    get_label,
    score,
    write_scores,
)
from astrocnn.evaluation.report_chapters import score_tables
from astrocnn.metrics import wilson
from astrocnn.runs.run import PEAK, Run
from astrocnn.scheduling import Scheduler

__all__ = ["run"]


def run(
    folder: Path,
    *,
    catalog: Path | None = None,
    survey: Path | None = None,
    id: str | None = None,
    workers: int = 1,
    cluster: str | None = None,
) -> Iterator[Table | str]:
    """Score the test split, or another catalogue with labels, beside the baselines.

    The test split is sampled once, its samples are kept and ``scores.json`` is written; scores of
    another catalogue go into a file of their own and are counted apart.

    Raises
    ------
    ConfigError
        If `survey` or `id` is given without `catalog`.
    PredictionError
        If there is no labelled object to score.
    """
    if catalog is None and (survey is not None or id is not None):
        raise ConfigError(
            "--survey and --id belong to the catalogue that --catalog names.",
            hint="the test split is scored on the images and identifiers of the run",
        )
    current = Run.open(folder)
    with current.directory.claimed():
        current.directory.require(current.directory.model, "train")
        with open_scheduler(cluster, workers) as scheduler:
            if catalog is None:
                yield from _evaluate_test_split(current, scheduler)
            else:
                yield from _evaluate_catalog(current, catalog, survey, id, scheduler)


def _evaluate_test_split(current: Run, scheduler: Scheduler | None) -> Iterator[Table | str]:
    home, shards = current.directory, current.shards
    current.check_columns(shards.objects)
    load_tensorflow()
    test = current.require_rows("test")["test"]
    samples, novel = current.sample_with_novelty(test, scheduler)
    times = home.count_scoring(current.estimator.fingerprint)
    kept: dict[str, Any] = {f"target/{name}": values for name, values in samples.items()}
    with replacing(home.evaluation / "samples.npz") as temporary, open(temporary, "wb") as to:
        np.savez(to, rows=test, **kept)
    yield from _score(
        current, current, samples, home.scores, "test", times, "test objects; the test split", novel
    )


def _evaluate_catalog(
    current: Run,
    path: Path,
    survey: Path | None,
    id: str | None,
    scheduler: Scheduler | None,
) -> Iterator[Table | str]:
    home = current.directory
    catalog, source = current.open_objects(path, survey, id)
    inputs = current.estimator.inputs
    folder = home.evaluation / "shards"
    try:
        shards = write_shards(folder, catalog, source, inputs, resume=False, scheduler=scheduler)
        yield from _score_shards(current, shards, path, scheduler)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _score_shards(
    current: Run, shards: Shards, path: Path, scheduler: Scheduler | None
) -> Iterator[Table | str]:
    home, inputs = current.directory, current.estimator.inputs
    other = copy(current)
    other.shards = shards
    rows, without = find_usable_rows(shards, inputs)
    _, weights = read_labels(shards, current.task, rows)
    rows = rows[np.any([weight > 0 for weight in weights.values()], axis=0)]
    seen = _find_seen(current, other, rows)
    rows = rows[~seen]
    if not len(rows):
        raise PredictionError(
            f"'{path}' has no object with a label and an image to score.",
            received="; ".join(f"{n} x {sentence}" for sentence, n in without.items()) or None,
            hint=f"{seen.sum()} are training or validation objects of the run"
            if seen.any()
            else None,
        )
    other.rows = {**current.rows, "test": rows}
    name, file = home.name_scores(path)
    samples, novel = other.sample_with_novelty(rows, scheduler)
    times = home.count_scoring(current.estimator.fingerprint, name)
    objects = f"objects of '{path}', which"
    yield from _score(current, other, samples, file, str(path.resolve()), times, objects, novel)
    cut = current.config.evaluation.cut
    if cut is not None and _read_cut_column(current, other) is None:
        yield f"no cut on {cut}: this catalogue has no such column"
    yield (
        f"{len(shards)} rows, {len(rows)} scored; {seen.sum()} left out because they are training "
        f"or validation objects: {file}"
    )


def _find_seen(current: Run, other: Run, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Find objects whose images, or scalars, are those of a training or validation object."""
    inputs = current.estimator.inputs

    def read(run: Run, rows: NDArray[np.int64]) -> NDArray[Any]:
        if inputs.bands:
            return run.shards.content[rows]
        return np.array([row.tobytes().hex() for row in run.shards.scalars(inputs.scalars)[rows]])

    fitted = np.concatenate([current.rows["train"], current.rows["validation"]])
    return np.isin(read(other, rows), read(current, fitted))


def _score(
    current: Run,
    scored: Run,
    samples: Mapping[str, NDArray[np.float32]],
    path: Path,
    split: str,
    times: int,
    objects: str,
    novel: NDArray[np.bool_] | None,
) -> Iterator[Table | str]:
    """Score the test rows of a run, whose baselines are fitted on its training split."""
    config, estimator, task = current.config, current.estimator, current.estimator.task
    encoded, weights = read_labels(scored.shards, task, scored.rows["test"])
    scores = score(task, encoded, weights, samples, seed=config.seed)
    baselines, descriptions = baseline_scores(
        task,
        read_labels(current.shards, task, current.rows["train"]),
        (encoded, weights),
        column=_read_cut_column(current, scored),
        seed=config.seed,
    )
    write_scores(
        path,
        scores,
        baselines=baselines,
        split=split,
        headline=task.headline,
        times_scored=times,
        baseline_descriptions=descriptions,
        draws=config.prediction.draws,
        views=config.prediction.views,
        precision=estimator.precision,
        model=estimator.fingerprint,
        calibrated=current.directory.calibration.is_file(),
        novel=None if novel is None else int(novel.sum()),
    )
    yield from (t.to_rich() for t in score_tables(task, scores, baselines, compact=True))
    first = find_headline(task, scores)
    yield (
        f"{get_label(first.name)} of {first.target}: {format_score(first)} on "
        f"{first.n_used} {objects} has been scored " + ("once" if times == 1 else f"{times} times")
    )
    yield from (f"{name}: {sentence}" for name, sentence in descriptions.items())
    if novel is not None:
        low, high = wilson(int(novel.sum()), len(novel))
        yield (
            f"novel: {novel.sum()} of {len(novel)} objects are flagged, {100 * novel.mean():.1f} % "
            f"[{100 * low:.1f}, {100 * high:.1f}]; of objects like the validation objects "
            f"{100 * (1 - THRESHOLD):.0f} % at most are expected"
        )
    for selection in (extra for extra in current.extras if isinstance(extra, Selection)):
        got = selection.compute_rates(task, encoded, weights, samples)
        rates = ", ".join(
            f"{k} {v:.3f} [{low:.3f}, {high:.3f}]" for k, (v, low, high) in got.items()
        )
        yield f"selected ({selection.prefix}_p >= {selection.threshold:.4g}): {rates}"


def _read_cut_column(current: Run, scored: Run) -> tuple[str, np.ndarray, np.ndarray] | None:
    """Name, training and test values of the column whose best cut is a baseline, if any."""
    column = current.config.evaluation.cut
    if column is None or (column != PEAK and column not in scored.shards.objects.colnames):
        return None
    train = _numbers(current, column, current.rows["train"])
    return column, train, _numbers(scored, column, scored.rows["test"])


def _numbers(current: Run, column: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    if column == PEAK and column not in current.shards.objects.colnames:
        return compute_peak_brightness(current.shards.images(rows))
    return current.read_numbers(column, rows)
