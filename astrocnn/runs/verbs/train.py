"""``astrocnn train``: from a run file to a trained estimator in a run directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from astrocnn.backend import load_tensorflow
from astrocnn.catalog import SPLITS
from astrocnn.datasets import Shards, fit_normalization, read_labels, split_rows
from astrocnn.errors import TrainingError
from astrocnn.imaging import Inputs
from astrocnn.runs.assemble import (
    catalog_of,
    check_columns,
    check_draws,
    estimator_of,
    fit_options_of,
    inputs_of,
    network_of,
    optimizer_of,
    options_of,
    source_of,
    splits_of,
    survey_of,
    task_of,
)
from astrocnn.runs.config import RunConfig
from astrocnn.runs.directory import RunDirectory
from astrocnn.runs.trained_runs import check_runs, start_of
from astrocnn.runs.verbs.cutouts import make_shards
from astrocnn.targets import Task

__all__ = ["labelled_rows", "run", "taught_rows", "trained_inputs"]


def run(
    config: RunConfig,
    out: Path,
    *,
    cut: bool = True,
    callbacks: Sequence[Callable[[Any], None]] = (),
) -> Iterator[str]:
    """Cut what is not cut yet, fit the normalization, train, keep the estimator.

    Given again after an interruption it continues; given again when done it says so.  Without
    `cut` the shards must be there; `callbacks` are called with the history after each epoch of a
    network.
    """
    check_runs(config)
    task = task_of(config)
    # What is wrong with the labels is known before hours of cutting.
    catalog = catalog_of(config)
    task.encode({name: catalog.column(name) for name in task.label_columns})
    for name in config.inputs.scalars:
        catalog.numbers(name)
    check_columns(config, catalog.table)

    splits_of(config, catalog)
    if config.model.method is None:
        options_of(config), optimizer_of(config)

    load_tensorflow()
    from astrocnn.training.strategies import get_strategy, is_chief, wait_for_all

    # Other workers can only be joined before TensorFlow is used.
    where = get_strategy(config.training.strategy)
    start = start_of(config)
    if cut and not RunDirectory(out).model.exists():
        # What layers cannot do is known before hours of cutting, and leaves no folder.
        source = source_of(survey_of(config), catalog, config.inputs.size)
        inputs = inputs_of(config, source)
        estimator_of(config, task, inputs), fit_options_of(config, task, inputs)
        if config.model.method is None:
            optimizer_of(config).build()
            network_of(config, task, source)
        check_draws(config, task, source)
    if is_chief(where):
        folder = RunDirectory.create(out, config)
    wait_for_all(where)
    folder = RunDirectory.open(out)
    if folder.model.exists():
        yield f"{folder.model} is trained already; remove it to train anew"
        return
    if cut and is_chief(where):
        make_shards(config, folder)
    wait_for_all(where)
    shards = Shards.open(folder.shards)
    check_draws(config, task, shards)
    rows = taught_rows(config, shards, task)
    yield ", ".join(f"{len(rows[name])} {name}" for name in SPLITS) + " objects with labels"
    yield from _complaints(task, *read_labels(shards, task, rows["train"]))
    estimator = estimator_of(config, task, trained_inputs(config, shards, rows["train"]))
    options = fit_options_of(config, task, estimator.inputs)
    if config.model.method is None:
        options |= {
            "strategy": where,
            "backup": folder.backup,
            "history_file": folder.history,
            "callbacks": callbacks,
        }
    if config.transfer is not None:
        options |= config.transfer.model_dump() | {"start": start}
    estimator.fit(shards, rows["train"], rows["validation"], **options)
    if config.transfer is not None:
        yield f"began with {config.transfer.start}: {estimator.facts['Weights']}"
    if is_chief(where):
        estimator.save(folder.model)
    wait_for_all(where)
    yield f"trained: {folder.model}"


def trained_inputs(config: RunConfig, shards: Shards, rows: np.ndarray) -> Inputs:
    """The inputs of a run with the normalization measured on some rows."""
    section = config.inputs
    inputs = inputs_of(config, shards)
    if not inputs.bands:
        return inputs
    normalization = fit_normalization(
        shards,
        rows,
        section.stretch,
        seed=config.seed,
        robust=section.robust,
        whiten=section.whiten,
        mask_channel=section.mask_channel,
    )
    return inputs.with_normalization(normalization)


def _complaints(
    task: Task, encoded: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray]
) -> Iterator[str]:
    """What cannot be learned from the labels of the training objects.

    Raises
    ------
    TrainingError
        If that is everything.
    """
    alike = {}
    for name, counts in task.tally(encoded, weights).items():
        labels = encoded[name][weights[name] > 0]
        absent = [kind for kind, n in counts.items() if not n]
        if not len(labels) or not np.any(labels != labels[0]):
            alike[name] = " or ".join(k for k, n in counts.items() if n) or "missing"
        elif absent and len(counts) > 2:
            yield f"no training object of {name} is {' or '.join(absent)}: it cannot be learned"
    if len(alike) == len(task.targets):
        raise TrainingError(
            "The labels of the training objects are all alike: there is nothing to tell apart.",
            received="; ".join(f"{name}: all {label}" for name, label in alike.items()),
            hint="check the label column and the map of the task",
        )
    for name, label in alike.items():
        yield f"all training labels of {name} are {label}: it cannot be learned"


def taught_rows(config: RunConfig, shards: Shards, task: Task) -> dict[str, np.ndarray]:
    """The same as `labelled_rows`, of a run that can be trained.

    Raises
    ------
    TrainingError
        If there is nothing to learn from, or nothing to choose the best epoch by.
    """
    rows = labelled_rows(config, shards, task)
    for name in ("train", "validation"):
        if not len(rows[name]):
            raise TrainingError(
                f"The {name} split has no labelled object with an image.",
                received=", ".join(f"{k}: {len(v)}" for k, v in rows.items()),
                hint="add rows, or change split.fractions",
            )
    return rows


def labelled_rows(config: RunConfig, shards: Shards, task: Task) -> dict[str, np.ndarray]:
    """Rows of each split that have an image and at least one label."""
    split = splits_of(config, shards.catalog, shards.content)
    rows = split_rows(shards, task, inputs_of(config, shards), split=split)
    return dict(zip(SPLITS, rows, strict=True))
