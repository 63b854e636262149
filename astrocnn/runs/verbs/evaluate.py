"""``astrocnn evaluate``: score the test split and the baselines, and count the scoring."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from astrocnn.atomic import replacing
from astrocnn.backend import load_tensorflow
from astrocnn.calibration.selection import Selection
from astrocnn.datasets import read_labels
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
from astrocnn.runs.run import PEAK, Run

__all__ = ["run"]


def run(folder: Path) -> Iterator[Table | str]:
    """Sample the test split once, save the samples and write ``scores.json``.

    Raises
    ------
    PredictionError
        If the test split has no labelled object.
    """
    current = Run.open(folder)
    with current.directory.claimed():
        yield from _evaluate(current)


def _evaluate(current: Run) -> Iterator[Table | str]:
    config, home, shards = current.config, current.directory, current.shards
    home.require(home.model, "train")
    current.check_columns(shards.objects)

    load_tensorflow()
    # The families of its task include the calibration, if there is one.
    estimator, task = current.estimator, current.estimator.task
    rows = current.require_rows("test")
    test = rows["test"]
    samples = current.sample(test)
    times = home.count_test_scoring(estimator.fingerprint)
    encoded, weights = read_labels(shards, task, test)
    kept: dict[str, Any] = {f"target/{name}": values for name, values in samples.items()}
    with replacing(home.evaluation / "samples.npz") as temporary, open(temporary, "wb") as to:
        np.savez(to, rows=test, **kept)
    scores = score(task, encoded, weights, samples, seed=config.seed)
    baselines, descriptions = baseline_scores(
        task,
        read_labels(shards, task, rows["train"]),
        (encoded, weights),
        column=_read_cut_column(current),
        seed=config.seed,
    )
    write_scores(
        home.scores,
        scores,
        baselines=baselines,
        split="test",
        headline=task.headline,
        times_scored=times,
        baseline_descriptions=descriptions,
        draws=config.prediction.draws,
        views=config.prediction.views,
        precision=estimator.precision,
        model=estimator.fingerprint,
        calibrated=home.calibration.is_file(),
    )
    yield from (t.to_rich() for t in score_tables(task, scores, baselines, compact=True))
    first = find_headline(task, scores)
    yield (
        f"{get_label(first.name)} of {first.target}: {format_score(first)} on "
        f"{first.n_used} test objects; the test split has been scored "
        + ("once" if times == 1 else f"{times} times")
    )
    yield from (f"{name}: {sentence}" for name, sentence in descriptions.items())
    for selection in (extra for extra in current.extras if isinstance(extra, Selection)):
        got = selection.compute_rates(task, encoded, weights, samples)
        rates = ", ".join(
            f"{k} {v:.3f} [{low:.3f}, {high:.3f}]" for k, (v, low, high) in got.items()
        )
        yield f"selected ({selection.prefix}_p >= {selection.threshold:.4g}): {rates}"


def _read_cut_column(current: Run) -> tuple[str, np.ndarray, np.ndarray] | None:
    """Name, training and test values of the column whose best cut is a baseline, if any."""
    column = current.config.evaluation.cut
    if column is None:
        return None
    train, test = (_numbers(current, column, current.rows[name]) for name in ("train", "test"))
    return column, train, test


def _numbers(current: Run, column: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    if column == PEAK and column not in current.shards.objects.colnames:
        return compute_peak_brightness(current.shards.images(rows))
    return current.read_numbers(column, rows)
