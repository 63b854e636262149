"""``astrocnn train``: from a run file to a trained estimator in a run directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from astrocnn.catalog import SPLITS
from astrocnn.datasets import Shards, fit_normalization, usable
from astrocnn.errors import TrainingError
from astrocnn.runs.assemble import (
    augmentation_of,
    inputs_of,
    optimizer_of,
    options_of,
    splits_of,
    task_of,
)
from astrocnn.runs.config import RunConfig
from astrocnn.runs.directory import RunDirectory
from astrocnn.runs.verbs.cutouts import make_shards
from astrocnn.tasks import Task

__all__ = ["labelled_rows", "run"]


def run(config: RunConfig, out: Path) -> Iterator[str]:
    """Cut what is not cut yet, fit the normalization, train, keep the estimator.

    Given again after an interruption it continues; given again when done it says so.
    """
    folder = RunDirectory.create(out, config)
    task = task_of(config)
    options = options_of(config)
    if folder.model.exists():
        yield f"{folder.model} is trained already; remove it to train anew"
        return
    from astrocnn.estimators import KerasEstimator

    shards = make_shards(config, folder)
    rows = labelled_rows(config, shards, task)
    for name in ("train", "validation"):
        if not len(rows[name]):
            raise TrainingError(
                f"The {name} split has no labelled object with an image.",
                received=", ".join(f"{k}: {len(v)}" for k, v in rows.items()),
                hint="add rows, or change split.fractions",
            )
    yield ", ".join(f"{len(rows[name])} {name}" for name in SPLITS) + " objects with labels"
    section = config.inputs
    normalization = fit_normalization(
        shards,
        rows["train"],
        section.stretch,
        seed=config.seed,
        robust=section.robust,
        whiten=section.whiten,
        mask_channel=section.mask_channel,
    )
    inputs = inputs_of(config, shards).with_normalization(normalization)
    estimator = KerasEstimator(
        task,
        inputs,
        config.model.architecture,
        options=options,
        precision=config.prediction.precision,
        seed=config.seed,
    )
    training = config.training
    estimator.fit(
        shards,
        rows["train"],
        rows["validation"],
        epochs=training.epochs,
        batch_size=training.batch_size,
        optimizer=optimizer_of(config),
        patience=training.patience or None,
        augmentation=augmentation_of(config, task, inputs),
        balance=training.class_weights,
        strategy=training.strategy,
        precision=training.precision,
        backup=folder.backup,
        history_file=folder.history,
    )
    estimator.save(folder.model)
    yield f"trained: {folder.model}"


def labelled_rows(config: RunConfig, shards: Shards, task: Task) -> dict[str, np.ndarray]:
    """Rows of each split that have an image and at least one label."""
    _, weights = task.encode(label_columns(shards, task))
    labelled = np.any([weight > 0 for weight in weights.values()], axis=0)
    good, _ = usable(shards, inputs_of(config, shards))
    seen = np.zeros(len(shards), bool)
    seen[good] = True
    splits = splits_of(config, shards.catalog, shards.content)
    return {
        name: np.flatnonzero((splits == number) & labelled & seen)
        for number, name in enumerate(SPLITS)
    }


def label_columns(shards: Shards, task: Task) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Label columns of the shards as (values, missing) by name."""
    return {name: shards.column(name) for name in task.label_columns}
