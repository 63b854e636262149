"""``astrocnn calibrate``: fit temperature scaling, recalibration and conformal sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from astrocnn import estimators
from astrocnn.atomic import replacing
from astrocnn.backend import load_tensorflow
from astrocnn.calibration import calibrate, write
from astrocnn.calibration.selection import Selection
from astrocnn.datasets import read_labels
from astrocnn.errors import PredictionError
from astrocnn.evaluation.calibration_chapters import calibration_table, compare_calibration
from astrocnn.runs.run import Run

__all__ = ["run"]


def run(folder: Path) -> Iterator[Table | str]:
    """Fit a calibration on the validation split; 'predict' and 'evaluate' apply it from then on.

    The test split is never used.

    Raises
    ------
    PredictionError
        If the validation split has too few labelled objects.
    ConfigError
        If the run has not been trained.
    """
    current = Run.open(folder)
    with current.directory.claimed():
        yield from _calibrate(current)


def _calibrate(current: Run) -> Iterator[Table | str]:
    config, home, shards = current.config, current.directory, current.shards
    model = home.require(home.model, "train")

    load_tensorflow()
    # Sample the bare estimator: an existing calibration is replaced.
    estimator, task = estimators.load_estimator(model), current.task
    rows = current.rows["validation"]
    if not len(rows):
        raise PredictionError(
            "The validation split has no labelled object to calibrate on.",
            hint="add rows, or change split.fractions",
        )
    samples = current.sample(rows, estimator)
    encoded, weights = read_labels(shards, task, rows)
    section = config.calibration
    made = calibrate(
        estimator,
        samples,
        encoded,
        weights,
        set_levels=() if section.sets is None else (section.sets,),
        by=section.by,
        by_values=None if section.by is None else current.read_numbers(section.by, rows),
        seed=config.seed,
    )
    options = config.selection
    if options.completeness is not None or options.purity is not None:
        calibrated = {
            t.name: made.remaps[t.name].apply(t.family, samples[t.name])
            if t.name in made.remaps
            else samples[t.name]
            for t in task.targets
        }
        selection = Selection.fit(
            task,
            encoded,
            weights,
            calibrated,
            completeness=options.completeness,
            purity=options.purity,
            prior=options.prior,
        )
        made = replace(made, extras=(*made.extras, selection))
        yield selection.summary
    compared = compare_calibration(task, made.remaps, encoded, weights, samples, seed=config.seed)
    kept: dict[str, Any] = {
        f"{key}/{name}": values
        for name, pair in compared.items()
        for key, values in zip(("before", "after"), pair, strict=True)
    }
    home.evaluation.mkdir(exist_ok=True)
    with replacing(home.judged) as temporary, open(temporary, "wb") as to:
        np.savez(to, **kept)
    write(home.calibration, made)
    if made.table:
        yield calibration_table(made.table).to_rich()
    yield from made.notes
    yield f"calibrated on {len(rows)} objects of the validation split: {home.calibration}"
